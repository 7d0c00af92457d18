-- Lets one service at a time write TAP_SCHEMA, until the transaction ends. Takes nothing, returns one row that nobody reads.
select pg_catalog.pg_advisory_xact_lock(7120314161)
