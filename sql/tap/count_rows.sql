-- Counts the rows of a table. {table} is its quoted name. Returns one row: nrows bigint.
select count(*) as nrows from {table}
