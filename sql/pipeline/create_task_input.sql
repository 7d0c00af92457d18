-- Task $1 takes as input role $2 what its event brings, or what task $3 made in its group; only artifacts of role $4 and of names like $5.
INSERT INTO pipeline.task_input (task_id, role, from_task, from_role, name_pattern) VALUES ($1, $2, $3, $4, $5)
