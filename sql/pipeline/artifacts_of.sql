-- Inputs (used) and outputs of job $1.
SELECT 'input' AS kind, u.role, a.name, a.key, a.bytes, encode(a.sha256, 'hex') AS sha256
FROM pipeline.artifact_use u JOIN pipeline.artifact a USING (artifact_id) WHERE u.job_id = $1
UNION ALL
SELECT 'output', a.role, a.name, a.key, a.bytes, encode(a.sha256, 'hex') FROM pipeline.artifact a WHERE a.job_id = $1
ORDER BY 1, 2, 3
