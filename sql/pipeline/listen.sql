-- This session hears of changes that were not made through a master; see notify.sql.
LISTEN brickyard_pipeline
