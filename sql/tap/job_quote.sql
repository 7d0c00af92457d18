-- Writes when a running job is thought to be done. $1 text: its id; $2 int4: its service; $3 float8: seconds from now. Returns the
-- number of rows.
update uws.job set quote = clock_timestamp() + $3 * interval '1 second' where id = $1 and runner = $2
