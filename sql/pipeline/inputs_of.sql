-- Those of the keys $2 that are inputs of job $1.
SELECT a.key FROM pipeline.artifact_use u JOIN pipeline.artifact a USING (artifact_id) WHERE u.job_id = $1 AND a.key = ANY ($2)
