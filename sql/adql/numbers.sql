-- Dates, intervals, random numbers and histograms.
-- Takes nothing; replaces the functions. Returns nothing.
-- ivo_to_jd(timestamp) -> float8: the Julian date; ivo_to_mjd(timestamp) -> float8: that less 2400000.5.
-- ivo_interval_overlaps(a1, b1, a2, b2) -> int4: 1 if [a1, b1] and [a2, b2] have a value in common, ends included, else 0.
-- ivo_normal_random(mu, sigma) -> float8: a random number of that normal distribution, another one in each row.
-- ivo_histogram(value, lower, upper, nbins) -> int8[], an aggregate: how many values are below, in each of nbins equal bins, and above.
CREATE SCHEMA IF NOT EXISTS adql;
GRANT USAGE ON SCHEMA adql TO PUBLIC;

-- In microseconds first, which are exact, then in days: 2440587.5 is 1970-01-01T00:00:00.
CREATE OR REPLACE FUNCTION adql.ivo_to_jd(d timestamp) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN (extract(epoch FROM d) / 86400 + 2440587.5)::float8;

CREATE OR REPLACE FUNCTION adql.ivo_to_mjd(d timestamp) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN (extract(epoch FROM d) / 86400 + 40587)::float8;

CREATE OR REPLACE FUNCTION adql.ivo_interval_overlaps(a1 float8, b1 float8, a2 float8, b2 float8) RETURNS int4
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN (a1 <= b1 AND a2 <= b2 AND a1 <= b2 AND a2 <= b1)::int4;

-- Box & Muller 1958; 1 - random() is never 0.
CREATE OR REPLACE FUNCTION adql.ivo_normal_random(mu float8, sigma float8) RETURNS float8
LANGUAGE sql VOLATILE PARALLEL RESTRICTED STRICT
RETURN mu + sigma * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random());

CREATE OR REPLACE FUNCTION adql.histogram_add(counts int8[], value float8, lower_edge float8, upper_edge float8, nbins int4) RETURNS int8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 20 AS $$
DECLARE
  bin int4;
BEGIN
  IF counts IS NULL THEN
    IF lower_edge < upper_edge AND upper_edge - lower_edge < 'infinity' AND nbins BETWEEN 1 AND 100000 THEN
      counts := array_fill(0::int8, ARRAY[nbins + 2]);
    ELSE
      RAISE EXCEPTION 'ivo_histogram needs lower < upper and 1 to 100000 bins, not %, % and %', lower_edge, upper_edge, nbins
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
  END IF;
  -- NULL and NaN are in no bin; the edges are those of the first row
  IF value = 'NaN' OR value IS NULL THEN
    RETURN counts;
  END IF;
  bin := width_bucket(value, lower_edge, upper_edge, nbins) + 1;
  counts[bin] := counts[bin] + 1;
  RETURN counts;
END $$;

CREATE OR REPLACE FUNCTION adql.histogram_merge(a int8[], b int8[]) RETURNS int8[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN a IS NULL THEN b WHEN b IS NULL THEN a
  ELSE ARRAY(SELECT x + y FROM unnest(a, b) WITH ORDINALITY AS both_counts (x, y, place) ORDER BY place) END;

CREATE OR REPLACE AGGREGATE adql.ivo_histogram(value float8, lower_edge float8, upper_edge float8, nbins int4) (
  SFUNC = adql.histogram_add, STYPE = int8[], COMBINEFUNC = adql.histogram_merge, PARALLEL = SAFE
);
