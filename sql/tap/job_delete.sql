-- Forgets a job. $1 text: its id. Returns the number of rows.
delete from uws.job where id = $1
