-- The table of run $1: a line for each task with its jobs by state, attempts lost in the last hour, and seconds of its done attempts (median, 95 %).
SELECT t.name, t.held, count(l.job_id) AS jobs,
    count(*) FILTER (WHERE l.state = 'blocked') AS blocked, count(*) FILTER (WHERE l.state = 'ready') AS ready,
    count(*) FILTER (WHERE l.state = 'running') AS running, count(*) FILTER (WHERE l.state = 'retry_wait') AS retry_wait,
    count(*) FILTER (WHERE l.state = 'done') AS done, count(*) FILTER (WHERE l.state = 'failed') AS failed,
    count(*) FILTER (WHERE l.state = 'cancelled') AS cancelled, count(*) FILTER (WHERE l.state = 'skipped') AS skipped,
    (SELECT count(*) FROM pipeline.attempt a JOIN pipeline.job j USING (job_id)
     WHERE a.outcome = 'lost' AND a.ended > now() - interval '1 h' AND j.task_id = t.task_id) AS lost,
    s.p50, s.p95
FROM pipeline.task t
LEFT JOIN pipeline.job_live l USING (task_id)
LEFT JOIN LATERAL (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x.s) AS p50, percentile_cont(0.95) WITHIN GROUP (ORDER BY x.s) AS p95
    FROM (SELECT extract(epoch FROM a.ended - a.started)::float8 AS s
          FROM pipeline.job j JOIN pipeline.attempt a USING (job_id)
          WHERE j.task_id = t.task_id AND a.outcome = 'done' ORDER BY j.job_id DESC LIMIT 1000) x
) s ON true
WHERE t.run_id = $1
GROUP BY t.task_id, s.p50, s.p95
ORDER BY t.position
