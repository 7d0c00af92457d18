-- Registers a worker: $1 token, $2 name, $3 node, $4 classes, $5 slots, $6 memory in MB, $7 disk in MB, $8 price per hour, $9 version.
SELECT worker_id, lost, why FROM pipeline.register($1, $2, $3, $4, $5, $6, $7, $8, $9)
