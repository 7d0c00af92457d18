-- The ledger lines of table $1: id, path, sha256, bytes, mtime_ns, scope.
SELECT id, path, sha256, bytes, mtime_ns, scope FROM brickyard.ledger WHERE table_name = $1 ORDER BY id
