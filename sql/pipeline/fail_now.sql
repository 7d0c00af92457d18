-- Ends attempt $3 of job $2 by worker $1 as a failure of class $4: exit code $5, signal $6, memory $7 MB, CPU seconds $8, message $9.
SELECT verdict, state::text FROM pipeline.fail($1, $2, $3, $4, $5, $6, $7, $8, $9)
