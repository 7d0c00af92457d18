-- Rows that could not be loaded: file, row of the file (from 1), reason.
CREATE TABLE IF NOT EXISTS brickyard.reject (
    table_name text NOT NULL,
    file text NOT NULL,
    "row" bigint NOT NULL,
    reason text NOT NULL
)
