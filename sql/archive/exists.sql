-- Is there the table of images? Takes nothing, returns a boolean.
select to_regclass('brickyard.image') is not null
