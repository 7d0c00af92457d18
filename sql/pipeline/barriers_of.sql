-- The barriers of run $1 after barrier $2, at most $3: id, name, key, whether fired, members, those done. Both are counted to 10001.
SELECT b.barrier_id, d.name, b.key, b.fired IS NOT NULL AS fired, m.members, m.done
FROM (SELECT * FROM pipeline.barrier WHERE run_id = $1 AND barrier_id > $2 ORDER BY barrier_id LIMIT $3) b
JOIN pipeline.barrier_def d USING (barrier_def_id)
LEFT JOIN LATERAL (
    SELECT count(*) AS members, count(x.satisfied_by) AS done
    FROM (SELECT satisfied_by FROM pipeline.barrier_member WHERE barrier_id = b.barrier_id AND NOT opener LIMIT 10001) x
) m ON true
ORDER BY b.barrier_id
