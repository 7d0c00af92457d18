-- The secret that byte URLs are signed with; $1 becomes it if there is none yet.
WITH made AS (
    INSERT INTO pipeline.signing_key (secret) VALUES ($1) ON CONFLICT DO NOTHING RETURNING secret
)
SELECT secret FROM made UNION ALL SELECT secret FROM pipeline.signing_key LIMIT 1
