-- The columns of the tables of some schemas. $1 text[]: schemas. Returns schema text, relation text, columns text[] in order.
select n.nspname::text as schema,
       c.relname::text as relation,
       pg_catalog.array_agg(a.attname::text order by a.attnum) as columns
from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any ($1) and c.relkind in ('r', 'p', 'v', 'm') and a.attnum > 0 and not a.attisdropped
group by n.nspname, c.relname
