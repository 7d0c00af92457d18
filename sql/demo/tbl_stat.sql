-- The demo's last question: the tables and their sizes in bytes.
-- Takes nothing. Returns one row a table (tbl_name, nrows, ncols, nindex, table_size, indexes_size, total_size).
SELECT tbl_name, nrows, ncols, nindex, table_size, indexes_size, total_size
FROM tbl_stat
WHERE schema = 'phat_v2'
ORDER BY tbl_name
