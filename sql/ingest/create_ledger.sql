-- One line per file and table that was loaded, written in the transaction of the rows.
CREATE TABLE IF NOT EXISTS brickyard.ledger (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    loader text NOT NULL,
    path text NOT NULL,
    sha256 text NOT NULL,
    bytes bigint NOT NULL,
    mtime_ns bigint NOT NULL,
    scope text NOT NULL,
    rows_read bigint NOT NULL,
    rows_loaded bigint NOT NULL,
    rows_rejected bigint NOT NULL,
    rows_duplicate bigint NOT NULL,
    seconds double precision NOT NULL,
    brickyard_version text NOT NULL,
    loader_version text NOT NULL,
    schema_version text NOT NULL,
    cells integer[] NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (table_name, path)
)
