-- The rows of a table within a radius of a position, in no order.
-- A template: {columns} and {table} are quoted names, {inside} is sql::inside_circle's condition. Takes no $n.
-- Returns the columns asked for.
SELECT {columns}
FROM {table}
WHERE {inside}
