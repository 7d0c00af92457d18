-- Adds rows to TAP_SCHEMA.schemas. $1 text[]: schema_name, $2 text[]: utype, $3 text[]: description, $4 integer[]: schema_index.
insert into tap_schema.schemas (schema_name, utype, description, schema_index)
select * from unnest($1::text[], $2::text[], $3::text[], $4::integer[])
