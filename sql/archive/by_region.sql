-- Images and a polygon: $1 double precision[] its corners, $2, $3 its middle, $4 the degrees from there to the farthest corner; $5 text
-- says how they lie to each other: OVERLAPS, COVERS (the image holds all of it), ENCLOSED (it holds all of the image), CENTER (the image
-- holds its middle). $6 text: only the collection that is called so, or so up to an underscore; null for all. At most $7 rows in the
-- order of path and HDU: all columns of brickyard.image. $8 to $13 are the ends of the polygon's bounds, for the index. The distance costs little and goes first, as the functions' costs say.
select *
from brickyard.image
where reach_x && int4range($8, $9, '[]') and reach_y && int4range($10, $11, '[]') and reach_z && int4range($12, $13, '[]')
  and q3c_dist(ra, dec, $2, $3) <= radius_deg + $4 + 1e-7
  and case $5
          when 'COVERS' then adql.contains(footprint, $1)
          when 'ENCLOSED' then adql.contains($1, footprint)
          when 'CENTER' then adql.contains(footprint, array[$2, $3])
          else adql.intersects(footprint, $1)
      end
  and ($6::text is null or lower($6) = lower(collection) or starts_with(lower($6), lower(collection) || '_'))
order by path, hdu
limit $7
