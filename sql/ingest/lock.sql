-- Takes the session's lock on loading into table $1; false if another session holds it.
SELECT pg_try_advisory_lock(hashtext('brickyard.load'), hashtext($1))
