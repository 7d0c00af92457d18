-- Gives up the attempts whose lease has passed, at most so many at once; wakes jobs whose pause is over; and puts nodes that lost
-- five attempts (losses) in ten minutes (window_s) into quarantine. One master at a time does this; the others are told -1.
CREATE OR REPLACE FUNCTION pipeline.sweep(
    most integer, losses integer, window_s integer, OUT lost integer, OUT woken integer, OUT quarantined integer
) LANGUAGE plpgsql SET search_path = pipeline, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    one bigint;
BEGIN
    lost := -1; woken := 0; quarantined := 0;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('brickyard pipeline sweep', 0)) THEN
        RETURN;
    END IF;
    lost := 0;
    FOR one IN
        SELECT l.job_id FROM job_live l WHERE l.state = 'running' AND l.lease_until < clock_timestamp()
        ORDER BY l.job_id LIMIT most FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM settle(one, 'lost', NULL, NULL, NULL, NULL, 'no sign of life from the worker before the lease passed');
        lost := lost + 1;
    END LOOP;
    WITH due AS (
        SELECT l.job_id FROM job_live l WHERE l.state = 'retry_wait' AND l.not_before <= clock_timestamp()
        ORDER BY l.not_before LIMIT most FOR UPDATE SKIP LOCKED
    )
    UPDATE job_live l SET state = 'ready', not_before = NULL FROM due WHERE l.job_id = due.job_id;
    GET DIAGNOSTICS woken = ROW_COUNT;
    IF lost > 0 THEN
        INSERT INTO node (name, quarantined, reason)
        SELECT w.node, clock_timestamp(), count(*) || ' attempts lost within ' || window_s || ' s'
        FROM attempt a JOIN worker w USING (worker_id) LEFT JOIN node x ON x.name = w.node
        WHERE a.outcome = 'lost' AND a.ended > greatest(clock_timestamp() - make_interval(secs => window_s), x.cleared)
        GROUP BY w.node HAVING count(*) >= losses
        ON CONFLICT (name) DO UPDATE SET quarantined = excluded.quarantined, reason = excluded.reason WHERE node.quarantined IS NULL;
        GET DIAGNOSTICS quarantined = ROW_COUNT;
    END IF;
END $$;
