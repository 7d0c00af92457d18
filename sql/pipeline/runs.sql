-- All runs, the newest first.
SELECT run_id, name, state, priority, created::text, (SELECT count(*) FROM pipeline.job j WHERE j.run_id = r.run_id) AS jobs
FROM pipeline.run r ORDER BY run_id DESC
