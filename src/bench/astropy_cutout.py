"""The usual way in Python: astropy cuts pieces out of an opened file.

Arguments: the FITS file, the number of its HDU, the side of a piece in pixels, and how: `memmap` (Cutout2D of memory-mapped pixels) or
`section` (a section of a tile-compressed image). Reads lines `ra dec` (degrees); for each it answers the seconds that the piece took,
position to pixels in memory, and their sum.
"""
import sys
import time

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

path, number, side, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
with fits.open(path, memmap=True) as hdus:
    hdu = hdus[number]
    wcs = WCS(hdu.header)
    for line in sys.stdin:
        ra, dec = map(float, line.split())
        begun = time.perf_counter()
        position = SkyCoord(ra, dec, unit="deg")
        if how == "memmap":
            piece = np.array(Cutout2D(hdu.data, position, (side, side), wcs=wcs).data, dtype=np.float32)
        else:
            x, y = (int(np.ceil(float(place) - side / 2)) for place in wcs.world_to_pixel(position))
            piece = np.array(hdu.section[y : y + side, x : x + side], dtype=np.float32)
        seconds = time.perf_counter() - begun
        assert piece.shape == (side, side), piece.shape
        print(seconds, float(piece.sum(dtype=np.float64)), flush=True)
