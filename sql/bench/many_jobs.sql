-- Fills run $1 as if most of its jobs had run: $2 events from outside, each with a done job of task $3 that told $4 events, each with a job of task $5; of
-- these 70 % are done, one in 200 failed, one in 5000 runs at worker $6, the others are ready. Gives the number of jobs.
WITH roots AS (
    INSERT INTO pipeline.event (run_id, name, key) SELECT $1::bigint, 'go', 'group' || g FROM generate_series(1, $2::integer) g RETURNING event_id
), groups AS (
    INSERT INTO pipeline.job (run_id, task_id, event_id, group_key) SELECT $1, $3::integer, event_id, '' FROM roots RETURNING job_id
), parts AS (
    INSERT INTO pipeline.event (run_id, name, key, parent_job)
    SELECT $1, 'part', 'part' || job_id || '.' || p, job_id FROM groups, generate_series(1, $4::integer) p RETURNING event_id
), works AS (
    INSERT INTO pipeline.job (run_id, task_id, event_id, group_key) SELECT $1, $5::integer, event_id, '' FROM parts RETURNING job_id
), states AS (
    SELECT job_id, $3::integer AS task_id, 'done' AS state FROM groups
    UNION ALL
    SELECT job_id, $5, CASE WHEN n % 200 = 7 THEN 'failed' WHEN n % 5000 = 1 THEN 'running' WHEN n < 0.7 * $2 * $4 THEN 'done' ELSE 'ready' END
    FROM (SELECT job_id, row_number() OVER (ORDER BY job_id) AS n FROM works) w
), lives AS (
    INSERT INTO pipeline.job_live (job_id, task_id, state, priority, attempt, worker_id, lease_until, cpu, mem_mb, disk_mb)
    SELECT job_id, task_id, state::pipeline.job_state, 0, (state <> 'ready')::integer, CASE WHEN state = 'running' THEN $6::bigint END,
        CASE WHEN state = 'running' THEN clock_timestamp() + interval '1 day' END, 1, 1, 1 FROM states
), attempts AS (
    INSERT INTO pipeline.attempt (job_id, attempt, worker_id, started, ended, outcome)
    SELECT job_id, 1, $6, now() - interval '2 min', CASE WHEN state <> 'running' THEN now() - job_id % 60 * interval '1 s' END,
        CASE state WHEN 'done' THEN 'done' WHEN 'failed' THEN 'exit' END
    FROM states WHERE state <> 'ready'
)
SELECT count(*) FROM states
