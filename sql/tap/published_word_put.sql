-- Writes down what TAP_SCHEMA was made of. $1 text. Returns nothing.
with gone as (delete from brickyard.published) insert into brickyard.published (word) values ($1)
