-- The role that the service reads with: it may enter this database and read schemas that were published (publish.sql),
-- nothing else. Takes the setting brickyard.reader_password, returns nothing. Run again it changes nothing but the password.
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'brickyard_read') then
        create role brickyard_read login;
    end if;
    execute pg_catalog.format('alter role brickyard_read password %L', pg_catalog.current_setting('brickyard.reader_password'));
    alter role brickyard_read set default_transaction_read_only = on;
    execute pg_catalog.format('revoke all on database %I from public', pg_catalog.current_database());
    execute pg_catalog.format('grant connect on database %I to brickyard_read', pg_catalog.current_database());
    revoke create on schema public from public;
end
$$
