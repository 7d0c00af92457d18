-- Writes down what was found out about a table. $1 text: schema.table, $2 text: its state then, $3 bigint: rows or null, $4 text: MOC or null.
insert into brickyard.publication (relation, state, nrows, moc) values ($1, $2, $3, $4)
on conflict (relation) do update set state = excluded.state, nrows = excluded.nrows, moc = excluded.moc
