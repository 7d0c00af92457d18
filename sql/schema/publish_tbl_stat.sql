-- Lets every role read the view public.tbl_stat (tbl_stat.sql), which tells no more than PostgreSQL's own catalogues do.
-- Takes no parameters and returns nothing; may be run again at any time.
GRANT SELECT ON public.tbl_stat TO PUBLIC;
