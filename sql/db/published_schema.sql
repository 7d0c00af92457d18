-- Hands a schema's name to publish.sql, which can take no parameter. $1 text. Returns one row that nobody reads.
select set_config('brickyard.published_schema', $1, false)
