-- The jobs that led to the artifacts $1, oldest first: those that made them, those that made what these read, and those that told their events.
-- With each what its command was made of, and the attempt that was done.
WITH RECURSIVE led (job_id) AS (
    SELECT a.job_id FROM pipeline.artifact a WHERE a.artifact_id = ANY ($1) AND a.job_id IS NOT NULL
    UNION
    SELECT b.job_id FROM led l CROSS JOIN LATERAL (
        SELECT a.job_id FROM pipeline.artifact_use u JOIN pipeline.artifact a USING (artifact_id) WHERE u.job_id = l.job_id
        UNION ALL
        SELECT e.parent_job FROM pipeline.job j JOIN pipeline.event e USING (event_id) WHERE j.job_id = l.job_id
    ) b WHERE b.job_id IS NOT NULL
)
SELECT j.job_id, t.name AS task, r.name AS run, r.manifest, r.manifest_sha256, r.params, t.spec, e.name AS event, e.key, e.payload, a.attempt,
    to_char(a.started AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS started,
    to_char(a.ended AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS ended,
    a.task_version, w.version, w.name AS worker, w.node, l.cpu, l.mem_mb, l.disk_mb
FROM led
JOIN pipeline.job j USING (job_id)
JOIN pipeline.job_live l USING (job_id)
JOIN pipeline.task t ON t.task_id = j.task_id
JOIN pipeline.run r ON r.run_id = j.run_id
JOIN pipeline.event e USING (event_id)
JOIN pipeline.attempt a ON a.job_id = j.job_id AND a.attempt = l.attempt AND a.outcome = 'done'
JOIN pipeline.worker w ON w.worker_id = a.worker_id
ORDER BY j.job_id
