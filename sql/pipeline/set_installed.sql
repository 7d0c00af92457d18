-- Notes the digest $1 of what is installed now.
INSERT INTO pipeline.installed (digest) VALUES ($1) ON CONFLICT (only_one) DO UPDATE SET digest = excluded.digest
