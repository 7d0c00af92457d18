-- A barrier of run $1: $2 name, $3 event it emits, $4 payload fields of its key, $5 policy, $6 k, $7 fraction, $8 deadline in s.
INSERT INTO pipeline.barrier_def (run_id, name, emits, key_fields, policy, k, fraction, deadline_s)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING barrier_def_id
