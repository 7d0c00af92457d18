-- The jobs of a client, newest first. $1 text: the client's key; $2 text[]: phases, NULL for all; $3 timestamptz: made after it, NULL
-- for any time; $4 int8: at most so many; $5 text: their kind. Returns id, phase, run_id, owner, creation.
select id, phase, run_id, owner, creation
from uws.job
where client = $1 and kind = $5 and ($2::text[] is null or phase = any($2)) and ($3::timestamptz is null or creation > $3)
order by creation desc
limit $4
