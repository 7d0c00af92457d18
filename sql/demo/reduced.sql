-- What the reduction has loaded: objects and measurements.
SELECT (SELECT count(*) FROM phat_v2.phot_mod), (SELECT count(*) FROM phat_v2.phot_meas)
