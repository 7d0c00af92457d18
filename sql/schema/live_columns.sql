-- The columns of a table of the database, in order; no rows if there is no such table.
-- $1 text: schema, $2 text: table.
-- Returns name text, type text (as format_type spells it: 'real[]'), not_null boolean, storage text (plain, main, external, extended).
SELECT a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AS not_null,
       CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'm' THEN 'main' WHEN 'e' THEN 'external' ELSE 'extended' END AS storage
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1
   AND c.relname = $2
   AND c.relkind IN ('r', 'p', 'm')
   AND a.attnum > 0
   AND NOT a.attisdropped
 ORDER BY a.attnum;
