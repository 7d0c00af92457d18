-- Attempts of worker $1 that were noticed as lost, and the longest that one took from its claim, seconds.
SELECT count(*), coalesce(max(extract(epoch FROM a.ended - a.started)), 0)::float8
FROM pipeline.attempt a WHERE a.worker_id = $1 AND a.outcome = 'lost'
