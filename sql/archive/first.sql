-- The first images in the order of path and HDU, at most $1 (bigint): all columns of brickyard.image.
select * from brickyard.image order by path, hdu limit $1
