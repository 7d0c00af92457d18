-- Makes events of run $1 real: names $2, keys $3, payloads $4, walking together; see emit.sql.
SELECT events, jobs, blocked FROM pipeline.emit($1, NULL, NULL, $2, $3, $4)
