-- Every image, for people: path text, hdu integer, filter text, instrument text, naxis bigint[], scale_arcsec, exptime_s, ra, dec double
-- precision, brick, field smallint, in the order of path and HDU.
select path, hdu, filter, instrument, naxis, scale_arcsec, exptime_s, ra, dec, brick, field from brickyard.image order by path, hdu
