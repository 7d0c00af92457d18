-- Positions in time and in other systems of coordinates, in degrees; a point is an array of two numbers.
-- Takes nothing; replaces the functions. Returns nothing.
-- ivo_epoch_prop_pos(ra, dec, parallax, pmra, pmdec, radial_velocity, ref_epoch, out_epoch) -> float8[]: the point at out_epoch.
-- ivo_geom_transform(from_sys, to_sys, geometry) -> float8[]: point, circle or polygon, each corner being turned.
CREATE SCHEMA IF NOT EXISTS adql;
GRANT USAGE ON SCHEMA adql TO PUBLIC;

-- Uniform motion in space (ESA SP-1200, vol. 1, section 1.5.5), rigorous, without light-time. Parallax in mas, proper motions in
-- mas/yr (that in right ascension with cos(dec)), radial velocity in km/s, epochs in Julian years. What is NULL among them counts as 0,
-- but position and epochs are needed.
CREATE OR REPLACE FUNCTION adql.ivo_epoch_prop_pos(
  ra float8, "dec" float8, parallax float8, pmra float8, pmdec float8, radial_velocity float8, ref_epoch float8, out_epoch float8
) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 200 AS $$
DECLARE
  a float8 := radians(ra);
  d float8 := radians("dec");
  mas float8 := pi() / 648000000;
  years float8 := out_epoch - ref_epoch;
  east float8 := coalesce(pmra, 0) * mas * years;
  north float8 := coalesce(pmdec, 0) * mas * years;
  -- 4.740470446 km/s is one astronomical unit in a Julian year
  outwards float8 := 1 + coalesce(radial_velocity, 0) * coalesce(parallax, 0) / 4.740470446 * mas * years;
  x float8;
  y float8;
  z float8;
  lon float8;
BEGIN
  IF a IS NULL OR d IS NULL OR years IS NULL THEN
    RAISE EXCEPTION 'ivo_epoch_prop_pos needs ra, dec, ref_epoch and out_epoch; one of them is NULL'
      USING ERRCODE = 'null_value_not_allowed';
  END IF;
  x := cos(d) * cos(a) * outwards - sin(a) * east - sin(d) * cos(a) * north;
  y := cos(d) * sin(a) * outwards + cos(a) * east - sin(d) * sin(a) * north;
  z := sin(d) * outwards + cos(d) * north;
  lon := degrees(atan2(y, x));
  IF lon < 0 THEN
    lon := lon + 360;
  END IF;
  RETURN ARRAY[lon, degrees(atan2(z, sqrt(x * x + y * y)))];
END $$;

-- The rotation from a system to ICRS, row by row, as astropy 8 has it: FK5 at J2000 (Hilton & Hohenkerk 2004, A&A 413, 765), FK4 at
-- B1950 without the terms of aberration (Murray 1989, A&A 218, 325; stars on its grid differ by up to 0.35 arcsec), galactic (Reid &
-- Brunthaler 2004, ApJ 616, 872), supergalactic, and the mean ecliptic of J2000.
CREATE OR REPLACE FUNCTION adql.rotation_to_icrs(sys text) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 50 AS $$
BEGIN
  RETURN CASE CASE upper(sys) WHEN 'J2000' THEN 'FK5' WHEN 'B1950' THEN 'FK4' ELSE upper(sys) END
    WHEN 'ICRS' THEN '{1,0,0, 0,1,0, 0,0,1}'::float8[]
    WHEN 'FK5' THEN
      '{0.999999999999992,1.1102233738475019e-07,4.4118034299296295e-08,
        -1.1102233290551086e-07,0.9999999999999888,-9.647792745026089e-08,
        -4.4118044980967715e-08,9.64779224601013e-08,0.9999999999999942}'::float8[]
    WHEN 'FK4' THEN
      '{0.9999256809514493,-0.01118137220384984,-0.004858959705285335,
        0.011181371753884797,0.9999374861373449,-2.7258532094296838e-05,
        0.004858960740738826,-2.707332853596626e-05,0.999988194814096}'::float8[]
    WHEN 'GALACTIC' THEN
      '{-0.05487565771259163,0.4941094371927268,-0.8676661375596576,
        -0.8734370519556159,-0.4448297212232953,-0.19807633727300059,
        -0.48383507361671546,0.7469821839866676,0.45598381368730156}'::float8[]
    WHEN 'SUPER_GALACTIC' THEN
      '{0.3750155557030316,-0.8983204377276124,0.2288749093754372,
        0.34135887185624725,-0.09572710024885117,-0.9350456902649066,
        0.861880185168319,0.4287851600030195,0.27075049949244595}'::float8[]
    WHEN 'ECLIPTIC' THEN
      '{0.9999999999999941,3.289700413865199e-08,-1.0207044719361121e-07,
        -7.078368960971556e-08,0.9174821299149584,-0.39777699944404304,
        8.056213977613186e-08,0.39777699944404793,0.9174821299149556}'::float8[]
  END;
END $$;

CREATE OR REPLACE FUNCTION adql.ivo_geom_transform(from_sys text, to_sys text, geometry float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 500 AS $$
DECLARE
  a float8[] := adql.rotation_to_icrs(from_sys);
  b float8[] := adql.rotation_to_icrs(to_sys);
  turned float8[] := geometry; -- the radius of a circle stays
  lon float8;
  cos_lat float8;
  v float8[];
  w float8[];
BEGIN
  IF a IS NULL OR b IS NULL THEN
    RAISE EXCEPTION 'there is no system %: there are ICRS, FK5, FK4, GALACTIC, SUPER_GALACTIC, ECLIPTIC',
      CASE WHEN a IS NULL THEN from_sys ELSE to_sys END USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF a = b THEN
    RETURN geometry;
  END IF;
  FOR i IN 1 .. CASE cardinality(geometry) WHEN 3 THEN 1 ELSE cardinality(geometry) / 2 END LOOP
    lon := radians(geometry[2 * i - 1]);
    cos_lat := cos(radians(geometry[2 * i]));
    v := ARRAY[cos_lat * cos(lon), cos_lat * sin(lon), sin(radians(geometry[2 * i]))];
    w := ARRAY[a[1] * v[1] + a[2] * v[2] + a[3] * v[3], a[4] * v[1] + a[5] * v[2] + a[6] * v[3], a[7] * v[1] + a[8] * v[2] + a[9] * v[3]];
    v := ARRAY[b[1] * w[1] + b[4] * w[2] + b[7] * w[3], b[2] * w[1] + b[5] * w[2] + b[8] * w[3], b[3] * w[1] + b[6] * w[2] + b[9] * w[3]];
    lon := degrees(atan2(v[2], v[1]));
    turned[2 * i - 1] := CASE WHEN lon < 0 THEN lon + 360 ELSE lon END;
    turned[2 * i] := degrees(atan2(v[3], sqrt(v[1] * v[1] + v[2] * v[2])));
  END LOOP;
  RETURN turned;
END $$;
