-- Removes all of the stage runner's tables and functions: for a bench's own database.
DROP SCHEMA IF EXISTS pipeline CASCADE
