-- Ends a job at its client's wish. $1 text: its id; $2 text[]: the phases from which that is allowed. Returns the number of rows.
update uws.job set phase = 'ABORTED', ended = clock_timestamp(), runner = null
where id = $1 and phase = any($2) and phase <> 'ABORTED'
