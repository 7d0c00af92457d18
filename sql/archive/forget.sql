-- Forgets the images of the file at path $1. Returns nothing.
delete from brickyard.image where path = $1
