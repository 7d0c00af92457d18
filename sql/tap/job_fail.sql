-- A job failed. $1 text: its id; $2 int4: the service that ran it; $3 jsonb fault. Returns the number of rows, as job_finish.sql.
update uws.job set phase = 'ERROR', ended = clock_timestamp(), runner = null, fault = $3
where id = $1 and phase = 'EXECUTING' and runner = $2
