-- Binds the declared inputs of new jobs to artifacts: those that their event brings, or those of done jobs of a named task
-- in the same group. An event that a job tells may say with payload.files = [names] which of that job's outputs and inputs it brings.
-- What is bound here is what the job is run with, at every attempt.
CREATE OR REPLACE FUNCTION pipeline.bind_inputs(the_run bigint, made bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pipeline, pg_temp
SET enable_seqscan = off SET enable_hashjoin = on SET enable_mergejoin = on SET jit = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM task_input i JOIN task t USING (task_id) WHERE t.run_id = the_run) THEN
        RETURN;
    END IF;
    INSERT INTO artifact_use (job_id, artifact_id, role)
    SELECT j.job_id, a.artifact_id, i.role
    FROM job j
    JOIN task_input i USING (task_id)
    JOIN event e USING (event_id)
    CROSS JOIN LATERAL (
        SELECT x.artifact_id, x.role, x.name FROM artifact x WHERE i.from_task IS NULL AND x.event_id = e.event_id
        UNION ALL
        SELECT x.artifact_id, x.role, x.name FROM artifact x WHERE i.from_task IS NULL AND x.job_id = e.parent_job
            AND (NOT e.payload ? 'files' OR e.payload -> 'files' ? x.name)
        UNION ALL
        SELECT x.artifact_id, u.role, x.name FROM artifact_use u JOIN artifact x USING (artifact_id)
        WHERE i.from_task IS NULL AND u.job_id = e.parent_job AND e.payload -> 'files' ? x.name
        UNION ALL
        SELECT x.artifact_id, x.role, x.name FROM barrier_member m JOIN artifact x ON x.job_id = m.job_id
        WHERE i.from_task IS NULL AND m.barrier_id = e.parent_barrier AND NOT m.opener AND m.satisfied_by IS NOT NULL
        UNION ALL
        SELECT x.artifact_id, x.role, x.name FROM job s JOIN artifact x ON x.job_id = s.job_id
        WHERE s.task_id = i.from_task AND s.group_key = j.group_key
    ) a
    WHERE j.job_id = ANY (made) AND (i.from_role IS NULL OR a.role = i.from_role)
        AND (i.name_pattern IS NULL OR a.name ~ i.name_pattern)
    ON CONFLICT DO NOTHING;
END $$;
