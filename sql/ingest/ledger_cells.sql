-- The sky cells that the files of table $1 touch, but for the line $2: one cell a row.
SELECT DISTINCT unnest(cells) AS cell FROM brickyard.ledger WHERE table_name = $1 AND id <> $2
