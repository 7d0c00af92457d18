-- The key of the barrier that a job with this payload belongs to: the values of the fields, joined by /; and those fields alone.
CREATE OR REPLACE FUNCTION pipeline.barrier_key(fields text[], payload jsonb, OUT key text, OUT payload jsonb)
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(string_agg(coalesce($2 ->> f.field, ''), '/' ORDER BY f.n), ''),
        coalesce(jsonb_object_agg(f.field, $2 -> f.field) FILTER (WHERE $2 ? f.field), '{}')
    FROM unnest($1) WITH ORDINALITY AS f (field, n)
$$;
