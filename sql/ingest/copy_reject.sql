-- Takes rejected rows as binary COPY data: table, file, row of the file (from 1), reason.
COPY brickyard.reject (table_name, file, "row", reason) FROM STDIN (FORMAT binary)
