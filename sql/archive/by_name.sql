-- The image of name $1, or none: all columns of brickyard.image.
select * from brickyard.image where name = $1
