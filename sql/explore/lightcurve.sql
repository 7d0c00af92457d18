-- The measurements of a star that have a magnitude (99.999 says none), by filter and time.
-- A template: {table} is a quoted name, {phase} a column or nothing, {star} either `objid = $1` or a circle's condition.
-- Returns (objid, filter, mjd, [phase,] magvega, magerr, snr, flag, exptime, image, chip, brick, field, ra, dec).
SELECT objid, filter, mjd,{phase} magvega, magerr, snr, flag, exptime, image, chip, brick, field, ra, dec
FROM {table}
WHERE {star} AND magvega < 90
ORDER BY filter, mjd, image, chip
