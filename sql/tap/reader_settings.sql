-- Limits of the role brickyard_read that only a superuser may set. Takes the setting brickyard.temp_file_limit, returns nothing; does
-- nothing where the role is not there or we are no superuser.
do $$
begin
    if exists (select from pg_catalog.pg_roles where rolname = 'brickyard_read')
       and (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
        execute pg_catalog.format('alter role brickyard_read set temp_file_limit = %L', pg_catalog.current_setting('brickyard.temp_file_limit'));
    end if;
end
$$
