-- What TAP_SCHEMA was last made of, in one word. Takes nothing. Returns word text, at most one row.
select word from brickyard.published
