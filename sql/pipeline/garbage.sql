-- For keys <run>/<job>/<attempt> ($1, $2, $3 walk together): those whose attempt came to nothing, so that nobody needs their bytes.
SELECT k.job_id, k.attempt FROM unnest($1::text[], $2::bigint[], $3::integer[]) AS k (run, job_id, attempt)
JOIN pipeline.attempt a ON a.job_id = k.job_id AND a.attempt = k.attempt
JOIN pipeline.job j ON j.job_id = k.job_id
JOIN pipeline.run r ON r.run_id = j.run_id AND r.name = k.run
WHERE a.ended IS NOT NULL AND a.outcome <> 'done'
