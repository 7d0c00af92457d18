-- The tables and views of some schemas, with what tells whether they have changed.
-- $1 text[]: schemas. Returns schema text, name text, view boolean, estimate double precision (rows, -1 if never analysed),
-- state text (changes when rows or the table itself do).
select n.nspname::text as schema,
       c.relname::text as name,
       c.relkind = 'v' as view,
       c.reltuples::double precision as estimate,
       pg_catalog.concat_ws(':', c.oid, c.relfilenode, pg_catalog.pg_relation_size(c.oid), pg_catalog.pg_stat_get_tuples_inserted(c.oid),
                            pg_catalog.pg_stat_get_tuples_updated(c.oid), pg_catalog.pg_stat_get_tuples_deleted(c.oid),
                            (select pg_catalog.count(*) from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisvalid)) as state
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any ($1) and c.relkind in ('r', 'p', 'v', 'm')
order by n.nspname, c.relname
