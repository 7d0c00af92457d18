-- The way from job $1 up to where it came from: the job itself first, then the job that told its event, and so on; a barrier ends it.
WITH RECURSIVE up (job_id, level) AS (
    SELECT $1::bigint, 0
    UNION ALL
    SELECT e.parent_job, u.level + 1 FROM up u JOIN pipeline.job j ON j.job_id = u.job_id JOIN pipeline.event e USING (event_id)
    WHERE e.parent_job IS NOT NULL AND u.level < 100
)
SELECT j.job_id, t.name AS task, e.name AS event, e.key, l.state::text AS state, b.barrier_id, d.name AS barrier, b.key AS barrier_key
FROM up u
JOIN pipeline.job j ON j.job_id = u.job_id
JOIN pipeline.job_live l ON l.job_id = j.job_id
JOIN pipeline.task t ON t.task_id = j.task_id
JOIN pipeline.event e USING (event_id)
LEFT JOIN pipeline.barrier b ON b.barrier_id = e.parent_barrier
LEFT JOIN pipeline.barrier_def d USING (barrier_def_id)
ORDER BY u.level
