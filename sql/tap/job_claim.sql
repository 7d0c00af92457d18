-- Takes the next job out of the queue for a service. $1 int4: the service; $2 int8: most running jobs of one client; $3 text: the
-- folder that it writes to. Returns no row or one: the columns of uws.job.
--
-- Next is a job of the client that has fewest running (its own waiting ones counting as it gets its turns), of several such clients the
-- one that was served longest ago, and of that client's jobs the oldest. Rows that another service is just taking are passed over.
with running as (
    select client, count(*) as jobs from uws.job where phase = 'EXECUTING' group by client
), waiting as (
    select id, client, queued, row_number() over (partition by client order by queued, id) as turn from uws.job where phase = 'QUEUED' and store = $3
), served as (
    select w.client, (select max(s.started) from uws.job s where s.client = w.client and s.started is not null) as at
    from waiting w
    where w.turn = 1
)
update uws.job
set phase = 'EXECUTING', started = clock_timestamp(), runner = $1
where id = any (array(
    select j.id
    from uws.job j
    join waiting w on w.id = j.id
    join served v on v.client = w.client
    left join running r on r.client = w.client
    where w.turn <= $2::int8 and j.phase = 'QUEUED' and coalesce(r.jobs, 0) + w.turn <= $2::int8
    order by coalesce(r.jobs, 0) + w.turn, v.at nulls first, w.queued, j.id
    limit 1
    for update of j skip locked
))
returning *
