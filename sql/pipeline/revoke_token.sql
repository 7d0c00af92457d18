-- Revokes the token named $1 on behalf of $2; its workers are gone.
WITH ended AS (
    UPDATE pipeline.token SET revoked = clock_timestamp() WHERE name = $1 AND revoked IS NULL RETURNING token_id
), gone AS (
    UPDATE pipeline.worker SET state = 'gone' WHERE token_id IN (SELECT token_id FROM ended)
), noted AS (
    INSERT INTO pipeline.audit (actor, action, target) SELECT $2, 'token revoke', $1 FROM ended
)
SELECT count(*) FROM ended
