-- Hands a limit to reader_settings.sql, which can take no parameter. $1 text. Returns one row that nobody reads.
select pg_catalog.set_config('brickyard.temp_file_limit', $1, false)
