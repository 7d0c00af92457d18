"""Checks a simulated survey with astropy and numpy alone: python simulate_oracle.py SURVEY [FACTS].

Each check recomputes what the facts say from the files; the first that fails names itself and ends with status 1.
"""
import csv, glob, json, math, re, sys, warnings
import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astropy.wcs import WCS

warnings.simplefilter("error")
warnings.simplefilter("ignore", ResourceWarning)
survey = sys.argv[1]
facts = sys.argv[2] if len(sys.argv) > 2 else None

BANDS = ["F475W", "F814W", "F275W", "F336W", "F110W", "F160W"]  # order of the combined blocks
CUTS = {"F275W": (0.15, 1.3), "F336W": (0.15, 1.3), "F475W": (0.2, 2.25), "F814W": (0.2, 2.25), "F110W": (0.15, 2.25), "F160W": (0.15, 2.25)}
NONE = np.float32(99.999)
ST = ["rate", "raterr", "vega", "err", "chi", "snr", "sharp", "round", "crowd", "flag"]
PHOT = ["COUNTS{}", "BG{}", "RATE{}", "RATERR{}", "MAG{}_VEGA", "MAG{}_STD", "MAG{}_ERR", "CHI{}", "SNR{}", "SHARP{}", "ROUND{}", "CROWD{}", "FLAG{}"]
OF_ST = dict(zip(ST, ["RATE{}", "RATERR{}", "MAG{}_VEGA", "MAG{}_ERR", "CHI{}", "SNR{}", "SHARP{}", "ROUND{}", "CROWD{}", "FLAG{}"]))


def check(holds, name):
    if not np.all(holds):
        print("FAILED:", name)
        sys.exit(1)


def open_table(path):
    """The table of a file that obeys the standard to the letter: two HDUs, no name, nothing for astropy to repair."""
    with fits.open(path, memmap=False, lazy_load_hdus=False) as hdus:
        hdus.verify("exception")
        check(len(hdus) == 2 and "EXTNAME" not in hdus[1].header, f"two HDUs without a name in {path}")
        check(np.all([np.isfinite(hdus[1].data[c.name]).all() for c in hdus[1].columns if c.format in "ED"]), f"no NaN in {path}")
        return hdus[1].header.copy(), hdus[1].data.copy(), hdus[1].columns


def objids(ra, dec):
    return ["PHAT_%.7f%+.6f" % pair for pair in zip(ra, dec)]


def check_star_file(brick, stars, columns):
    if facts:
        real = [(r["TTYPE"], r["TFORM"]) for r in csv.DictReader(open(f"{facts}/star_v2_schema_from_real_file.csv"))]
        check([(c.name, c.format) for c in columns] == real, "_st.fits has the columns of the real file in its order")
    for band in BANDS:
        b = band.lower()
        vega, snr = stars[b + "_vega"], stars[b + "_snr"]
        sharp2, crowd = stars[b + "_sharp"].astype(float) ** 2, stars[b + "_crowd"].astype(float)
        good = ((snr >= 4) & (sharp2 < CUTS[band][0]) & (crowd < CUTS[band][1])) | (vega == NONE)
        check(good == stars[b + "_gst"], f"{b}_gst recomputes with no mismatch in brick {brick}")
        rate, raterr, err = (stars[f"{b}_{c}"].astype(float) for c in ("rate", "raterr", "err"))
        seen = rate > 0
        check((vega == NONE) == ~seen, f"{b}: no magnitude just where the rate is not positive")
        # Three digits of rate are 0.5 %, 0.0054 mag.
        check(np.abs(vega[seen] + 2.5 * np.log10(rate[seen])) < 0.0061, f"{b}: vega is -2.5 log10 rate")
        # Two digits of a negative rate are 5 %.
        tolerance = 0.051 + np.where(rate < 0, 0.061, 0.011) * np.abs(rate / raterr)
        check(np.abs(snr - rate / raterr) < tolerance, f"{b}: snr is rate over raterr")
        check(np.abs(err - np.minimum(9.999, 1.085736 * raterr / np.where(seen, rate, 1)))[seen] < 0.0006 + 0.011 * err[seen], f"{b}: err is 1.0857 / snr")
        absent = raterr == 9999
        for column in ("rate", "snr", "chi", "sharp", "round", "crowd", "flag"):
            check(stars[f"{b}_{column}"][absent] == 0, f"{b}_{column} of stars that no image covers")
        check((stars[b + "_flag"] >= 0) & (stars[b + "_flag"] < 8), f"{b}_flag from 0 to 7")
        for field in np.unique(stars["field"]):
            last = 9.999
            of_field = stars["field"] == field
            for sees, covered, printed in zip(seen[of_field], ~absent[of_field], stars[b + "_err"][of_field].tolist()):
                last = printed if sees else last
                check(printed == np.float32(last if covered else 9.999), f"{b}_err is that of the last star that had one, where the magnitude is missing")
    six = np.all([stars[b.lower() + "_gst"] & (stars[b.lower() + "_vega"] < 30) for b in BANDS], axis=0)
    check(six.sum() >= 1, f"six-band good stars in brick {brick}")
    quirk = np.all([stars[b.lower() + "_gst"] for b in BANDS], axis=0)
    check(quirk.sum() > 2 * six.sum(), "many more stars have six good flags than six magnitudes")


def in_polygon(ra, dec, corners):
    inside = np.zeros(len(ra), bool)
    for k in range(len(corners)):
        (x1, y1), (x2, y2) = corners[k - 1], corners[k]
        crosses = (y1 > dec) != (y2 > dec)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= crosses & (ra < (x2 - x1) * (dec - y1) / (y2 - y1) + x1)
    return inside


def check_inside(brick, stars):
    rows = [r for r in csv.DictReader(open(f"{facts}/phat_fields.csv")) if int(r["brick"]) == brick]
    quads, full = {}, {}
    for r in rows:
        corners = np.array([[float(r["ra%d" % k]), float(r["dec%d" % k])] for k in (1, 2, 3, 4)])
        field = int(r["field"])
        quads[field] = corners
        east_half = (field - 1) % 6 < 3
        b, c = (corners[1], corners[3]) if east_half else (corners[3], corners[1])
        across = np.array([(b - c)[1], -(b - c)[0]]) / np.hypot(*(b - c)) * 2e-3
        full[field] = np.array([c - across, c + across, b + across, b - across])
    union = np.any([in_polygon(stars["ra"], stars["dec"], q) for q in quads.values()], axis=0)
    check(union == stars["inside_brick"], "inside_brick is the union of the IR images")
    for field in np.unique(stars["field"]):
        mine = stars["field"] == field
        ra, dec = stars["ra"][mine], stars["dec"][mine]
        check(in_polygon(ra, dec, quads[field]) == stars["inside_ir"][mine], f"inside_ir of field {field}")
        check(in_polygon(ra, dec, full[field]) == stars["inside_chipgap"][mine], f"inside_chipgap of field {field}")
        kept = (stars["inside_ir"][mine] & ~stars["inside_chipgap"][mine]) | stars["inside_other_chipgap"][mine]
        # A position printed to 0.01 pixel may fall across an edge.
        check(np.mean(~kept) < 0.002, f"rows of field {field} are those that the catalogue keeps")


def check_phot(path, stars):
    header, phot, columns = open_table(path)
    n = (len(columns) - 11) // 13
    names = ["X", "Y", "RA_J2000", "DEC_J2000", "CHI", "SNR", "SHARP", "ROUND", "MAJAX", "CROWD", "OBJTYPE"]
    names += [name.format(k) for k in range(1, n + 1) for name in PHOT]
    check([c.name for c in columns] == names and len(columns) <= 999, f"columns of {path}")
    forms = {c.name: c.format for c in columns}
    integers = {"MAJAX", "OBJTYPE"} | {f"FLAG{k}" for k in range(1, n + 1)}
    check(all(forms[c] == ("I" if c in integers else "D" if "J2000" in c else "E") for c in names), "types of _phot.fits")
    check_cards(header, n)
    for st, ph in [("x", "X"), ("y", "Y"), ("ra", "RA_J2000"), ("dec", "DEC_J2000")]:
        check(stars[st] == phot[ph], f"{st} of _st.fits is {ph} of _phot.fits")
    for k, band in enumerate(BANDS, 1):
        for column, name in OF_ST.items():
            check(stars[f"{band.lower()}_{column}"] == phot[name.format(k)], f"{band} {column} of _st.fits and of _phot.fits")
    check_combination(header, phot, n)
    return header, phot, n


def check_cards(header, n):
    for k, band in enumerate(BANDS, 1):
        check(header[f"FILT{k}"] == band and f"IMAGE{k}" not in header and f"MJD{k}" not in header, "cards of combined blocks")
    images = [header[f"IMAGE{k}"] for k in range(7, n + 1)]
    check(len(set(images)) == len(images), "each image-chip once")
    for k in range(7, n + 1):
        match = re.fullmatch(r"[ij][a-z0-9]{7}q_(F\d{3}W)_flt\.chip([12])", header[f"IMAGE{k}"])
        check(match is not None, f"IMAGE{k} is a name of an image-chip: {header[f'IMAGE{k}']}")
        check((header[f"FILT{k}"], header[f"CHIP{k}"]) == (match[1], int(match[2])), "FILTn and CHIPn agree with IMAGEn")
        seconds = (Time(header[f"DOBS{k}"] + "T" + header[f"TOBS{k}"], scale="utc").mjd - header[f"MJD{k}"]) * 86400
        check(abs(seconds) < 0.01, f"MJD{k} is DOBS{k} TOBS{k}")
        check(55390 - 1 <= header[f"MJD{k}"] <= 56580 and 1 < header[f"EXPT{k}"] < 1000, "exposures of the programme's years")


def check_combination(header, phot, n):
    """Combined blocks are the inverse-variance means of the single ones, within the printed digits."""
    for k, band in enumerate(BANDS, 1):
        members = [m for m in range(7, n + 1) if header[f"FILT{m}"] == band]
        stack = lambda name: np.array([phot[name.format(m)] for m in members], float)
        used = stack("FLAG{}") < 8
        off = stack("FLAG{}") == 9
        check((stack("RATERR{}") == 9999) == off, "raterr 9999 just where the flag is 9")
        check((stack("MAG{}_VEGA")[off] == NONE) & (stack("RATE{}")[off] == 0), "flag 9 has no rate")
        weight = used / stack("RATERR{}") ** 2
        total = weight.sum(0)
        seen = total > 0
        check(~seen == (phot[f"RATERR{k}"] == 9999), "no combined value without an image")
        mean = lambda name: (weight * stack(name)).sum(0)[seen] / total[seen]
        got = lambda name: phot[name.format(k)][seen].astype(float)
        sigma = total[seen] ** -0.5
        check(np.abs(got("RATERR{}") / sigma - 1) < 0.011, f"{band} combined raterr")
        # Rates have three digits, two if negative; weights two and a half.
        slack = (weight * np.abs(stack("RATE{}"))).sum(0)[seen] / total[seen]
        check(np.abs(got("RATE{}") - mean("RATE{}")) <= 0.062 * slack + 0.02 * sigma, f"{band} combined rate")
        check(np.abs(got("COUNTS{}") - (used * stack("COUNTS{}")).sum(0)[seen]) < 0.06 * len(members) + 0.006 * np.abs(got("COUNTS{}")), f"{band} total counts")
        check(np.abs(got("CHI{}") ** 2 - (weight * stack("CHI{}") ** 2).sum(0)[seen] / total[seen]) < 0.02 + 0.03 * got("CHI{}") ** 2, f"{band} combined chi")
        check(np.abs(got("CROWD{}") - np.minimum(9.999, mean("CROWD{}"))) < 0.003 + 0.02 * got("CROWD{}"), f"{band} combined crowding")
        flags = np.bitwise_or.reduce(np.where(used, stack("FLAG{}").astype(int), 0), axis=0)
        check(flags[seen] == got("FLAG{}"), f"{band} combined flag")


def c_line(r, n):
    """A line of .phot from the FITS values of a row, by Python's printf, which is C's."""
    def rate(v):
        return "%8.1e" % v if v < 0 else "%8.2e" % v if v < 0.99 else "%8.*f" % (max(1, min(6, 6 - int(math.floor(math.log10(v))))), v)
    line = "0 1 %7.2f %7.2f" % (r["X"], r["Y"])
    line += " %6.2f %7.1f %6.3f %6.3f %3d %5.3f %d" % tuple(r[c] for c in ("CHI", "SNR", "SHARP", "ROUND", "MAJAX", "CROWD", "OBJTYPE"))
    for k in range(1, n + 1):
        v = [r[name.format(k)] for name in PHOT]
        line += "  " + ("%8.2e" % v[0] if v[0] >= 999999.5 else "%8.1f" % v[0])
        line += " " + ("%8.2f" % v[1] if v[1] < 9999.995 else "%8.1f" % v[1])
        line += " " + rate(v[2]) + " " + rate(v[3])
        line += " %6.3f %6.3f %5.3f %6.2f %7.1f %6.3f %6.3f %5.3f %2d" % tuple(v[4:])
    return line


def check_dolphot(path, header, phot, n):
    lines = open(path).read().splitlines()
    check(len(lines) == len(phot), "as many lines as rows")
    values = {name: phot[name].tolist() for name in phot.names}
    for row, line in enumerate(lines):
        check(line == c_line({name: column[row] for name, column in values.items()}, n), f"line {row + 1} of {path} is C's print of the FITS row")
    described = open(path + ".columns").read().splitlines()
    check(len(described) == 11 + 13 * n == len(lines[0].split()), "one description a column")
    check([d.split(".")[0] for d in described] == [str(k + 1) for k in range(len(described))], "descriptions are numbered")
    if facts:
        example = open(f"{facts}/dolphot_example.phot.columns").read().splitlines()
        check(described[:89] == example[:89], "globals and combined blocks are described as in the example")
        strip = lambda d: re.sub(r"\w+_flt", "X_flt", d)
        check([strip(d) for d in described[89:115]] == [strip(d) for d in example[89:115]], "image blocks are described as in the example")
    for k in range(7, n + 1):
        of = f"{header[f'IMAGE{k}']} ("
        text = described[11 + 13 * (k - 1)]
        check(of in text and f"{header[f'FILT{k}']}, {header[f'EXPT{k}']:.1f} sec)" in text, f"block {k} in .columns and in the cards")
    info = open(path + ".info").read().splitlines()
    check(info[0] == f"{n - 6} sets of output data", "first line of .info")
    for k in range(7, n + 1):
        check(info[2 * k - 13] == header[f"IMAGE{k}"] and info[2 * k - 12] == "%16.8f" % header[f"MJD{k}"], f"image {k - 6} of .info")
    wcs = WCS(fits.Header.fromtextfile(path[: -len(".phot")] + "_F475W_drz.hdr"))
    x, y = np.array([line.split()[2:4] for line in lines], float).T
    ra, dec = wcs.all_pix2world(x, y, 0)
    check((np.abs(ra - phot["RA_J2000"]) < 1e-10) & (np.abs(dec - phot["DEC_J2000"]) < 1e-10), "ra, dec follow from x, y by the reference image")
    scale = np.sqrt(np.abs(np.linalg.det(wcs.wcs.cd))) * 3600
    check(abs(scale - 0.05) < 1e-9, "0.05 arcsec a pixel")


def check_cepheid(header, phot, n):
    east = (phot["RA_J2000"] - 11.02203) * math.cos(math.radians(41.23451))
    near = np.flatnonzero(np.hypot(east, phot["DEC_J2000"] - 41.23451) < 0.2 / 3600)
    check(len(near) == 1, "one object within 0.2 arcsec of V5343")
    row = phot[near[0]]
    check(objids([row["RA_J2000"]], [row["DEC_J2000"]]) == ["PHAT_11.0220304+41.234515"], "the name of V5343")
    check(n - 6 == 62, "62 image-chips around V5343")
    points = [(header[f"FILT{k}"], header[f"MJD{k}"], float(row[f"MAG{k}_VEGA"]), float(row[f"MAG{k}_ERR"])) for k in range(7, n + 1)]
    measured = [p for p in points if p[2] < 90]
    check(25 <= len(measured) <= 30, f"25 to 30 measured, got {len(measured)}")
    printed = [("F475W", 55709.3, [22.79, 22.23, 22.20]), ("F475W", 55926.9, [22.34, 22.05, 22.02]), ("F814W", 55709.3, [20.44, 20.27, 20.25]),
               ("F814W", 55926.9, [20.36, 20.25, 20.24]), ("F336W", 55926.95, [23.50, 23.37]), ("F336W", 56132.3, [23.55, 23.46]),
               ("F275W", 55926.95, [24.98, 27.08]), ("F275W", 56132.3, [27.34]), ("F110W", 55927.1, [19.68]), ("F160W", 55927.1, [19.13] * 4)]
    for band, mjd, mags in printed:
        got = [p[2] for p in measured if p[0] == band and abs(p[1] - mjd) < 0.05]
        check(all(min(abs(m - g) for g in got) < 0.0006 for m in mags), f"the printed points of V5343 in {band} at {mjd}: {got}")


def check_distribution(stars_of):
    table = {int(r["brick"]): r for r in csv.DictReader(open(f"{facts}/phat_bricks.csv"))}
    counts = {b: len(s) for b, s in stars_of.items()}
    real = {b: float(table[b]["est_objects_millions"]) for b in counts}
    for b, stars in stars_of.items():
        part, wanted = counts[b] / sum(counts.values()), real[b] / sum(real.values())
        check(abs(part / wanted - 1) < 0.12, f"brick {b} has {part:.3f} of the objects, the survey {wanted:.3f}")
        good = stars["f475w_gst"] & stars["f814w_gst"] & (stars["f475w_vega"] < 50) & (stars["f814w_vega"] < 50)
        f475w, f814w = stars["f475w_vega"][good].mean(), stars["f814w_vega"][good].mean()
        print(f"brick {b}: {counts[b]} objects, <F475W> {f475w:.2f} (survey {table[b]['mean_f475w_gst']}), colour {f475w - f814w:.2f} ({table[b]['mean_f475w_minus_f814w_gst']}), good in both ACS bands {good.mean():.2f}")
        check(abs(f475w - float(table[b]["mean_f475w_gst"])) < 0.6, f"mean F475W of good stars in brick {b}: {f475w:.2f}")
        check(abs(f475w - f814w - float(table[b]["mean_f475w_minus_f814w_gst"])) < 0.45, f"mean colour of good stars in brick {b}")
        check(0.45 < good.mean() < 0.9, "about seven stars of ten are good in both ACS bands")
    centre = lambda s: np.hypot((np.mean(s["ra"]) - 10.6847) * 0.7506, np.mean(s["dec"]) - 41.269)
    order = sorted(stars_of, key=lambda b: centre(stars_of[b]))
    check(order == sorted(order), "odd bricks run outwards")


def check_truth(stars_of):
    _, truth, _ = open_table(f"{survey}/truth.fits")
    everything = np.concatenate([objids(s["ra"], s["dec"]) for s in stars_of.values()])
    check(list(truth["objid"]) == list(everything), "truth has the objects of all _st.fits in their order")
    ra, dec = (np.concatenate([s[c] for s in stars_of.values()]) for c in ("ra", "dec"))
    east = (ra - truth["ra"]) * np.cos(np.radians(dec))
    check(np.hypot(east, dec - truth["dec"]) * 3600 < 0.0005, "true places within half a milliarcsecond")
    # Bright stars come out as they went in; the rest within noise, blends and losses.
    for band in BANDS:
        b = band.lower()
        vega = np.concatenate([s[b + "_vega"] for s in stars_of.values()])
        snr = np.concatenate([s[b + "_snr"] for s in stars_of.values()])
        sure = (snr > 30) & (truth["kind"] == 0)
        if sure.sum() > 20:
            check(abs(np.median(vega[sure] - truth[b + "_true"][sure])) < 0.02, f"{band} of bright stars is true")
    names, stars = {}, {}
    for number, name in zip(truth["star"], truth["objid"]):
        stars.setdefault(number, []).append(name)
    again = [names for names in stars.values() if len(names) > 1]
    same = sum(len(set(names)) < len(names) for names in again)
    print(f"{len(again)} stars in more than one field, {same} of them under one name")
    check(len(again) < 20 or 0 < same < len(again), "some stars seen twice have one name, others differ in the last digits")
    check(len(stars) + sum(len(names) - 1 for names in again) == len(truth), "every row is a star")
    check((truth["kind"] == 2).sum() >= len(stars_of) and (truth["kind"] == 3).sum() == (4 in stars_of), "variables are in the truth")


stars_of, phots = {}, 0
for path in sorted(glob.glob(f"{survey}/brick*/*_st.fits")):
    brick = int(re.search(r"-m31-b(\d\d)_f275w-f336w-f475w-f814w-f110w-f160w_v2_st\.fits$", path)[1])
    _, stars, columns = open_table(path)
    stars_of[brick] = stars
    check(np.all(np.diff(stars["field"]) >= 0), "rows field by field")
    check_star_file(brick, stars, columns)
    if facts:
        check_inside(brick, stars)
    for field in np.unique(stars["field"]):
        phot_path = glob.glob(f"{survey}/brick{brick:02}/*-m31-b{brick:02}-f{field:02}_*_v2_phot.fits*")
        if not phot_path:
            continue
        header, phot, n = check_phot(phot_path[0], stars[stars["field"] == field])
        phots += 1
        for text in glob.glob(f"{survey}/brick{brick:02}/*B{brick:02}-F{field:02}.phot"):
            check_dolphot(text, header, phot, n)
        if (brick, field) == (4, 15):
            check_cepheid(header, phot, n)
if facts and all(len(np.unique(stars["field"])) == 18 for stars in stars_of.values()):
    check_distribution(stars_of)
check_truth(stars_of)
report = json.load(open(f"{survey}/simulation.json"))
check(report["complete"] and report["objects"] == sum(map(len, stars_of.values())), "simulation.json counts the objects")
print(f"all checks hold: {len(stars_of)} bricks, {phots} _phot.fits")
