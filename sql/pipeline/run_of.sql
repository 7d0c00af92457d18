-- The run named $1.
SELECT run_id, state, manifest, name, priority, created::text AS created FROM pipeline.run WHERE name = $1
