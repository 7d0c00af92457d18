"""Pictures of pieces over HTTP, judged by astropy's stretches and intervals, and by where the catalogue's stars are.

looks.py BASE FOLDER_OF_IMAGES [FOLDER_FOR_PICTURES]
"""

import glob
import io
import sys
import urllib.error
import urllib.parse
import urllib.request
import warnings

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.visualization import AsinhStretch, LinearStretch, LogStretch, PercentileInterval, SqrtStretch, ZScaleInterval
from astropy.wcs import WCS
from PIL import Image

warnings.simplefilter("ignore")
base, folder = sys.argv[1:3]
album = sys.argv[3] if len(sys.argv) > 3 else None
paths = {path.split("_")[-3]: path for path in glob.glob(folder + "/**/*_drz.fits", recursive=True)}
blue = paths["f475w"]
name = blue.rsplit("/", 1)[1]
with fits.open(blue) as hdus:
    data, wcs = hdus[0].data.astype(float), WCS(hdus[0].header)
ny, nx = data.shape
scale = 0.05 / 3600
side = 160


def fetched(address):
    try:
        with urllib.request.urlopen(address, timeout=120) as answer:
            return answer.read(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{address}: {error.code} {error.read().decode()}") from None


def refusal(address):
    try:
        urllib.request.urlopen(address, timeout=120)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    raise AssertionError(address)


def picture(title=None, **parameters):
    """Rows from the bottom, as images have them."""
    raw, mime = fetched(url(**parameters))
    assert mime == "image/png", mime
    if album and title:
        open(f"{album}/{title}.png", "wb").write(raw)
    return np.asarray(Image.open(io.BytesIO(raw)))[::-1].astype(int)


# where the image has most stars of the catalogue around it
middle = wcs.pixel_to_world((nx - 1) / 2, (ny - 1) / 2)
table = f"SELECT ra, dec FROM phat_v2.phot_mod WHERE f475w_vega < 90 AND 1 = CONTAINS(POINT(ra, dec), CIRCLE({middle.ra.deg}, {middle.dec.deg}, {max(nx, ny) * scale}))"
known = Table.read(io.BytesIO(fetched(f"{base}/tap/sync?LANG=ADQL&RESPONSEFORMAT=votable/td&QUERY=" + urllib.parse.quote(table))[0]), format="votable")
x, y = wcs.world_to_pixel(SkyCoord(known["ra"], known["dec"]))
inner = [(a, b) for a, b in zip(x, y) if side < a < nx - side and side < b < ny - side]
x, y = max(inner, key=lambda star: np.count_nonzero(np.hypot(x - star[0], y - star[1]) < 0.4 * side))
middle = wcs.pixel_to_world(x, y)
ra, dec = middle.ra.deg, middle.dec.deg


def url(arcsec=side * 0.05, at=(ra, dec), **parameters):
    size = arcsec / 3600
    query = {"siaRef": name, "POS": f"{at[0]},{at[1]}", "SIZE": f"{size / np.cos(np.radians(at[1]))},{size}", "format": "png", **parameters}
    return f"{base}/svc/cutout?" + urllib.parse.urlencode(query)


piece = fits.open(io.BytesIO(fetched(url(format="fits"))[0]))[0]
values, own = piece.data.astype(float), WCS(piece.header)
assert values.shape == (side, side)

# greys are astropy's
low, high = np.percentile(values, [20, 99.7])
for curve, stretch in [("linear", LinearStretch()), ("sqrt", SqrtStretch()), ("log", LogStretch(1000)), ("asinh", AsinhStretch(0.1))]:
    for cuts, (black, white) in {
        f"{low},{high}": (low, high),
        "zscale": ZScaleInterval().get_limits(values),
        "98%": PercentileInterval(98).get_limits(values),
        "minmax": (values.min(), values.max()),
    }.items():
        judge = stretch(np.clip((values - black) / (white - black), 0, 1)) * 255
        found = picture(stretch=curve, cuts=cuts, title=f"grey-{curve}-{cuts}" if cuts in ("zscale", "98%") else None)
        off = np.abs(found - judge).max()
        assert found.shape == judge.shape and off <= (1 if cuts != "zscale" else 3), (curve, cuts, off)

# sizes of pixels
plain = picture(stretch="linear", cuts=f"{low},{high}")
halved = picture(stretch="linear", cuts=f"{low},{high}", zoom="0.5")
means = values.reshape(side // 2, 2, side // 2, 2).mean((1, 3))
assert np.abs(halved - np.clip((means - low) / (high - low), 0, 1) * 255).max() <= 1
doubled = picture(stretch="linear", cuts=f"{low},{high}", zoom="2")
assert doubled.shape == (2 * side, 2 * side)
# between four values stands no value above or below them
inner = doubled[2:-2, 2:-2]
near = np.stack([np.roll(np.roll(plain, i, 0), j, 1).repeat(2, 0).repeat(2, 1)[2:-2, 2:-2] for i in (-1, 0, 1) for j in (-1, 0, 1)])
assert (inner <= near.max(0) + 1).all() and (inner >= near.min(0) - 1).all()
assert picture(zoom="1/16").shape == (side // 16, side // 16)

# the brightest stars of the catalogue
table = f"SELECT TOP 40 ra, dec, f475w_vega FROM phat_v2.phot_mod WHERE f475w_vega < 90 AND 1 = CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, {0.4 * side * scale})) ORDER BY f475w_vega"
stars = Table.read(io.BytesIO(fetched(f"{base}/tap/sync?LANG=ADQL&RESPONSEFORMAT=votable/td&QUERY=" + urllib.parse.quote(table))[0]), format="votable")
assert len(stars) >= 20, len(stars)
places = SkyCoord(stars["ra"], stars["dec"])


def yellow(colours):
    """How much of the circles' own colour is in pixels."""
    red, green, blue = (colours[..., k] for k in range(3))
    return (red > 150) & (blue < 0.6 * red) & (green > 0.5 * red)


def ringed(found, x, y, radius):
    """The share of a ring that has the circles' colour."""
    turn = np.linspace(0, 2 * np.pi, 60)
    i, j = np.rint(y + radius * np.sin(turn)).astype(int), np.rint(x + radius * np.cos(turn)).astype(int)
    inside = (i >= 0) & (j >= 0) & (i < found.shape[0]) & (j < found.shape[1])
    return yellow(found[i[inside], j[inside]]).mean()


def turned(zoom=1.0):
    """The tangent plane of a picture with north up, by astropy."""
    plane = WCS(naxis=2)
    plane.wcs.ctype, plane.wcs.crval = ["RA---TAN", "DEC--TAN"], [ra, dec]
    pixel = np.sqrt(np.prod(np.hypot(*own.wcs.cd))) / zoom
    plane.wcs.cdelt, plane.wcs.crpix = [-pixel, pixel], [(round(side * zoom) + 1) / 2] * 2
    return plane


overlay = {"overlay": "phot_mod", "stars": "400", "cuts": "99.5%"}
for title, more, (x, y), factor in [
    ("overlay", {}, own.world_to_pixel(places), 1),
    ("overlay-zoom", {"zoom": "3"}, [3 * (v + 0.5) - 0.5 for v in own.world_to_pixel(places)], 3),
    ("overlay-north", {"north": "up", "zoom": "2"}, turned(2).world_to_pixel(places), 2),
]:
    found, bare = picture(title=title, **overlay, **more), picture(cuts="99.5%", **more)
    assert found.ndim == 3 and bare.ndim == 2 and found.shape[:2] == bare.shape
    rings = [ringed(found, a, b, max(6 * factor, 3)) for a, b in zip(x, y)]
    assert np.median(rings) > 0.9 and min(rings) > 0.6, (title, rings)
    # a circle sits on its star: the light about it has its middle there
    off = []
    for a, b in list(zip(x, y))[:10]:
        i, j, reach = int(round(float(b))), int(round(float(a))), 2 * factor
        box = bare[i - reach : i + reach + 1, j - reach : j + reach + 1].astype(float)
        box -= box.min()
        yy, xx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        off.append(np.hypot((box * xx).sum() / box.sum() + j - a, (box * yy).sum() / box.sum() + i - b) / factor)
    assert np.median(off) < 0.35, (title, off)
few = picture(overlay="phat_v2.phot_mod", stars="3")
assert 20 < yellow(few).sum() < 3 * 140, yellow(few).sum()

# colours: a star that is red in the images is red in the picture
colours = picture(title="colour", bands="F814W,F475W,F336W")
# on the grid of the finest of the three
finest = fits.open(io.BytesIO(fetched(url(siaRef=paths["f336w"].rsplit("/", 1)[1], format="fits"))[0]))[0]
fine = round(side * 0.05 / 0.04)
assert colours.shape == (fine, fine, 3) and finest.data.shape == (fine, fine), (colours.shape, finest.data.shape)
x, y = (np.rint(v).astype(int) for v in WCS(finest.header).world_to_pixel(places))
there = {}
for band in ["f814w", "f475w", "f336w"]:
    with fits.open(paths[band]) as hdus:
        a, b = WCS(hdus[0].header).world_to_pixel(places)
        image = hdus[0].data
        there[band] = np.array([image[int(round(float(j))), int(round(float(i)))] for i, j in zip(a, b)]) - np.median(image)
tint = np.log((colours[y, x, 0] + 1) / (colours[y, x, 2] + 1))
truth = np.log(np.clip(there["f814w"], 1e-3, None) / np.clip(there["f336w"], 1e-3, None))
rank = lambda v: np.argsort(np.argsort(v))
assert np.corrcoef(rank(tint), rank(truth))[0, 1] > 0.7, np.corrcoef(rank(tint), rank(truth))
swapped = picture(bands="F336W,F475W,F814W")
assert np.abs(swapped[..., 0] - colours[..., 2]).max() <= 1 and np.abs(swapped[..., 1] - colours[..., 1]).max() <= 1
infrared = picture(title="colour-infrared-north", bands="F160W,F110W,F814W", north="up", scalebar="true", compass="true", zoom="3", **overlay)
assert infrared.shape == (3 * side, 3 * side, 3)

# marks: a bar of a round length, arrows at the other corner, nothing elsewhere
marked, bare = picture(title="marked", scalebar="true", compass="true", zoom="2", stretch="linear", cuts="0,1e9"), 0
lit = marked.max(2) > 0
rows, columns = np.nonzero(lit)
assert lit.any() and rows.max() < side, rows.max()
bar = max((row for row in lit[:20, : side]), key=lambda row: row.sum())
length = (bar.sum() - 2) * 0.05 / 2
assert min(abs(length - nice) for nice in (0.5, 1, 2, 5)) < 0.1, length
assert lit[:, int(1.6 * side) :].any() and not lit[:, side : int(1.4 * side)].any()

# north up turns, the sky stays: Cepheid or not, every bright star is where a turned plane has it (above); the corner is empty
assert picture(north="up").shape == (side, side)
jpeg, mime = fetched(url(preview="true", format=""))
assert mime == "image/jpeg" and Image.open(io.BytesIO(jpeg)).size == (side, side)
# a picture has the size that was asked for, where the image ends too
sized = fetched(url(arcsec=60, zoom="1/4"))[0]
assert Image.open(io.BytesIO(sized)).size == (300, 300)

# the same over SODA
ids = fetched(f"{base}/tap/sync?LANG=ADQL&RESPONSEFORMAT=csv&QUERY=" + urllib.parse.quote("SELECT obs_publisher_did FROM ivoa.obscore WHERE obs_bandpass = 'F475W'"))[0]
identifier = ids.decode().splitlines()[1].strip('"')
soda = f"{base}/soda/sync?" + urllib.parse.urlencode({"ID": identifier, "CIRCLE": f"{ra} {dec} {30 * scale}", "RESPONSEFORMAT": "image/png"})
for more in ["", "&north=up&compass=true&zoom=2", "&bands=F814W,F475W,F336W", "&overlay=phot_mod&stretch=log&cuts=zscale"]:
    raw, mime = fetched(soda + more)
    assert mime == "image/png" and min(Image.open(io.BytesIO(raw)).size) >= 60, (more, Image.open(io.BytesIO(raw)).size)

for parameters, code, word in [
    ({"bands": "F814W,F475W,F999W"}, 404, "F110W, F160W, F275W, F336W, F475W, F814W"),
    ({"overlay": "nothing"}, 404, "no such table"),
    ({"overlay": "tap_schema.tables"}, 404, "no such table"),
    ({"overlay": "phot_mod; drop table x"}, 404, "no such table"),
    ({"overlay": "phot_mod", "stars": "999999"}, 400, "2000"),
    ({"zoom": "100"}, 400, "from 1 to 8"),
    ({"zoom": "8", "arcsec": 3000}, 413, "limit"),
    ({"format": "fits", "stretch": "log"}, 400, "STRETCH"),
    ({"cuts": "nan,nan"}, 400, "CUTS"),
]:
    found, text = refusal(url(**parameters))
    assert found == code and word in text, (parameters, found, text)
print("fine")
