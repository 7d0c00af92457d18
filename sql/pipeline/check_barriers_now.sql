-- One look at the barriers, firing at most $1 of them; see check_barriers.sql.
SELECT fired, jobs, blocked FROM pipeline.check_barriers($1)
