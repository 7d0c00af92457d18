-- Takes a share of the lock on $1, until the session ends; returns one row that nobody reads.
SELECT pg_advisory_lock_shared(hashtext('brickyard.load'), hashtext($1))
