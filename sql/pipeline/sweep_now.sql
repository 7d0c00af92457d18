-- One sweep, see sweep.sql. $1 at most so many, $2 losses and $3 seconds that put a node into quarantine.
SELECT lost, woken, quarantined FROM pipeline.sweep($1, $2, $3)
