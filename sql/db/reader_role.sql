-- Is there the role brickyard_read, and may we become it? Takes nothing. Returns one row: has_role boolean.
select exists (
    select from pg_catalog.pg_roles r where r.rolname = 'brickyard_read' and pg_catalog.pg_has_role(current_user, r.oid, 'member')
) as has_role
