-- Does table $1.$2 (schema, name) lack statistics, of itself or of an index on an expression, or has it changed since
-- they were made? One boolean. A loader that was killed after its last file leaves this behind.
SELECT NOT EXISTS (SELECT FROM pg_stats WHERE schemaname = $1 AND tablename = $2)
    OR EXISTS (
        SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
            JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE n.nspname = $1 AND t.relname = $2 AND i.indexprs IS NOT NULL
            AND NOT EXISTS (SELECT FROM pg_stats s WHERE s.schemaname = $1 AND s.tablename = c.relname))
    OR EXISTS (SELECT FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = $2 AND n_mod_since_analyze > 0)
