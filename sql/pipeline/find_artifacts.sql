-- Artifacts with the hash $1 (or NULL), or with the name $2 (or NULL), in run $3 (or NULL: in any), newest first.
SELECT a.artifact_id, r.name AS run, a.role, a.name, a.key, a.bytes, encode(a.sha256, 'hex') AS sha256, a.job_id
FROM pipeline.artifact a JOIN pipeline.run r USING (run_id)
WHERE (a.sha256 = $1::bytea OR a.name = $2::text) AND ($3::bigint IS NULL OR a.run_id = $3)
ORDER BY a.artifact_id DESC
