-- The pool named $1 lets $2 run at once.
INSERT INTO pipeline.pool (name, max_running) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET max_running = excluded.max_running RETURNING pool_id
