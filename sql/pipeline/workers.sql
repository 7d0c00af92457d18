-- Workers that are not gone, with their jobs that run, and nodes in quarantine.
SELECT w.worker_id, w.name, w.node, w.classes, w.slots, w.mem_mb, w.state, w.version, extract(epoch FROM clock_timestamp() - w.seen)::float8 AS seen_s,
    (SELECT count(*) FROM pipeline.job_live l WHERE l.state = 'running' AND l.worker_id = w.worker_id) AS running,
    n.quarantined IS NOT NULL AS quarantined, n.reason
FROM pipeline.worker w LEFT JOIN pipeline.node n ON n.name = w.node
WHERE w.state <> 'gone' ORDER BY w.name
