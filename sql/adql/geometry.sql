-- Helper functions of geometry, called by translated queries where a geometry changes from row to row.
-- Takes nothing; replaces the functions. Returns nothing. Needs the extension q3c.
-- A geometry is an array of degrees, ICRS: two numbers are a point, three a circle (lon, lat, radius), six and more the corners
-- of a polygon within a hemisphere, its inside being the smaller part of the sky. Edges belong to it. NULL in, NULL out.
CREATE SCHEMA IF NOT EXISTS adql;
GRANT USAGE ON SCHEMA adql TO PUBLIC;

-- The unit vector of a position.
CREATE OR REPLACE FUNCTION adql.direction(lon float8, lat float8) RETURNS float8[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS
$$ SELECT ARRAY[cosd(lat) * cosd(lon), cosd(lat) * sind(lon), sind(lat)] $$;

CREATE OR REPLACE FUNCTION adql.cross_product(a float8[], b float8[]) RETURNS float8[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS
$$ SELECT ARRAY[a[2] * b[3] - a[3] * b[2], a[3] * b[1] - a[1] * b[3], a[1] * b[2] - a[2] * b[1]] $$;

CREATE OR REPLACE FUNCTION adql.dot_product(a float8[], b float8[]) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS
$$ SELECT a[1] * b[1] + a[2] * b[2] + a[3] * b[3] $$;

CREATE OR REPLACE FUNCTION adql.normalised(a float8[]) RETURNS float8[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS
$$ SELECT CASE WHEN l > 0 THEN ARRAY[a[1] / l, a[2] / l, a[3] / l] END FROM sqrt(adql.dot_product(a, a)) AS l $$;

-- The position (lon from 0 to 360, lat) of a direction.
CREATE OR REPLACE FUNCTION adql.position_of(a float8[]) RETURNS float8[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS
$$ SELECT ARRAY[CASE WHEN l < 0 THEN l + 360 ELSE l END, atan2d(a[3], sqrt(a[1] * a[1] + a[2] * a[2]))] FROM atan2d(a[2], a[1]) AS l $$;

-- The directions of the corners of a polygon, three numbers each; a last corner that repeats the first is left out.
CREATE OR REPLACE FUNCTION adql.corner_directions(shape float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 2000 AS $$
DECLARE
  n int := cardinality(shape) / 2;
  found float8[] := '{}';
BEGIN
  IF array_position(shape, NULL) IS NOT NULL THEN
    RETURN NULL;
  END IF;
  IF n > 3 AND shape[1] = shape[2 * n - 1] AND shape[2] = shape[2 * n] THEN
    n := n - 1;
  END IF;
  FOR i IN 1 .. n LOOP
    found := found || adql.direction(shape[2 * i - 1], shape[2 * i]);
  END LOOP;
  RETURN found;
END $$;

-- A direction from which all corners are less than 90 degrees away.
CREATE OR REPLACE FUNCTION adql.hemisphere(corners float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 2000 AS $$
DECLARE
  n int := cardinality(corners) / 3;
  towards float8[] := ARRAY[0, 0, 0]::float8[];
  lowest float8;
  depth float8;
  at int;
BEGIN
  FOR i IN 0 .. n - 1 LOOP
    towards := ARRAY[towards[1] + corners[3 * i + 1], towards[2] + corners[3 * i + 2], towards[3] + corners[3 * i + 3]];
  END LOOP;
  FOR step IN 1 .. 1000 LOOP
    lowest := 'Infinity';
    FOR i IN 0 .. n - 1 LOOP
      depth := towards[1] * corners[3 * i + 1] + towards[2] * corners[3 * i + 2] + towards[3] * corners[3 * i + 3];
      IF depth < lowest THEN
        lowest := depth;
        at := i;
      END IF;
    END LOOP;
    IF lowest > 1e-3 * sqrt(adql.dot_product(towards, towards)) THEN
      RETURN adql.normalised(towards);
    END IF;
    towards := ARRAY[towards[1] + corners[3 * at + 1], towards[2] + corners[3 * at + 2], towards[3] + corners[3 * at + 3]];
  END LOOP;
  RAISE EXCEPTION 'a polygon does not lie within a hemisphere' USING ERRCODE = 'data_exception';
END $$;

-- Is a direction in a polygon? Crossings are counted in the gnomonic projection, in which the sides are straight.
CREATE OR REPLACE FUNCTION adql.in_corners(p float8[], corners float8[]) RETURNS bool
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 10000 AS $$
DECLARE
  n int := cardinality(corners) / 3;
  w float8[] := adql.hemisphere(corners);
  u float8[] := adql.normalised(adql.cross_product(CASE WHEN abs(w[3]) < 0.9 THEN ARRAY[0, 0, 1] ELSE ARRAY[1, 0, 0] END::float8[], w));
  v float8[] := adql.cross_product(w, u);
  depth float8 := adql.dot_product(p, w);
  x float8;
  y float8;
  b_x float8;
  b_y float8;
  c_x float8;
  c_y float8;
  side float8;
  inside bool := false;
BEGIN
  IF NOT depth > 1e-9 OR depth = 'NaN' THEN
    RETURN false;
  END IF;
  x := adql.dot_product(p, u) / depth;
  y := adql.dot_product(p, v) / depth;
  FOR i IN 0 .. n LOOP
    depth := adql.dot_product(corners[3 * (i % n) + 1 : 3 * (i % n) + 3], w);
    c_x := adql.dot_product(corners[3 * (i % n) + 1 : 3 * (i % n) + 3], u) / depth;
    c_y := adql.dot_product(corners[3 * (i % n) + 1 : 3 * (i % n) + 3], v) / depth;
    IF i > 0 THEN
      side := (c_x - b_x) * (y - b_y) - (c_y - b_y) * (x - b_x);
      -- on the edge, within 1e-14
      IF abs(side) <= 1e-14 * sqrt((c_x - b_x) ^ 2 + (c_y - b_y) ^ 2)
         AND (x - b_x) * (x - c_x) + (y - b_y) * (y - c_y) <= 0 THEN
        RETURN true;
      END IF;
      IF (b_y > y) <> (c_y > y) AND x < b_x + (c_x - b_x) * ((y - b_y) / (c_y - b_y)) THEN
        inside := NOT inside;
      END IF;
    END IF;
    b_x := c_x;
    b_y := c_y;
  END LOOP;
  RETURN inside;
END $$;

-- The angle in degrees from a direction to the nearest point of a polygon's edge.
CREATE OR REPLACE FUNCTION adql.edge_distance(p float8[], corners float8[]) RETURNS float8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 10000 AS $$
DECLARE
  n int := cardinality(corners) / 3;
  a float8[];
  b float8[];
  pole float8[];
  length float8;
  nearest float8 := 180;
BEGIN
  FOR i IN 0 .. n - 1 LOOP
    a := corners[3 * i + 1 : 3 * i + 3];
    b := corners[3 * ((i + 1) % n) + 1 : 3 * ((i + 1) % n) + 3];
    pole := adql.cross_product(a, b);
    length := sqrt(adql.dot_product(pole, pole));
    IF length > 0 AND adql.dot_product(adql.cross_product(pole, a), p) >= 0 AND adql.dot_product(adql.cross_product(b, pole), p) >= 0 THEN
      nearest := least(nearest, abs(asind(greatest(-1, least(1, adql.dot_product(pole, p) / length)))));
    ELSE
      nearest := least(nearest, adql.angle(p, a), adql.angle(p, b));
    END IF;
  END LOOP;
  RETURN nearest;
END $$;

-- The angle between two directions in degrees.
CREATE OR REPLACE FUNCTION adql.angle(a float8[], b float8[]) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS
$$ SELECT 2 * asind(least(1, sqrt((a[1] - b[1]) ^ 2 + (a[2] - b[2]) ^ 2 + (a[3] - b[3]) ^ 2) / 2)) $$;

-- Do sides of two polygons cross? With `touching` a common point is enough.
CREATE OR REPLACE FUNCTION adql.sides_cross(p float8[], q float8[], touching bool) RETURNS bool
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 10000 AS $$
DECLARE
  n int := cardinality(p) / 3;
  m int := cardinality(q) / 3;
  e float8 := CASE WHEN touching THEN -1e-15 ELSE 1e-15 END;
  a float8[];
  b float8[];
  c float8[];
  d float8[];
  ab float8[];
  cd float8[];
  s float8;
  t float8;
  u float8;
  v float8;
BEGIN
  FOR i IN 0 .. n - 1 LOOP
    a := p[3 * i + 1 : 3 * i + 3];
    b := p[3 * ((i + 1) % n) + 1 : 3 * ((i + 1) % n) + 3];
    ab := adql.cross_product(a, b);
    FOR j IN 0 .. m - 1 LOOP
      c := q[3 * j + 1 : 3 * j + 3];
      d := q[3 * ((j + 1) % m) + 1 : 3 * ((j + 1) % m) + 3];
      cd := adql.cross_product(c, d);
      s := adql.dot_product(ab, c);
      t := - adql.dot_product(ab, d);
      u := - adql.dot_product(cd, a);
      v := adql.dot_product(cd, b);
      IF (s >= e AND t >= e AND u >= e AND v >= e) OR (s <= - e AND t <= - e AND u <= - e AND v <= - e) THEN
        IF adql.dot_product(a, c) > -0.5 OR adql.dot_product(b, d) > -0.5 THEN
          RETURN true;
        END IF;
      END IF;
    END LOOP;
  END LOOP;
  RETURN false;
END $$;

-- Does `outer` hold all of `inner`?
CREATE OR REPLACE FUNCTION adql.contains(outer_shape float8[], inner_shape float8[]) RETURNS bool
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 20000 AS $$
DECLARE
  k int := cardinality(outer_shape);
  l int := cardinality(inner_shape);
  centre float8[];
  corners float8[];
  others float8[];
  n int;
BEGIN
  IF array_position(outer_shape, NULL) IS NOT NULL OR array_position(inner_shape, NULL) IS NOT NULL THEN
    RETURN NULL;
  END IF;
  IF NOT ((k IN (2, 3) OR (k >= 6 AND k % 2 = 0)) AND (l IN (2, 3) OR (l >= 6 AND l % 2 = 0))) THEN
    RETURN NULL;
  END IF;
  IF l = 2 AND k <= 3 THEN
    RETURN q3c_sindist(outer_shape[1], outer_shape[2], inner_shape[1], inner_shape[2])
           <= pow(sind(least(coalesce(outer_shape[3], 0), 180) / 2), 2) AND coalesce(outer_shape[3], 0) >= 0;
  END IF;
  IF l = 2 THEN
    RETURN adql.in_corners(adql.direction(inner_shape[1], inner_shape[2]), adql.corner_directions(outer_shape));
  END IF;
  IF k = 2 THEN
    RETURN false;
  END IF;
  IF l = 3 THEN
    IF inner_shape[3] < 0 THEN
      RETURN false;
    END IF;
    centre := adql.direction(inner_shape[1], inner_shape[2]);
    IF k = 3 THEN
      RETURN outer_shape[3] >= 180 OR adql.angle(centre, adql.direction(outer_shape[1], outer_shape[2])) + inner_shape[3] <= outer_shape[3];
    END IF;
    corners := adql.corner_directions(outer_shape);
    RETURN adql.in_corners(centre, corners) AND adql.edge_distance(centre, corners) >= inner_shape[3];
  END IF;
  corners := adql.corner_directions(inner_shape);
  n := cardinality(corners) / 3;
  IF k = 3 THEN
    centre := adql.direction(outer_shape[1], outer_shape[2]);
    IF outer_shape[3] <= 90 THEN
      FOR i IN 0 .. n - 1 LOOP
        IF adql.angle(centre, corners[3 * i + 1 : 3 * i + 3]) > outer_shape[3] THEN
          RETURN false;
        END IF;
      END LOOP;
      RETURN true;
    END IF;
    centre := ARRAY[- centre[1], - centre[2], - centre[3]];
    RETURN outer_shape[3] >= 180
      OR (NOT adql.in_corners(centre, corners) AND adql.edge_distance(centre, corners) >= 180 - outer_shape[3]);
  END IF;
  others := adql.corner_directions(outer_shape);
  FOR i IN 0 .. n - 1 LOOP
    centre := corners[3 * i + 1 : 3 * i + 3];
    IF NOT adql.in_corners(centre, others) THEN
      RETURN false;
    END IF;
    centre := adql.normalised(ARRAY[
      centre[1] + corners[3 * ((i + 1) % n) + 1], centre[2] + corners[3 * ((i + 1) % n) + 2], centre[3] + corners[3 * ((i + 1) % n) + 3]]);
    IF NOT adql.in_corners(centre, others) THEN
      RETURN false;
    END IF;
  END LOOP;
  RETURN NOT adql.sides_cross(others, corners, false);
END $$;

-- Have two geometries a position in common?
CREATE OR REPLACE FUNCTION adql.intersects(a float8[], b float8[]) RETURNS bool
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 20000 AS $$
DECLARE
  k int := cardinality(a);
  l int := cardinality(b);
  p float8[];
  q float8[];
BEGIN
  IF k = 2 THEN
    RETURN adql.contains(b, a);
  ELSIF l = 2 THEN
    RETURN adql.contains(a, b);
  ELSIF l = 3 AND k > 3 THEN
    RETURN adql.intersects(b, a);
  END IF;
  IF array_position(a, NULL) IS NOT NULL OR array_position(b, NULL) IS NOT NULL THEN
    RETURN NULL;
  END IF;
  IF NOT ((k = 3 OR (k >= 6 AND k % 2 = 0)) AND (l = 3 OR (l >= 6 AND l % 2 = 0))) THEN
    RETURN NULL;
  END IF;
  IF k = 3 THEN
    IF a[3] < 0 OR (l = 3 AND b[3] < 0) THEN
      RETURN false;
    END IF;
    p := adql.direction(a[1], a[2]);
    IF l = 3 THEN
      RETURN adql.angle(p, adql.direction(b[1], b[2])) <= a[3] + b[3];
    END IF;
    q := adql.corner_directions(b);
    RETURN adql.in_corners(p, q) OR adql.edge_distance(p, q) <= a[3];
  END IF;
  p := adql.corner_directions(a);
  q := adql.corner_directions(b);
  RETURN adql.in_corners(p[1:3], q) OR adql.in_corners(q[1:3], p) OR adql.sides_cross(p, q, true);
END $$;

-- The area in square degrees.
CREATE OR REPLACE FUNCTION adql.area(shape float8[]) RETURNS float8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 5000 AS $$
DECLARE
  corners float8[];
  n int;
  a float8[];
  b float8[];
  c float8[];
  excess float8 := 0;
BEGIN
  IF array_position(shape, NULL) IS NOT NULL THEN
    RETURN NULL;
  ELSIF cardinality(shape) = 2 THEN
    RETURN 0;
  ELSIF cardinality(shape) = 3 THEN
    RETURN CASE WHEN shape[3] BETWEEN 0 AND 180 THEN 4 * pi() * sind(shape[3] / 2) ^ 2 * (180 / pi()) ^ 2 END;
  END IF;
  corners := adql.corner_directions(shape);
  n := cardinality(corners) / 3;
  a := corners[1:3];
  -- triangles with signs (Eriksson 1990, Mathematics Magazine 63, 184), so that concave polygons come out too
  FOR i IN 1 .. n - 2 LOOP
    b := corners[3 * i + 1 : 3 * i + 3];
    c := corners[3 * i + 4 : 3 * i + 6];
    excess := excess + 2 * atan2(adql.dot_product(a, adql.cross_product(b, c)),
                                 1 + adql.dot_product(a, b) + adql.dot_product(b, c) + adql.dot_product(c, a));
  END LOOP;
  RETURN abs(excess) * (180 / pi()) ^ 2;
END $$;

-- The middle: of a polygon its centre of gravity on the sphere.
CREATE OR REPLACE FUNCTION adql.centroid(shape float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 5000 AS $$
DECLARE
  corners float8[];
  n int;
  a float8[];
  b float8[];
  pole float8[];
  length float8;
  total float8[] := ARRAY[0, 0, 0]::float8[];
BEGIN
  IF array_position(shape, NULL) IS NOT NULL THEN
    RETURN NULL;
  ELSIF cardinality(shape) <= 3 THEN
    RETURN shape[1:2];
  END IF;
  corners := adql.corner_directions(shape);
  n := cardinality(corners) / 3;
  -- the integral of the direction over a spherical polygon is half the sum of side times unit normal (Brock 1975)
  FOR i IN 0 .. n - 1 LOOP
    a := corners[3 * i + 1 : 3 * i + 3];
    b := corners[3 * ((i + 1) % n) + 1 : 3 * ((i + 1) % n) + 3];
    pole := adql.cross_product(a, b);
    length := sqrt(adql.dot_product(pole, pole));
    IF length > 0 THEN
      length := radians(adql.angle(a, b)) / length;
      total := ARRAY[total[1] + pole[1] * length, total[2] + pole[2] * length, total[3] + pole[3] * length];
    END IF;
  END LOOP;
  IF adql.dot_product(total, adql.hemisphere(corners)) < 0 THEN
    total := ARRAY[- total[1], - total[2], - total[3]];
  END IF;
  RETURN adql.position_of(total);
END $$;

-- A circle that holds the geometry.
CREATE OR REPLACE FUNCTION adql.bound(shape float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 5000 AS $$
DECLARE
  corners float8[];
  middle float8[];
  radius float8 := 0;
BEGIN
  IF array_position(shape, NULL) IS NOT NULL THEN
    RETURN NULL;
  ELSIF cardinality(shape) = 2 THEN
    RETURN shape || 0::float8;
  ELSIF cardinality(shape) = 3 THEN
    RETURN shape;
  END IF;
  corners := adql.corner_directions(shape);
  middle := adql.hemisphere(corners);
  FOR i IN 0 .. cardinality(corners) / 3 - 1 LOOP
    radius := greatest(radius, adql.angle(middle, corners[3 * i + 1 : 3 * i + 3]));
  END LOOP;
  RETURN adql.position_of(middle) || radius + 1e-9;
END $$;

-- The corners of a box: a rectangle in the gnomonic projection from its centre. NULL if a size is not between 0 and 180.
CREATE OR REPLACE FUNCTION adql.box(lon float8, lat float8, width float8, height float8) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 5000 AS $$
DECLARE
  c float8[] := adql.direction(lon, lat);
  x float8;
  y float8;
  corners float8[] := '{}';
  sign int[];
BEGIN
  IF NOT (width > 0 AND width < 180 AND height > 0 AND height < 180 AND lat BETWEEN -90 AND 90) THEN
    RETURN NULL;
  END IF;
  FOREACH sign SLICE 1 IN ARRAY ARRAY[[1, 1], [-1, 1], [-1, -1], [1, -1]] LOOP
    x := sign[1] * tand(width / 2);
    y := sign[2] * tand(height / 2);
    corners := corners || adql.position_of(ARRAY[
      c[1] - x * sind(lon) - y * sind(lat) * cosd(lon),
      c[2] + x * cosd(lon) - y * sind(lat) * sind(lon),
      c[3] + y * cosd(lat)]);
  END LOOP;
  RETURN corners;
END $$;

-- The geometry of a description in STC-S or DALI: one point, circle, box or polygon. FK5 and J2000 are taken as ICRS, from which
-- they differ by 0.025 arcsec at most; other systems, unions and what cannot be read are errors.
CREATE OR REPLACE FUNCTION adql.region(description text) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 2000 AS $$
DECLARE
  parts text[] := regexp_match(upper(btrim(description)), '^((?:[A-Z][A-Z0-9_]*\s+)*)([-+.0-9][-+.0-9E\s,]*?)(?:\s+UNIT\s+DEG)?$');
  words text[] := coalesce(regexp_split_to_array(btrim(parts[1]), '\s+'), '{}');
  numbers float8[];
  kind text;
  n int;
BEGIN
  IF btrim(description) = '' THEN
    RETURN NULL;
  END IF;
  IF parts IS NULL THEN
    RAISE EXCEPTION 'the region "%" is not supported', left(description, 200) USING ERRCODE = 'data_exception';
  END IF;
  numbers := array_remove(regexp_split_to_array(parts[2], '[\s,]+'), '')::float8[];
  n := cardinality(numbers);
  kind := CASE WHEN words[1] IN ('CIRCLE', 'POLYGON', 'BOX', 'POINT', 'POSITION') THEN words[1] END;
  IF EXISTS (SELECT FROM unnest(words) AS word
             WHERE word NOT IN ('', 'CIRCLE', 'POLYGON', 'BOX', 'POINT', 'POSITION', 'ICRS', 'FK5', 'J2000', 'UNKNOWNFRAME', 'GEOCENTER', 'BARYCENTER',
                                'HELIOCENTER', 'TOPOCENTER', 'UNKNOWNREFPOS', 'SPHERICAL2')) THEN
    RAISE EXCEPTION 'the region "%" is not supported', left(description, 200) USING ERRCODE = 'data_exception';
  END IF;
  IF kind = 'BOX' AND n = 4 THEN
    RETURN adql.box(numbers[1], numbers[2], numbers[3], numbers[4]);
  ELSIF (n = 2 AND coalesce(kind, 'POINT') IN ('POINT', 'POSITION')) OR (n = 3 AND coalesce(kind, 'CIRCLE') = 'CIRCLE')
     OR (n >= 6 AND n % 2 = 0 AND coalesce(kind, 'POLYGON') = 'POLYGON') THEN
    RETURN numbers;
  END IF;
  RAISE EXCEPTION 'the region "%" is not supported', left(description, 200) USING ERRCODE = 'data_exception';
END $$;
