-- Removes the rejects of table $1 that came from file $2.
DELETE FROM brickyard.reject WHERE table_name = $1 AND file = $2
