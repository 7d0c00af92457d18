-- Ends the attempts of $1, a JSON array of reports, as done; see complete.sql.
SELECT job_id, attempt, verdict, jobs, blocked, touched FROM pipeline.complete($1)
