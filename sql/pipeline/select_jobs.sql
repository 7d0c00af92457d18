-- Ids of the jobs of run $1 in one of the states $2, of task $3 (or any), whose last attempt's outcome is $4 (or any), key like $5 (or any).
SELECT j.job_id
FROM pipeline.job j
JOIN pipeline.job_live l USING (job_id)
JOIN pipeline.task t ON t.task_id = j.task_id
JOIN pipeline.event e USING (event_id)
WHERE j.run_id = $1 AND l.state::text = ANY ($2) AND ($3::text IS NULL OR t.name = $3)
    AND ($4::text IS NULL OR (SELECT a.outcome FROM pipeline.attempt a WHERE a.job_id = j.job_id ORDER BY a.attempt DESC LIMIT 1) = $4)
    AND ($5::text IS NULL OR e.key LIKE $5)
ORDER BY j.job_id
