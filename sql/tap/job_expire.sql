-- Forgets the jobs whose time of destruction has come. Takes nothing. Returns their ids.
delete from uws.job where destruction <= clock_timestamp() returning id
