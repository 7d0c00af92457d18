"""Images through pyvo, judged by astropy. Usage: clients.py BASE_URL FOLDER_OF_IMAGES"""

import glob
import io
import sys
import urllib.request
import warnings

import numpy as np
import pyvo
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time
from astropy.wcs import WCS

warnings.simplefilter("ignore")
base, folder = sys.argv[1:]
files = {path.rsplit("/", 1)[1]: path for path in glob.glob(folder + "/**/*_drz.fits", recursive=True)}
assert len(files) == 6, files


def header_of(path):
    return fits.getheader(path)


def fetched(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read()


# where the F475W mosaic looks, by astropy
path = next(path for name, path in files.items() if "_f475w_" in name)
header = header_of(path)
wcs = WCS(header)
middle = wcs.pixel_to_world(header["NAXIS1"] / 2 - 0.5, header["NAXIS2"] / 2 - 0.5)
ra, dec = middle.ra.deg, middle.dec.deg
# from the same corner, ours go round the other way
corners = wcs.calc_footprint(header, center=False)[[0, 3, 2, 1]]

# SIA 2
service = pyvo.dal.SIA2Service(base + "/sia2")
rows = service.search(pos=(ra, dec, 0.0002))
assert len(rows) == 6, len(rows)
assert {row["obs_collection"] for row in rows} == {"PHAT"}
blue = service.search(pos=(ra, dec, 0.0002), band=(4.6e-7, 4.7e-7))
assert [row["obs_bandpass"] for row in blue] == ["F475W"], blue
row = blue[0]
assert (row["s_xel1"], row["s_xel2"]) == (header["NAXIS1"], header["NAXIS2"])
assert abs(row["s_ra"] - ra) < 1e-9 and abs(row["s_dec"] - dec) < 1e-9
assert abs(row["s_pixel_scale"] - 0.05) < 1e-6, row["s_pixel_scale"]
numbers = np.array(row["s_region"].split()[2:], float).reshape(-1, 2)
assert row["s_region"].startswith("POLYGON ICRS ") and np.allclose(numbers, corners, atol=1e-9), (numbers, corners)
assert row["obs_id"] == "phat-b15-f475w" and row["proposal_id"] == str(header["PROPOSID"])
assert row["instrument_name"] == "ACS/WFC" and row["calib_level"] == 3
assert abs(row["t_min"] - header["EXPSTART"]) < 1e-9 and row["t_exptime"] == header["EXPTIME"]
# far away, beside, and touching the edge only
assert len(service.search(pos=(ra + 10, dec, 0.1))) == 0
corner = SkyCoord(*corners[0], unit="deg")
edge = (float(corner.ra.deg), float(corner.dec.deg))
reach = middle.separation(corner)
beyond = middle.directional_offset_by(middle.position_angle(corner), reach * 1.01)
for radius, count in [(1e-9, 0), (0.009 * reach.deg, 0), (0.011 * reach.deg, 1)]:
    assert len(service.search(pos=(beyond.ra.deg, beyond.dec.deg, radius), band=4.7e-7)) == count, radius
assert len(service.search(pos=(ra, dec, 1e-9), band=4.7e-7)) == 1
for place, count in [((ra, dec), 6), ((ra + 10, dec), 0)]:
    # pyvo refuses a radius of 0, which means the position itself
    text = fetched(f"{base}/sia2/query?POS=CIRCLE+{place[0]}+{place[1]}+0&RESPONSEFORMAT=csv").decode()
    assert len(text.splitlines()) == count + 1, text
assert len(service.search(pos=(ra - 1e-3, ra + 1e-3, dec - 1e-3, dec + 1e-3))) == 6
assert len(service.search(pos=(0, 360, -90, 90))) == 6
# a range that holds no image's middle, but touches corners
assert len(service.search(pos=(edge[0] - 1e-4, edge[0] + 1e-4, edge[1] - 1e-4, edge[1] + 1e-4), band=4.7e-7)) == 1
assert len(service.search(pos=(ra + 1, ra + 2, dec - 1, dec + 1))) == 0
assert len(service.search(pos=[(ra + 1, dec, 0.1), (ra, dec, 0.1)])) == 6
ring = (ra - 1e-3, dec - 1e-3, ra + 1e-3, dec - 1e-3, ra, dec + 1e-3)
assert len(service.search(pos=ring)) == 6
assert len(service.search(instrument="WFC3/IR")) == 2
assert len(service.search(facility="HST", collection="PHAT", calib_level=3, data_type="image", target_name="M31-B15")) == 6
assert len(service.search(calib_level=2)) == 0
times = Time([header["EXPSTART"], header["EXPEND"], 10000, 10001], format="mjd")
assert len(service.search(time=(times[0], times[1]), band=4.7e-7)) == 1
assert len(service.search(time=(times[2], times[3]))) == 0
assert len(service.search(maxrec=2)) == 2
one = service.search(publisher_did=row["obs_publisher_did"])
assert len(one) == 1 and one[0]["obs_bandpass"] == "F475W"
raw = fetched(base + "/sia2/query?MAXREC=0").decode()
assert "obs_publisher_did" in raw and "<TR>" not in raw

# DataLink
links = row.getdatalink()
assert [link["service_def"] for link in links if link["semantics"] == "#cutout"] == ["soda", "soda-async"], links
found = {link["semantics"]: link for link in reversed(list(links))}
assert set(found) == {"#this", "#cutout", "#preview"}, set(found)
assert found["#cutout"]["service_def"] == "soda"
whole = fetched(found["#this"]["access_url"])
assert whole == open(path, "rb").read() and len(whole) == found["#this"]["content_length"]
preview = fetched(found["#preview"]["access_url"])
assert preview[:3] == b"\xff\xd8\xff", preview[:20]
several = Table.read(io.BytesIO(fetched(base + "/datalink/links?" + "&".join("ID=" + r["obs_publisher_did"] for r in rows) + "&ID=ivo://x/y")), format="votable")
assert len(several) == 25 and several[-1]["error_message"].startswith("NotFoundFault"), several


def same_as_source(data, wish_deg):
    """A piece equals astropy's cutout of its own size at its own middle, and lies where its WCS says."""
    hdu = fits.open(io.BytesIO(data), checksum=True)[0]
    hdu.verify("exception")
    with fits.open(path) as source:
        own = WCS(hdu.header)
        shape = hdu.data.shape
        there = wcs.world_to_pixel(own.pixel_to_world(0, 0))
        x, y = (int(round(float(v))) for v in there)
        assert abs(there[0] - x) < 1e-3 and abs(there[1] - y) < 1e-3, there
        assert np.array_equal(hdu.data, source[0].data[y : y + shape[0], x : x + shape[1]])
    assert hdu.header["FILTER"] == "F475W" and hdu.header["EXPTIME"] == header["EXPTIME"]
    wanted = wish_deg / (0.05 / 3600)
    assert all(abs(side - wanted) <= 2 for side in shape), (shape, wanted)
    return hdu


# SODA, through the descriptor of the search's own answer and by hand
piece = row.processed(circle=(ra, dec, 2 / 3600)).read()
same_as_source(piece, 4 / 3600)
soda = base + "/soda/sync?ID=" + row["obs_publisher_did"]
same_as_source(fetched(f"{soda}&POS=CIRCLE+{ra}+{dec}+{1 / 3600}"), 2 / 3600)
width = 1.5 / 3600
box = (ra - width / np.cos(np.radians(dec)), ra + width / np.cos(np.radians(dec)), dec - width, dec + width)
ranged = fits.open(io.BytesIO(fetched(f"{soda}&POS=RANGE+" + "+".join(map(str, box)))))[0]
polygon = f"{box[0]}+{box[2]}+{box[1]}+{box[2]}+{box[1]}+{box[3]}+{box[0]}+{box[3]}"
drawn = fits.open(io.BytesIO(fetched(f"{soda}&POLYGON={polygon}")))[0]
assert np.array_equal(ranged.data, drawn.data), (ranged.shape, drawn.shape)
for place in [(box[0], box[2]), (box[1], box[3])]:
    x, y = WCS(ranged.header).world_to_pixel(SkyCoord(*place, unit="deg"))
    assert -0.501 <= x <= ranged.shape[1] - 0.499 and -0.501 <= y <= ranged.shape[0] - 0.499, (x, y, ranged.shape)
entire = fits.open(io.BytesIO(fetched(soda)))[0]
assert entire.data.shape == (header["NAXIS2"], header["NAXIS1"])
assert fetched(f"{soda}&CIRCLE={ra}+{dec}+0.001&RESPONSEFORMAT=image/png")[:8] == b"\x89PNG\r\n\x1a\n"

# the Data Lab's way
name = path.rsplit("/", 1)[1]
size = 4 / 3600
url = f"{base}/svc/cutout?col=PHAT&siaRef={name}&extn=0&POS={ra},{dec}&SIZE={size / np.cos(np.radians(dec))},{size}"
hdu = same_as_source(fetched(url), size)
judge = Cutout2D(fits.getdata(path), SkyCoord(ra, dec, unit="deg"), hdu.shape[::-1][0], wcs=wcs)
assert judge.shape == hdu.shape and np.array_equal(judge.data, hdu.data)
assert hdu.header["SIAREF"] == name
assert fetched(url + "&preview=true")[:3] == b"\xff\xd8\xff"
edge_url = f"{base}/svc/cutout?siaRef={name}&POS={edge[0]},{edge[1]}&SIZE={size}"
trimmed = fits.open(io.BytesIO(fetched(edge_url)))[0]
padded = fits.open(io.BytesIO(fetched(edge_url + "&fill=nan")))[0]
assert trimmed.data.size < padded.data.size and np.isnan(padded.data).any() and not np.isnan(trimmed.data).any()

# TAP
tap = pyvo.dal.TAPService(base + "/tap")
table = tap.search(f"SELECT obs_publisher_did, obs_bandpass FROM ivoa.obscore WHERE 1 = CONTAINS(POINT({ra}, {dec}), s_region) ORDER BY em_min")
assert [r["obs_bandpass"] for r in table] == ["F275W", "F336W", "F475W", "F814W", "F110W", "F160W"], table
assert len(table[2].processed(circle=(ra, dec, 1 / 3600)).read()) > 2880
print("fine")
