# Pixels and their places on the sky by astropy, for every header of the folders given that it accepts.
# Writes OUT/<n>.fits (header as a primary HDU, or the path of the file itself), OUT/<n>.f64 (x y lon lat, little-endian), OUT/index.json.
import glob, json, os, sys, warnings
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

warnings.simplefilter("ignore")
out, total = sys.argv[1], int(sys.argv[2])
found = []


def headers():
    for path in sorted(p for folder in sys.argv[3:] for p in glob.glob(folder + "/*")):
        try:
            if path.endswith(".hdr"):
                raw = open(path, "rb").read()
                text = raw.decode("latin1")
                yield path, 0, fits.Header.fromstring(text, sep="\n" if b"\n" in raw[:200] else ""), None
            elif ".fits" in path:
                file = fits.open(path)
                for number, hdu in enumerate(file):
                    if isinstance(hdu, (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)):
                        yield path, number, hdu.header, file
        except Exception:
            continue


for path, number, header, file in headers():
    for alt in " ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        if alt != " " and "CTYPE1" + alt not in header:
            continue
        try:
            wcs = WCS(header, file, key=alt)
            if not wcs.has_celestial:
                continue
            types = [str(t) for t in wcs.wcs.ctype]
            if not any(t[5:8].strip() for t in types[:2]) or {wcs.wcs.lng, wcs.wcs.lat} != {0, 1}:
                continue
            wcs = wcs.celestial if wcs.naxis > 2 else wcs
            found.append((path, number, alt, header, file, wcs))
        except Exception:
            continue

rng = np.random.default_rng(1)
index, n = [], 0
for path, number, alt, header, file, wcs in found:
    size = [header.get("NAXIS1", 0), header.get("NAXIS2", 0)]
    # cut-down files keep the header of the whole chip: where the reference pixel is far, the pixels about it count too
    size = [max(s, int(2 * c), 64) for s, c in zip(size, np.clip(wcs.wcs.crpix, 0, 4096))]
    count = total // len(found) + 1
    pixels = rng.uniform([0.5, 0.5], np.array(size) + 0.5, (count, 2))
    try:
        sky = wcs.all_pix2world(pixels, 1)
    except Exception:
        continue
    lon, lat = wcs.wcs.lng, wcs.wcs.lat
    table = np.column_stack([pixels, sky[:, lon], sky[:, lat]])
    table = table[np.isfinite(table).all(axis=1)]
    icrs = []
    if len(table):
        try:
            place = wcs.pixel_to_world(*(table[:5, :2].T - 1)).icrs
            icrs = [[float(a), float(b)] for a, b in zip(place.ra.deg, place.dec.deg)]
        except Exception:
            pass
    table.astype("<f8").tofile(f"{out}/{n}.f64")
    inside = path
    if file is None:
        inside = f"{out}/{n}.fits"
        raw = header.tostring(endcard=True, padding=True).encode("latin1", "replace")
        open(inside, "wb").write(raw)
    index.append(dict(header=inside, text=file is None, name=os.path.basename(path), hdu=number, alt=alt, rows=len(table), icrs=icrs))
    n += 1
json.dump(index, open(out + "/index.json", "w"))
print(len(index), sum(i["rows"] for i in index))
