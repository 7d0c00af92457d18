-- Forgets a job. $1 text: its id; $2 text: its kind. Returns the number of rows.
delete from uws.job where id = $1 and kind = $2
