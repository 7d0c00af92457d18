-- Ids of the jobs of run $1 in one of the states $2 (or any, NULL), of task $3 (or any), whose last attempt's outcome is $4 (or any), key like $5 (or
-- any); those after job $6, at most $7. States that few jobs are in have indices, and each way its branch.
WITH tasks AS MATERIALIZED (
    SELECT task_id FROM pipeline.task WHERE run_id = $1 AND ($3::text IS NULL OR name = $3)
), candidates AS (
    SELECT l.job_id, l.state FROM pipeline.job_live l
    WHERE $2::text[] <@ '{failed,cancelled}' AND l.state IN ('failed', 'cancelled') AND l.task_id = ANY (ARRAY(SELECT task_id FROM tasks))
    UNION ALL
    SELECT l.job_id, l.state FROM pipeline.job_live l
    WHERE $2::text[] = '{running}' AND l.state = 'running' AND l.task_id = ANY (ARRAY(SELECT task_id FROM tasks))
    UNION ALL
    SELECT j.job_id, l.state FROM pipeline.job j JOIN pipeline.job_live l USING (job_id)
    WHERE ($2::text[] <@ '{failed,cancelled}' OR $2::text[] = '{running}') IS NOT TRUE AND $5::text IS NULL AND j.run_id = $1 AND j.job_id > $6
        AND j.task_id = ANY (ARRAY(SELECT task_id FROM tasks))
    UNION ALL
    -- the beginning of a key is found by the index of (run, name, key)
    SELECT j.job_id, l.state FROM pipeline.event e JOIN pipeline.job j USING (event_id) JOIN pipeline.job_live l USING (job_id)
    WHERE ($2::text[] <@ '{failed,cancelled}' OR $2::text[] = '{running}') IS NOT TRUE AND $5::text IS NOT NULL AND e.run_id = $1
        AND e.name = ANY (ARRAY(SELECT DISTINCT event_name FROM pipeline.task_on WHERE run_id = $1)) AND e.key LIKE $5
        AND j.job_id > $6 AND j.task_id = ANY (ARRAY(SELECT task_id FROM tasks))
)
SELECT c.job_id
FROM candidates c
JOIN pipeline.job j USING (job_id)
JOIN pipeline.event e USING (event_id)
WHERE c.job_id > $6 AND ($2::text[] IS NULL OR c.state::text = ANY ($2))
    AND ($4::text IS NULL OR (SELECT a.outcome FROM pipeline.attempt a WHERE a.job_id = c.job_id ORDER BY a.attempt DESC LIMIT 1) = $4)
    AND ($5::text IS NULL OR e.key LIKE $5)
ORDER BY c.job_id
LIMIT $7
