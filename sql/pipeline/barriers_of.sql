-- The barriers that jobs of $1 are members of: id, name, key, whether fired, members, done.
SELECT b.barrier_id, d.name, b.key, b.fired IS NOT NULL AS fired,
    (SELECT count(*) FROM pipeline.barrier_member m WHERE m.barrier_id = b.barrier_id AND NOT m.opener) AS members,
    (SELECT count(m.satisfied_by) FROM pipeline.barrier_member m WHERE m.barrier_id = b.barrier_id AND NOT m.opener) AS done
FROM pipeline.barrier b JOIN pipeline.barrier_def d USING (barrier_def_id)
WHERE b.run_id = $1
ORDER BY b.barrier_id
