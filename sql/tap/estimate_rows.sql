-- What the planner thinks of a table's number of rows. $1 text: schema, $2 text: table. Returns one row: estimate double precision.
select case when c.reltuples >= 0 then c.reltuples else pg_catalog.pg_relation_size(c.oid) / 64.0 end::double precision as estimate
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = $2
