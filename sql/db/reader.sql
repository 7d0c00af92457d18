-- The role that the service reads with: it may enter the database brickyard and read schemas that were published
-- (publish.sql), nothing else. Then the database is opened. Takes the setting brickyard.reader_password, returns nothing.
-- Run again it changes nothing but the password.
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'brickyard_read') then
        create role brickyard_read login;
    end if;
    execute pg_catalog.format('alter role brickyard_read password %L', pg_catalog.current_setting('brickyard.reader_password'));
    alter role brickyard_read set default_transaction_read_only = on;
    revoke all on database brickyard from public;
    grant connect, temporary on database brickyard to brickyard_read;
    alter database brickyard allow_connections true;
end
$$
