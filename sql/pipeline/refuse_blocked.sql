-- Fails the blocked job $1 for the reason $2: its resources cannot be told. Written as an attempt 0 of no worker, so that it is seen.
WITH failed AS (
    UPDATE pipeline.job_live SET state = 'failed' WHERE job_id = $1 AND state = 'blocked' RETURNING job_id
)
INSERT INTO pipeline.attempt (job_id, attempt, worker_id, started, ended, outcome, message)
SELECT job_id, 0, 0, clock_timestamp(), clock_timestamp(), 'fatal', $2 FROM failed
ON CONFLICT (job_id, attempt) DO UPDATE SET ended = clock_timestamp(), message = excluded.message
