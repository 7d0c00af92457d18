-- The images that a HiPS of each filter is made of: those of the highest calibration level that the filter has. $1 names filters, null
-- means all; $2 names a collection, null means all. Returns root, path text, hdu integer, bytes, mtime_ns bigint, filter, collection text,
-- em_min_m, em_max_m, t_min_mjd, t_max_mjd double precision, by filter, path and HDU.
select root, path, hdu, bytes, mtime_ns, filter, collection, em_min_m, em_max_m, t_min_mjd, t_max_mjd
from (
    select *, max(calib_level) over (partition by filter) as highest
    from brickyard.image
    where filter is not null
      and ($1::text[] is null or upper(filter) in (select upper(name) from unnest($1::text[]) as name))
      and ($2::text is null or upper(collection) = upper($2))
) as wanted
where calib_level = highest
order by filter, path, hdu
