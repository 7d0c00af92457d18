-- Whether worker $1 is of token $2 and not gone.
SELECT EXISTS (SELECT FROM pipeline.worker WHERE worker_id = $1 AND token_id = $2 AND state <> 'gone')
