-- What the server would have done by itself after so many rows.
VACUUM (ANALYZE) pipeline.event, pipeline.job, pipeline.job_live, pipeline.attempt
