-- Worker $1 takes no more jobs.
UPDATE pipeline.worker SET state = 'draining' WHERE worker_id = $1 AND state = 'active'
