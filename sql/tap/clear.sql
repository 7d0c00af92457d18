-- Empties TAP_SCHEMA, within the transaction that fills it again. Takes nothing, returns nothing.
delete from tap_schema.key_columns;
delete from tap_schema.keys;
delete from tap_schema.columns;
delete from tap_schema.tables;
delete from tap_schema.schemas
