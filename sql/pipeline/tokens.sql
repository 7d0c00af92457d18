-- All tokens, without what they are checked with.
SELECT name, classes, max_workers, created::text, expires::text,
    CASE WHEN revoked IS NOT NULL THEN 'revoked' WHEN expires < clock_timestamp() THEN 'expired' ELSE 'valid' END AS state
FROM pipeline.token ORDER BY token_id
