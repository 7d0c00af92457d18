-- Removes what an earlier reduction of the bench has loaded, in the bench's own database.
DROP SCHEMA IF EXISTS phat_v2, brickyard CASCADE
