-- The embedded cluster's database. Takes nothing, returns nothing; cannot run in a transaction.
create database brickyard template template0
