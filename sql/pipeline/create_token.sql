-- A new token: $1 name, $2 SHA-256 of its secret, $3 classes it may serve, $4 workers at once, $5 seconds until it expires or NULL, $6 who.
WITH made AS (
    INSERT INTO pipeline.token (name, hash, classes, max_workers, expires)
    VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5::double precision)) RETURNING token_id
), noted AS (
    INSERT INTO pipeline.audit (actor, action, target) VALUES ($6, 'token create', $1)
)
SELECT token_id FROM made
