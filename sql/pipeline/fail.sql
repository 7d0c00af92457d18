-- Ends an attempt as failed of a class (preempted, oom, exit, fatal, timeout, staging). An exit code that the task calls fatal makes
-- exit into fatal. Gives the verdict as complete.sql does, and the job's state after it.
CREATE OR REPLACE FUNCTION pipeline.fail(
    the_worker bigint, the_job bigint, the_attempt integer, the_class text, the_exit_code integer, the_signal integer,
    the_rss_mb integer, the_cpu_s real, the_message text, OUT verdict text, OUT state pipeline.job_state
) LANGUAGE plpgsql SET search_path = pipeline, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    live job_live;
    its attempt;
    becomes job_state;
BEGIN
    SELECT * INTO live FROM job_live l WHERE l.job_id = the_job FOR UPDATE;
    SELECT * INTO its FROM attempt a WHERE a.job_id = the_job AND a.attempt = the_attempt;
    IF its.job_id IS NULL THEN
        verdict := 'unknown';
    ELSIF its.worker_id <> the_worker THEN
        verdict := 'fenced';
    ELSIF its.ended IS NOT NULL THEN
        verdict := CASE WHEN its.outcome = the_class OR (its.outcome = 'fatal' AND the_class = 'exit') THEN 'already' ELSE 'fenced' END;
    ELSIF live.state = 'running' AND live.attempt = the_attempt THEN
        verdict := 'ok';
        IF the_class = 'exit' AND the_exit_code = ANY ((SELECT t.fatal_codes FROM task t WHERE t.task_id = live.task_id)::integer[]) THEN
            the_class := 'fatal';
        END IF;
        becomes := settle(the_job, the_class, the_exit_code, the_signal, the_rss_mb, the_cpu_s, the_message);
    ELSE
        verdict := 'fenced';
    END IF;
    state := coalesce(becomes, (SELECT l.state FROM job_live l WHERE l.job_id = the_job));
END $$;
