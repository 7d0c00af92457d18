-- The demo's question about images: those of brick 1, with what they show.
-- Takes nothing. Returns one row an image (obs_title, instrument_name, obs_bandpass, s_xel1, s_xel2, s_pixel_scale, t_exptime).
SELECT obs_title, instrument_name, obs_bandpass, s_xel1, s_xel2, s_pixel_scale, t_exptime
FROM ivoa.obscore
WHERE brick = 1 AND dataproduct_type = 'image'
ORDER BY em_min
