-- The images of the files called $1 (the name alone, or the path in its root), in HDU $2 (null: any) and collection $3 (null: any), the
-- first two in the order of path and HDU, since two say that the question was not clear: all columns of brickyard.image.
select *
from brickyard.image
where (file = $1 or path = $1) and ($2::integer is null or hdu = $2) and ($3::text is null or collection = $3)
order by path, hdu
limit 2
