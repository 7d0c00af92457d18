-- Adds rows to TAP_SCHEMA.tables. $1 text[]: schema_name, $2 text[]: table_name, $3 text[]: table_type, $4 text[]: utype,
-- $5 text[]: description, $6 integer[]: table_index, $7 bigint[]: nrows.
insert into tap_schema.tables (schema_name, table_name, table_type, utype, description, table_index, nrows)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::bigint[])
