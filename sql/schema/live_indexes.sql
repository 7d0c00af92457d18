-- The indices of a table of the database, by name.
-- $1 text: schema, $2 text: table.
-- Returns name text, is_primary boolean, valid boolean, method text ('btree'), expressions text[] (each key column or
-- expression as PostgreSQL prints it: 'ra', 'q3c_ang2ipix(ra, "dec")'), partial boolean.
SELECT x.relname::text AS name,
       i.indisprimary AS is_primary,
       i.indisvalid AS valid,
       m.amname::text AS method,
       (SELECT array_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k, true) ORDER BY k)
          FROM generate_series(1, i.indnkeyatts::integer) AS k) AS expressions,
       i.indpred IS NOT NULL AS partial
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
  JOIN pg_catalog.pg_am m ON m.oid = x.relam
  JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1
   AND c.relname = $2
 ORDER BY x.relname;
