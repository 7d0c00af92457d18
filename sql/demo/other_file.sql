-- A file of the user's own in phat_v2, if there is one: one that does not lie in the demo's folder.
-- $1 text: that folder, with a slash at its end. Returns at most one row: path text.
SELECT path
FROM brickyard.ledger
WHERE starts_with(table_name, 'phat_v2.') AND NOT starts_with(path, $1)
ORDER BY path
LIMIT 1
