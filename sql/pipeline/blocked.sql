-- At most $1 jobs that wait for their resources to be told, with what formulas may ask: payload, run parameters, and JSON of inputs by role
-- {role: [count, bytes]}. A transaction that holds them is passed over.
SELECT l.job_id, l.task_id, e.payload, r.params,
    (SELECT coalesce(jsonb_object_agg(s.role, jsonb_build_array(s.n, s.bytes)), '{}') FROM (
        SELECT u.role, count(*) AS n, sum(a.bytes)::bigint AS bytes
        FROM pipeline.artifact_use u JOIN pipeline.artifact a USING (artifact_id) WHERE u.job_id = l.job_id GROUP BY u.role) s) AS inputs
FROM pipeline.job_live l
JOIN pipeline.job j USING (job_id)
JOIN pipeline.event e USING (event_id)
JOIN pipeline.run r ON r.run_id = j.run_id
WHERE l.job_id IN (SELECT job_id FROM pipeline.job_live WHERE state = 'blocked' AND job_id > $2 ORDER BY job_id LIMIT $1)
ORDER BY l.job_id
