-- The schema of the loader's own tables.
CREATE SCHEMA IF NOT EXISTS brickyard
