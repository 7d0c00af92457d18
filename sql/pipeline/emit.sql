-- Makes events real: inserts those whose (run, name, key) is new, starts every task that waits for them, enters the new
-- jobs into the barriers they are members of, and binds their inputs. Events that are there already start nothing again.
-- the_job or the_barrier is where they come from, both NULL for a person's. names, keys, payloads walk together.
-- An event from outside may bring files: payload.files = [{role, name, key, sha256, bytes}], which become its artifacts.
-- Gives the numbers of new events, of new jobs, and of those of them that wait for admit.sql.
CREATE OR REPLACE FUNCTION pipeline.emit(
    the_run bigint, the_job bigint, the_barrier bigint, names text[], keys text[], payloads jsonb[],
    OUT events integer, OUT jobs integer, OUT blocked integer
) LANGUAGE plpgsql SET search_path = pipeline, pg_temp
SET enable_seqscan = off SET enable_hashjoin = on SET enable_mergejoin = on SET jit = off AS $$
DECLARE
    fields text[];
    inherited jsonb := '{}';
    made bigint[];
    with_files bigint[];
BEGIN
    SELECT group_fields INTO STRICT fields FROM run WHERE run_id = the_run;
    IF the_job IS NOT NULL AND fields <> '{}' THEN
        SELECT coalesce(jsonb_object_agg(f, e.payload -> f), '{}') INTO inherited
        FROM job j JOIN event e USING (event_id) CROSS JOIN unnest(fields) f
        WHERE j.job_id = the_job AND e.payload ? f;
    END IF;
    WITH fresh AS (
        INSERT INTO event (run_id, name, key, parent_job, parent_barrier, payload)
        SELECT the_run, g.name, g.key, the_job, the_barrier, inherited || g.payload
        FROM unnest(names, keys, payloads) AS g (name, key, payload)
        ORDER BY g.name, g.key -- always in the same order, so that two emitters of the same keys wait and never deadlock
        ON CONFLICT (run_id, name, key) DO NOTHING
        RETURNING event_id, name, payload
    ), matched AS (
        SELECT DISTINCT f.event_id, o.task_id
        FROM fresh f JOIN task_on o ON o.run_id = the_run AND o.event_name = f.name AND f.payload @> o.match
    ), new_job AS (
        INSERT INTO job (run_id, task_id, event_id, group_key)
        SELECT the_run, m.task_id, m.event_id,
            CASE WHEN fields = '{}' THEN '' ELSE
                (SELECT string_agg(coalesce(f.payload ->> x.field, ''), '/' ORDER BY x.n) FROM unnest(fields) WITH ORDINALITY x (field, n)) END
        FROM matched m JOIN fresh f USING (event_id)
        ORDER BY m.event_id, m.task_id
        RETURNING job_id, task_id
    ), live AS (
        INSERT INTO job_live (job_id, task_id, state, priority, cpu, mem_mb, disk_mb)
        SELECT n.job_id, n.task_id,
            (CASE WHEN t.cpu IS NULL OR t.mem_mb IS NULL OR t.disk_mb IS NULL THEN 'blocked' ELSE 'ready' END)::job_state,
            t.priority, coalesce(t.cpu, 1), coalesce(t.mem_mb, 0), coalesce(t.disk_mb, 0)
        FROM new_job n JOIN task t USING (task_id)
        ORDER BY n.job_id
        RETURNING job_id, state
    )
    SELECT (SELECT count(*) FROM fresh), count(*), count(*) FILTER (WHERE live.state = 'blocked'), coalesce(array_agg(live.job_id), '{}'),
        (SELECT array_agg(f.event_id) FROM fresh f WHERE f.payload ? 'files')
    INTO events, jobs, blocked, made, with_files FROM live;
    IF the_job IS NULL AND the_barrier IS NULL AND with_files IS NOT NULL THEN
        INSERT INTO artifact (run_id, event_id, role, name, key, sha256, bytes)
        SELECT the_run, e.event_id, f ->> 'role', f ->> 'name', f ->> 'key', decode(f ->> 'sha256', 'hex'), (f ->> 'bytes')::bigint
        FROM event e CROSS JOIN jsonb_array_elements(e.payload -> 'files') f WHERE e.event_id = ANY (with_files);
    END IF;
    IF jobs > 0 THEN
        PERFORM join_barriers(the_run, made);
        PERFORM bind_inputs(the_run, made);
    END IF;
END $$;
