-- Settings of every session that brickyard opens; what the user's server says otherwise is not changed for others.
-- Takes nothing. Returns one row that nobody reads.
select set_config('client_min_messages', 'warning', false),
       set_config('timezone', 'UTC', false),
       set_config('datestyle', 'ISO, YMD', false),
       set_config('jit', 'off', false)
