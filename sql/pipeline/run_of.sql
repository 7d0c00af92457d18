-- The run named $1.
SELECT run_id, state, manifest FROM pipeline.run WHERE name = $1
