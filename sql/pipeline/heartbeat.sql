-- Renews the leases of the worker's jobs, and gives those that it may go on with; it must stop all others. jobs and attempts walk
-- together. Also says that the worker lives.
CREATE OR REPLACE FUNCTION pipeline.heartbeat(the_worker bigint, jobs bigint[], attempts integer[], lease_s integer)
RETURNS SETOF bigint LANGUAGE plpgsql ROWS 20 SET search_path = pipeline, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
BEGIN
    UPDATE worker SET seen = clock_timestamp() WHERE worker_id = the_worker;
    RETURN QUERY
    UPDATE job_live l SET lease_until = clock_timestamp() + make_interval(secs => lease_s)
    FROM unnest(jobs, attempts) AS k (job_id, attempt)
    WHERE l.job_id = k.job_id AND l.attempt = k.attempt AND l.worker_id = the_worker AND l.state = 'running'
    RETURNING l.job_id;
END $$;
