-- Enters new jobs into the barriers whose tasks they are of, making the barrier of a key when its first member appears.
CREATE OR REPLACE FUNCTION pipeline.join_barriers(the_run bigint, made bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pipeline, pg_temp
SET enable_seqscan = off SET enable_hashjoin = on SET enable_mergejoin = on SET jit = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM barrier_def WHERE run_id = the_run) THEN
        RETURN;
    END IF;
    INSERT INTO barrier (barrier_def_id, run_id, key, payload, deadline)
    SELECT DISTINCT ON (d.barrier_def_id, k.key) d.barrier_def_id, the_run, k.key, k.payload,
        clock_timestamp() + make_interval(secs => d.deadline_s)
    FROM job j
    JOIN barrier_def_task bt USING (task_id)
    JOIN barrier_def d USING (barrier_def_id)
    JOIN event e USING (event_id)
    CROSS JOIN LATERAL barrier_key(d.key_fields, e.payload) k
    WHERE j.job_id = ANY (made)
    ORDER BY d.barrier_def_id, k.key
    ON CONFLICT (barrier_def_id, key) DO NOTHING;
    INSERT INTO barrier_member (barrier_id, job_id, opener)
    SELECT b.barrier_id, j.job_id, bt.opener
    FROM job j
    JOIN barrier_def_task bt USING (task_id)
    JOIN barrier_def d USING (barrier_def_id)
    JOIN event e USING (event_id)
    CROSS JOIN LATERAL barrier_key(d.key_fields, e.payload) k
    JOIN barrier b ON b.barrier_def_id = d.barrier_def_id AND b.key = k.key
    WHERE j.job_id = ANY (made)
    ON CONFLICT DO NOTHING;
END $$;
