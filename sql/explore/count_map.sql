-- How many rows lie in each HEALPix cell, by cell.
-- A template: {pix} is the quoted name of the HEALPix column, {table} a quoted name, {where} the user's own condition
-- (true without one), parsed by the server in the user's own session. Takes no $n.
-- Returns (pix, count), one row per cell that has any.
SELECT {pix}, count(*) AS count
FROM {table}
WHERE {pix} IS NOT NULL AND (
{where}
)
GROUP BY {pix}
ORDER BY {pix}
