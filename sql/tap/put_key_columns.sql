-- Adds rows to TAP_SCHEMA.key_columns. $1 text[]: key_id, $2 text[]: from_column, $3 text[]: target_column.
insert into tap_schema.key_columns (key_id, from_column, target_column)
select * from unnest($1::text[], $2::text[], $3::text[])
