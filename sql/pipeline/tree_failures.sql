-- The jobs of one place in the tree of run $1 (as in tree.sql: $2 job, $3 barrier) that failed, or under which jobs failed, with how many; of the first $4
-- failed jobs of the run. At most 50.
WITH RECURSIVE failed AS MATERIALIZED (
    SELECT l.job_id FROM pipeline.job_live l
    WHERE l.state IN ('failed', 'cancelled') AND l.state = 'failed' AND l.task_id = ANY (ARRAY(SELECT t.task_id FROM pipeline.task t WHERE t.run_id = $1))
    LIMIT $4
), up (failed, job_id, level) AS (
    SELECT job_id, job_id, 0 FROM failed
    UNION ALL
    SELECT u.failed, e.parent_job, u.level + 1
    FROM up u JOIN pipeline.job j ON j.job_id = u.job_id JOIN pipeline.event e USING (event_id)
    WHERE e.parent_job IS NOT NULL AND u.level < 100
), here AS (
    SELECT e.event_id, e.name, e.key, j.job_id, j.task_id, count(*) FILTER (WHERE u.level > 0) AS failed_below
    FROM up u JOIN pipeline.job j ON j.job_id = u.job_id JOIN pipeline.event e USING (event_id)
    WHERE e.parent_job IS NOT DISTINCT FROM $2::bigint AND e.parent_barrier IS NOT DISTINCT FROM $3::bigint
    GROUP BY e.event_id, j.job_id
    ORDER BY e.event_id, j.job_id LIMIT 50
)
SELECT h.event_id, h.name AS event, h.key, h.job_id, t.name AS task, l.state::text AS state, l.attempt,
    (SELECT a.outcome FROM pipeline.attempt a WHERE a.job_id = h.job_id ORDER BY a.attempt DESC LIMIT 1) AS outcome,
    (SELECT count(*) FROM (SELECT FROM pipeline.event c WHERE c.parent_job = h.job_id LIMIT 1001) c) AS children, h.failed_below
FROM here h JOIN pipeline.job_live l USING (job_id) JOIN pipeline.task t ON t.task_id = h.task_id
ORDER BY h.event_id, h.job_id
