-- HEALPix numbers in NESTED order (Gorski et al. 2005, ApJ 622, 759, section 4 and appendix), positions in degrees.
-- Takes nothing; replaces the functions. Returns nothing. NULL in, NULL out; orders are 0 to 29.
-- ivo_healpix_index(order, lon, lat | order, point) -> int8: the cell of a position.
-- ivo_healpix_center(order, cell) -> float8[]: the point in its middle.
CREATE SCHEMA IF NOT EXISTS adql;
GRANT USAGE ON SCHEMA adql TO PUBLIC;

CREATE OR REPLACE FUNCTION adql.ivo_healpix_index(hpx_order int, lon float8, lat float8) RETURNS int8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 200 AS $$
DECLARE
  nside int8;
  z float8;
  turns float8; -- longitude in quarters of a turn, 0 to 4
  u float8;
  v float8;
  up int8;      -- rows of ascending and descending edges
  down int8;
  quarter int8;
  face int8;
  x int8;
  y int8;
BEGIN
  IF hpx_order NOT BETWEEN 0 AND 29 THEN
    RAISE EXCEPTION 'a HEALPix order is from 0 to 29, not %', hpx_order USING ERRCODE = 'numeric_value_out_of_range';
  END IF;
  IF NOT (abs(lat) <= 90 AND abs(lon) < 'infinity') THEN
    RAISE EXCEPTION 'there is no position (%, %) on the sky', lon, lat USING ERRCODE = 'numeric_value_out_of_range';
  END IF;
  nside := 1::int8 << hpx_order;
  z := sin(radians(lat));
  turns := lon / 90 - floor(lon / 360) * 4;
  IF turns >= 4 THEN -- a tiny negative longitude rounds up to the full turn
    turns := 0;
  END IF;
  IF abs(z) <= 2 / 3::float8 THEN
    u := nside * (0.5 + turns);
    v := nside * z * 0.75;
    up := floor(u - v)::int8;
    down := floor(u + v)::int8;
    face := up >> hpx_order;
    quarter := down >> hpx_order;
    face := CASE WHEN face = quarter THEN face | 4 WHEN face < quarter THEN face ELSE quarter + 8 END;
    x := down & (nside - 1);
    y := nside - (up & (nside - 1)) - 1;
  ELSE
    quarter := least(3, floor(turns)::int8);
    u := turns - quarter;
    -- sqrt(3 (1 - |z|)) loses its digits towards the pole; cos(lat) does not
    v := nside * CASE WHEN abs(z) < 0.99 THEN sqrt(3 * (1 - abs(z))) ELSE cos(radians(lat)) / sqrt((1 + abs(z)) / 3) END;
    up := least(nside - 1, floor(u * v)::int8);
    down := least(nside - 1, floor((1 - u) * v)::int8);
    IF z >= 0 THEN
      face := quarter;
      x := nside - down - 1;
      y := nside - up - 1;
    ELSE
      face := quarter + 8;
      x := up;
      y := down;
    END IF;
  END IF;
  -- the bits of x and y in turns: x in the even places
  x := (x | (x << 16)) & 281470681808895;
  x := (x | (x << 8)) & 71777214294589695;
  x := (x | (x << 4)) & 1085102592571150095;
  x := (x | (x << 2)) & 3689348814741910323;
  x := (x | (x << 1)) & 6148914691236517205;
  y := (y | (y << 16)) & 281470681808895;
  y := (y | (y << 8)) & 71777214294589695;
  y := (y | (y << 4)) & 1085102592571150095;
  y := (y | (y << 2)) & 3689348814741910323;
  y := (y | (y << 1)) & 6148914691236517205;
  RETURN (face << (2 * hpx_order)) | x | (y << 1);
END $$;

CREATE OR REPLACE FUNCTION adql.ivo_healpix_index(hpx_order int, point float8[]) RETURNS int8
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT COST 200
RETURN adql.ivo_healpix_index(hpx_order, point[1], point[2]);

CREATE OR REPLACE FUNCTION adql.ivo_healpix_center(hpx_order int, hpx_index int8) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 200 AS $$
DECLARE
  nside int8;
  face int8;
  x int8;
  y int8;
  ring int8;    -- from the north pole, 1 to 4 nside - 1
  cells int8;   -- a quarter of the ring's cells
  place int8;   -- along the ring, in halves of a cell
  away float8;  -- 1 - |z| near a pole
  z float8;
  across float8;
  lon float8;
BEGIN
  IF hpx_order NOT BETWEEN 0 AND 29 THEN
    RAISE EXCEPTION 'a HEALPix order is from 0 to 29, not %', hpx_order USING ERRCODE = 'numeric_value_out_of_range';
  END IF;
  nside := 1::int8 << hpx_order;
  IF hpx_index NOT BETWEEN 0 AND 12 * nside * nside - 1 THEN
    RAISE EXCEPTION 'HEALPix order % has no cell %: they are 0 to %', hpx_order, hpx_index, 12 * nside * nside - 1
      USING ERRCODE = 'numeric_value_out_of_range';
  END IF;
  face := hpx_index >> (2 * hpx_order);
  x := hpx_index & (nside * nside - 1);
  y := (x >> 1) & 6148914691236517205;
  x := x & 6148914691236517205;
  x := (x | (x >> 1)) & 3689348814741910323;
  x := (x | (x >> 2)) & 1085102592571150095;
  x := (x | (x >> 4)) & 71777214294589695;
  x := (x | (x >> 8)) & 281470681808895;
  x := (x | (x >> 16)) & 4294967295;
  y := (y | (y >> 1)) & 3689348814741910323;
  y := (y | (y >> 2)) & 1085102592571150095;
  y := (y | (y >> 4)) & 71777214294589695;
  y := (y | (y >> 8)) & 281470681808895;
  y := (y | (y >> 16)) & 4294967295;
  ring := (2 + face / 4) * nside - x - y - 1;
  IF ring < nside OR ring > 3 * nside THEN
    cells := least(ring, 4 * nside - ring);
    away := cells::float8 * cells / (3 * nside::float8 * nside);
    z := CASE WHEN ring < nside THEN 1 - away ELSE away - 1 END;
    across := sqrt(away * (2 - away));
  ELSE
    cells := nside;
    z := (2 * nside - ring) * 2 / (3 * nside::float8);
    across := sqrt((1 - z) * (1 + z));
  END IF;
  place := (CASE face / 4 WHEN 1 THEN face % 4 * 2 ELSE face % 4 * 2 + 1 END) * cells + x - y;
  IF place < 0 THEN
    place := place + 8 * cells;
  END IF;
  lon := place * 45 / cells::float8;
  RETURN ARRAY[lon, degrees(atan2(z, across))];
END $$;
