-- Run $1 is $2 (active, held, cancelled), says $3; a run that is cancelled stays so.
WITH changed AS (
    UPDATE pipeline.run SET state = $2 WHERE run_id = $1 AND state <> $2 AND state <> 'cancelled' RETURNING run_id, name
), noted AS (
    INSERT INTO pipeline.audit (actor, action, target) SELECT $3, $2, 'run ' || name FROM changed
)
SELECT count(*) FROM changed
