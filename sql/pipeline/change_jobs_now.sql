-- $1 who does $2 (retry, skip, cancel, priority) to the jobs $3 with the value $4 or NULL; see change_jobs.sql. Gives the ids changed.
SELECT pipeline.change_jobs($1, $2, $3, $4)
