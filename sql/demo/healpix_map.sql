-- The demo's second question: the map of the survey by HEALPix cell (NSIDE 4096, NESTED), the fullest cells first.
-- Takes nothing. Returns ten rows (pix4096, nb, ra0, dec0): cell, number of objects, their mean position in degrees.
SELECT pix4096, count(pix4096) AS nb, avg(ra) AS ra0, avg(dec) AS dec0
FROM phat_v2.phot_mod
GROUP BY pix4096
ORDER BY nb DESC, pix4096
LIMIT 10
