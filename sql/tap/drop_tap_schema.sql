-- Removes the tables of TAP_SCHEMA, which another version of this program made, within the transaction that makes them anew. Takes
-- nothing, returns nothing.
drop table if exists tap_schema.key_columns, tap_schema.keys, tap_schema.columns, tap_schema.tables, tap_schema.schemas
