-- Claims for worker $1 up to $2 jobs within $3 cores, $4 MB of memory, $5 MB of disk, leased for $6 s (see claim.sql). Nothing is joined to it here:
-- what it claims may be newer than this statement.
SELECT job_id, task_id, attempt, cpu, mem_mb, disk_mb, event_name, event_key, payload, inputs FROM pipeline.claim($1, $2, $3, $4, $5, $6)
