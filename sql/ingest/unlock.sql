-- Gives up the session's lock on loading into table $1. Returns one row: whether it was held.
SELECT pg_advisory_unlock(hashtext('brickyard.load'), hashtext($1))
