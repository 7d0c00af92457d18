-- The children of one place in the tree of run $1, in order: the events from outside ($2 and $3 NULL), those of job $2, or that of barrier $3; with the
-- jobs that each event started. At most $4 lines, those after event $5 and its job $6. Children of a job are counted to 1001.
WITH here AS MATERIALIZED (
    (SELECT e.event_id, e.name, e.key FROM pipeline.event e
     WHERE $2::bigint IS NULL AND $3::bigint IS NULL AND e.run_id = $1 AND e.parent_job IS NULL AND e.parent_barrier IS NULL AND e.event_id >= $5
     ORDER BY e.event_id LIMIT $4::bigint + 1)
    UNION ALL
    (SELECT e.event_id, e.name, e.key FROM pipeline.event e WHERE e.parent_job = $2 AND e.run_id = $1 AND e.event_id >= $5
     ORDER BY e.event_id LIMIT $4::bigint + 1)
    UNION ALL
    (SELECT e.event_id, e.name, e.key FROM pipeline.event e WHERE e.parent_barrier = $3 AND e.run_id = $1 AND e.event_id >= $5
     ORDER BY e.event_id LIMIT $4::bigint + 1)
)
SELECT e.event_id, e.name AS event, e.key, j.job_id, t.name AS task, l.state::text AS state, l.attempt,
    (SELECT a.outcome FROM pipeline.attempt a WHERE a.job_id = j.job_id ORDER BY a.attempt DESC LIMIT 1) AS outcome,
    (SELECT count(*) FROM (SELECT FROM pipeline.event c WHERE c.parent_job = j.job_id LIMIT 1001) c) AS children, 0::bigint AS failed_below
FROM here e
LEFT JOIN pipeline.job j USING (event_id)
LEFT JOIN pipeline.job_live l USING (job_id)
LEFT JOIN pipeline.task t ON t.task_id = j.task_id
WHERE (e.event_id, coalesce(j.job_id, 0)) > ($5::bigint, $6::bigint)
ORDER BY e.event_id, j.job_id
LIMIT $4
