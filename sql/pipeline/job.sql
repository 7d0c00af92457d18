-- Everything about the attempts of job $1, for a person.
SELECT a.attempt, to_char(a.started AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS started, to_char(a.ended AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS ended,
    extract(epoch FROM coalesce(a.ended, clock_timestamp()) - a.started)::float8 AS seconds, a.outcome, a.exit_code, a.signal, a.max_rss_mb, a.cpu_s,
    a.message, w.name AS worker, w.node
FROM pipeline.attempt a LEFT JOIN pipeline.worker w USING (worker_id) WHERE a.job_id = $1 ORDER BY a.attempt
