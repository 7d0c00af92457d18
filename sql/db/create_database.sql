-- The embedded cluster's database, closed until reader.sql opens it. Takes nothing, returns nothing; cannot run in a
-- transaction.
create database brickyard template template0 allow_connections false
