//! Images against astropy: world coordinates, pixels of every kind of file, cutouts that verify, pictures, hostile files.

use crate::harness::{python, scratch, shared};
use brickyard::image::header::{Header, Value};
use brickyard::image::{Cutout, FitsFile, Piece, Rect, Select, Wcs, cut, gzip};
use std::path::Path;
use std::process::Command;

fn cache() -> gzip::Cache {
    gzip::Cache::new(std::env::temp_dir(), 1 << 30)
}

/// Runs a script of `tests/image/` with the oracles' Python; its standard output.
fn oracle(script: &str, arguments: &[&str]) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/image").join(script);
    let output = Command::new(python()?).arg(path).args(arguments).output().expect("Python starts");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The farthest that the WCS is from the oracle, in pixels: pixel to sky, and that sky back to the pixel.
fn farthest(wcs: &Wcs, rows: &[[f64; 4]]) -> (f64, f64) {
    let scale = wcs.scales_deg()[0].min(wcs.scales_deg()[1]);
    let (mut forth, mut back) = (0_f64, 0_f64);
    for &[x, y, lon, lat] in rows {
        let there = wcs.pixel_to_world(x, y).map_or(f64::INFINITY, |found| apart_deg(found, [lon, lat]) / scale);
        let here = wcs.world_to_pixel(lon, lat).map_or(f64::INFINITY, |found| (found[0] - x).hypot(found[1] - y));
        (forth, back) = (forth.max(there), back.max(here));
    }
    (forth, back)
}

fn apart_deg(a: [f64; 2], b: [f64; 2]) -> f64 {
    let unit = |p: [f64; 2]| {
        let (lon, lat) = (p[0].to_radians(), p[1].to_radians());
        [lon.cos() * lat.cos(), lon.sin() * lat.cos(), lat.sin()]
    };
    let (a, b) = (unit(a), unit(b));
    (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f64>().sqrt().to_degrees()
}

#[test]
fn all_real_headers_lead_to_the_places_that_astropy_finds() {
    let (Some(shared), Some(_)) = (shared(), python()) else { return };
    let out = scratch();
    let folder = out.path().to_string_lossy().into_owned();
    let real = ["fits_zoo", "images"].map(|name| shared.join("data/real").join(name).to_string_lossy().into_owned());
    oracle("wcs.py", &[&folder, "100000", &real[0], &real[1]]);
    let index = std::fs::read_to_string(out.path().join("index.json")).expect("the index");
    let index: Vec<serde_json::Value> = serde_json::from_str(&index).expect("JSON");
    let (mut rows_seen, mut worst, mut faults) = (0, (0_f64, 0_f64), Vec::new());
    for (n, entry) in index.iter().enumerate() {
        let alt = entry["alt"].as_str().and_then(|alt| alt.chars().next()).expect("a letter");
        let title = format!("{} HDU {} {alt:?}", entry["name"], entry["hdu"]);
        let path = Path::new(entry["header"].as_str().expect("a path"));
        let wcs = if entry["text"] == true {
            Wcs::read(&Header::parse(&std::fs::read(path).expect("the header")).0, alt, &mut |name, version| {
                Err(format!("{name} {version}"))
            })
        } else {
            let hdu = entry["hdu"].as_u64().expect("a number") as usize;
            wcs_of(path, hdu, alt)
        };
        let bytes = std::fs::read(out.path().join(format!("{n}.f64"))).expect("the table");
        let rows: Vec<[f64; 4]> = bytes
            .chunks_exact(32)
            .map(|row| std::array::from_fn(|k| f64::from_le_bytes(row[8 * k..8 * k + 8].try_into().expect("8 bytes"))))
            .collect();
        match wcs {
            Err(what) => faults.push(format!("{title}: {what}")),
            Ok(wcs) => {
                let (forth, back) = farthest(&wcs, &rows);
                rows_seen += rows.len();
                worst = (worst.0.max(forth), worst.1.max(back));
                if forth > 1e-3 || back > 1e-3 {
                    faults.push(format!("{title}: {forth:.2e} pixel to the sky, {back:.2e} back"));
                }
                for (place, row) in entry["icrs"].as_array().expect("places").iter().zip(&rows) {
                    let wanted = [0, 1].map(|k| place[k].as_f64().expect("a number"));
                    let found = wcs.pixel_to_sky(row[0], row[1]).expect("a place");
                    let off_mas = apart_deg(found, wanted) * 3.6e6;
                    if off_mas > 0.1 {
                        faults.push(format!("{title}: ICRS is {off_mas:.2} mas off (frame {})", wcs.frame.name));
                        break;
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), index.len(), faults.join("\n"));
    assert!(index.len() > 80 && rows_seen > 90_000, "{} headers, {rows_seen} pixels", index.len());
    println!("{} headers, {rows_seen} pixels: at most {:.1e} pixel to the sky, {:.1e} back", index.len(), worst.0, worst.1);
}

/// The WCS of any HDU, also one without pixels.
fn wcs_of(path: &Path, hdu: usize, alt: char) -> Result<Wcs, String> {
    let mut file = FitsFile::open(path, &cache()).map_err(|error| error.to_string())?;
    let header = file.all().get(hdu).map(|hdu| hdu.header.clone()).ok_or("no such HDU")?;
    Wcs::read(&header, alt, &mut |name, version| file.table(name, version).map(|(_, table)| table))
}

#[test]
fn every_kind_of_header_agrees_with_the_vectors() {
    let Some(shared) = shared() else { return };
    let text = std::fs::read_to_string(shared.join("data/vectors/wcs_astropy.json")).expect("the vectors");
    let vectors: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    let mut faults = Vec::new();
    for vector in &vectors {
        let mut header = Header::default();
        for (key, value) in vector["hdr"].as_object().expect("cards") {
            let value = value.as_str().map_or_else(|| Value::Float(value.as_f64().expect("a number")), Value::from);
            header.set(key, value, "");
        }
        let column =
            |name: &str| -> Vec<f64> { vector[name].as_array().expect("a column").iter().map(|v| v.as_f64().expect("a number")).collect() };
        let (x, y, lon, lat) = (column("x"), column("y"), column("lon"), column("lat"));
        let rows: Vec<[f64; 4]> = (0..x.len()).map(|k| [x[k], y[k], lon[k], lat[k]]).collect();
        match Wcs::read(&header, ' ', &mut |_, _| Err("no tables".into())) {
            Err(what) => faults.push(format!("{}: {what}", vector["name"])),
            Ok(wcs) => {
                // the galactic vectors are told in ICRS
                let rows: Vec<[f64; 4]> = match wcs.frame.name.as_str() {
                    "GALACTIC" => {
                        rows.iter().map(|&[x, y, ra, dec]| [x, y, wcs.frame.of_icrs(ra, dec)[0], wcs.frame.of_icrs(ra, dec)[1]]).collect()
                    }
                    _ => rows,
                };
                let (forth, back) = farthest(&wcs, &rows);
                if forth > 1e-6 || back > 1e-6 {
                    faults.push(format!("{}: {forth:.2e} pixel to the sky, {back:.2e} back", vector["name"]));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(vectors.len() >= 19);
}

/// Rectangles of an image: a corner, the middle, one row, one column, everything, and a few that stick out.
fn rectangles(width: i64, height: i64) -> Vec<(Rect, bool)> {
    let rect = |x, y, width: i64, height: i64| Rect { x, y, width: width as u64, height: height as u64 };
    vec![
        (rect(0, 0, width.min(7), height.min(5)), false),
        (rect(width / 3, height / 4, width / 2, height / 2), false),
        (rect(0, height / 2, width, 1), false),
        (rect(width - 1, 0, 1, height), false),
        (rect(0, 0, width, height), false),
        (rect(-5, -3, width / 2 + 5, height / 3 + 3), true),
        (rect(width / 2, height / 2, width, height), true),
    ]
}

fn options() -> cut::Options {
    cut::Options { pad: false, planes: Vec::new(), limit_bytes: 1 << 30, date: "2026-01-31T12:00:00".into(), cards: Vec::new() }
}

fn written(cutout: &Cutout, path: &Path) {
    let mut file = std::fs::File::create(path).expect("a file");
    cutout.write(&mut file).expect("it is written");
}

#[test]
fn cutouts_of_every_kind_of_file_verify_and_have_astropys_pixels_to_the_bit() {
    if python().is_none() {
        return;
    }
    let folder = scratch();
    let dir = folder.path().to_string_lossy().into_owned();
    oracle("files.py", &[&dir]);
    let mut files: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.extend(shared().into_iter().flat_map(|shared| {
        [
            "images/r58289152-ch1_drz_sci.fits",
            "fits_zoo/m13.fits",
            "fits_zoo/m13_rice.fits",
            "fits_zoo/m13_gzip.fits",
            "fits_zoo/m13_plio.fits",
            "fits_zoo/m13_hcomp.fits",
            "fits_zoo/dist_lookup.fits.gz",
            "fits_zoo/compressed_with_nan.fits",
            "fits_zoo/dss.14.29.56-62.41.05.fits.gz",
        ]
        .map(|name| shared.join("data/real").join(name))
    }));
    files.sort();
    let mut jobs = Vec::new();
    let cache = cache();
    for path in &files {
        let mut file = FitsFile::open(path, &cache).unwrap_or_else(|error| panic!("{error}"));
        let images: Vec<usize> = file.all().iter().filter(|hdu| hdu.is_image()).map(|hdu| hdu.number).collect();
        for hdu in images.into_iter().take(3) {
            let select = Select::Number(hdu);
            let image = file.image(&select).unwrap_or_else(|error| panic!("{error}"));
            if image.axes[0].min(image.axes[1]) < 9 {
                continue;
            }
            for (rect, pad) in rectangles(image.axes[0] as i64, image.axes[1] as i64) {
                let piece = Piece::Pixels(rect);
                let cutout = cut(&mut file, &select, &piece, &cut::Options { pad, ..options() }).unwrap_or_else(|error| panic!("{error}"));
                let out = folder.path().join(format!("cut{}.out", jobs.len()));
                written(&cutout, &out);
                jobs.push(serde_json::json!({ "source": path, "hdu": hdu, "rect": [rect.x, rect.y, rect.width, rect.height], "out": out }));
            }
        }
    }
    let path = folder.path().join("extensions.fits.gz");
    let mut file = FitsFile::open(&path, &cache).expect("it opens");
    let planes = vec!["WHT".parse().expect("a name"), Select::Number(3)];
    let rect = Rect { x: 30, y: 40, width: 100, height: 50 };
    let cutout =
        cut(&mut file, &Select::Name("SCI".into(), None), &Piece::Pixels(rect), &cut::Options { planes, ..options() }).expect("it is cut");
    let out = folder.path().join("planes.out");
    written(&cutout, &out);
    jobs.push(serde_json::json!({ "source": path, "hdu": 1, "rect": [30, 40, 100, 50], "out": out, "planes": [2, 3], "inherits": ["TELESCOP", "PROPOSID"] }));
    let list = folder.path().join("jobs.json");
    std::fs::write(&list, serde_json::to_vec(&jobs).expect("JSON")).expect("written");
    let faults = oracle("judge.py", &[&list.to_string_lossy()]).expect("the judge");
    assert!(faults.trim().is_empty(), "of {} cutouts:\n{faults}", jobs.len());
    assert!(jobs.len() > 300, "{} cutouts", jobs.len());
}

#[test]
fn the_zoo_opens_or_is_refused_and_nothing_panics() {
    let Some(shared) = shared() else { return };
    let cache = cache();
    let mut seen = 0;
    for folder in ["fits_zoo", "images", "psf"] {
        for entry in std::fs::read_dir(shared.join("data/real").join(folder)).expect("the folder") {
            let path = entry.expect("an entry").path();
            let Ok(mut file) = FitsFile::open(&path, &cache) else { continue };
            for number in 0..file.all().len() {
                if let Ok(image) = file.image(&Select::Number(number)) {
                    let rect = Rect { x: 0, y: 0, width: image.axes[0], height: image.axes[1] };
                    seen += usize::from(image.read(file.source(), rect).is_ok());
                    let _ = file.wcs(&image, ' ');
                }
            }
        }
    }
    assert!(seen > 60, "{seen} images read");
}

#[test]
fn damaged_files_end_in_errors() {
    if python().is_none() {
        return;
    }
    let folder = scratch();
    oracle("files.py", &[&folder.path().to_string_lossy()]);
    let mut random = 12345_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize
    };
    let names = [
        "comp_RICE_1_i16_50",
        "comp_GZIP_2_i32_50",
        "comp_HCOMPRESS_1_i16_50",
        "comp_PLIO_1_i16_50",
        "comp_RICE_1_float_D2",
        "lookup",
        "plain_i16",
        "comp_cube",
    ];
    for name in names {
        let whole = std::fs::read(folder.path().join(format!("{name}.fits"))).expect("the file");
        for _ in 0..60 {
            let mut bytes = whole.clone();
            for _ in 0..1 + next() % 8 {
                // headers are hit as often as the data
                let reach = if next() % 2 == 0 { bytes.len() } else { bytes.len().min(3 * 2880) };
                let at = next() % reach;
                bytes[at] = if next() % 3 == 0 { b'0' + (next() % 10) as u8 } else { next() as u8 };
            }
            if next() % 4 == 0 {
                bytes.truncate(next() % whole.len());
            }
            let path = folder.path().join("damaged.fits");
            std::fs::write(&path, &bytes).expect("written");
            let Ok(mut file) = FitsFile::open(&path, &cache()) else { continue };
            for number in 0..file.all().len() {
                let rect = Rect { x: 3, y: 3, width: 20, height: 20 };
                let _ = cut(&mut file, &Select::Number(number), &Piece::Pixels(rect), &cut::Options { limit_bytes: 1 << 24, ..options() });
            }
        }
    }
}
