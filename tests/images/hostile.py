"""Files that want more of a reader than they show: hostile.py FOLDER

Each has a header with celestial coordinates, so that it would be registered; what they unpack to is far more than what they hold.
"""

import gzip
import sys

import numpy as np
from astropy.io import fits

folder = sys.argv[1]


def sky(nx, ny):
    cards = fits.Header()
    cards["CTYPE1"], cards["CTYPE2"], cards["RADESYS"] = "RA---TAN", "DEC--TAN", "ICRS"
    cards["CRPIX1"], cards["CRPIX2"], cards["CRVAL1"], cards["CRVAL2"] = nx / 2 + 0.5, ny / 2 + 0.5, 11.0, 41.0
    cards["CDELT1"], cards["CDELT2"] = -0.05 / 3600, 0.05 / 3600
    return cards


# a .gz of 300 kB that inflates to 256 MiB
header = sky(8192, 8192)
for place, card in enumerate([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", 8192), ("NAXIS2", 8192)]):
    header.insert(place, card)
with gzip.open(f"{folder}/zeros.fits.gz", "wb", 9) as zipped:
    zipped.write(header.tostring().encode())
    for _ in range(256):
        zipped.write(bytes(1 << 20))
    zipped.write(bytes(-(256 << 20) % 2880))


def packed(name, tile, cells, nx, ny):
    """A tile-compressed image whose cells are what they are said to be."""
    table = fits.BinTableHDU.from_columns([fits.Column("COMPRESSED_DATA", "1PB()", array=np.array(cells, dtype=object))], header=sky(nx, ny))
    table.header.update({"ZIMAGE": True, "ZCMPTYPE": "GZIP_1", "ZBITPIX": 16, "ZNAXIS": 2, "ZNAXIS1": nx, "ZNAXIS2": ny})
    table.header.update({"ZTILE1": tile[0], "ZTILE2": tile[1]})
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(f"{folder}/{name}.fits.fz")


def zeros(count):
    return np.frombuffer(gzip.compress(bytes(count), 9), dtype="u1")


# a tile of 10,000 pixels whose cell inflates to 512 MiB, beside one that is as it should be
packed("cell", (100, 100), [zeros(512 << 20), zeros(20000)], 100, 200)
# a tile of 400 million pixels
packed("tile", (20000, 20000), [zeros(1000)], 20000, 20000)
