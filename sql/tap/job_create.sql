-- Makes a job unless the client, or all together, have too many waiting. $1 id, $2 client's key, $3 owner, $4 run id, $5 phase (PENDING
-- or QUEUED), $6 int8 duration in seconds, $7 timestamptz destruction or NULL for $8 float8 seconds from now, $9 jsonb parameters,
-- $10 jsonb uploads, $11 int8 their bytes, $12 timestamptz quote, $13 int8 most waiting jobs (of that phase) of a client, $14 of all,
-- $15 text the folder of its files, $16 text its kind.
-- Returns one row: made bool, of_client int8, of_all int8 (waiting jobs of that phase before).
with waiting as (
    select count(*) filter (where client = $2) as of_client, count(*) as of_all
    from uws.job
    where phase in ('PENDING', 'QUEUED', 'EXECUTING') and phase = $5
), made as (
    insert into uws.job (id, client, owner, run_id, phase, queued, duration_s, destruction, parameters, uploads, upload_bytes, quote, store, kind)
    select $1, $2, $3, $4, $5, case when $5 = 'QUEUED' then clock_timestamp() end, $6,
           coalesce($7::timestamptz, clock_timestamp() + $8::float8 * interval '1 second'), $9, $10, $11, $12, $15, $16
    from waiting
    where of_client < $13::int8 and of_all < $14::int8
    returning id
)
select exists (select from made) as made, of_client, of_all from waiting
