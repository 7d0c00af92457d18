-- Sets when a job vanishes, in any phase. $1 text: its id; $2 timestamptz; $3 text: its kind. Returns the number of rows.
update uws.job set destruction = $2 where id = $1 and kind = $3
