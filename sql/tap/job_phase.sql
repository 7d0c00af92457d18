-- The phase of a job. $1 text: its id. Returns no row or one: phase text.
select phase from uws.job where id = $1
