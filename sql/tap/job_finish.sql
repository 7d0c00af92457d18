-- A job is done. $1 text: its id; $2 int4: the service that ran it; $3 jsonb result; $4 int8 its bytes. Returns the number of rows: none
-- if the job was aborted, deleted or given up for lost in the meantime.
update uws.job set phase = 'COMPLETED', ended = clock_timestamp(), runner = null, result = $3, result_bytes = $4
where id = $1 and phase = 'EXECUTING' and runner = $2
