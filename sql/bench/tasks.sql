-- The tasks of run $1 in their order.
SELECT task_id FROM pipeline.task WHERE run_id = $1 ORDER BY position
