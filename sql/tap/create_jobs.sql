-- The books of the asynchronous jobs: schema uws, of the role that runs the service. Takes nothing, returns nothing; may be run
-- again at any time, also by two services at once (the advisory lock makes them take turns).
--
-- uws.runner has a row for each service that works the queue: while its lease holds and its session keeps the advisory lock
-- (7120, id), it lives. uws.job.runner is the service that executes the job, uws.job.store the folder where its files are, uws.job.kind
-- what it does: 'query' (TAP) or 'pieces' (SODA). The column was added to books that had queries only.
begin;
select pg_catalog.pg_advisory_xact_lock(7120314160);
create schema if not exists uws;
create table if not exists uws.runner (
    id integer primary key,
    lease timestamptz not null,
    started timestamptz not null default now()
);
create table if not exists uws.job (
    id text primary key,
    client text not null,
    store text not null,
    owner text,
    run_id text,
    phase text not null,
    creation timestamptz not null default clock_timestamp(),
    queued timestamptz,
    started timestamptz,
    ended timestamptz,
    quote timestamptz,
    duration_s bigint not null,
    destruction timestamptz not null,
    parameters jsonb not null,
    uploads jsonb not null,
    upload_bytes bigint not null default 0,
    runner integer,
    fault jsonb,
    result jsonb,
    result_bytes bigint not null default 0,
    constraint phase_is_known check (phase in ('PENDING', 'QUEUED', 'EXECUTING', 'COMPLETED', 'ERROR', 'ABORTED')),
    constraint runner_while_executing check ((phase = 'EXECUTING') = (runner is not null))
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
alter table uws.job add column if not exists kind text not null default 'query';
create index if not exists job_of_client on uws.job (client, creation desc);
create index if not exists job_active on uws.job (phase, queued) where phase in ('PENDING', 'QUEUED', 'EXECUTING');
create index if not exists job_destruction on uws.job (destruction);
create index if not exists job_served on uws.job (client, started desc) where started is not null;
commit;
