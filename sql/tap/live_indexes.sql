-- The valid indices of the tables of some schemas, by their first key. $1 text[]: schemas.
-- Returns schema text, relation text, name text.
select n.nspname::text as schema, c.relname::text as relation, x.relname::text as name
from pg_catalog.pg_index i
join pg_catalog.pg_class x on x.oid = i.indexrelid
join pg_catalog.pg_class c on c.oid = i.indrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any ($1) and i.indisvalid and i.indpred is null
