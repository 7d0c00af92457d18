-- Is there a database of this name? $1 text: the name. Returns one row: present bool.
select exists (select from pg_catalog.pg_database where datname = $1) as present
