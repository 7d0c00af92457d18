-- Gives back the session's lock on loading into table $1; false if it did not hold it.
SELECT pg_advisory_unlock(hashtext('brickyard.load'), hashtext($1))
