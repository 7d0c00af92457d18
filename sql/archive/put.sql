-- Writes an image; its columns are $1 to $33 in the order below, then the ends of its bounds. Returns nothing.
insert into brickyard.image (
    root, path, hdu, name, file, bytes, mtime_ns, sha256, compression, bitpix, naxis, ra, dec, radius_deg, footprint, scale_arcsec,
    collection, obs_id, title, calib_level, facility, instrument, filter, em_min_m, em_max_m, exptime_s, t_min_mjd, t_max_mjd, proposal,
    target, unit, brick, field, reach_x, reach_y, reach_z
) values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
    $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29,
    $30, $31, $32, $33, int4range($34, $35, '[]'), int4range($36, $37, '[]'), int4range($38, $39, '[]')
)
