-- Inputs (used) and outputs of job $1, with the job that made each; at most $2.
(SELECT 'input' AS kind, u.role, a.name, a.key, a.bytes, encode(a.sha256, 'hex') AS sha256, a.job_id AS made_by
 FROM pipeline.artifact_use u JOIN pipeline.artifact a USING (artifact_id) WHERE u.job_id = $1 LIMIT $2)
UNION ALL
(SELECT 'output', a.role, a.name, a.key, a.bytes, encode(a.sha256, 'hex'), a.job_id FROM pipeline.artifact a WHERE a.job_id = $1 LIMIT $2)
ORDER BY 1, 2, 3
