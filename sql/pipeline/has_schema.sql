-- Whether the runner's tables were made, by any version.
SELECT to_regclass('pipeline.installed') IS NOT NULL
