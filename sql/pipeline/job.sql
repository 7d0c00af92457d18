-- Everything about the attempts of job $1, for a person.
SELECT a.attempt, a.started::text AS started, a.ended::text AS ended, a.outcome, a.exit_code, a.signal, a.max_rss_mb, a.cpu_s, a.message, w.name AS worker,
    w.node
FROM pipeline.attempt a LEFT JOIN pipeline.worker w USING (worker_id) WHERE a.job_id = $1 ORDER BY a.attempt
