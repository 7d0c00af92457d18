"""SIA 1 as the Data Lab's notebooks use it. Usage: sia1.py BASE_URL RA DEC"""

import io
import sys
import urllib.request
import warnings

import numpy as np
from astropy.io import fits
from astropy.io.votable import parse
from astropy.wcs import WCS
from pyvo.dal import sia

warnings.simplefilter("ignore")
base, ra, dec = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
COLUMNS = """assoc_id access_url access_format access_estsize dataproduct_type dataproduct_subtype calib_level dataset_length
im_nsubarrays im_naxes im_naxis im_pixtype im_wcsaxes im_scale obs_title obs_id obs_creator_name obs_collection obs_creation_type
obs_creation_date facility_name instrument_name obs_bandpass obs_datasource proposal_id obs_publisher_did obs_release_date preview
target_name target_class s_ra s_dec s_fov s_region s_calib_status s_resolution em_min em_max em_resolution em_res_power t_min t_max
t_exptime t_resolution o_ucd o_unit pol_states object airmass project_code magzero prodtype seeing fwhm fileset_id exptime photflag
proctype date_obs mjd_obs elliptic""".split()
fov = 4 / 3600

# the notebooks' own lines
svc = sia.SIAService(base + "/sia/phat_v2")
images = svc.search((ra, dec), (fov / np.cos(dec * np.pi / 180), fov), verbosity=2)
table = images.to_table()
assert table.colnames == COLUMNS and len(table) == 6, table
sel = (table["proctype"] == "Stack") & (table["prodtype"] == "image")
chosen = table[sel & (table["obs_bandpass"] == "F475W")]
row = chosen[np.argmax(chosen["exptime"].data.data.astype("float"))]
assert row["assoc_id"] == "phat_v2"
with urllib.request.urlopen(row["access_url"]) as answer:
    hdu = fits.open(io.BytesIO(answer.read()))[0]
x, y = WCS(hdu.header).wcs_world2pix(ra, dec, 0)
assert hdu.data.shape == (80, 80) and abs(x - 39.5) < 1 and abs(y - 39.5) < 1, (hdu.data.shape, x, y)
with urllib.request.urlopen(row["preview"]) as answer:
    assert answer.read(3) == b"\xff\xd8\xff"

# generic clients
record = next(r for r in images if r["obs_bandpass"] == "F475W")
assert record.getdataurl() == row["access_url"] and record.format == "image/fits" and "brick 15" in record.title
assert abs(record.pos.ra.deg - row["s_ra"]) < 1e-9
counts = {
    relation: len(sia.SIAService(base + "/sia").search((ra, dec), (size, size), intersect=relation))
    for relation, size in [("OVERLAPS", 1.0), ("COVERS", 1.0), ("ENCLOSED", 1.0), ("CENTER", 1.0)]
}
assert counts == {"OVERLAPS": 6, "COVERS": 0, "ENCLOSED": 6, "CENTER": 6}, counts
small = {r: len(svc.search((ra, dec), (1e-3, 1e-3), intersect=r)) for r in ("OVERLAPS", "COVERS", "ENCLOSED", "CENTER")}
assert small == {"OVERLAPS": 6, "COVERS": 6, "ENCLOSED": 0, "CENTER": 6}, small
assert len(svc.search((ra + 5, dec), (fov, fov))) == 0
assert len(sia.SIAService(base + "/sia/des_dr1").search((ra, dec), (fov, fov))) == 0
assert set(svc.search((ra, dec), (fov, fov), format="graphic").to_table()["access_format"]) == {"image/jpeg"}


def document(query):
    with urllib.request.urlopen(f"{base}/sia?{query}") as answer:
        text = answer.read()
    return text.decode(), parse(io.BytesIO(text))


text, metadata = document("FORMAT=METADATA")
assert "INPUT:POS" in text and len(metadata.get_first_table().array) == 0
text, _ = document("POS=1,95&SIZE=1")
assert 'value="ERROR"' in text and "POS" in text, text
print("fine")
