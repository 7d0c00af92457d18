-- Is TAP_SCHEMA there? Takes nothing. Returns one row: present boolean.
select pg_catalog.to_regclass('tap_schema.key_columns') is not null as present
