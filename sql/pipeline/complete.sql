-- Ends attempts as done, many in one transaction: outputs become artifacts, events become real, members of barriers are
-- satisfied, all or nothing. reports is an array of {worker, job, attempt, exit_code, max_rss_mb, cpu_s,
-- artifacts: [{role, name, key, sha256, bytes}], events: [{name, key, payload}]}; events staged by the attempt come first.
-- Gives for each report its verdict: ok; already (the same report again); fenced (the attempt was given up, or is another's);
-- unknown. Then for ok the numbers of new jobs and of blocked ones among them, and whether a barrier must be looked at.
CREATE OR REPLACE FUNCTION pipeline.complete(reports jsonb)
RETURNS TABLE (job_id bigint, attempt integer, verdict text, jobs integer, blocked integer, touched boolean)
LANGUAGE plpgsql ROWS 20 SET search_path = pipeline, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    one record;
    given record;
    named text[];
    accepted bigint[] := '{}';
BEGIN
    -- in the order of ids, so that two batches wait for each other and never deadlock
    PERFORM FROM job_live l WHERE l.job_id IN (SELECT (r ->> 'job')::bigint FROM jsonb_array_elements(reports) r)
    ORDER BY l.job_id FOR UPDATE;
    FOR one IN
        SELECT (r ->> 'job')::bigint AS job_id, (r ->> 'attempt')::integer AS attempt, (r ->> 'worker')::bigint AS worker_id, r AS report,
            j.run_id, t.name AS task_name, l.state, l.attempt AS live_attempt, l.worker_id AS live_worker,
            a.worker_id AS its_worker, a.outcome, a.ended
        FROM jsonb_array_elements(reports) WITH ORDINALITY AS x (r, n)
        LEFT JOIN job_live l ON l.job_id = (r ->> 'job')::bigint
        LEFT JOIN attempt a ON a.job_id = l.job_id AND a.attempt = (r ->> 'attempt')::integer
        LEFT JOIN job j ON j.job_id = l.job_id
        LEFT JOIN task t ON t.task_id = j.task_id
        ORDER BY x.n
    LOOP
        job_id := one.job_id; attempt := one.attempt; jobs := 0; blocked := 0; touched := false;
        IF one.its_worker IS NULL THEN
            verdict := 'unknown';
        ELSIF one.its_worker IS DISTINCT FROM one.worker_id THEN
            verdict := 'fenced';
        ELSIF one.outcome = 'done' OR (one.job_id = ANY (accepted) AND one.attempt = one.live_attempt) THEN
            verdict := 'already';
        ELSIF one.state = 'running' AND one.live_attempt = one.attempt AND one.ended IS NULL THEN
            verdict := 'ok';
            accepted := accepted || one.job_id;
            touched := EXISTS (SELECT FROM barrier_member m WHERE m.job_id = one.job_id);
            INSERT INTO artifact (run_id, job_id, attempt, role, name, key, sha256, bytes)
            SELECT one.run_id, one.job_id, one.attempt, f ->> 'role', f ->> 'name', f ->> 'key', decode(f ->> 'sha256', 'hex'),
                (f ->> 'bytes')::bigint
            FROM jsonb_array_elements(coalesce(one.report -> 'artifacts', '[]')) f;
            FOR given IN
                SELECT s.events, s.chunk FROM staged s WHERE s.job_id = one.job_id AND s.attempt = one.attempt
                UNION ALL SELECT one.report -> 'events', NULL
                UNION ALL SELECT jsonb_build_array(jsonb_build_object('name', one.task_name || '.completed', 'key', one.job_id::text,
                    'payload', '{}'::jsonb)), NULL
                WHERE EXISTS (SELECT FROM task_on o WHERE o.run_id = one.run_id AND o.event_name = one.task_name || '.completed')
                ORDER BY 2 NULLS LAST
            LOOP
                CONTINUE WHEN given.events IS NULL OR given.events = '[]';
                SELECT complete.jobs + m.jobs, complete.blocked + m.blocked INTO jobs, blocked
                FROM (SELECT array_agg(v ->> 'name' ORDER BY i) AS names, array_agg(v ->> 'key' ORDER BY i) AS keys,
                          array_agg(coalesce(v -> 'payload', '{}') ORDER BY i) AS payloads
                      FROM jsonb_array_elements(given.events) WITH ORDINALITY e (v, i)) g
                CROSS JOIN LATERAL emit(one.run_id, one.job_id, NULL, g.names, g.keys, g.payloads) m;
            END LOOP;
        ELSE
            verdict := 'fenced';
        END IF;
        RETURN NEXT;
    END LOOP;
    IF accepted = '{}' THEN
        RETURN;
    END IF;
    UPDATE job_live l SET state = 'done', lease_until = NULL WHERE l.job_id = ANY (accepted);
    UPDATE attempt a SET ended = clock_timestamp(), outcome = 'done', exit_code = (r ->> 'exit_code')::integer,
        max_rss_mb = (r ->> 'max_rss_mb')::integer, cpu_s = (r ->> 'cpu_s')::real
    FROM jsonb_array_elements(reports) r
    WHERE a.job_id = (r ->> 'job')::bigint AND a.attempt = (r ->> 'attempt')::integer AND a.job_id = ANY (accepted) AND a.ended IS NULL;
    DELETE FROM staged s WHERE s.job_id = ANY (accepted);
    UPDATE barrier_member m SET satisfied_by = l.attempt FROM job_live l
    WHERE m.job_id = ANY (accepted) AND l.job_id = m.job_id AND m.satisfied_by IS NULL;
END $$;
