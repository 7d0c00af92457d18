-- The names of the indices of table $1.$2 (schema, name).
SELECT indexname::text FROM pg_indexes WHERE schemaname = $1 AND tablename = $2
