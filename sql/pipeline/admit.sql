-- Tells blocked jobs their resources and makes them ready. $1 ids, $2 cores, $3 memory in MB, $4 disk in MB, walking together; the number
-- admitted.
WITH told AS (
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::integer[]) AS t (job_id, cpu, mem_mb, disk_mb)
)
UPDATE pipeline.job_live l SET state = 'ready', cpu = t.cpu, mem_mb = t.mem_mb, disk_mb = t.disk_mb
FROM told t WHERE l.job_id = t.job_id AND l.state = 'blocked'
