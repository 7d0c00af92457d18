-- The token $1: hash of its secret, classes, whether it is in force, name.
SELECT hash, classes, revoked IS NULL AND (expires IS NULL OR expires > clock_timestamp()) AS valid, name FROM pipeline.token WHERE token_id = $1
