-- Task $2 of run $1 is held or not ($3), says $4.
WITH changed AS (
    UPDATE pipeline.task SET held = $3 WHERE run_id = $1 AND name = $2 RETURNING name
), noted AS (
    INSERT INTO pipeline.audit (actor, action, target, detail)
    SELECT $4, CASE WHEN $3 THEN 'hold' ELSE 'release' END, 'task ' || name, jsonb_build_object('run', $1) FROM changed
)
SELECT count(*) FROM changed
