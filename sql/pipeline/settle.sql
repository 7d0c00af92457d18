-- Ends the running attempt of a job whose row is locked, other than as done, and says what becomes of the job: ready again, ready
-- after a pause, or failed when the budget of this class of failure is used up. A budget is a number of retries: attempts with
-- the same outcome since a person last said retry. An attempt that ran out of memory gets half as much again.
-- Gives the job's new state.
CREATE OR REPLACE FUNCTION pipeline.settle(
    the_job bigint, the_outcome text, the_exit_code integer, the_signal integer, the_rss_mb integer, the_cpu_s real, the_message text
) RETURNS pipeline.job_state LANGUAGE plpgsql SET search_path = pipeline, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    live job_live;
    the_task task;
    first_counted integer;
    same integer;
    pause_s double precision;
    becomes job_state;
BEGIN
    SELECT * INTO STRICT live FROM job_live WHERE job_id = the_job;
    SELECT * INTO STRICT the_task FROM task WHERE task_id = live.task_id;
    SELECT budget_from INTO STRICT first_counted FROM job WHERE job_id = the_job;
    UPDATE attempt SET ended = clock_timestamp(), outcome = the_outcome, exit_code = the_exit_code, signal = the_signal,
        max_rss_mb = the_rss_mb, cpu_s = the_cpu_s, message = left(the_message, 4000)
    WHERE job_id = the_job AND attempt = live.attempt;
    SELECT count(*) INTO same FROM attempt WHERE job_id = the_job AND attempt > first_counted AND outcome = the_outcome;
    pause_s := coalesce((the_task.backoff_s ->> the_outcome)::double precision, 0);
    -- doubled at each, an hour at most, a quarter up or down at random
    pause_s := least(pause_s * 2 ^ least(same - 1, 20), 3600) * (0.75 + 0.5 * random());
    becomes := CASE
        WHEN same > coalesce((the_task.retries ->> the_outcome)::integer, 0) THEN 'failed'
        WHEN pause_s > 0 THEN 'retry_wait'
        ELSE 'ready'
    END;
    UPDATE job_live SET state = becomes, worker_id = NULL, lease_until = NULL,
        not_before = CASE WHEN becomes = 'retry_wait' THEN clock_timestamp() + make_interval(secs => pause_s) END,
        mem_mb = CASE WHEN the_outcome = 'oom' THEN (mem_mb * 3 + 1) / 2 ELSE mem_mb END
    WHERE job_id = the_job;
    DELETE FROM staged WHERE job_id = the_job AND attempt = live.attempt;
    IF becomes = 'failed' AND EXISTS (SELECT FROM task_on o WHERE o.run_id = the_task.run_id AND o.event_name = the_task.name || '.failed') THEN
        PERFORM emit(the_task.run_id, the_job, NULL, ARRAY[the_task.name || '.failed'], ARRAY[the_job::text],
            ARRAY[jsonb_build_object('outcome', the_outcome)]);
    END IF;
    RETURN becomes;
END $$;
