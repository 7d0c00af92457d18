-- A service lives. $1 int4: its number; $2 float8: seconds that its lease holds; $3 bool: it has not got its lock (7120, number) yet,
-- because its old session has not ended, and tries again. Returns one row: alive bool (false if others gave it up for dead), locked bool
-- (NULL when it did not try), jobs text[]: the ids of the jobs that it may go on executing.
with beat as (
    update uws.runner set lease = clock_timestamp() + $2 * interval '1 second' where id = $1 returning id
)
select exists (select from beat) as alive,
       case when $3 then pg_catalog.pg_try_advisory_lock(7120, $1) end as locked,
       array(select id from uws.job where phase = 'EXECUTING' and runner = $1) as jobs
