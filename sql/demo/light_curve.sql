-- The demo's third question: what was measured within 0.2 arcsec of the Cepheid V5343, in time; 99.999 says that the
-- image shows no star there. Takes nothing. Returns ten rows (filter, mjd, magvega, magerr, image).
SELECT filter, mjd, magvega, magerr, image
FROM phat_v2.phot_meas
WHERE q3c_radial_query(ra, dec, 11.02203, 41.23451, 0.2/3600)
  AND magvega < 90
ORDER BY mjd
LIMIT 10
