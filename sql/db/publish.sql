-- Lets brickyard_read read everything in a schema, now and later. Takes the setting brickyard.published_schema,
-- returns nothing. On a server without that role (one that the user runs) it does nothing.
do $$
declare
    name text := pg_catalog.current_setting('brickyard.published_schema');
begin
    if exists (select from pg_catalog.pg_roles where rolname = 'brickyard_read') then
        execute pg_catalog.format('grant usage on schema %I to brickyard_read', name);
        execute pg_catalog.format('grant select on all tables in schema %I to brickyard_read', name);
        execute pg_catalog.format('alter default privileges in schema %I grant select on tables to brickyard_read', name);
    end if;
end
$$
