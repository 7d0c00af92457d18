-- The task of attempt $3 of job $2, if it runs and is worker $1's.
SELECT l.job_id, l.task_id FROM pipeline.job_live l
WHERE l.job_id = $2 AND l.attempt = $3 AND l.worker_id = $1 AND l.state = 'running'
