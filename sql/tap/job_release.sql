-- A service that stops gives a running job back to the queue, in its old place. $1 text: its id; $2 int4: the service. Returns the
-- number of rows.
update uws.job set phase = 'QUEUED', started = null, quote = null, runner = null
where id = $1 and phase = 'EXECUTING' and runner = $2
