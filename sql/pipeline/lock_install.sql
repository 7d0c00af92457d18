-- Lets one process at a time make or renew the tables and functions; held to the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('brickyard pipeline install', 0))
