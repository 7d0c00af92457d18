-- Limits of the role brickyard_read that only a superuser may set. Takes the setting brickyard.temp_file_limit, returns nothing; does
-- nothing where the role is not there or we are no superuser. A role is of all databases: services that start at once set it in turn.
do $$
declare
    wanted constant text := pg_catalog.current_setting('brickyard.temp_file_limit');
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'brickyard_read')
       or not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
        return;
    end if;
    for tried in 1..100 loop
        -- it is mostly set already
        exit when exists (
            select from pg_catalog.pg_roles where rolname = 'brickyard_read' and ('temp_file_limit=' || wanted) = any (rolconfig)
        );
        begin
            execute pg_catalog.format('alter role brickyard_read set temp_file_limit = %L', wanted);
            exit;
        exception when internal_error then
            -- "tuple concurrently updated": another session sets it now
            if tried = 100 then
                raise;
            end if;
            perform pg_catalog.pg_sleep(0.02);
        end;
    end loop;
end
$$
