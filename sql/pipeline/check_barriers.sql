-- Fires the barriers whose time has come, each once: the event of the barrier's key is made real with how many members are done and
-- the ids of those (at most 1,000) that are not. all: openers and members all done. fraction: all ended, enough of them done, openers
-- done. k: so many done. A deadline that has passed fires with what there is. Gives the numbers fired, of new and of blocked jobs.
CREATE OR REPLACE FUNCTION pipeline.check_barriers(most integer, OUT fired integer, OUT jobs integer, OUT blocked integer)
LANGUAGE plpgsql SET search_path = pipeline, pg_temp
SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    one record;
    counts record;
BEGIN
    fired := 0; jobs := 0; blocked := 0;
    FOR one IN
        SELECT b.barrier_id, b.run_id, b.key, b.payload, d.emits
        FROM barrier b JOIN barrier_def d USING (barrier_def_id) JOIN run r ON r.run_id = b.run_id
        WHERE b.fired IS NULL AND r.state = 'active' AND (
            b.deadline < clock_timestamp()
            OR (d.policy = 'all' AND NOT EXISTS (SELECT FROM barrier_member m WHERE m.barrier_id = b.barrier_id AND m.satisfied_by IS NULL))
            OR (d.policy = 'k' AND (SELECT count(*) FROM (
                SELECT FROM barrier_member m WHERE m.barrier_id = b.barrier_id AND NOT m.opener AND m.satisfied_by IS NOT NULL LIMIT d.k
            ) s) >= d.k)
            OR (d.policy = 'fraction' AND NOT EXISTS (
                SELECT FROM barrier_member m JOIN job_live l USING (job_id)
                WHERE m.barrier_id = b.barrier_id AND m.satisfied_by IS NULL AND (m.opener OR l.state NOT IN ('failed', 'cancelled'))
            ) AND (SELECT count(m.satisfied_by) >= d.fraction * count(*) FROM barrier_member m
                WHERE m.barrier_id = b.barrier_id AND NOT m.opener))
        )
        ORDER BY b.barrier_id LIMIT most FOR UPDATE OF b SKIP LOCKED
    LOOP
        UPDATE barrier SET fired = clock_timestamp() WHERE barrier_id = one.barrier_id AND fired IS NULL;
        CONTINUE WHEN NOT FOUND;
        SELECT count(m.satisfied_by) AS done, count(*) AS members INTO counts
        FROM barrier_member m WHERE m.barrier_id = one.barrier_id AND NOT m.opener;
        SELECT check_barriers.jobs + e.jobs, check_barriers.blocked + e.blocked INTO jobs, blocked
        FROM emit(one.run_id, NULL, one.barrier_id, ARRAY[one.emits], ARRAY[one.key], ARRAY[one.payload || jsonb_build_object(
            'members', counts.members, 'done', counts.done, 'not_done', (
                SELECT coalesce(jsonb_agg(s.job_id), '[]') FROM (
                    SELECT m.job_id FROM barrier_member m WHERE m.barrier_id = one.barrier_id AND m.satisfied_by IS NULL
                    ORDER BY m.job_id LIMIT 1000) s))]) e;
        fired := fired + 1;
    END LOOP;
END $$;
