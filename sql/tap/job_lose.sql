-- Ends the jobs whose service is gone, and forgets such services: lease over, or the session that held its lock has ended.
-- $1 jsonb: the fault to write. Returns the ids of the jobs.
with alive as (
    select r.id
    from uws.runner r
    where r.lease > clock_timestamp() and exists (
        select from pg_catalog.pg_locks l
        where l.locktype = 'advisory' and l.granted and l.classid = 7120::oid and l.objid = r.id::oid
          and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
    )
), gone as (
    delete from uws.runner where id not in (select id from alive)
)
update uws.job set phase = 'ERROR', ended = clock_timestamp(), runner = null, fault = $1
where phase = 'EXECUTING' and runner not in (select id from alive)
returning id
