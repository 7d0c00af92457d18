-- How many rows the loader has put into each table. Takes nothing. Returns relation text (schema.table), nrows bigint.
select table_name as relation, sum(rows_loaded)::bigint as nrows from brickyard.ledger group by table_name
