-- Worker $1 has ended.
UPDATE pipeline.worker SET state = 'gone' WHERE worker_id = $1
