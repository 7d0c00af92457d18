-- How many services work the queue, this one included if it has begun. Takes nothing. Returns one row: runners int8.
select count(*) as runners from uws.runner
