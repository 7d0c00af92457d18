-- The run time of the statements of a session, for the next job in it. $1 text: such as 60000ms. Returns one row that nobody reads.
select pg_catalog.set_config('statement_timeout', $1, false)
