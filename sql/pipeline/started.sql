-- When the first attempt of the job of event $1, key $2 was started, seconds.
SELECT extract(epoch FROM a.started)::float8
FROM pipeline.event e JOIN pipeline.job j USING (event_id) JOIN pipeline.attempt a USING (job_id)
WHERE e.name = $1 AND e.key = $2 AND a.attempt = 1
