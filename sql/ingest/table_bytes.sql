-- Bytes of the rows of table $1; 0 if it never had any.
SELECT pg_relation_size($1::text::regclass)
