-- Gives the worker up to n ready jobs that fit into what it has free, with a lease on the database's clock, and writes their
-- attempts. Order: the run's priority, the job's, age. Runs and tasks that are held, classes that the worker does not serve
-- and pools that are full are passed over; a worker that is draining or on a node in quarantine gets nothing.
-- One index probe for each task with ready jobs; job_live is never scanned, whatever the statistics say.
-- With each job comes what its worker must know: its event, and its inputs as JSON (role, name, key, sha256, bytes). They are read in here, by
-- a statement that begins after the jobs were found: the statement that calls this may have begun before they were committed, and would
-- not see them.
CREATE OR REPLACE FUNCTION pipeline.claim(
    the_worker bigint, n integer, free_cpu integer, free_mem_mb integer, free_disk_mb integer, lease_s integer
) RETURNS TABLE (
    job_id bigint, task_id integer, attempt integer, cpu integer, mem_mb integer, disk_mb integer, event_name text, event_key text, payload jsonb,
    inputs jsonb
)
LANGUAGE plpgsql ROWS 20 SET search_path = pipeline, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    served text[];
    lane record;
    one record;
    room integer;
    took bigint[] := '{}';
BEGIN
    SELECT w.classes INTO served FROM worker w LEFT JOIN node x ON x.name = w.node
    WHERE w.worker_id = the_worker AND w.state = 'active' AND x.quarantined IS NULL;
    IF NOT FOUND OR n <= 0 THEN
        RETURN;
    END IF;
    FOR lane IN
        SELECT t.task_id, t.pool_id, p.max_running
        FROM run r JOIN task t USING (run_id) LEFT JOIN pool p USING (pool_id)
        CROSS JOIN LATERAL (
            SELECT l.priority, l.job_id FROM job_live l WHERE l.task_id = t.task_id AND l.state = 'ready'
            ORDER BY l.priority DESC, l.job_id LIMIT 1
        ) top
        WHERE r.state = 'active' AND NOT t.held AND t.class = ANY (served)
        ORDER BY r.priority DESC, top.priority DESC, top.job_id
    LOOP
        room := n - cardinality(took);
        IF lane.max_running IS NOT NULL THEN
            -- whoever holds it is taking from this pool now, and the count would be out of date
            CONTINUE WHEN NOT pg_try_advisory_xact_lock(1886351212, lane.pool_id);
            room := least(room, lane.max_running - (
                SELECT count(*)::integer FROM task t JOIN job_live l USING (task_id) WHERE t.pool_id = lane.pool_id AND l.state = 'running'
            ) - (SELECT count(*)::integer FROM unnest(took) k JOIN job_live l ON l.job_id = k JOIN task t USING (task_id)
                WHERE t.pool_id = lane.pool_id));
        END IF;
        CONTINUE WHEN room <= 0;
        FOR one IN
            SELECT l.job_id, l.cpu, l.mem_mb, l.disk_mb FROM job_live l
            WHERE l.task_id = lane.task_id AND l.state = 'ready'
                AND l.cpu <= free_cpu AND l.mem_mb <= free_mem_mb AND l.disk_mb <= free_disk_mb
            ORDER BY l.priority DESC, l.job_id LIMIT room FOR UPDATE SKIP LOCKED
        LOOP
            CONTINUE WHEN one.cpu > free_cpu OR one.mem_mb > free_mem_mb OR one.disk_mb > free_disk_mb;
            took := took || one.job_id;
            free_cpu := free_cpu - one.cpu;
            free_mem_mb := free_mem_mb - one.mem_mb;
            free_disk_mb := free_disk_mb - one.disk_mb;
        END LOOP;
        EXIT WHEN cardinality(took) >= n;
    END LOOP;
    IF took = '{}' THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH taken AS (
        UPDATE job_live l SET state = 'running', attempt = l.attempt + 1, worker_id = the_worker, not_before = NULL,
            lease_until = clock_timestamp() + make_interval(secs => lease_s)
        WHERE l.job_id = ANY (took)
        RETURNING l.job_id, l.task_id, l.attempt, l.cpu, l.mem_mb, l.disk_mb
    ), written AS (
        INSERT INTO attempt (job_id, attempt, worker_id, task_version)
        SELECT k.job_id, k.attempt, the_worker, t.version FROM taken k JOIN task t USING (task_id)
    )
    SELECT k.job_id, k.task_id, k.attempt, k.cpu, k.mem_mb, k.disk_mb, e.name, e.key, e.payload,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('role', u.role, 'name', a.name, 'key', a.key, 'sha256', encode(a.sha256, 'hex'),
            'bytes', a.bytes) ORDER BY u.role, a.name, a.artifact_id), '[]')
         FROM artifact_use u JOIN artifact a USING (artifact_id) WHERE u.job_id = k.job_id)
    FROM taken k JOIN job j ON j.job_id = k.job_id JOIN event e ON e.event_id = j.event_id
    ORDER BY array_position(took, k.job_id);
END $$;
