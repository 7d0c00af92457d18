-- Words, lists and sexagesimal angles in text.
-- Takes nothing; replaces the functions. Returns nothing. NULL in, NULL out.
-- ivo_nocasematch(value, pattern) -> int4: 1 if the LIKE pattern fits, whatever the case, else 0.
-- ivo_hasword(haystack, needle) -> int4: 1 if every word of the needle, or a longer form of it, stands in the haystack, else 0.
-- ivo_hashlist_has(hashlist, item) -> int4: 1 if the item is in the list, whose items have # between them, whatever the case, else 0.
-- ivo_hms_to_degrees(hms) -> float8: an angle in hours, 3:34:45.4 or 3h34m45.4s; ivo_dms_to_degrees(dms) the same in degrees.
CREATE SCHEMA IF NOT EXISTS adql;
GRANT USAGE ON SCHEMA adql TO PUBLIC;

CREATE OR REPLACE FUNCTION adql.ivo_nocasematch(value text, pattern text) RETURNS int4
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN (value ILIKE pattern)::int4;

-- Words are compared by their English stems; quotes and backslashes of a stem are doubled, so that it is one word of the query.
CREATE OR REPLACE FUNCTION adql.ivo_hasword(haystack text, needle text) RETURNS int4
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT COST 500
RETURN (
  SELECT coalesce(bool_and(to_tsvector('english'::regconfig, haystack)
    @@ ('''' || replace(replace(word.lexeme, '\', '\\'), '''', '''''') || ''':*')::tsquery), false)::int4
  FROM unnest(to_tsvector('english'::regconfig, needle)) AS word
);

CREATE OR REPLACE FUNCTION adql.ivo_hashlist_has(hashlist text, item text) RETURNS int4
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN (lower(item) = ANY (string_to_array(lower(hashlist), '#')))::int4;

-- Three numbers between two signs, the third with a fraction; minutes and seconds below 60.
CREATE OR REPLACE FUNCTION adql.sexagesimal(written text, unit text) RETURNS float8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 200 AS $$
DECLARE
  parts text[] := regexp_match(btrim(written),
    '^([+-]?)\s*(\d{1,3})(?::|\s+|\s*[' || unit || upper(unit) || ']\s*)([0-5]?\d)(?::|\s+|\s*[mM]\s*)([0-5]?\d(?:\.\d*)?)\s*[sS]?$');
BEGIN
  IF parts IS NULL THEN
    RAISE EXCEPTION '% is no angle such as 3:34:45.4 or 3%34m45.4s', left(written, 40), unit USING ERRCODE = 'invalid_text_representation';
  END IF;
  RETURN (CASE parts[1] WHEN '-' THEN -1 ELSE 1 END) * (parts[2]::float8 + parts[3]::float8 / 60 + parts[4]::float8 / 3600);
END $$;

CREATE OR REPLACE FUNCTION adql.ivo_hms_to_degrees(hms text) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT COST 200
RETURN 15 * adql.sexagesimal(hms, 'h');

CREATE OR REPLACE FUNCTION adql.ivo_dms_to_degrees(dms text) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT COST 200
RETURN adql.sexagesimal(dms, 'd');
