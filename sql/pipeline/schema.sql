-- The tables of the stage runner, made where they are missing; run it under the lock of lock_install.sql.
-- Only job_live is hot: narrow, changed at each claim and report. Everything else is written once, or once more at an end.
CREATE SCHEMA IF NOT EXISTS pipeline;

-- What of this is installed: functions are made anew only when they have changed, for that makes all sessions plan anew.
CREATE TABLE IF NOT EXISTS pipeline.installed (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), digest text NOT NULL);

DO $$ BEGIN
    CREATE TYPE pipeline.job_state AS ENUM ('blocked', 'ready', 'running', 'retry_wait', 'done', 'failed', 'cancelled', 'skipped');
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

CREATE TABLE IF NOT EXISTS pipeline.run (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'held', 'cancelled')),
    priority integer NOT NULL DEFAULT 0,
    params jsonb NOT NULL DEFAULT '{}',
    -- payload fields that events inherit from the event of the job that emits them, and that bind inputs to jobs
    group_fields text[] NOT NULL DEFAULT '{}',
    manifest text NOT NULL,
    manifest_sha256 text NOT NULL,
    created timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Programs of which only so many may run at once: licences, a shared disk.
CREATE TABLE IF NOT EXISTS pipeline.pool (
    pool_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    max_running integer NOT NULL CHECK (max_running > 0)
);

CREATE TABLE IF NOT EXISTS pipeline.task (
    task_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES pipeline.run ON DELETE CASCADE,
    name text NOT NULL,
    position integer NOT NULL,
    version text NOT NULL,
    class text NOT NULL,
    pool_id integer REFERENCES pipeline.pool,
    held boolean NOT NULL DEFAULT false,
    priority integer NOT NULL DEFAULT 0,
    spec jsonb NOT NULL,
    -- NULL: a formula of the inputs; such jobs begin as blocked until admit.sql has told them
    cpu integer,
    mem_mb integer,
    disk_mb integer,
    retries jsonb NOT NULL,
    backoff_s jsonb NOT NULL,
    fatal_codes integer[] NOT NULL,
    UNIQUE (run_id, name)
);

CREATE TABLE IF NOT EXISTS pipeline.task_on (
    task_id integer NOT NULL REFERENCES pipeline.task ON DELETE CASCADE,
    run_id bigint NOT NULL,
    event_name text NOT NULL,
    match jsonb NOT NULL DEFAULT '{}',
    UNIQUE (run_id, event_name, task_id, match)
);

CREATE TABLE IF NOT EXISTS pipeline.task_input (
    task_id integer NOT NULL REFERENCES pipeline.task ON DELETE CASCADE,
    role text NOT NULL,
    -- NULL: what the event brings (its own files, those of the job or of the barrier's members that emitted it)
    from_task integer REFERENCES pipeline.task,
    from_role text,
    name_pattern text
);
CREATE INDEX IF NOT EXISTS task_input_task ON pipeline.task_input (task_id);

-- Facts: never changed.
CREATE TABLE IF NOT EXISTS pipeline.event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL,
    name text NOT NULL,
    key text NOT NULL,
    parent_job bigint,
    parent_barrier bigint,
    payload jsonb NOT NULL DEFAULT '{}',
    created timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (run_id, name, key)
);
DROP INDEX IF EXISTS pipeline.event_parent_job;
CREATE INDEX IF NOT EXISTS event_of_job ON pipeline.event (parent_job, event_id) WHERE parent_job IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_from_outside ON pipeline.event (run_id, event_id) WHERE parent_job IS NULL AND parent_barrier IS NULL;
CREATE INDEX IF NOT EXISTS event_parent_barrier ON pipeline.event (parent_barrier) WHERE parent_barrier IS NOT NULL;
CREATE OR REPLACE FUNCTION pipeline.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are facts and are never changed';
END $$;
CREATE OR REPLACE TRIGGER event_is_immutable BEFORE UPDATE ON pipeline.event
    FOR EACH STATEMENT EXECUTE FUNCTION pipeline.refuse_change();

CREATE TABLE IF NOT EXISTS pipeline.job (
    job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL,
    task_id integer NOT NULL,
    event_id bigint NOT NULL,
    group_key text NOT NULL,
    -- attempts up to this one do not count against the budgets: a person said retry after it
    budget_from integer NOT NULL DEFAULT 0,
    UNIQUE (event_id, task_id)
);
CREATE INDEX IF NOT EXISTS job_task_group ON pipeline.job (task_id, group_key);
CREATE INDEX IF NOT EXISTS job_run ON pipeline.job (run_id, job_id);
CREATE INDEX IF NOT EXISTS job_task ON pipeline.job (task_id, job_id);

-- lease_until is in no index, so that a heartbeat changes no index (heap-only update).
CREATE TABLE IF NOT EXISTS pipeline.job_live (
    job_id bigint PRIMARY KEY,
    task_id integer NOT NULL,
    state pipeline.job_state NOT NULL,
    priority integer NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    worker_id bigint,
    lease_until timestamptz,
    not_before timestamptz,
    cpu integer NOT NULL DEFAULT 1,
    mem_mb integer NOT NULL DEFAULT 0,
    disk_mb integer NOT NULL DEFAULT 0
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX IF NOT EXISTS job_ready ON pipeline.job_live (task_id, priority DESC, job_id) WHERE state = 'ready';
CREATE INDEX IF NOT EXISTS job_running ON pipeline.job_live (task_id) WHERE state = 'running';
CREATE INDEX IF NOT EXISTS job_waiting ON pipeline.job_live (not_before) WHERE state = 'retry_wait';
CREATE INDEX IF NOT EXISTS job_blocked ON pipeline.job_live (job_id) WHERE state = 'blocked';
CREATE INDEX IF NOT EXISTS job_failed ON pipeline.job_live (task_id, job_id) WHERE state IN ('failed', 'cancelled');

CREATE TABLE IF NOT EXISTS pipeline.attempt (
    job_id bigint NOT NULL,
    attempt integer NOT NULL,
    worker_id bigint NOT NULL,
    started timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended timestamptz,
    outcome text CHECK (outcome IN ('done', 'lost', 'preempted', 'oom', 'exit', 'fatal', 'timeout', 'staging', 'cancelled')),
    exit_code integer,
    signal integer,
    max_rss_mb integer,
    cpu_s real,
    message text,
    task_version text,
    PRIMARY KEY (job_id, attempt)
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS attempt_lost ON pipeline.attempt (ended) WHERE outcome = 'lost';

-- A row stands here only for outputs of committed completions, and for files that were given with an event.
CREATE TABLE IF NOT EXISTS pipeline.artifact (
    artifact_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL,
    job_id bigint,
    attempt integer,
    event_id bigint,
    role text NOT NULL,
    name text NOT NULL,
    key text NOT NULL,
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    bytes bigint NOT NULL CHECK (bytes >= 0),
    UNIQUE (job_id, name)
);
CREATE INDEX IF NOT EXISTS artifact_event ON pipeline.artifact (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS artifact_sha256 ON pipeline.artifact (sha256);

CREATE TABLE IF NOT EXISTS pipeline.artifact_use (
    job_id bigint NOT NULL,
    artifact_id bigint NOT NULL,
    role text NOT NULL,
    PRIMARY KEY (job_id, artifact_id, role)
);
CREATE INDEX IF NOT EXISTS artifact_use_artifact ON pipeline.artifact_use (artifact_id);

CREATE TABLE IF NOT EXISTS pipeline.barrier_def (
    barrier_def_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES pipeline.run ON DELETE CASCADE,
    name text NOT NULL,
    emits text NOT NULL,
    key_fields text[] NOT NULL,
    policy text NOT NULL CHECK (policy IN ('all', 'k', 'fraction')),
    k integer,
    fraction double precision,
    deadline_s integer,
    UNIQUE (run_id, name)
);

-- Whose jobs are members; an opener brings members about, and counts only in that it must be done first.
CREATE TABLE IF NOT EXISTS pipeline.barrier_def_task (
    barrier_def_id integer NOT NULL REFERENCES pipeline.barrier_def ON DELETE CASCADE,
    task_id integer NOT NULL,
    opener boolean NOT NULL,
    PRIMARY KEY (barrier_def_id, task_id)
);
CREATE INDEX IF NOT EXISTS barrier_def_task_task ON pipeline.barrier_def_task (task_id);

CREATE TABLE IF NOT EXISTS pipeline.barrier (
    barrier_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    barrier_def_id integer NOT NULL,
    run_id bigint NOT NULL,
    key text NOT NULL,
    payload jsonb NOT NULL,
    deadline timestamptz,
    fired timestamptz,
    UNIQUE (barrier_def_id, key)
);
CREATE INDEX IF NOT EXISTS barrier_unfired ON pipeline.barrier (barrier_id) WHERE fired IS NULL;

-- satisfied_by: the attempt that did it, 0 for a person's skip.
CREATE TABLE IF NOT EXISTS pipeline.barrier_member (
    barrier_id bigint NOT NULL,
    job_id bigint NOT NULL,
    opener boolean NOT NULL,
    satisfied_by integer,
    PRIMARY KEY (barrier_id, job_id)
);
CREATE INDEX IF NOT EXISTS barrier_member_job ON pipeline.barrier_member (job_id);
CREATE INDEX IF NOT EXISTS barrier_member_open ON pipeline.barrier_member (barrier_id) WHERE satisfied_by IS NULL;

-- Events of a running attempt, sent ahead in pieces; they become real with its completion.
CREATE TABLE IF NOT EXISTS pipeline.staged (
    job_id bigint NOT NULL,
    attempt integer NOT NULL,
    chunk integer NOT NULL,
    events jsonb NOT NULL,
    PRIMARY KEY (job_id, attempt, chunk)
);

CREATE TABLE IF NOT EXISTS pipeline.token (
    token_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    classes text[] NOT NULL,
    max_workers integer NOT NULL CHECK (max_workers > 0),
    created timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires timestamptz,
    revoked timestamptz
);

CREATE TABLE IF NOT EXISTS pipeline.worker (
    worker_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_id integer NOT NULL REFERENCES pipeline.token,
    name text NOT NULL,
    node text NOT NULL,
    classes text[] NOT NULL,
    slots integer NOT NULL,
    mem_mb integer NOT NULL,
    disk_mb integer NOT NULL,
    price_per_h real,
    version text NOT NULL,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'draining', 'gone')),
    registered timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX IF NOT EXISTS worker_here ON pipeline.worker (token_id, name) WHERE state <> 'gone';
CREATE INDEX IF NOT EXISTS worker_node ON pipeline.worker (node);

CREATE TABLE IF NOT EXISTS pipeline.node (
    name text PRIMARY KEY,
    quarantined timestamptz,
    cleared timestamptz,
    reason text
);

CREATE TABLE IF NOT EXISTS pipeline.audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);

-- What the masters of one database sign byte URLs with.
CREATE TABLE IF NOT EXISTS pipeline.signing_key (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), secret bytea NOT NULL);

-- Its rows had other columns once, which CREATE OR REPLACE cannot change.
DROP FUNCTION IF EXISTS pipeline.claim(bigint, integer, integer, integer, integer, integer);
