-- Puts a pending job into the queue unless that is full. $1 text: its id; $2 int8: most queued jobs of a client; $3 int8: of all.
-- Returns one row: moved bool, of_client int8, of_all int8 (queued before).
with asked as (
    select id, client from uws.job where id = $1
), waiting as (
    select count(*) filter (where j.client = (select client from asked)) as of_client, count(*) as of_all
    from uws.job j
    where j.phase = 'QUEUED'
), moved as (
    update uws.job set phase = 'QUEUED', queued = clock_timestamp()
    from waiting
    where id = $1 and phase = 'PENDING' and of_client < $2::int8 and of_all < $3::int8
    returning id
)
select exists (select from moved) as moved, of_client, of_all from waiting
