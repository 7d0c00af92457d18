-- Jobs of run $1 in state $2 (or any, NULL), of task $3 (or any), whose event's key is like $4 (or any); the last attempt of each. At most $5.
SELECT j.job_id, t.name AS task, e.name AS event, e.key, l.state::text AS state, l.attempt, l.priority, l.mem_mb, a.outcome, a.exit_code,
    a.message, w.name AS worker, a.started::text AS started,
    extract(epoch FROM coalesce(a.ended, clock_timestamp()) - a.started)::float8 AS seconds
FROM pipeline.job j
JOIN pipeline.job_live l USING (job_id)
JOIN pipeline.task t ON t.task_id = j.task_id
JOIN pipeline.event e USING (event_id)
LEFT JOIN LATERAL (SELECT * FROM pipeline.attempt x WHERE x.job_id = j.job_id ORDER BY x.attempt DESC LIMIT 1) a ON true
LEFT JOIN pipeline.worker w ON w.worker_id = a.worker_id
WHERE j.run_id = $1 AND ($2::text IS NULL OR l.state = $2::text::pipeline.job_state) AND ($3::text IS NULL OR t.name = $3)
    AND ($4::text IS NULL OR e.key LIKE $4)
ORDER BY j.job_id LIMIT $5
