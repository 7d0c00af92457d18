-- Number and digest of the rows of phot_meas.
SELECT count(*), coalesce(md5(string_agg(t::text, chr(10) ORDER BY t::text)), '') FROM phat_v2.phot_meas t
