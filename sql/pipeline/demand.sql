-- What each class of tasks asks for: jobs that are ready and may begin, counted to 10000 a task, jobs that run, workers that take jobs, their slots.
SELECT t.class, sum(n.ready)::bigint AS ready, sum(n.running)::bigint AS running, w.workers, w.slots
FROM pipeline.run r
JOIN pipeline.task t USING (run_id)
CROSS JOIN LATERAL (
    SELECT CASE WHEN t.held THEN 0 ELSE (
            SELECT count(*) FROM (SELECT FROM pipeline.job_live l WHERE l.task_id = t.task_id AND l.state = 'ready' LIMIT 10000) x) END AS ready,
        (SELECT count(*) FROM pipeline.job_live l WHERE l.task_id = t.task_id AND l.state = 'running') AS running
) n
CROSS JOIN LATERAL (
    SELECT count(*) AS workers, coalesce(sum(w.slots), 0)::bigint AS slots FROM pipeline.worker w WHERE w.state = 'active' AND t.class = ANY (w.classes)
) w
WHERE r.state = 'active'
GROUP BY t.class, w.workers, w.slots
ORDER BY t.class
