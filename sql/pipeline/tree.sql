-- The children of one place in the tree of run $1: the events from outside ($2 and $3 NULL), those of job $2, or that of barrier $3; with the jobs that
-- each event started, failures first. At most $4 lines.
SELECT e.event_id, e.name AS event, e.key, e.payload::text AS payload, j.job_id, t.name AS task, l.state::text AS state, l.attempt,
    (SELECT a.outcome FROM pipeline.attempt a WHERE a.job_id = j.job_id ORDER BY a.attempt DESC LIMIT 1) AS outcome,
    (SELECT count(*) FROM pipeline.event c WHERE c.parent_job = j.job_id) AS children
FROM pipeline.event e
LEFT JOIN pipeline.job j USING (event_id)
LEFT JOIN pipeline.job_live l USING (job_id)
LEFT JOIN pipeline.task t ON t.task_id = j.task_id
WHERE e.run_id = $1 AND e.parent_job IS NOT DISTINCT FROM $2::bigint AND e.parent_barrier IS NOT DISTINCT FROM $3::bigint
ORDER BY l.state = 'failed' DESC NULLS LAST, e.event_id, j.job_id
LIMIT $4
