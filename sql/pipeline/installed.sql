-- The digest of the tables and functions that are installed.
SELECT digest FROM pipeline.installed
