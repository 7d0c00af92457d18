-- Adds rows to TAP_SCHEMA.keys. $1 text[]: key_id, $2 text[]: from_table, $3 text[]: target_table, $4 text[]: description, $5 text[]: utype.
insert into tap_schema.keys (key_id, from_table, target_table, description, utype)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
