-- What is known of the published tables. Takes nothing. Returns relation text, state text, nrows bigint, moc text.
select relation, state, nrows, moc from brickyard.publication
