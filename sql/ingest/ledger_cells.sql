-- The sky cells that the files of table $1 touch, but for those of the paths $2 (text[]): one cell a row.
SELECT DISTINCT unnest(cells) AS cell FROM brickyard.ledger WHERE table_name = $1 AND path <> ALL ($2)
