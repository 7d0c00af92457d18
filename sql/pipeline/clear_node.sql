-- Takes node $1 out of quarantine, says $2; earlier losses do not count any more.
WITH changed AS (
    UPDATE pipeline.node SET quarantined = NULL, cleared = clock_timestamp() WHERE name = $1 AND quarantined IS NOT NULL RETURNING name
), noted AS (
    INSERT INTO pipeline.audit (actor, action, target) SELECT $2, 'release', 'node ' || name FROM changed
)
SELECT count(*) FROM changed
