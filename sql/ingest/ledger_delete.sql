-- Removes the ledger line $1 (its rows are being replaced).
DELETE FROM brickyard.ledger WHERE id = $1
