-- Makes a worker of a token known. An earlier worker of this name is gone from now on, its attempts are given up (lost) at once.
-- Gives the new id, or NULL and why not: the token's number of workers is reached by others that live (seen within 90 s).
CREATE OR REPLACE FUNCTION pipeline.register(
    the_token integer, the_name text, the_node text, the_classes text[], the_slots integer, the_mem_mb integer, the_disk_mb integer,
    the_price real, the_version text, OUT worker_id bigint, OUT lost integer, OUT why text
) LANGUAGE plpgsql SET search_path = pipeline, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    its token;
    one bigint;
    others integer;
BEGIN
    lost := 0;
    -- one registration of a token at a time
    SELECT * INTO STRICT its FROM token t WHERE t.token_id = the_token FOR UPDATE;
    SELECT count(*) INTO others FROM worker w
    WHERE w.token_id = the_token AND w.state <> 'gone' AND w.name <> the_name AND w.seen > clock_timestamp() - interval '90 s';
    IF others >= its.max_workers THEN
        why := 'the token ' || its.name || ' is for ' || its.max_workers || ' worker(s), and as many others live';
        RETURN;
    END IF;
    FOR one IN
        SELECT l.job_id FROM worker w JOIN task t ON true JOIN job_live l ON l.task_id = t.task_id AND l.state = 'running'
        WHERE w.token_id = the_token AND w.name = the_name AND w.state <> 'gone' AND l.worker_id = w.worker_id
        ORDER BY l.job_id FOR UPDATE OF l
    LOOP
        PERFORM settle(one, 'lost', NULL, NULL, NULL, NULL, 'its worker started anew');
        lost := lost + 1;
    END LOOP;
    UPDATE worker w SET state = 'gone' WHERE w.token_id = the_token AND w.name = the_name AND w.state <> 'gone';
    INSERT INTO worker (token_id, name, node, classes, slots, mem_mb, disk_mb, price_per_h, version)
    VALUES (the_token, the_name, the_node, the_classes, the_slots, the_mem_mb, the_disk_mb, the_price, the_version)
    RETURNING worker.worker_id INTO worker_id;
END $$;
