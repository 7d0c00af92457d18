-- The table of run $1: a line for each task with its jobs by state, attempts lost in the last hour, and of the last 500 jobs that were claimed seconds
-- (median, 95 %, mean) and money (mean) of their done attempts. Each job_live row is read once; nothing else grows with the run.
WITH tasks AS (
    SELECT * FROM pipeline.task WHERE run_id = $1
), counts AS (
    SELECT l.task_id, l.state, count(*) AS n
    FROM pipeline.job_live l WHERE l.task_id = ANY (ARRAY(SELECT t.task_id FROM tasks t)) GROUP BY l.task_id, l.state
), sums AS (
    SELECT task_id, sum(n)::bigint AS jobs, coalesce(sum(n) FILTER (WHERE state = 'blocked'), 0)::bigint AS blocked,
        coalesce(sum(n) FILTER (WHERE state = 'ready'), 0)::bigint AS ready, coalesce(sum(n) FILTER (WHERE state = 'running'), 0)::bigint AS running,
        coalesce(sum(n) FILTER (WHERE state = 'retry_wait'), 0)::bigint AS retry_wait,
        coalesce(sum(n) FILTER (WHERE state = 'done'), 0)::bigint AS done, coalesce(sum(n) FILTER (WHERE state = 'failed'), 0)::bigint AS failed,
        coalesce(sum(n) FILTER (WHERE state = 'cancelled'), 0)::bigint AS cancelled,
        coalesce(sum(n) FILTER (WHERE state = 'skipped'), 0)::bigint AS skipped
    FROM counts GROUP BY task_id
), losses AS (
    SELECT j.task_id, count(*) AS lost FROM pipeline.attempt a JOIN pipeline.job j USING (job_id)
    WHERE a.outcome = 'lost' AND a.ended > now() - interval '1 h' AND j.run_id = $1 GROUP BY j.task_id
)
SELECT t.name, t.held, coalesce(s.jobs, 0) AS jobs, coalesce(s.blocked, 0) AS blocked, coalesce(s.ready, 0) AS ready,
    coalesce(s.running, 0) AS running, coalesce(s.retry_wait, 0) AS retry_wait, coalesce(s.done, 0) AS done, coalesce(s.failed, 0) AS failed,
    coalesce(s.cancelled, 0) AS cancelled, coalesce(s.skipped, 0) AS skipped, coalesce(x.lost, 0) AS lost, m.p50, m.p95, m.mean, m.price
FROM tasks t
LEFT JOIN sums s USING (task_id)
LEFT JOIN losses x USING (task_id)
LEFT JOIN LATERAL (
    -- the job that is claimed next; those before it were claimed
    SELECT l.job_id FROM pipeline.job_live l WHERE l.task_id = t.task_id AND l.state = 'ready' ORDER BY l.priority DESC, l.job_id LIMIT 1
) next ON true
LEFT JOIN LATERAL (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY d.s) AS p50, percentile_cont(0.95) WITHIN GROUP (ORDER BY d.s) AS p95,
        avg(d.s) AS mean, avg(d.s / 3600 * d.price_per_h) AS price
    FROM (
        SELECT extract(epoch FROM a.ended - a.started)::float8 AS s, w.price_per_h
        FROM (SELECT j.job_id FROM pipeline.job j
              WHERE j.task_id = t.task_id AND j.job_id < coalesce(next.job_id, 9223372036854775807) ORDER BY j.job_id DESC LIMIT 500) recent
        JOIN pipeline.attempt a USING (job_id) JOIN pipeline.worker w USING (worker_id)
        WHERE a.outcome = 'done'
    ) d
) m ON true
ORDER BY t.position
