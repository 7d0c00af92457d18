-- Opens a transaction that cannot change anything; what follows in the session is in it.
-- Takes nothing. Returns nothing.
BEGIN TRANSACTION READ ONLY
