-- The databases that we may enter, and their size. Takes nothing. Returns rows by name: name text, bytes int8.
select datname::text as name, pg_catalog.pg_database_size(oid) as bytes
from pg_catalog.pg_database
where not datistemplate and pg_catalog.has_database_privilege(oid, 'connect')
order by datname
