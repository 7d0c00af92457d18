"""Pieces of every kind of FITS file over HTTP, judged by astropy.

pieces.py make FOLDER          writes the files
pieces.py judge BASE FOLDER    cuts them through the service at BASE and compares
"""

import gzip
import io
import sys
import urllib.error
import urllib.parse
import urllib.request
import warnings
import zlib

import numpy as np
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.nddata.utils import NoOverlapError
from astropy.wcs import WCS

warnings.simplefilter("ignore")
NX, NY = 310, 230
RA, DEC, SCALE = 11.2, 41.7, 0.05 / 3600
BAND = (3.9e-7, 5.6e-7)  # F475W reaches less far than this to both sides


def header(roll_deg, ra=RA, dec=DEC):
    cos, sin = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
    cards = fits.Header()
    cards["CTYPE1"], cards["CTYPE2"], cards["RADESYS"] = "RA---TAN", "DEC--TAN", "ICRS"
    cards["CRPIX1"], cards["CRPIX2"], cards["CRVAL1"], cards["CRVAL2"] = 150.25, 117.75, ra, dec
    cards["CD1_1"], cards["CD1_2"], cards["CD2_1"], cards["CD2_2"] = -SCALE * cos, SCALE * sin, SCALE * sin, SCALE * cos
    cards["FILTER"], cards["EXPTIME"], cards["TELESCOP"], cards["INSTRUME"], cards["DETECTOR"] = "F475W", 1234.5, "HST", "ACS", "WFC"
    cards["EXPSTART"], cards["EXPEND"] = 55400.25, 55400.5
    return cards


def make(folder):
    random = np.random.default_rng(4)
    sky = random.normal(3, 1, (NY, NX)).astype(">f4")
    for x, y in random.uniform([5, 5], [NX - 5, NY - 5], (60, 2)):
        yy, xx = np.mgrid[:NY, :NX]
        sky += (random.uniform(20, 900) * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 4.5)).astype(">f4")
    sky[3, 7] = np.nan
    whole = np.nan_to_num(sky).astype(int)

    def single(name, data, hdu=None, **cards):
        hdu = hdu or fits.PrimaryHDU(data, header(17))
        hdu.header.update(cards)
        hdu.writeto(f"{folder}/{name}.fits", output_verify="exception")

    for name, data in [
        ("u8", np.clip(whole, 0, 255).astype("u1")),
        ("i16", whole.astype(">i2")),
        ("i32", (whole * 1000003).astype(">i4")),
        ("i64", whole.astype(">i8") * 10**15 + 7),
        ("f32", sky),
        ("f64", sky.astype(">f8") / 3),
    ]:
        single(name, data)
    # scaled integers: unsigned by BZERO, physical by BSCALE, with BLANK
    single("unsigned", (whole + 20000).astype(np.uint16))
    scaled = fits.PrimaryHDU((whole % 30000).astype(">i2"), header(-40))
    scaled.header.update({"BSCALE": 0.125, "BZERO": -7.5, "BLANK": -32768})
    scaled.writeto(f"{folder}/scaled.fits")
    for name in ["f32", "i16", "unsigned"]:
        with open(f"{folder}/{name}.fits", "rb") as plain, gzip.open(f"{folder}/{name}_zipped.fits.gz", "wb", 5) as zipped:
            zipped.write(plain.read())

    def packed(name, data, **how):
        empty = fits.PrimaryHDU()
        image = fits.CompImageHDU(data, header(17), **how)
        fits.HDUList([empty, image]).writeto(f"{folder}/{name}.fits.fz")

    packed("rice_i16", whole.astype("i2"), compression_type="RICE_1")
    packed("rice_i32", whole.astype("i4") * 1003, compression_type="RICE_1", tile_shape=(37, 100))
    packed("rice_f32", sky.astype("f4"), compression_type="RICE_1", quantize_level=16, quantize_method=1, dither_seed=77)
    packed("gzip1_f32", sky.astype("f4"), compression_type="GZIP_1", quantize_level=0)
    packed("gzip2_f64", sky.astype("f8") / 7, compression_type="GZIP_2", quantize_level=0, tile_shape=(50, 64))
    packed("plio_i16", np.clip(whole, 0, 4000).astype("i2"), compression_type="PLIO_1")
    packed("hcompress_i32", whole.astype("i4"), compression_type="HCOMPRESS_1", tile_shape=(46, 155))

    # an exposure of two chips with their planes, and a mosaic with its weights
    chips = [fits.PrimaryHDU(header=fits.Header({"FILTER": "F475W", "EXPTIME": 1234.5, "TELESCOP": "HST", "PROPOSID": 12056}))]
    for chip in (1, 2):
        place = header(5 * chip, dec=DEC + 0.02 * chip)
        for name, data in [
            ("SCI", np.roll(sky, chip, 1)),
            ("ERR", np.sqrt(np.abs(sky) + chip).astype(">f4")),
            ("DQ", ((whole * chip) % 4096).astype(">i2")),
        ]:
            chips.append(fits.ImageHDU(data, place, name=name, ver=chip))
    fits.HDUList(chips).writeto(f"{folder}/chips.fits")
    drizzled = [chips[0].copy()]
    for name, data in [("SCI", sky), ("WHT", np.abs(sky) * 2), ("CTX", whole.astype(">i4"))]:
        drizzled.append(fits.ImageHDU(data, header(17), name=name))
    fits.HDUList(drizzled).writeto(f"{folder}/drizzled.fits")


def fetched(url):
    try:
        with urllib.request.urlopen(url, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{url}: {error.code} {error.read().decode()}") from None


def refusal(url):
    try:
        with urllib.request.urlopen(url, timeout=120) as answer:
            status, data = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    raise AssertionError(f"{url}: {status}, {len(data)} bytes")


def opened(data):
    hdus = fits.open(io.BytesIO(data), checksum=True, do_not_scale_image_data=True)
    hdus.verify("exception")
    # reading each HDU checks its sums, which warn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for hdu in fits.open(io.BytesIO(data), checksum=True):
            hdu.data
    return hdus


def same_bits(ours, theirs, what):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, (what, ours.shape, theirs.shape)
    assert ours.dtype.newbyteorder("=") == theirs.dtype.newbyteorder("="), (what, ours.dtype, theirs.dtype)
    big = lambda data: np.ascontiguousarray(data).astype(data.dtype.newbyteorder(">")).tobytes()
    assert big(ours) == big(theirs), (what, "pixels differ")


class Judge:
    def __init__(self, base, folder):
        self.base, self.folder, self.pieces, self.worst = base, folder, 0, 0.0
        status, table = fetched(f"{base}/tap/sync?LANG=ADQL&RESPONSEFORMAT=csv&QUERY=" + urllib.parse.quote("SELECT obs_publisher_did FROM ivoa.obscore"))
        self.ids = [line.strip().strip('"') for line in table.decode().splitlines()[1:]]

    def id_of(self, file, hdu):
        found = [name for name in self.ids if name.endswith(f"{file}/{hdu}")]
        assert len(found) == 1, (file, hdu, self.ids)
        return found[0]

    def soda(self, file, hdu, **parameters):
        return f"{self.base}/soda/sync?" + urllib.parse.urlencode({"ID": self.id_of(file, hdu), **parameters})

    def lies(self, piece, source_wcs, x0, y0, what):
        """The piece's WCS puts pixels where the source's does."""
        own = WCS(piece.header)
        ny, nx = piece.shape
        x, y = np.random.default_rng(1).uniform([-0.5, -0.5], [nx - 0.5, ny - 0.5], (50, 2)).T
        back = source_wcs.all_world2pix(*own.all_pix2world(x, y, 0), 0)
        off = max(np.abs(back[0] - x0 - x).max(), np.abs(back[1] - y0 - y).max())
        self.worst = max(self.worst, off)
        assert off < 1e-6, (what, off)

    def frames(self, file, hdu):
        """The Data Lab's way, against astropy's cutouts of the same position and size."""
        random = np.random.default_rng(zlib.crc32(f"{file} {hdu}".encode()))
        with fits.open(f"{self.folder}/{file}", do_not_scale_image_data=True) as source:
            source_hdu = source[hdu]
            raw, cards = source_hdu.data, source_hdu.header
            wcs = WCS(cards)
            for turn in range(8):
                x, y = random.uniform([-10, -10], [NX + 10, NY + 10])
                if turn < 3:
                    x, y = random.uniform([60, 60], [NX - 60, NY - 60])
                ra, dec = (float(v) for v in wcs.all_pix2world(x, y, 0))
                width, height = (int(v) for v in random.integers(1, 90, 2))
                size = f"{float(width * SCALE / np.cos(np.radians(dec)))},{height * SCALE}"
                url = f"{self.base}/svc/cutout?" + urllib.parse.urlencode({"siaRef": file, "extn": hdu, "POS": f"{ra!r},{dec!r}", "SIZE": size})
                what = (file, hdu, turn, width, height)
                try:
                    judge = Cutout2D(raw, SkyCoord(ra, dec, unit="deg"), (height, width), wcs=wcs)
                except NoOverlapError:
                    assert refusal(url)[0] == 404, what
                    continue
                piece = opened(fetched(url)[1])[0]
                same_bits(piece.data, judge.data, what)
                self.lies(piece, wcs, *judge.origin_original, what)
                for key in ["BSCALE", "BZERO", "BLANK", "FILTER", "EXPTIME", "INSTRUME", "PROPOSID"]:
                    wanted = cards.get(key, source[0].header.get(key))
                    assert piece.header.get(key) == wanted, (what, key, piece.header.get(key), wanted)
                self.pieces += 1

    def outlines(self, file, hdu):
        """Regions, against the box about a dense outline of them."""
        with fits.open(f"{self.folder}/{file}", do_not_scale_image_data=True) as source:
            raw, wcs = source[hdu].data, WCS(source[hdu].header)
        middle = SkyCoord(*(float(v) for v in wcs.all_pix2world(140.3, 120.6, 0)), unit="deg")
        ra, dec, radius = middle.ra.deg, middle.dec.deg, 31.7 * SCALE
        turn = np.linspace(0, 2 * np.pi, 4001)
        round_it = middle.directional_offset_by(turn * (180 / np.pi) * units.deg, radius * units.deg)
        wide = 40.3 * SCALE / np.cos(np.radians(dec))
        west, east, south, north = ra - wide, ra + 0.7 * wide, dec - 25.2 * SCALE, dec + 33.9 * SCALE
        t = np.linspace(0, 1, 2001)
        box = (np.concatenate([west + t * (east - west)] * 2 + [0 * t + west, 0 * t + east]), np.concatenate([0 * t + south, 0 * t + north] + [south + t * (north - south)] * 2))
        corners = [(west, south), (east, south + 3 * SCALE), (ra, north)]
        path = ([], [])
        for (a, b), (c, d) in zip(corners, corners[1:] + corners[:1]):
            p, q = (SkyCoord(u, v, unit="deg").cartesian.xyz.value for u, v in [(a, b), (c, d)])
            line = np.outer(1 - t, p) + np.outer(t, q)
            path[0].extend(np.degrees(np.arctan2(line[:, 1], line[:, 0])))
            path[1].extend(np.degrees(np.arcsin(line[:, 2] / np.linalg.norm(line, axis=1))))
        numbers = lambda *values: " ".join(repr(float(v)) for v in values)
        flat = numbers(*(v for corner in corners for v in corner))
        for names, outline in [
            ([{"CIRCLE": numbers(ra, dec, radius)}, {"POS": "CIRCLE " + numbers(ra, dec, radius)}], (round_it.ra.deg, round_it.dec.deg)),
            ([{"POS": "RANGE " + numbers(west, east, south, north)}], box),
            ([{"POLYGON": flat}, {"POS": "polygon " + flat}], path),
        ]:
            x, y = wcs.all_world2pix(*outline, 0)
            x0, x1, y0, y1 = (int(np.floor(v + 0.5)) for v in (x.min(), x.max(), y.min(), y.max()))
            assert 0 <= x0 and x1 < NX and 0 <= y0 and y1 < NY
            for parameters in names:
                piece = opened(fetched(self.soda(file, hdu, **parameters))[1])[0]
                same_bits(piece.data, raw[y0 : y1 + 1, x0 : x1 + 1], (file, hdu, parameters))
                self.lies(piece, wcs, x0, y0, (file, hdu, parameters))
                self.pieces += 1

    def bands(self):
        """An image has one band: all of it or nothing."""
        low, high = BAND
        for band, status in [(f"{low} {high}", 200), (f"-Inf {low / 3}", 204), (f"{high * 2} +Inf", 204), ("4.7e-7", 200), ("1e-10", 204)]:
            found, data = fetched(self.soda("f32.fits", 0, BAND=band, CIRCLE=f"{RA} {DEC} {5 * SCALE}"))
            assert found == status and bool(data) == (status == 200), (band, found)
        assert fetched(self.soda("f32.fits", 0, CIRCLE=f"{RA + 1} {DEC} 0.001"))[0] == 204
        code, text = refusal(self.soda("f32.fits", 0, BAND="red"))
        assert code == 400 and text.startswith("UsageFault"), text

    def planes(self):
        """Weights and flags come along, cut to the same pixels."""
        place = {"POS": f"CIRCLE {RA} {DEC} {20 * SCALE}"}
        with fits.open(f"{self.folder}/drizzled.fits") as source:
            for wish, names in [("WHT,CTX", ["WHT", "CTX"]), ("ctx", ["CTX"]), ("3,2", ["CTX", "WHT"])]:
                found = opened(fetched(self.soda("drizzled.fits", 1, planes=wish, **place))[1])
                assert [hdu.name for hdu in found[1:]] == names, [hdu.name for hdu in found]
                section = found[0].header["CUTOUT"].strip("[]").replace(",", ":").split(":")
                x0, x1, y0, y1 = (int(v) for v in section)
                same_bits(found[0].data, source["SCI"].data[y0 - 1 : y1, x0 - 1 : x1], wish)
                for hdu in found[1:]:
                    same_bits(hdu.data, source[hdu.name].data[y0 - 1 : y1, x0 - 1 : x1], (wish, hdu.name))
                    self.lies(hdu, WCS(source[hdu.name].header), x0 - 1, y0 - 1, (wish, hdu.name))
        # of two chips each has its own flags; at the edge all planes are padded alike
        with fits.open(f"{self.folder}/chips.fits") as source:
            for chip in (1, 2):
                wcs = WCS(source["SCI", chip].header)
                ra, dec = (float(v) for v in wcs.all_pix2world(2.3, 3.2, 0))
                number = source.index_of(("SCI", chip))
                for fill in ("", "&fill=nan"):
                    url = f"{self.base}/svc/cutout?siaRef=chips.fits&extn={number}&POS={ra},{dec}&SIZE={float(20 * SCALE / np.cos(np.radians(dec)))},{20 * SCALE}&planes=ERR,DQ{fill}"
                    found = opened(fetched(url)[1])
                    assert [(hdu.name, hdu.ver) for hdu in found[1:]] == [("ERR", chip), ("DQ", chip)]
                    wide = Cutout2D(source["SCI", chip].data, SkyCoord(ra, dec, unit="deg"), 20, wcs=wcs, mode="partial" if fill else "trim")
                    assert np.array_equal(found[0].data, wide.data, equal_nan=True)
                    for hdu in found[1:]:
                        whole = source[hdu.name, chip].data
                        mode = dict(mode="partial", fill_value=np.nan if hdu.name == "ERR" else hdu.header["BLANK"]) if fill else {}
                        judge = Cutout2D(whole, SkyCoord(ra, dec, unit="deg"), 20, wcs=wcs, **mode)
                        assert np.array_equal(hdu.data, judge.data, equal_nan=True), (chip, hdu.name, fill)
                    self.pieces += 3
                circle = fits.open(io.BytesIO(fetched(self.soda("chips.fits", number, CIRCLE=f"{ra} {dec} {9 * SCALE}", fill="nan"))[1]))[0]
                assert np.isnan(circle.data).any() and min(circle.shape) >= 18, circle.shape
        for wish, word in [("MASK", "MASK"), ("1,1,1,1,1,1,1,1,1", "8"), ("99", "99")]:
            code, text = refusal(self.soda("drizzled.fits", 1, planes=wish, **place))
            assert code == 400 and word in text and self.folder not in text, (wish, code, text)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        judge = Judge(*sys.argv[2:4])
        singles = [(name, 0) for name in ["u8", "i16", "i32", "i64", "f32", "f64", "unsigned", "scaled"]]
        files = [(f"{name}.fits", hdu) for name, hdu in singles] + [(f"{name}_zipped.fits.gz", 0) for name in ["f32", "i16", "unsigned"]]
        files += [(f"{name}.fits.fz", 1) for name in ["rice_i16", "rice_i32", "rice_f32", "gzip1_f32", "gzip2_f64", "plio_i16", "hcompress_i32"]]
        files += [("chips.fits", 1), ("chips.fits", 4), ("drizzled.fits", 1)]
        assert len(judge.ids) == len(files), (len(judge.ids), len(files), judge.ids)
        for file, hdu in files:
            judge.frames(file, hdu)
            judge.outlines(file, hdu)
        judge.bands()
        judge.planes()
        print(f"{judge.pieces} pieces, WCS at most {judge.worst:.1e} pixel off")
