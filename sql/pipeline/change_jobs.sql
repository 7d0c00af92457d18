-- What a person does to jobs; writes the audit. verb: retry (failed, cancelled or waiting jobs are ready, with new budgets and, if given,
-- more memory), skip (not running, not done: counts as done for barriers), cancel (not ended: its attempt is fenced off from now),
-- priority (not ended: the value). Jobs in other states are left alone. Gives the ids that were changed.
CREATE OR REPLACE FUNCTION pipeline.change_jobs(actor text, verb text, ids bigint[], value double precision)
RETURNS SETOF bigint LANGUAGE plpgsql SET search_path = pipeline, pg_temp
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    locked bigint[];
    changed bigint[];
BEGIN
    SELECT coalesce(array_agg(s.job_id), '{}') INTO locked FROM (
        SELECT l.job_id FROM job_live l WHERE l.job_id = ANY (ids) AND CASE verb
            WHEN 'retry' THEN l.state IN ('failed', 'cancelled', 'retry_wait')
            WHEN 'skip' THEN l.state IN ('blocked', 'ready', 'retry_wait', 'failed', 'cancelled')
            WHEN 'cancel' THEN l.state IN ('blocked', 'ready', 'running', 'retry_wait')
            WHEN 'priority' THEN l.state IN ('blocked', 'ready', 'retry_wait', 'running')
            ELSE false
        END ORDER BY l.job_id FOR UPDATE
    ) s;
    IF verb = 'retry' THEN
        UPDATE job j SET budget_from = l.attempt FROM job_live l WHERE j.job_id = ANY (locked) AND l.job_id = j.job_id;
        UPDATE job_live l SET not_before = NULL, mem_mb = ceil(l.mem_mb * coalesce(value, 1))::integer,
            -- resources that were never told are told first
            state = (CASE WHEN l.attempt = 0 AND (t.cpu IS NULL OR t.mem_mb IS NULL OR t.disk_mb IS NULL)
                THEN 'blocked' ELSE 'ready' END)::job_state
        FROM task t WHERE l.job_id = ANY (locked) AND t.task_id = l.task_id;
    ELSIF verb = 'skip' THEN
        UPDATE job_live l SET state = 'skipped', not_before = NULL WHERE l.job_id = ANY (locked);
        UPDATE barrier_member m SET satisfied_by = 0 WHERE m.job_id = ANY (locked) AND m.satisfied_by IS NULL;
    ELSIF verb = 'cancel' THEN
        UPDATE attempt a SET ended = clock_timestamp(), outcome = 'cancelled', message = 'cancelled by ' || actor
        FROM job_live l WHERE l.job_id = ANY (locked) AND l.state = 'running' AND a.job_id = l.job_id AND a.attempt = l.attempt;
        DELETE FROM staged s WHERE s.job_id = ANY (locked);
        UPDATE job_live l SET state = 'cancelled', worker_id = NULL, lease_until = NULL, not_before = NULL WHERE l.job_id = ANY (locked);
    ELSIF verb = 'priority' THEN
        UPDATE job_live l SET priority = value::integer WHERE l.job_id = ANY (locked);
    END IF;
    IF locked <> '{}' THEN
        INSERT INTO audit (actor, action, target, detail)
        VALUES (actor, verb, cardinality(locked) || ' jobs', jsonb_build_object('value', value, 'jobs', to_jsonb(locked[1:1000])));
    END IF;
    RETURN QUERY SELECT unnest(locked);
END $$;
