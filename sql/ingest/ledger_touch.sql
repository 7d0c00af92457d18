-- The file of ledger line $1 has a new time ($2, ns) and the same bytes.
UPDATE brickyard.ledger SET mtime_ns = $2 WHERE id = $1
