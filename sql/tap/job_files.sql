-- What the disk should hold. Takes nothing. Returns id, phase, bytes int8 (result and uploads) of every job.
select id, phase, result_bytes + upload_bytes as bytes from uws.job
