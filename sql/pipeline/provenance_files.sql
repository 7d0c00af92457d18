-- What the jobs $1 read and made.
SELECT u.job_id AS of_job, 'input' AS kind, u.role, a.name, a.key, a.bytes, encode(a.sha256, 'hex') AS sha256, a.job_id AS made_by
FROM pipeline.artifact_use u JOIN pipeline.artifact a USING (artifact_id) WHERE u.job_id = ANY ($1)
UNION ALL
SELECT a.job_id, 'output', a.role, a.name, a.key, a.bytes, encode(a.sha256, 'hex'), a.job_id FROM pipeline.artifact a WHERE a.job_id = ANY ($1)
ORDER BY 1, 2, 3, 4, 5
