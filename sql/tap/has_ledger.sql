-- Are the loader's books there? Takes nothing. Returns one row: present boolean.
select pg_catalog.to_regclass('brickyard.ledger') is not null as present
