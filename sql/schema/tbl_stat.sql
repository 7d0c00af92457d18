-- Creates the view public.tbl_stat, so that `SELECT * FROM tbl_stat` works unqualified.
-- Takes no parameters; may be run again at any time.
-- Gives one row per table outside the system's schemas: nrows is the planner's estimate of the last ANALYZE or VACUUM
-- (null before the first), sizes are in bytes, table_size with TOAST and maps, indexes_size the indices, total_size both.
CREATE OR REPLACE VIEW public.tbl_stat AS
SELECT n.nspname::text AS schema,
       c.relname::text AS tbl_name,
       CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS nrows,
       (SELECT count(*)::integer FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS ncols,
       (SELECT count(*)::integer FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid) AS nindex,
       pg_catalog.pg_table_size(c.oid) AS table_size,
       pg_catalog.pg_indexes_size(c.oid) AS indexes_size,
       pg_catalog.pg_total_relation_size(c.oid) AS total_size
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm')
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
   AND n.nspname NOT LIKE 'pg\_temp\_%'
   AND n.nspname NOT LIKE 'pg\_toast\_temp\_%';
