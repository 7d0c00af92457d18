-- Task $1: its run, name, spec, and the run's parameters.
SELECT r.name AS run, t.name, t.spec, r.params FROM pipeline.task t JOIN pipeline.run r USING (run_id) WHERE t.task_id = $1
