-- Hands the reader's password to reader.sql, which can take no parameter. $1 text. Returns one row that nobody reads.
select set_config('brickyard.reader_password', $1, false)
