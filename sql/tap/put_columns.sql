-- Adds rows to TAP_SCHEMA.columns. $1 text[]: table_name, $2 text[]: column_name, $3 text[]: datatype, $4 text[]: arraysize,
-- $5 text[]: xtype, $6 integer[]: size, $7 text[]: description, $8 text[]: utype, $9 text[]: unit, $10 text[]: ucd,
-- $11 integer[]: indexed, $12 integer[]: principal, $13 integer[]: std, $14 integer[]: column_index.
insert into tap_schema.columns (table_name, column_name, datatype, arraysize, xtype, "size", description, utype, unit, ucd, indexed,
                                principal, std, column_index)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::text[], $9::text[],
                     $10::text[], $11::integer[], $12::integer[], $13::integer[], $14::integer[])
