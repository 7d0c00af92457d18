-- Wakes the masters after a change that was not made through one of them; one notice however many changes a transaction makes.
SELECT pg_notify('brickyard_pipeline', '')
