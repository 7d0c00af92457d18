-- Number and digest of the rows of phot_mod; of those only that the survey's catalogue keeps, if $1.
SELECT count(*), coalesce(md5(string_agg(t::text, chr(10) ORDER BY t::text)), '')
FROM phat_v2.phot_mod t WHERE NOT $1::boolean OR (inside_ir = 1 AND inside_chipgap = 0) OR inside_other_chipgap = 1
