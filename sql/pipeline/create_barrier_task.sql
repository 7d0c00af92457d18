-- Jobs of task $2 are members of barrier $1, or openers of it ($3).
INSERT INTO pipeline.barrier_def_task (barrier_def_id, task_id, opener) VALUES ($1, $2, $3)
