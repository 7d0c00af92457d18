-- Claims for worker $1 up to $2 jobs within $3 cores, $4 MB of memory, $5 MB of disk, leased for $6 s (see claim.sql); with what a
-- worker must know of each: its event, and its inputs as JSON (role, name, key, sha256, bytes).
SELECT c.job_id, c.task_id, c.attempt, c.cpu, c.mem_mb, c.disk_mb, e.name AS event_name, e.key AS event_key, e.payload,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('role', u.role, 'name', a.name, 'key', a.key, 'sha256', encode(a.sha256, 'hex'),
        'bytes', a.bytes) ORDER BY u.role, a.name, a.artifact_id), '[]')
     FROM pipeline.artifact_use u JOIN pipeline.artifact a USING (artifact_id) WHERE u.job_id = c.job_id) AS inputs
FROM pipeline.claim($1, $2, $3, $4, $5, $6) c
JOIN pipeline.job j USING (job_id)
JOIN pipeline.event e USING (event_id)
