-- Worker $1 lives and runs the jobs $2, attempts $3; renews their leases for $4 s and gives those it may go on with.
SELECT pipeline.heartbeat($1, $2, $3, $4)
