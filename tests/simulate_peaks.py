"""Do the stars of the truth lie on their peaks? python simulate_peaks.py BRICKYARD SURVEY

Pieces are cut out of the six mosaics by BRICKYARD about every bright star that stands alone; each is centred by an iterated centroid
with a Gaussian weight, and astropy's pixel of the true position by the piece's own WCS is where it should be. Ends with status 1 if a
star lies elsewhere.
"""
import csv
import glob
import shutil
import subprocess
import sys
import tempfile
import warnings

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

warnings.simplefilter("ignore")
brickyard, survey = sys.argv[1:]
truth = fits.getdata(f"{survey}/truth.fits", 1)
_, first = np.unique(truth["star"], return_index=True)
truth = truth[first]

SIDE = 21  # pixels of a piece
NEIGHBOUR_PX = 9.0


def centroid(pixels, x, y, sigma):
    """The place at which a Gaussian weight of this width sees the light balanced: twice the weighted mean offset is a Newton step
    for a profile of about that width."""
    rows, columns = np.indices(pixels.shape)
    for _ in range(40):
        weight = pixels * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
        dx, dy = (weight * (columns - x)).sum() / weight.sum(), (weight * (rows - y)).sum() / weight.sum()
        x, y = x + 2 * dx, y + 2 * dy
        if abs(dx) + abs(dy) < 1e-6:
            break
    return x, y


worst, count, failed = 0.0, 0, False
for path in sorted(glob.glob(survey + "/**/*_drz.fits", recursive=True)):
    header, image = fits.getheader(path), fits.getdata(path)
    band, wcs = header["FILTER"].lower(), WCS(header)
    x, y = wcs.all_world2pix(truth["ra"], truth["dec"], 0)
    rate = 10 ** (0.4 * (header["VEGAZPT"] - truth[f"{band}_true"].astype(float)))
    size = image.shape[0]
    near = (x > -20) & (x < size + 20) & (y > -20) & (y < size + 20)
    star, x, y, rate = truth[near], x[near], y[near], rate[near]
    noise = 1.4826 * np.median(np.abs(image - np.median(image)))
    # the light falls on some 12 pixels
    snr = rate / np.sqrt(12 * noise**2 + rate / header["EXPTIME"])
    inside = (x > SIDE) & (x < size - SIDE) & (y > SIDE) & (y < size - SIDE)
    apart = np.hypot(x[:, None] - x, y[:, None] - y)
    np.fill_diagonal(apart, np.inf)
    alone = ~((apart < NEIGHBOUR_PX) & (rate > 0.003 * rate[:, None])).any(axis=1)
    alone &= ~((apart < 3 * NEIGHBOUR_PX) & (rate > rate[:, None])).any(axis=1)
    chosen = np.flatnonzero(inside & alone & (snr > 40))
    chosen = chosen[np.argsort(-snr[chosen])][:60]
    pixel_arcsec = np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))) * 3600
    folder = tempfile.mkdtemp()
    with open(f"{folder}/list.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["ra", "dec", "size", "name"])
        # not about the star itself, so that it lies anywhere between pixels and not in the middle
        aside = 2.3 * pixel_arcsec / 3600
        rows.writerows([star["ra"][k], star["dec"][k] + aside, f"{SIDE * pixel_arcsec}arcsec", f"star{k}"] for k in chosen)
    if len(chosen):
        words = [brickyard, "cutout", "--list", f"{folder}/list.csv", "--file", path, "--output", folder]
        subprocess.run(words, check=True, capture_output=True)
    offsets = []
    for k in chosen:
        (piece,) = glob.glob(f"{folder}/*_star{k}.fits")
        with fits.open(piece) as hdus:
            pixels, where = hdus[0].data.astype(float), WCS(hdus[0].header)
            wanted = where.all_world2pix(star["ra"][k], star["dec"][k], 0)
            found = centroid(pixels, *[float(round(float(c))) for c in wanted], sigma=1.2)
        offsets.append([found[0] - wanted[0], found[1] - wanted[1]])
    shutil.rmtree(folder)
    offsets = np.array(offsets).reshape(-1, 2)
    far = np.hypot(*offsets.T)
    print(f"{band}: {near.sum()} stars, {len(chosen)} bright and alone ({(snr[chosen] > 100).sum()} of them very), mean offset {offsets.mean(axis=0) if len(far) else ''}, "
          f"largest {far.max(initial=0):.4f} pixels")
    # fainter ones are known less well: in ultraviolet light there are few bright ones
    failed |= bool((far > 0.05 * np.maximum(1, 100 / snr[chosen])).any()) or len(chosen) < 8
    failed |= bool(np.abs(offsets.mean(axis=0)).max() > 0.005 + 0.05 / np.sqrt(len(chosen)))
    worst, count = max(worst, far[snr[chosen] > 100].max(initial=0)), count + len(chosen)
print(f"{count} stars in six filters, the brighter ones at most {worst:.4f} pixels from their places")
sys.exit(1 if failed or count < 200 else 0)
