# Makes image files of every kind in the folder given: pixel types, scalings, blanks, extensions, compressions, WCSs.
import subprocess, sys, warnings
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

warnings.simplefilter("ignore")
out = sys.argv[1]
rng = np.random.default_rng(5)
NY, NX = 210, 333


def wcs_header(kind="TAN"):
    w = WCS(naxis=2)
    w.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    w.wcs.crval = [11.2, 41.6]
    w.wcs.crpix = [100.5, 120.25]
    t = np.deg2rad(33.0)
    s = 0.05 / 3600
    w.wcs.cd = [[-s * np.cos(t), s * np.sin(t)], [s * np.sin(t), s * np.cos(t)]]
    h = w.to_header()
    for k in list(h):
        if k.startswith("PC"):
            del h[k]
    for i in (1, 2):
        h.pop(f"CDELT{i}", None)
        for j in (1, 2):
            h[f"CD{i}_{j}"] = w.wcs.cd[i - 1][j - 1]
    if kind == "SIP":
        h["CTYPE1"], h["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
        h.update(A_ORDER=3, B_ORDER=2, A_2_0=2.2e-5, A_1_1=-1e-5, A_0_3=1e-9, B_0_2=-1.2e-5, B_1_1=2e-5)
    if kind == "TPV":
        h["CTYPE1"], h["CTYPE2"] = "RA---TPV", "DEC--TPV"
        h.update(PV1_0=1e-5, PV1_1=1.0, PV1_4=0.01, PV2_1=1.0, PV2_4=-0.02)
    # an alternate one, with other pixels
    h["WCSNAMEB"], h["CTYPE1B"], h["CTYPE2B"] = "TANGENT B", "RA---TAN", "DEC--TAN"
    h.update(CRVAL1B=11.3, CRVAL2B=41.5, CRPIX1B=-20.5, CRPIX2B=7.0, CDELT1B=-2e-5, CDELT2B=2e-5)
    h["CTYPE1P"], h["CTYPE2P"] = "X", "Y"
    h.update(CRVAL1P=1.0, CRVAL2P=1.0, CRPIX1P=1.0, CRPIX2P=1.0, CDELT1P=1.0, CDELT2P=1.0)
    h["EXPTIME"], h["FILTER"], h["PHOTFLAM"] = 1900.0, "F475W", 1.8e-19
    h["LONGTEXT"] = "it's a long string that goes on and on " * 4
    h["HIERARCH ESO DET NAME"] = "chip"
    h["LTV1"], h["LTV2"] = 3.0, -4.0
    h.add_history("made by a test")
    return h


def sky(dtype, scale=1.0):
    a = rng.normal(100, 5, (NY, NX))
    y, x = np.mgrid[:NY, :NX]
    for _ in range(60):
        a += rng.uniform(50, 3000) * np.exp(-((x - rng.uniform(0, NX)) ** 2 + (y - rng.uniform(0, NY)) ** 2) / 4)
    a *= scale
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        a = np.clip(np.round(a), info.min, info.max)
    return a.astype(dtype)


def put(name, *hdus):
    fits.HDUList(list(hdus)).writeto(f"{out}/{name}.fits", overwrite=True)


kinds = {"u8": (np.uint8, 0.05), "i16": (np.int16, 1), "i32": (np.int32, 100), "i64": (np.int64, 1e9), "f32": (np.float32, 1), "f64": (np.float64, 1)}
arrays = {k: sky(*v) for k, v in kinds.items()}
arrays["f32"][20:24, 30:50] = np.nan
for k, a in arrays.items():
    put(f"plain_{k}", fits.PrimaryHDU(a, wcs_header("SIP" if k == "f32" else "TPV" if k == "f64" else "TAN")))
put("plain_u16", fits.PrimaryHDU(sky(np.uint16), wcs_header()))
h = fits.PrimaryHDU(arrays["i16"], wcs_header())
h.header["BLANK"] = -32768
put("plain_blank", h)
# several extensions: exposure in the primary header, weights and flags beside the pixels
main = fits.PrimaryHDU()
main.header["TELESCOP"], main.header["PROPOSID"] = "HST", 12058
sci = fits.ImageHDU(arrays["f32"], wcs_header("SIP"), name="SCI")
sci.header["INHERIT"] = True
put("extensions", main, sci, fits.ImageHDU(arrays["f64"], wcs_header(), name="WHT"), fits.ImageHDU(arrays["i16"], wcs_header(), name="DQ"))
put("cube", fits.PrimaryHDU(rng.normal(0, 1, (3, 2, 40, 50)).astype("f4"), wcs_header()))
# lookup tables as HST has them
look = wcs_header("SIP")
for axis in (1, 2):
    look[f"CPDIS{axis}"], look[f"D2IMDIS{axis}"] = "LOOKUP", "LOOKUP"
sci = fits.ImageHDU(arrays["f32"], look, name="SCI")
for axis in (1, 2):
    for k in ("DP", "D2IM"):
        for field, value in (("EXTVER", axis), ("NAXES", 2), ("AXIS.1", 1), ("AXIS.2", 2)):
            sci.header.append((f"{k}{axis}", f"{field}: {value}"), end=True)
tables = []
for name in ("WCSDVARR", "D2IMARR"):
    for axis in (1, 2):
        t = fits.ImageHDU(rng.normal(0, 0.05, (9, 12)).astype("f4"), name=name, ver=axis)
        t.header.update(CRPIX1=0.0, CRPIX2=0.0, CRVAL1=0.0, CRVAL2=0.0, CDELT1=32.0, CDELT2=32.0)
        tables.append(t)
put("lookup", fits.PrimaryHDU(), sci, *tables)
subprocess.run(["gzip", "-kf", f"{out}/extensions.fits"], check=True)
for method in ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS"):
    for k in ("u8", "i16", "i32"):
        a = np.abs(arrays[k]) if method == "PLIO_1" else arrays[k]
        for tile in ((NY, 1), (50, 64)) if method not in ("HCOMPRESS_1",) else ((16, NX), (50, 64)):
            shape = (1, NX) if tile == (NY, 1) else tile
            try:
                hdu = fits.CompImageHDU(a, wcs_header(), compression_type=method, tile_shape=shape)
                put(f"comp_{method}_{k}_{shape[0]}", fits.PrimaryHDU(), hdu)
            except Exception as e:
                print("not made:", method, k, shape, e)
for method in ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1"):
    for dither, number in (("NO", -1), ("D1", 1), ("D2", 2)):
        a = arrays["f32"].copy()
        a[100:110, 100:120] = 0
        hdu = fits.CompImageHDU(a, wcs_header(), compression_type=method, quantize_level=16, quantize_method=number, dither_seed=77, tile_shape=(50, 64))
        put(f"comp_{method}_float_{dither}", fits.PrimaryHDU(), hdu)
hdu = fits.CompImageHDU(arrays["f64"], wcs_header(), compression_type="RICE_1", quantize_level=8, quantize_method=1, dither_seed=9999)
put("comp_double", fits.PrimaryHDU(), hdu)
hdu = fits.CompImageHDU(arrays["f32"], wcs_header(), compression_type="GZIP_2", quantize_level=0.0)
put("comp_lossless", fits.PrimaryHDU(), hdu)
hdu = fits.CompImageHDU(rng.normal(0, 50, (3, 40, 50)).astype("i2"), wcs_header(), compression_type="RICE_1", tile_shape=(2, 16, 20))
put("comp_cube", fits.PrimaryHDU(), hdu)
hdu = fits.CompImageHDU(sky(np.uint16), wcs_header(), compression_type="RICE_1")
put("comp_u16", fits.PrimaryHDU(), hdu)
for flag, source in (("-r", "plain_i16"), ("-r", "plain_f32"), ("-h", "plain_i16"), ("-h", "plain_f32"), ("-g", "plain_f64"), ("-g1", "plain_i32"), ("-p", "plain_u8"), ("-r", "extensions")):
    name = f"{out}/fpack{flag}_{source}.fits.fz"
    with open(name, "wb") as f:
        subprocess.run(["fpack", flag, "-S", f"{out}/{source}.fits"], check=True, stdout=f)
