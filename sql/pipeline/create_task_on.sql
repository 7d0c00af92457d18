-- Task $1 of run $2 waits for events named $3 whose payload contains $4.
INSERT INTO pipeline.task_on (task_id, run_id, event_name, match) VALUES ($1, $2, $3, $4)
