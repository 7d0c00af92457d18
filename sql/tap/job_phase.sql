-- The phase of a job. $1 text: its id; $2 text: its kind. Returns no row or one: phase text.
select phase from uws.job where id = $1 and kind = $2
