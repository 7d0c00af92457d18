-- Jobs of the task named $1 that have not ended.
SELECT count(*) FROM pipeline.task t JOIN pipeline.job_live l USING (task_id)
WHERE t.name = $1 AND l.state IN ('blocked', 'ready', 'running', 'retry_wait')
