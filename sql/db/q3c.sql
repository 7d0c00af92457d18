-- Creates the extension q3c where it is missing, and marks its functions parallel safe: they only compute, but the
-- extension does not say so, which keeps index building and cone searches on one core.
-- Takes nothing, returns nothing. Needs the right to create q3c (superuser); functions of another owner stay as they are.
do $$
declare
    f record;
begin
    -- Two sessions creating the same extension at once would fail; the number is ours alone.
    perform pg_catalog.pg_advisory_xact_lock(7120314159);
    if not exists (select from pg_catalog.pg_extension where extname = 'q3c') then
        create extension q3c;
    end if;
    for f in
        select p.oid::pg_catalog.regprocedure as name
        from pg_catalog.pg_proc p
        join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e'
        join pg_catalog.pg_extension e on d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid
        where e.extname = 'q3c' and p.proparallel <> 's' and pg_catalog.pg_has_role(p.proowner, 'usage') and p.prokind = 'f'
    loop
        execute pg_catalog.format('alter function %s parallel safe', f.name);
    end loop;
end
$$
