-- Job $1 as it stands: its run, task, event, resources, and what its command is made of.
SELECT j.job_id, r.name AS run, r.state AS run_state, r.params, t.name AS task, t.held, t.version AS task_version, t.class, t.spec,
    e.name AS event, e.key, e.payload, l.state::text AS state, l.attempt, l.priority, l.cpu, l.mem_mb, l.disk_mb,
    extract(epoch FROM l.not_before - clock_timestamp())::float8 AS waits_s
FROM pipeline.job j
JOIN pipeline.job_live l USING (job_id)
JOIN pipeline.task t ON t.task_id = j.task_id
JOIN pipeline.run r ON r.run_id = j.run_id
JOIN pipeline.event e USING (event_id)
WHERE j.job_id = $1
