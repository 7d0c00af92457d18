-- Whom a session's queries run as. Takes nothing. Returns one row: name text.
select current_user::text as name
