-- A service stops working the queue. $1 int4: its number. Returns the number of rows.
delete from uws.runner where id = $1
