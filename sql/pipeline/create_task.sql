-- A task of run $1: $2 name, $3 position, $4 version, $5 class, $6 pool or NULL, $7 priority, $8 spec, $9-$11 cores, memory and disk in MB (NULL
-- if they are formulas of the inputs), $12 retries and $13 seconds of pause per class of failure, $14 fatal exit codes.
INSERT INTO pipeline.task (run_id, name, position, version, class, pool_id, priority, spec, cpu, mem_mb, disk_mb, retries, backoff_s, fatal_codes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING task_id
