-- Writes a ledger line. $1 table, $2 loader, $3 path, $4 sha256, $5 bytes, $6 mtime_ns, $7 scope, $8-$11 rows read,
-- loaded, rejected, duplicate, $12 seconds, $13-$15 versions of brickyard, loader, schema, $16 cells.
INSERT INTO brickyard.ledger (table_name, loader, path, sha256, bytes, mtime_ns, scope, rows_read, rows_loaded,
    rows_rejected, rows_duplicate, seconds, brickyard_version, loader_version, schema_version, cells)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
