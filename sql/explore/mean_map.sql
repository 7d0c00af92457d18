-- The mean of an expression over the rows of each HEALPix cell, by cell.
-- A template: as count_map.sql, and {expression} is the user's own, parsed by the server in the user's own session.
-- Takes no $n. Returns (pix, count, mean), one row per cell; count is of the rows where the expression is not NULL.
SELECT {pix}, count((
{expression}
)) AS count, CAST(avg((
{expression}
)) AS double precision) AS mean
FROM {table}
WHERE {pix} IS NOT NULL AND (
{where}
)
GROUP BY {pix}
ORDER BY {pix}
