//! Pieces of images over HTTP: every kind of file to the bit, pictures, planes, jobs, S3, hostile files; astropy as judge.

use crate::harness::{self, Serving, python};
use crate::images::{database, images, mosaics, text};
use crate::tap::curl;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Runs `tests/images/pieces.py`; its output.
fn oracle(words: &[&str]) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/pieces.py");
    let output = Command::new(python()?).arg(script).args(words).output().expect("Python starts");
    assert!(output.status.success(), "{}", text(&output));
    Some(text(&output))
}

/// Registers what lies in a folder and serves it, with more settings.
fn serve(name: &str, root: &Path, settings: &[(&str, &str)]) -> Serving {
    let url = database(name);
    let output = images(&url, root, &["add", &root.to_string_lossy()]);
    assert!(output.status.success(), "{}", text(&output));
    let roots = format!("[{:?}]", root.display().to_string());
    let settings: Vec<(&str, &str)> = [("BRICKYARD_IMAGES_ROOTS", roots.as_str())].into_iter().chain(settings.iter().copied()).collect();
    Serving::start(&url, &settings)
}

#[test]
fn every_kind_of_file_is_cut_to_the_bit() {
    let folder = harness::scratch();
    let root = folder.path().to_string_lossy().into_owned();
    if oracle(&["make", &root]).is_none() {
        return;
    }
    let serving = serve("pieces_kinds", folder.path(), &[]);
    let told = oracle(&["judge", &serving.url(""), &root]).expect("it was there");
    harness::note(told.trim());
}

#[test]
fn pictures_show_what_is_there_where_it_is() {
    let Some(python) = python() else { return };
    let (folder, url) = (harness::scratch(), database("pieces_looks"));
    let out = folder.path().to_string_lossy().into_owned();
    let run = |words: &[&str]| {
        let scratch = harness::scratch();
        let mut command = harness::brickyard();
        command.env("BRICKYARD_DATA_DIR", scratch.path()).env("BRICKYARD_DATABASE_URL", &url);
        command.env("BRICKYARD_IMAGES_ROOTS", format!("[{out:?}]"));
        let output = command.args(words).output().expect("it runs");
        assert!(output.status.success(), "{words:?}: {}", text(&output));
    };
    run(&["simulate", "--out", &out, "--bricks", "15", "--fields", "10", "--objects", "30000", "--products", "st", "--images", "30"]);
    run(&["load", &out]);
    run(&["images", "add", &out]);
    let serving = Serving::start(&url, &[("BRICKYARD_IMAGES_ROOTS", &format!("[{out:?}]")), ("BRICKYARD_IMAGES_PIECE_BYTES", "20000000")]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/looks.py");
    let mut command = Command::new(python);
    command.arg(script).arg(serving.url("")).arg(&out);
    // where a person wants to look at the pictures too
    command.args(std::env::var_os("BRICKYARD_TEST_ALBUM"));
    let output = command.output().expect("Python starts");
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn pieces_come_as_jobs() {
    let Some(python) = python() else { return };
    let folder = harness::scratch();
    mosaics(folder.path());
    let serving = serve("pieces_jobs", folder.path(), &[("BRICKYARD_IMAGES_JOB_PIECES", "50")]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/jobs.py");
    let output = Command::new(python).arg(script).arg(serving.url("")).output().expect("Python starts");
    assert!(output.status.success(), "{}", text(&output));
}

/// Makes a job of some hundred large pictures and waits until it is being executed; its path.
fn long_job(serving: &Serving) -> String {
    let ids = curl(&[&serving.url("/sia2/query?BAND=4.7e-7&RESPONSEFORMAT=csv")]);
    let at = ids.text().lines().next().expect("a header").split(',').position(|name| name == "obs_publisher_did").expect("a column");
    let id = format!("ID={}", ids.rows()[0].split(',').nth(at).expect("a cell"));
    let mut words = vec!["-d".to_owned(), "PHASE=RUN".to_owned(), "-d".to_owned(), "ZOOM=8".to_owned(), "--data-urlencode".to_owned(), id];
    // each about the same place, and the whole image
    for k in 0..200 {
        words.extend(["-d".to_owned(), format!("CIRCLE=11 41 {}", 80.0 - f64::from(k) / 10.0)]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let reply = curl(&[&words[..], &[&serving.url("/soda/async")]].concat());
    let url = reply.header("location").unwrap_or_else(|| panic!("{}", reply.text()));
    let path = format!("/soda/async/{}", url.rsplit('/').next().expect("an id"));
    let begun = Instant::now();
    while curl(&[&serving.url(&format!("{path}/phase"))]).text() != "EXECUTING" {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", curl(&[&serving.url(&path)]).text());
        std::thread::sleep(Duration::from_millis(50));
    }
    path
}

#[test]
fn a_job_of_pieces_that_ends_early_leaves_no_part_of_a_tar() {
    let folder = harness::scratch();
    mosaics(folder.path());
    let mut serving = serve("pieces_ends", folder.path(), &[]);
    let phase = |serving: &Serving, path: &str| curl(&[&serving.url(&format!("{path}/phase"))]).text();
    // by its owner
    let path = long_job(&serving);
    let url = serving.url(&format!("{path}/phase"));
    assert_eq!(curl(&["-d", "PHASE=ABORT", &url]).status, 303);
    assert_eq!(phase(&serving, &path), "ABORTED");
    let begun = Instant::now();
    while serving.job_files() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "a part is left");
        std::thread::sleep(Duration::from_millis(100));
    }
    // with its service
    let path = long_job(&serving);
    serving.kill();
    serving.restart();
    assert_eq!(phase(&serving, &path), "ERROR");
    let job = curl(&[&serving.url(&path)]).text();
    assert!(job.contains("create the job again") && job.contains("type=\"transient\""), "{job}");
    assert_eq!(serving.job_files(), 0);
    assert_eq!(curl(&[&serving.url(&format!("{path}/results/result"))]).status, 404);
}

/// Every file below a folder, by its path there.
fn below(root: &Path) -> Vec<String> {
    let found = glob::glob(&format!("{}/**/*", root.display())).expect("a pattern").flatten().filter(|path| path.is_file());
    found.map(|path| path.strip_prefix(root).expect("below it").to_string_lossy().into_owned()).collect()
}

#[test]
fn images_in_a_bucket_are_cut_like_those_in_a_folder() {
    let (folder, scratch) = (harness::scratch(), harness::scratch());
    let root = folder.path().to_string_lossy().into_owned();
    if oracle(&["make", &root]).is_none() {
        return;
    }
    let Some(moto) = crate::store::Moto::start() else { return };
    let object = |path: &str| format!("{}/bricks/survey/{path}", moto.endpoint);
    let paths = below(folder.path());
    for path in &paths {
        assert_eq!(curl(&["-T", &folder.path().join(path).to_string_lossy(), &object(path)]).status, 200, "{path}");
    }
    let url = database("pieces_bucket");
    let settings = [
        ("BRICKYARD_IMAGES_ROOTS", "['s3://bricks/survey/']"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_ENDPOINT_URL", moto.endpoint.as_str()),
    ];
    let ask = |words: &[&str]| {
        let mut command = harness::brickyard();
        command.env("BRICKYARD_DATA_DIR", scratch.path()).env("BRICKYARD_DATABASE_URL", &url).envs(settings);
        let output = command.arg("images").args(words).output().expect("it runs");
        (output.status.success(), text(&output))
    };
    let (is_fine, told) = ask(&["add", "s3://elsewhere/a.fits"]);
    assert!(!is_fine && told.contains("not in a configured folder") && told.contains("s3://bricks/survey"), "{told}");
    let (is_fine, told) = ask(&["add", "s3://bricks/survey/no/*.fits"]);
    assert!(!is_fine && told.contains("there is no such file"), "{told}");
    let (is_fine, told) = ask(&["add", "s3://bricks/survey", "--sha256"]);
    assert!(is_fine && told.contains("images added"), "{told}");
    let (is_fine, told) = ask(&["add", &format!("s3://bricks/survey/{}", paths[0])]);
    assert!(is_fine && told.contains("files unchanged: 1"), "{told}");
    let (is_fine, told) = ask(&["check", "--sha256"]);
    assert!(is_fine && told.contains("files are as they were"), "{told}");

    let serving = Serving::start(&url, &settings);
    let told = oracle(&["judge", &serving.url(""), &root]).expect("it was there");
    harness::note(&format!("in a bucket: {}", told.trim()));
    // the whole file as it is
    let found = curl(&[&serving.url("/sia2/query?RESPONSEFORMAT=csv&MAXREC=1")]);
    let at = found.text().lines().next().expect("a header").split(',').position(|name| name == "obs_publisher_did").expect("a column");
    let id = found.rows()[0].split(',').nth(at).expect("a cell").to_owned();
    let path = paths.iter().find(|path| id.contains(path.as_str())).unwrap_or_else(|| panic!("{id} is none of {paths:?}"));
    let file = format!("/datalink/file?ID={id}");
    assert!(curl(&[&serving.url(&file)]).body == std::fs::read(folder.path().join(path)).expect("a file"), "{path}");
    // another file in its place, of which the blocks that are kept say nothing
    let soda = serving.url(&format!("/soda/sync?ID={id}"));
    assert_eq!(curl(&[&soda]).status, 200);
    let bucket = brickyard::store::Store::open("s3://bricks/survey", &moto.credentials()).expect("a store");
    let runtime = harness::runtime();
    runtime.block_on(bucket.delete(path)).expect("it goes");
    let other = stream::iter([Ok(Bytes::from("not FITS at all"))]).boxed();
    runtime.block_on(bucket.put(path, other, u64::MAX)).expect("it is there");
    let reply = curl(&[&soda]);
    assert!(reply.status == 500 && reply.text().contains("is damaged here"), "{} {}", reply.status, reply.text());
    let (is_fine, told) = ask(&["check"]);
    assert!(!is_fine && told.contains(&format!("{path}: the file has changed")), "{told}");
    runtime.block_on(bucket.delete(path)).expect("it goes");
    let reply = curl(&[&soda]);
    assert!(reply.status == 404 && reply.text().contains("not there at the moment"), "{} {}", reply.status, reply.text());
    let (is_fine, told) = ask(&["check", "--forget"]);
    assert!(is_fine && told.contains("forgotten"), "{told}");
    // without the bucket's server
    drop(moto);
    let other = found_other(&serving, &id);
    let reply = curl(&["--max-time", "170", &serving.url(&format!("/soda/sync?ID={other}"))]);
    assert!(reply.status == 503 && reply.text().contains("TransientFault"), "{} {}", reply.status, reply.text());
    assert!(!reply.text().contains("127.0.0.1"), "{}", reply.text());
}

/// Stands between the service and its bucket, and counts.
struct Toll {
    endpoint: String,
    /// Ranges that were asked for, and bytes that came back, heads of answers included.
    ranges: Arc<Mutex<Vec<(u64, u64)>>>,
    bytes: Arc<AtomicU64>,
}

impl Toll {
    fn of(bucket: &str) -> Toll {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let toll = Toll { endpoint, ranges: Arc::default(), bytes: Arc::default() };
        let bucket = bucket.strip_prefix("http://").expect("HTTP").to_owned();
        let (ranges, bytes) = (toll.ranges.clone(), toll.bytes.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&bucket) else { return };
                let (ranges, bytes) = (ranges.clone(), bytes.clone());
                let (client_in, server_out) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                std::thread::spawn(move || Toll::there(client_in, server_out, &ranges));
                std::thread::spawn(move || Toll::back(server, client, &bytes));
            }
        });
        toll
    }

    /// Requests have no bodies here: all that comes is heads.
    fn there(client: TcpStream, mut server: TcpStream, ranges: &Mutex<Vec<(u64, u64)>>) {
        let mut lines = BufReader::new(client);
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
            if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                let (first, last) = range.trim().split_once('-').expect("a range");
                ranges.lock().expect("a list").push((first.parse().expect("a number"), last.parse().expect("a number")));
            }
            if server.write_all(line.as_bytes()).is_err() {
                break;
            }
            line.clear();
        }
        let _ = server.shutdown(std::net::Shutdown::Write);
    }

    fn back(mut server: TcpStream, mut client: TcpStream, bytes: &AtomicU64) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count) = server.read(&mut buffer) {
            bytes.fetch_add(count as u64, Ordering::Relaxed);
            if count == 0 || client.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = client.shutdown(std::net::Shutdown::Both);
    }

    /// Ranges and bytes since the last time.
    fn taken(&self) -> (Vec<(u64, u64)>, u64) {
        (std::mem::take(&mut self.ranges.lock().expect("a list")), self.bytes.swap(0, Ordering::Relaxed))
    }
}

/// Of the files of [`flat`].
const PIXEL_DEG: f64 = 1.4e-5;

#[test]
fn of_a_file_in_a_bucket_only_what_a_piece_needs_is_fetched() {
    let Some(moto) = crate::store::Moto::start() else { return };
    let (folder, scratch) = (harness::scratch(), harness::scratch());
    let path = folder.path().join("wide.fits");
    // 80 MB: a row is much longer than that of a piece
    let (width, height, side) = (20_000, 1_000, 100_u64);
    flat(&path, [width, height], 7);
    assert_eq!(curl(&["-T", &path.to_string_lossy(), &format!("{}/bricks/wide.fits", moto.endpoint)]).status, 200);
    let toll = Toll::of(&moto.endpoint);
    let url = database("pieces_toll");
    let settings = [
        ("BRICKYARD_IMAGES_ROOTS", "['s3://bricks']"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_ENDPOINT_URL", toll.endpoint.as_str()),
    ];
    let mut command = harness::brickyard();
    command.env("BRICKYARD_DATA_DIR", scratch.path()).env("BRICKYARD_DATABASE_URL", &url).envs(settings);
    let output = command.args(["images", "add", "s3://bricks"]).output().expect("it runs");
    assert!(output.status.success(), "{}", text(&output));
    let (_, bytes) = toll.taken();
    assert!(bytes < 100_000, "{bytes} bytes to register a file of one header");

    let serving = Serving::start(&url, &settings);
    let ask = |ra: f64, dec: f64| {
        let size = side as f64 * PIXEL_DEG;
        let query = format!("siaRef=wide.fits&POS={ra},{dec}&SIZE={},{size}", size / dec.to_radians().cos());
        let reply = curl(&[&serving.url(&format!("/svc/cutout?{query}"))]);
        assert!(reply.status == 200 && reply.body.len() as u64 > 4 * side * side, "{} {}", reply.status, reply.text());
    };
    ask(11.0, 41.0);
    let (ranges, bytes) = toll.taken();
    let asked: u64 = ranges.iter().map(|(first, last)| last + 1 - first).sum();
    let rows = 4 * side * width as u64;
    // each row once, in one request, of at most two blocks of 16 KiB; and the header
    assert!((ranges.len() as u64) <= side + 12 && asked <= (side + 12) * (2 << 14), "{} ranges of {asked} bytes", ranges.len());
    assert!(
        asked < rows / 2 && bytes < asked + ranges.len() as u64 * 1000 + 4000,
        "{asked} asked for, {bytes} came; whole rows have {rows}"
    );
    harness::note(&format!("a piece of {side} x {side} floats from a bucket: {} ranges, {bytes} bytes", ranges.len()));
    // what lies beside it is there
    ask(11.0 + 200.0 * PIXEL_DEG, 41.0);
    let (ranges, bytes) = toll.taken();
    assert!(ranges.len() <= 4 && bytes < 100_000, "{} ranges, {bytes} bytes", ranges.len());
}

/// The identifier of an image that is not this one.
fn found_other(serving: &Serving, id: &str) -> String {
    let found = curl(&[&serving.url("/sia2/query?RESPONSEFORMAT=csv")]);
    let at = found.text().lines().next().expect("a header").split(',').position(|name| name == "obs_publisher_did").expect("a column");
    let ids: Vec<String> = found.rows().iter().filter_map(|row| row.split(',').nth(at).map(str::to_owned)).collect();
    ids.into_iter().find(|other| other != id).expect("another image")
}

/// Makes the files of `tests/images/hostile.py`.
fn hostile(folder: &Path) -> bool {
    let Some(python) = python() else { return false };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/hostile.py");
    let output = Command::new(python).arg(script).arg(folder).output().expect("Python starts");
    assert!(output.status.success(), "{}", text(&output));
    true
}

#[test]
fn what_unpacks_to_more_than_it_should_is_refused_with_the_limit() {
    let (folder, url) = (harness::scratch(), database("pieces_bombs"));
    if !hostile(folder.path()) {
        return;
    }
    let root = folder.path();
    let output = images(&url, root, &["add", &root.to_string_lossy()]);
    assert!(text(&output).contains("images added: 2"), "{}", text(&output));
    assert!(!output.status.success() && text(&output).contains("larger than the limit of 67108864"), "{}", text(&output));
    let roots = format!("[{:?}]", root.display().to_string());
    let settings = [("BRICKYARD_IMAGES_ROOTS", roots.as_str()), ("BRICKYARD_IMAGES_INFLATED_FILE_BYTES", "10000000")];
    let serving = Serving::start(&url, &settings);
    let cut = |name: &str, at: &str| curl(&[&serving.url(&format!("/svc/cutout?siaRef={name}&POS={at}&SIZE=0.0001"))]);
    assert_eq!(cut("zeros.fits.gz", "200,10").status, 413, "before it is known where it looks");
    let before = serving.peak_bytes();
    let reply = cut("zeros.fits.gz", "11,41");
    assert!(reply.status == 413 && reply.text().contains("10000000 bytes"), "{} {}", reply.status, reply.text());
    assert!(!reply.text().contains(&*root.to_string_lossy()), "{}", reply.text());
    // half of the image is good, and stays so
    let good = cut("cell.fits.fz", "11,41.0007");
    assert_eq!(good.status, 200, "{}", good.text());
    let reply = cut("cell.fits.fz", "11,40.9993");
    assert!(reply.status == 500 && reply.text().contains("tile"), "{} {}", reply.status, reply.text());
    let grown = serving.peak_bytes() - before;
    assert!(grown < 64 << 20, "{grown} bytes for what was refused");
    // of what was inflated in vain nothing is left
    let scratch = std::fs::read_dir(serving.data_dir().join("scratch")).map_or(0, Iterator::count);
    assert_eq!(scratch, 0);
}

#[test]
fn a_file_that_is_replaced_is_seen_as_it_is_now() {
    let folder = harness::scratch();
    let root = folder.path().to_string_lossy().into_owned();
    if oracle(&["make", &root]).is_none() {
        return;
    }
    let serving = serve("pieces_replaced", folder.path(), &[]);
    let cut = |name: &str| {
        curl(&[&serving.url(&format!("/svc/cutout?siaRef={name}&extn={}&POS=11.2,41.7&SIZE=0.001", u8::from(name.ends_with(".fz"))))])
    };
    for name in ["f32.fits", "rice_i16.fits.fz", "f32_zipped.fits.gz"] {
        let path = folder.path().join(name);
        let whole = std::fs::read(&path).expect("the file");
        let before = cut(name);
        assert_eq!(before.status, 200, "{name}: {}", before.text());
        // shorter by half, all but a header, nothing at all
        for left in [whole.len() / 2, 3000, 0] {
            std::fs::write(&path, &whole[..left.min(whole.len())]).expect("written");
            let reply = cut(name);
            assert!(reply.status == 500 && reply.text().contains("is damaged here"), "{name}, {left}: {} {}", reply.status, reply.text());
            assert!(!reply.text().contains(&root), "{name}: {}", reply.text());
        }
        // another image in its place: what is there counts
        std::fs::copy(folder.path().join("i32.fits"), &path).expect("copied");
        let reply = cut(name);
        // of an image that was in HDU 1 there is none now
        assert_eq!(reply.status, if name.ends_with(".fz") { 500 } else { 200 }, "{name}: {}", reply.text());
        assert!(reply.status == 200 || reply.text().contains("is damaged here"), "{name}: {}", reply.text());
        std::fs::write(&path, &whole).expect("written");
        let after = cut(name);
        assert!(after.status == 200 && after.body.len() == before.body.len(), "{name}: {}", after.text());
    }
}

/// Writes an image of floats whose bytes are all the same, about (11, 41).
fn flat(path: &Path, [width, height]: [usize; 2], byte: u8) {
    let mut bytes = Vec::new();
    let lengths = [width, height].map(|length| length.to_string());
    let middles = [width, height].map(|length| (length as f64 / 2.0 + 0.5).to_string());
    let cards = [
        ("SIMPLE", "T"),
        ("BITPIX", "-32"),
        ("NAXIS", "2"),
        ("NAXIS1", &lengths[0]),
        ("NAXIS2", &lengths[1]),
        ("CTYPE1", "'RA---TAN'"),
        ("CTYPE2", "'DEC--TAN'"),
        ("CRPIX1", &middles[0]),
        ("CRPIX2", &middles[1]),
        ("CRVAL1", "11.0"),
        ("CRVAL2", "41.0"),
        ("CDELT1", "-1.4E-05"),
        ("CDELT2", "1.4E-05"),
    ];
    for (key, value) in cards {
        bytes.extend(format!("{:<80}", format!("{key:<8}= {value:>20}")).bytes());
    }
    bytes.extend(format!("{:<80}", "END").bytes());
    bytes.resize(2880, b' ');
    bytes.resize(bytes.len() + 4 * width * height, byte);
    bytes.resize(bytes.len().next_multiple_of(2880), 0);
    std::fs::write(path, &bytes).expect("written");
}

#[test]
fn piece_after_piece_is_of_the_file_as_it_is() {
    const SIDE: usize = 300;
    let folder = harness::scratch();
    let path = folder.path().join("flat.fits");
    flat(&path, [SIDE; 2], 1);
    // long enough ago that headers are kept
    std::thread::sleep(Duration::from_secs(3));
    let serving = serve("pieces_kept", folder.path(), &[]);
    let ask = || curl(&[&serving.url("/svc/cutout?siaRef=flat.fits&POS=11,41&SIZE=0.0028,0.0014")]);
    let is_of = |byte: u8| {
        let reply = ask();
        let (width, height) = ((0.0028 * 41_f64.to_radians().cos() / 1.4e-5).round() as usize, 100);
        let pixels = &reply.body[reply.body.len() - (4 * width * height).next_multiple_of(2880)..][..4 * width * height];
        assert!(reply.status == 200 && pixels.iter().all(|found| *found == byte), "{byte}: {}", reply.text());
    };
    (0..10).for_each(|_| is_of(1));
    // the same size, in the same inode, between two requests
    for byte in [2, 3, 4] {
        flat(&path, [SIDE; 2], byte);
        (0..3).for_each(|_| is_of(byte));
    }
    std::thread::sleep(Duration::from_secs(3));
    (0..10).for_each(|_| is_of(4));
    let file = std::fs::File::options().write(true).open(&path).expect("the file");
    file.set_len(2880 * 40).expect("cut off");
    let reply = ask();
    assert!(reply.status == 500 && reply.text().contains("is damaged here"), "{} {}", reply.status, reply.text());
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(ask().status, 404);
    // another one in its place, larger
    flat(&path, [2 * SIDE; 2], 5);
    (0..3).for_each(|_| is_of(5));
}

#[test]
fn readers_that_dawdle_hold_no_memory() {
    const SIDE: usize = 2000;
    const READERS: usize = 12;
    let folder = harness::scratch();
    flat(&folder.path().join("large.fits"), [SIDE; 2], 0);
    let settings =
        [("BRICKYARD_IMAGES_UNREAD_BYTES", "20000000"), ("BRICKYARD_IMAGES_AT_ONCE", "2"), ("BRICKYARD_TAP_QUERIES_PER_CLIENT", "100")];
    let serving = serve("pieces_slow", folder.path(), &settings);
    let url = serving.url("/svc/cutout?siaRef=large.fits&POS=11,41&SIZE=1");
    let piece = (4 * SIDE * SIDE) as u64;
    assert_eq!(curl(&[&url]).status, 200);
    let before = serving.peak_bytes();
    let read = |_| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--limit-rate", "20k", "-o", "/dev/null", "--max-time", "20", &url]);
        curl.stderr(std::process::Stdio::null()).spawn().expect("curl runs")
    };
    let readers: Vec<_> = (0..READERS).map(read).collect();
    // others are served meanwhile
    let quick = curl(&[&serving.url("/svc/cutout?siaRef=large.fits&POS=11,41&SIZE=0.001")]);
    assert_eq!(quick.status, 200, "{}", quick.text());
    for mut reader in readers {
        let ended = reader.wait().expect("it ends");
        assert_eq!(ended.code(), Some(28), "a reader that is given time enough breaks off by itself");
    }
    let grown = serving.peak_bytes().saturating_sub(before);
    // what waits, two that are being cut, and what else a busy service has: freed pieces leave the process
    let bound = 20_000_000 + 2 * piece + (24 << 20);
    harness::note(&format!("{READERS} slow readers of {piece} bytes each: {grown} bytes more than one quick one"));
    assert!(grown < bound && bound < READERS as u64 * piece, "{grown}, {bound}");
}
