-- Who holds the loading lock of table $1 in this database: process id, start of its session.
SELECT a.pid, a.backend_start::text FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = hashtext('brickyard.load')::oid AND l.objid = hashtext($1)::oid
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
LIMIT 1
