-- A new run: $1 name, $2 params, $3 group fields, $4 manifest, $5 its SHA-256, $6 priority.
INSERT INTO pipeline.run (name, params, group_fields, manifest, manifest_sha256, priority) VALUES ($1, $2, $3, $4, $5, $6) RETURNING run_id
