-- The jobs $1, with the last attempt of each, in the order of their ids.
SELECT j.job_id, t.name AS task, e.name AS event, e.key, l.state::text AS state, l.attempt, l.priority, l.mem_mb, a.outcome, a.exit_code,
    a.message, w.name AS worker, a.started::text AS started,
    extract(epoch FROM coalesce(a.ended, clock_timestamp()) - a.started)::float8 AS seconds
FROM pipeline.job j
JOIN pipeline.job_live l USING (job_id)
JOIN pipeline.task t ON t.task_id = j.task_id
JOIN pipeline.event e USING (event_id)
LEFT JOIN LATERAL (SELECT * FROM pipeline.attempt x WHERE x.job_id = j.job_id ORDER BY x.attempt DESC LIMIT 1) a ON true
LEFT JOIN pipeline.worker w ON w.worker_id = a.worker_id
WHERE j.job_id = ANY ($1)
ORDER BY j.job_id
