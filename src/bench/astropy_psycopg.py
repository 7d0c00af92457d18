"""The usual way in Python: astropy reads the table, numpy and healpy make the ids and the order, psycopg 3 writes the rows
by binary COPY.

Arguments: FITS file, table, brick, database URL. Columns are converted whole, the quick way; htm9, for which there is no
library, is left zero.
"""
import sys

import healpy
import numpy as np
import psycopg
from astropy.io import fits

path, table, brick, url = sys.argv[1:5]
with psycopg.connect(url) as connection:
    columns = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum", (table,)).fetchall()
    data = fits.getdata(path, 1)
    ra, dec = data["ra"].astype(np.float64), data["dec"].astype(np.float64)
    # a space-filling order like Q3C's
    order = np.argsort(healpy.ang2pix(2**29, ra, dec, lonlat=True, nest=True))
    data, ra, dec = data[order], ra[order], dec[order]
    there = {name.lower(): name for name in data.names}
    count = len(data)
    kinds = {"real": np.float32, "double precision": np.float64}
    made = {
        "brick": lambda: [int(brick)] * count,
        "pix256": lambda: healpy.ang2pix(256, ra, dec, lonlat=True).tolist(),
        "pix4096": lambda: healpy.ang2pix(4096, ra, dec, lonlat=True, nest=True).tolist(),
        "random_id": lambda: np.random.default_rng(1).uniform(0, 100, count).tolist(),
        "objid": lambda: [f"PHAT_{a:.7f}{d:+.6f}" for a, d in zip(ra.tolist(), dec.tolist())],
    }

    def values(name, kind):
        if name in made:
            return made[name]()
        if name in there:
            return data[there[name]].astype(kinds.get(kind, np.int64)).tolist()
        first, _, second = name.partition("_")
        if first + "_vega" in there and second + "_vega" in there:
            return (data[first + "_vega"] - data[second + "_vega"]).tolist()
        return [0] * count

    lists = [values(name, kind) for name, kind in columns]
    short = {"real": "float4", "double precision": "float8", "smallint": "int2", "integer": "int4", "text": "text"}
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types([short[kind] for _, kind in columns])
            for row in zip(*lists):
                copy.write_row(row)
