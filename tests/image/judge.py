# Judges cutouts: JOBS is a JSON list of {source, hdu, rect: [x, y, w, h], out, planes}; prints every fault.
import json, sys, warnings
import numpy as np
from astropy import log
from astropy.io import fits
from astropy.wcs import WCS

log.setLevel("ERROR")
faults = []
STRUCTURE = ("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "EXTEND", "CHECKSUM", "DATASUM", "INHERIT", "DATE", "CRPIX", "LTV", "CNPIX", "BLANK", "EXTNAME", "NEXTEND", "HISTORY", "COMMENT", "")


def raw(path, hdu):
    return fits.open(path, do_not_scale_image_data=True, memmap=False)[hdu].data


def same(a, b):
    return a.shape == b.shape and a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=") and a.tobytes() == b.astype(a.dtype).tobytes()


def sums_to_minus_zero(path, hdu):
    place = hdu.fileinfo()
    with open(path, "rb") as file:
        file.seek(place["hdrLoc"])
        words = np.frombuffer(file.read(place["datLoc"] + place["datSpan"] - place["hdrLoc"]), ">u4")
    total = int(words.sum(dtype="u8"))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total == 0xFFFFFFFF


for job in json.load(open(sys.argv[1])):
    title = f"{job['source'].split('/')[-1]}[{job['hdu']}] {job['rect']}"
    x, y, w, h = job["rect"]
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made = fits.open(job["out"], checksum=True, do_not_scale_image_data=True)
            made.verify("exception")
            [hdu.data for hdu in made]
        if any("atasum" in str(c.message) for c in caught) or not all(sums_to_minus_zero(job["out"], hdu) for hdu in made):
            faults.append(f"{title}: checksums are wrong: {[str(c.message) for c in caught]}")
        warnings.simplefilter("ignore")
        whole = raw(job["source"], job["hdu"])
        wanted = whole[..., max(y, 0) : y + h, max(x, 0) : x + w]
        data = made[0].data
        inner = data[..., max(-y, 0) : max(-y, 0) + wanted.shape[-2], max(-x, 0) : max(-x, 0) + wanted.shape[-1]]
        if data.shape[-2:] != (h, w) or not same(np.ascontiguousarray(inner), np.ascontiguousarray(wanted)):
            faults.append(f"{title}: pixels differ: {data.shape} {data.dtype} {whole.dtype} {np.sum(inner != wanted) if inner.shape == wanted.shape else inner.shape}")
        scaled = fits.open(job["out"], memmap=False)[0].data
        if wanted.shape[-2:] != (h, w):
            out = np.ones(scaled.shape[-2:], bool)
            out[max(-y, 0) : max(-y, 0) + wanted.shape[-2], max(-x, 0) : max(-x, 0) + wanted.shape[-1]] = False
            # astropy gives NaN for BLANK, but not in bytes and in its unsigned integers
            padded = np.isnan(scaled[..., out].astype(float)) if data.dtype.kind == "f" else data[..., out] == made[0].header["BLANK"]
            if not padded.all():
                faults.append(f"{title}: the padding is not BLANK")
        source = fits.open(job["source"])
        header, mine = source[job["hdu"]].header, made[0].header
        for card in header.cards:
            if card.keyword.rstrip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") in STRUCTURE or card.keyword.startswith(STRUCTURE[:-1]):
                continue
            if mine.get(card.keyword) != card.value and card.keyword not in ("DP1", "DP2", "D2IM1", "D2IM2"):
                faults.append(f"{title}: {card.keyword} {card.value!r} became {mine.get(card.keyword)!r}")
        for key in job.get("inherits", []):
            if mine.get(key) != source[0].header[key]:
                faults.append(f"{title}: {key} is not inherited")
        for alt in " BP":
            if f"CTYPE1{alt}".strip() not in header:
                continue
            theirs, ours = WCS(header, source, key=alt), WCS(mine, made, key=alt)
            n = theirs.naxis
            p = np.random.default_rng(2).uniform(0, [min(w, 500), min(h, 500)] + [1] * (n - 2), (200, n))
            shifted = p + np.array([x, y] + [0] * (n - 2))
            a, b = theirs.all_pix2world(shifted, 0), ours.all_pix2world(p, 0)
            off = np.nanmax(np.abs(a - b)[:, :2]) / (1e-5 if alt != "P" else 1)
            if not off < 1e-4:
                faults.append(f"{title}: WCS {alt!r} is off by {off}")
        for number, plane in enumerate(job.get("planes", []), 1):
            if not same(np.ascontiguousarray(made[number].data), np.ascontiguousarray(raw(job["source"], plane)[max(y, 0) : y + h, max(x, 0) : x + w])):
                faults.append(f"{title}: plane {plane} differs")
    except Exception as error:
        faults.append(f"{title}: {type(error).__name__} {error}")
print("\n".join(faults))
