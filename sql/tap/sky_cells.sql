-- The occupied cells of the sky of a table, by skipping from one to the next along its Q3C index: time and answer grow with the covered
-- area, not with the rows. {ipix} is q3c_ang2ipix(ra, dec) of its columns, {table} its name; $1 integer: bits of an ipix below a cell.
-- Returns ra and dec (degrees) of the middle of each cell.
with recursive walk (cell) as (
    (select {ipix} >> $1 from {table} order by {ipix} limit 1)
    union all
    select (select {ipix} >> $1 from {table} where {ipix} >= ((walk.cell + 1) << $1) order by {ipix} limit 1)
    from walk
    where walk.cell is not null
)
select place[1] as ra, place[2] as dec
from walk, lateral (select q3c_ipix2ang((walk.cell << $1) + (3::bigint << ($1 - 2))) as place) middle
where walk.cell is not null
