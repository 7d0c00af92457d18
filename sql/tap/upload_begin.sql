-- Begins a transaction that may write, in a session of the reader, and forgets the temporary tables of an earlier request. Takes
-- nothing, returns nothing. What may be written are temporary tables only: the role has no other right.
begin read write;
discard temp
