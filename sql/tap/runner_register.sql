-- A service begins to work the queue, or comes back after it lost its session. $1 int4: its number; $2 float8: seconds that its lease
-- holds. Returns one row: locked bool, whether this session has the lock (7120, number); an old session of its may still hold it.
with registered as (
    insert into uws.runner (id, lease) values ($1, clock_timestamp() + $2 * interval '1 second')
    on conflict (id) do update set lease = excluded.lease
    returning id
)
select pg_catalog.pg_try_advisory_lock(7120, id) as locked from registered
