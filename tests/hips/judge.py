"""Is a HiPS what its images are? judge.py prepare MOSAIC NEW | judge.py judge HIPS IMAGE...

`prepare` writes a second image over a mosaic: turned, shifted, of other values, with a corner of zeros and a hole of NaN. `judge` looks at
every part of a HiPS with healpy and astropy, values at many positions against the images among it.
"""
import glob
import os
import re
import sys
import warnings

import healpy
import numpy as np
from astropy.coordinates import ICRS
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

warnings.simplefilter("ignore")
random = np.random.default_rng(5)
SIDE = 512


def prepare(mosaic, new):
    with fits.open(mosaic) as hdus:
        header, shape = hdus[0].header, hdus[0].data.shape
        turn = np.radians(33)
        cd = np.array([[header["CD1_1"], header["CD1_2"]], [header["CD2_1"], header["CD2_2"]]])
        cd = cd @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        header["CD1_1"], header["CD1_2"], header["CD2_1"], header["CD2_2"] = map(float, cd.ravel())
        header["CRVAL2"] += 4 / 3600
        rows, columns = np.indices(shape)
        values = 0.5 + 0.3 * np.sin(columns / 7) * np.cos(rows / 5) + random.normal(0, 0.05, shape)
        values[:60, :90] = 0
        values[100:120, 100:140] = np.nan
        fits.PrimaryHDU(values.astype(">f4"), header).writeto(new)


def bits(values, first):
    """Every second bit."""
    return sum(((values >> (2 * k + first)) & 1) << k for k in range(9))


class Hips:
    def __init__(self, folder):
        self.folder, self.held = folder, {}

    def tile(self, order, pix):
        if (order, pix) not in self.held:
            path = f"{self.folder}/Norder{order}/Dir{pix // 10000 * 10000}/Npix{pix}.fits"
            self.held[order, pix] = fits.getdata(path).astype(np.float64) if os.path.exists(path) else None
        return self.held[order, pix]

    def at(self, order, numbers):
        """The values of HEALPix pixels of the order 9 above that of the tiles."""
        values = np.full(len(numbers), np.nan)
        for pix in np.unique(numbers >> 18):
            tile = self.tile(order, int(pix))
            if tile is not None:
                here = (numbers >> 18) == pix
                inner = numbers[here] & (4**9 - 1)
                # x of the cell runs to the east corner and is the lower bit; the first row of a tile has the highest x
                values[here] = tile[SIDE - 1 - bits(inner, 0), bits(inner, 1)]
        return values


def interpolated(image, wcs, ra, dec):
    """Values between four pixels, how much these differ, and whether a hair's breadth decides over there being one."""
    x, y = wcs.all_world2pix(ra, dec, 0)
    i, j = np.floor(x).astype(int), np.floor(y).astype(int)
    inside = (i >= 0) & (j >= 0) & (i + 1 < image.shape[1]) & (j + 1 < image.shape[0])
    i, j = np.where(inside, i, 0), np.where(inside, j, 0)
    u, v = x - np.floor(x), y - np.floor(y)
    four = np.array([image[j, i], image[j, i + 1], image[j + 1, i], image[j + 1, i + 1]])
    value = (four[0] * (1 - u) + four[1] * u) * (1 - v) + (four[2] * (1 - u) + four[3] * u) * v
    unsure = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v)) < 0.005
    return np.where(inside, value, np.nan), np.where(inside, np.ptp(four, axis=0), np.nan), unsure


def judge(folder, paths):
    text = open(f"{folder}/properties", encoding="utf-8").read()
    properties = dict(re.fullmatch(r"(\w+) *= (.*)", line).groups() for line in text.splitlines())
    for key in ["creator_did", "obs_title", "dataproduct_type", "hips_version", "hips_release_date", "hips_status", "hips_frame",
                "hips_order", "hips_tile_format", "hips_tile_width", "hips_pixel_cut", "moc_sky_fraction", "hips_initial_ra", "em_min"]:
        assert properties.get(key), key
    assert properties["creator_did"].startswith("ivo://") and properties["hips_version"] == "1.4"
    assert (properties["dataproduct_type"], properties["hips_frame"], properties["hips_tile_width"]) == ("image", "equatorial", "512")
    assert properties["hips_tile_format"].split() == ["png", "fits"]
    deepest = int(properties["hips_order"])
    hips = Hips(folder)
    tiles = {}
    for path in glob.glob(f"{folder}/Norder*/Dir*/Npix*.fits"):
        order, group, pix = map(int, re.search(r"Norder(\d+)/Dir(\d+)/Npix(\d+)\.fits", path).groups())
        assert group == pix // 10000 * 10000
        header = fits.getheader(path)
        assert (header["ORDER"], header["NPIX"], header["BITPIX"], header["NAXIS1"], header["NAXIS2"]) == (order, pix, -32, 512, 512)
        assert os.path.exists(path[:-5] + ".png")
        tiles.setdefault(order, set()).add(pix)
    assert not glob.glob(f"{folder}/**/*.part", recursive=True)
    assert set(tiles) == set(range(deepest + 1)), sorted(tiles)
    for order in range(deepest):
        assert tiles[order] == {pix >> 2 for pix in tiles[order + 1]}, order

    # where pixels of the images are, tiles are
    images = []
    for path in paths:
        with fits.open(path) as hdus:
            image = hdus[0].data.astype(np.float64)
            image[image == 0] = np.nan
            images.append((image, WCS(hdus[0].header)))
        assert np.sqrt(np.pi / 3) * 180 / np.pi / 2 ** (deepest + 9) <= 1.1 * np.sqrt(abs(np.linalg.det(images[-1][1].pixel_scale_matrix)))
    needed = set()
    for image, wcs in images:
        rows, columns = np.nonzero(np.isfinite(image))
        ra, dec = wcs.all_pix2world(columns, rows, 0)
        numbers, counts = np.unique(healpy.ang2pix(2**deepest, ra, dec, nest=True, lonlat=True), return_counts=True)
        needed |= set(numbers[counts > 200].tolist())
    assert needed and needed <= tiles[deepest], needed - tiles[deepest]

    # the values
    checked = covered = doubled = 0
    for pix in tiles[deepest]:
        assert np.isfinite(hips.tile(deepest, pix)).any()
        numbers = (pix << 18) + random.integers(0, 4**9, 4000)
        ra, dec = healpy.pix2ang(2 ** (deepest + 9), numbers, nest=True, lonlat=True)
        found = hips.at(deepest, numbers)
        told = [interpolated(image, wcs, ra, dec) for image, wcs in images]
        values = np.array([value for value, _, _ in told])
        wanted = np.nanmean(values, axis=0)
        apart = np.nansum([apart for _, apart, _ in told], axis=0)
        sure = ~np.any([unsure for _, _, unsure in told], axis=0)
        assert np.array_equal(np.isfinite(found)[sure], np.isfinite(wanted)[sure]), pix
        both = np.isfinite(found) & np.isfinite(wanted) & sure
        wrong = np.abs(found - wanted)[both] > 3e-3 * apart[both] + 1e-6
        assert not wrong.any(), (pix, found[both][wrong][:5], wanted[both][wrong][:5])
        checked, covered = checked + both.sum(), covered + np.isfinite(found).mean()
        doubled += (np.isfinite(values).sum(axis=0) > 1).sum()
    assert checked > 2000 and (len(images) == 1 or doubled > 500), (checked, doubled)

    # the orientation as another maker of HiPS has it
    try:
        from reproject.hips._utils import tile_header
        pix = min(tiles[deepest])
        wcs = WCS(tile_header(level=deepest, index=pix, frame=ICRS(), tile_dims=SIDE))
        column, row = random.integers(0, SIDE, (2, 200))
        there = wcs.pixel_to_world(column, row)
        number = healpy.ang2pix(2 ** (deepest + 9), there.ra.deg, there.dec.deg, nest=True, lonlat=True)
        inner = number - (pix << 18)
        assert np.array_equal(SIDE - 1 - bits(inner, 0), row) and np.array_equal(bits(inner, 1), column)
    except ImportError:
        print("SKIPPED: reproject is not there to judge the orientation of tiles")

    # means of four, order by order
    for order in range(deepest):
        for pix in tiles[order]:
            tile = hips.tile(order, pix)
            numbers = (pix << 18) + random.integers(0, 4**9, 300)
            rows, columns = np.nonzero(np.isfinite(tile))
            chosen = random.integers(0, len(rows), 100)
            x, y = SIDE - 1 - rows[chosen], columns[chosen]
            spread = lambda value: sum(((value >> k) & 1) << (2 * k) for k in range(9))
            numbers = np.concatenate([numbers, (pix << 18) + spread(x) + 2 * spread(y)])
            four = np.array([hips.at(order + 1, 4 * numbers + k) for k in range(4)])
            wanted, found = np.nanmean(four, axis=0), hips.at(order, numbers)
            assert np.allclose(found, wanted, rtol=2e-6, atol=1e-9, equal_nan=True), (order, pix)
            assert np.isfinite(found[300:]).all()

    # pictures
    black, white = map(float, properties["hips_pixel_cut"].split())
    for order in (0, deepest - 1, deepest):
        pix = min(tiles[order])
        picture = Image.open(f"{folder}/Norder{order}/Dir{pix // 10000 * 10000}/Npix{pix}.png")
        assert picture.mode == "LA" and picture.size == (SIDE, SIDE)
        grey, alpha = np.moveaxis(np.array(picture)[::-1], 2, 0)
        tile = hips.tile(order, pix)
        assert np.array_equal(alpha == 255, np.isfinite(tile)) and set(np.unique(alpha)) <= {0, 255}
        t = np.clip((np.nan_to_num(tile) - black) / (white - black), 0, 1)
        wanted = 255 * np.arcsinh(t / 0.1) / np.arcsinh(1 / 0.1)
        assert np.abs(grey - wanted)[alpha == 255].max() < 0.51

    # Allsky: its tiles in rows from the top left, the file from the bottom as all FITS
    for order in range(4):
        allsky = fits.getdata(f"{folder}/Norder{order}/Allsky.fits")
        count = 12 * 4**order
        wide = int(np.sqrt(count))
        assert allsky.shape == (-(-count // wide) * 64, wide * 64), allsky.shape
        assert Image.open(f"{folder}/Norder{order}/Allsky.png").size == allsky.shape[::-1]
        top = allsky[::-1]
        filled = set()
        for pix in range(count):
            row, column = divmod(pix, wide)
            part = top[row * 64:row * 64 + 64, column * 64:column * 64 + 64]
            if np.isfinite(part).any():
                filled.add(pix)
                wanted = np.nanmean(hips.tile(order, pix)[::-1].reshape(64, 8, 64, 8), axis=(1, 3))
                assert np.allclose(part, wanted, rtol=1e-5, equal_nan=True)
        assert filled == tiles[order], order

    # the coverage
    with fits.open(f"{folder}/Moc.fits") as hdus:
        table = hdus[1]
        assert table.header["ORDERING"] in ("NUNIQ", "RANGE") and table.header["COORDSYS"].strip() in ("C", "ICRS"), repr(table.header)
        values = np.asarray(table.data.field(0)).astype(np.uint64)
        cells = set()
        if table.header["ORDERING"] == "NUNIQ":
            for number in values.tolist():
                order = (number.bit_length() - 1) // 2 - 1
                pix, below = number - 4 ** (order + 1), 2 * (deepest - order)
                assert below >= 0
                cells |= set(range(pix << below, (pix + 1) << below))
        else:
            for low, high in values.reshape(-1, 2).tolist():
                shift = 2 * (29 - deepest)
                assert low % (1 << shift) == 0 and high % (1 << shift) == 0
                cells |= set(range(low >> shift, high >> shift))
        assert cells == tiles[deepest]
        assert abs(float(properties["moc_sky_fraction"]) - len(cells) / (12 * 4**deepest)) < 1e-15
    page = open(f"{folder}/index.html", encoding="utf-8").read()
    assert "aladin.js" in page and "imageHiPS" in page and properties["obs_title"] in page
    print(f"{folder}: order {deepest}, {len(tiles[deepest])} tiles, {checked} values, {doubled} of them of several images")


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(*sys.argv[2:])
    else:
        judge(sys.argv[2], sys.argv[3:])
