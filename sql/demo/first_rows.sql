-- The demo's first question: some rows, a choice of the 88 columns that fits an 80-column terminal.
-- Takes nothing. Returns ten rows (objid, brick, pix4096, f475w_vega, f814w_vega).
SELECT objid, brick, pix4096, f475w_vega, f814w_vega
FROM phat_v2.phot_mod
LIMIT 10
