-- Changes a job that does not run yet; NULL leaves a value as it is. $1 text: its id; $2 text[]: the phases from which that is allowed;
-- $3 jsonb parameters; $4 text run id; $5 int8 duration in seconds; $6 jsonb uploads; $7 int8 their bytes. Returns the number of rows.
update uws.job
set parameters = coalesce($3, parameters), run_id = coalesce($4, run_id), duration_s = coalesce($5, duration_s),
    uploads = coalesce($6, uploads), upload_bytes = coalesce($7, upload_bytes)
where id = $1 and phase = any($2)
