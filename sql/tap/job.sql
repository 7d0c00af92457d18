-- One job. $1 text: its id; $2 text: its kind. Returns no row or one: the columns of uws.job, and position int8: its place in the queue, from 1, NULL
-- when it does not wait.
select j.*,
       case when j.phase = 'QUEUED' then (select count(*) from uws.job q where q.phase = 'QUEUED' and q.queued <= j.queued) end as position
from uws.job j
where j.id = $1 and j.kind = $2
