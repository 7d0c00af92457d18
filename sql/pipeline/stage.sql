-- Keeps piece $4 of the events of attempt $3 of job $2 until its completion: $5, an array of {name, key, payload}. Only the worker $1 whose
-- attempt runs may; the same piece again changes nothing. Gives whether it is kept.
WITH mine AS (
    SELECT job_id FROM pipeline.job_live WHERE job_id = $2 AND attempt = $3 AND worker_id = $1 AND state = 'running' FOR UPDATE
), kept AS (
    INSERT INTO pipeline.staged (job_id, attempt, chunk, events) SELECT job_id, $3, $4, $5 FROM mine ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM mine)
