-- Gathers statistics of the table of images for the planner. Takes nothing, returns nothing.
analyze brickyard.image
