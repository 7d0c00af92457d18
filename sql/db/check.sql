-- What a server must be before we work in its database.
-- Takes nothing. Returns one row: version_num, version, has_q3c, q3c_ready (has it, and every function of it that we
-- may alter is marked parallel safe).
with unsafe as (
    select p.oid
    from pg_catalog.pg_proc p
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e'
    join pg_catalog.pg_extension e on d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid
    where e.extname = 'q3c' and p.proparallel <> 's' and pg_catalog.pg_has_role(p.proowner, 'usage')
)
select pg_catalog.current_setting('server_version_num')::int4 as version_num,
       pg_catalog.current_setting('server_version') as version,
       q3c.present as has_q3c,
       q3c.present and not exists (select from unsafe) as q3c_ready
from (select exists (select from pg_catalog.pg_extension where extname = 'q3c') as present) q3c
