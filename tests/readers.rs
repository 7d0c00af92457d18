//! The catalogue readers against damaged and odd files: they open, or say what is wrong; never a panic, a hang or a
//! gigabyte. Each folder of files is read in a child process of this test binary with a limit on memory and time.

use crate::harness::{self, scratch, shared};
use brickyard::format::fits::Hdu;
use brickyard::format::open::Source;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const CHILD: &str = "BRICKYARD_TEST_READ";
const MEMORY_KB: u32 = 1_500_000;

/// Opens the HDU and reads all rows: their number, or the error.
fn read(path: &Path, hdu: &Hdu, scratch: &Path) -> Result<u64, String> {
    let mut source = Source::open(path, hdu, scratch).map_err(|e| e.to_string())?;
    let (mut rows, mut buffer) = (0, Vec::new());
    loop {
        buffer.clear();
        let n = source.read(1000, &mut buffer).map_err(|e| e.to_string())?;
        if n == 0 {
            return Ok(rows);
        }
        assert_eq!(buffer.len(), n * source.layout.row_bytes);
        rows += n as u64;
    }
}

/// The child: reads what the environment names, one line for each file and HDU.
#[test]
fn child_reads() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let scratch = scratch();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).expect("a folder").map(|f| f.expect("a file").path()).collect();
    files.sort();
    for file in files.iter().filter(|f| f.is_file()) {
        for hdu in (0..=5).map(Hdu::Number).chain([Hdu::Name("EVENTS".into())]) {
            let name = file.file_name().expect("a name").to_string_lossy();
            // the name first: a crash leaves it as the last line
            print!("\n@ {name} {hdu} ");
            let started = Instant::now();
            let read = read(file, &hdu, scratch.path());
            assert!(started.elapsed() < Duration::from_secs(20), "{name} {hdu} took {:?}", started.elapsed());
            match read {
                Ok(rows) => print!("{rows} rows"),
                Err(error) => {
                    assert!(error.contains(&*name), "{name} {hdu}: the error does not name the file: {error}");
                    print!("error {}", error.replace('\n', " "));
                }
            }
        }
    }
    println!("\n@ end");
}

/// Runs the child over a folder: its lines.
fn read_all(folder: &Path) -> Vec<String> {
    let binary = std::env::current_exe().expect("this test binary");
    let script = format!("ulimit -v {MEMORY_KB}; exec timeout 120 \"$0\" --exact readers::child_reads --nocapture --test-threads 1");
    let output = Command::new("sh").args(["-c", &script]).arg(binary).env(CHILD, folder).output().expect("sh starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}\n{}", text.lines().last().unwrap_or(""), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<String> = text.lines().filter_map(|l| l.strip_prefix("@ ")).map(|l| l.trim().to_owned()).collect();
    assert_eq!(lines.last().map(String::as_str), Some("end"));
    lines[..lines.len() - 1].to_vec()
}

/// File, HDU and rows of each plain binary table among the first six HDUs.
const COUNT: &str = r#"
import sys, os
from astropy.io import fits
for name in sorted(os.listdir(sys.argv[1])):
    try:
        with fits.open(os.path.join(sys.argv[1], name), disable_image_compression=True) as f:
            for n in range(min(len(f), 6)):
                h = f[n].header
                if h.get('XTENSION') == 'BINTABLE' and not h.get('ZIMAGE') and h['NAXIS1'] > 0: print(name, n, h['NAXIS2'])
    except Exception: pass
"#;

#[test]
fn every_file_of_the_fits_zoo_opens_or_says_why_not() {
    let Some(shared) = shared() else { return };
    let zoo = shared.join("data/real/fits_zoo");
    let lines = read_all(&zoo);
    let files = std::fs::read_dir(&zoo).expect("the zoo").count();
    assert_eq!(lines.len(), files * 7);
    let of = |file: &str, hdu: &str| {
        lines.iter().find_map(|l| l.strip_prefix(&format!("{file} {hdu} "))).unwrap_or_else(|| panic!("{file}")).to_owned()
    };
    // the rows that astropy counts
    if let Some(python) = harness::python() {
        let counted = Command::new(python).arg("-W").arg("ignore").arg("-c").arg(COUNT).arg(&zoo).output().expect("Python starts");
        let counted = String::from_utf8_lossy(&counted.stdout).into_owned();
        assert!(counted.lines().count() > 15, "{counted}");
        for line in counted.lines() {
            let (at, rows) = line.rsplit_once(' ').expect("a number");
            let (file, hdu) = at.rsplit_once(' ').expect("an HDU");
            assert_eq!(of(file, hdu), format!("{rows} rows"), "{line}");
        }
    }
    assert!(of("ascii.fits", "1").contains("an ASCII table, which brickyard does not read"));
    assert!(of("arange.fits", "0").contains("no table in HDU 0: it is an image; the file has no binary table"));
    assert!(of("2wcses.hdr", "1").contains("not a FITS file") || of("2wcses.hdr", "1").contains("2wcses.hdr"));
    // no error is the bare number of a library
    let bare = lines.iter().find(|l| l.contains("error") && l.len() < 40);
    assert_eq!(bare, None);
}

#[test]
fn damaged_tables_open_or_say_what_is_wrong() {
    let dir = scratch();
    damaged(dir.path());
    let lines = read_all(dir.path());
    assert!(lines.iter().any(|l| l.starts_with("whole.fits 1 20 rows")), "{lines:?}");
    let errors = lines.iter().filter(|l| l.contains(" 1 error")).count();
    assert!(errors > 50, "{errors} errors");
}

/// A small table, and copies of it with one or a few bytes of the headers changed, or cut short.
fn damaged(dir: &Path) {
    use brickyard::format::fits_write::{Column, Form, TableFile};
    let columns: Vec<Column> = [("ra", Form::D), ("dec", Form::D), ("mag", Form::E), ("flag", Form::I)]
        .map(|(name, form)| Column { name: name.into(), form })
        .into();
    let mut table = TableFile::create(Vec::new(), &columns, 20, &[]).expect("headers");
    table.write_rows(&[0x41; 22 * 20]).expect("rows");
    let whole = table.finish().expect("a file");
    std::fs::write(dir.join("whole.fits"), &whole).expect("it is written");
    let mut state = 20_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for n in 0..250 {
        let mut bytes = whole.clone();
        for _ in 0..=n % 4 {
            let at = random(5760);
            bytes[at] = [b'9', b'0', b' ', b'-', b'E', b'\'', 0, 0xff, b'P', b'='][random(10)];
        }
        if n % 10 == 0 {
            bytes.truncate(random(whole.len()));
        }
        std::fs::write(dir.join(format!("bytes{n:03}.fits")), bytes).expect("it is written");
    }
    // numbers that do not fit the file, or any file
    for (n, (key, value)) in [
        ("NAXIS1", "999999999999999"),
        ("NAXIS2", "999999999999999"),
        ("NAXIS2", "-1"),
        ("NAXIS1", "0"),
        ("TFIELDS", "998"),
        ("TFORM2", "'999999999D'"),
        ("TFORM2", "'4Z      '"),
        ("PCOUNT", "9999999999"),
        ("NAXIS1", "9223372036854775807"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut bytes = whole.clone();
        let at = (0..bytes.len()).step_by(80).find(|&i| bytes[i..].starts_with(format!("{key:<8}=").as_bytes())).expect("the card");
        bytes[at + 10..at + 40].copy_from_slice(format!("{value:>30}").as_bytes());
        if n == 0 {
            // no rows: only the width is absurd
            let rows = (0..bytes.len()).step_by(80).rfind(|&i| bytes[i..].starts_with(b"NAXIS2")).expect("the card");
            bytes[rows + 10..rows + 40].copy_from_slice(format!("{:>30}", 0).as_bytes());
        }
        std::fs::write(dir.join(format!("card{n}.fits")), bytes).expect("it is written");
    }
}

#[test]
fn dolphot_text_that_is_not_text_is_refused_with_its_line() {
    let dir = scratch();
    let stem = dir.path().join("x.phot");
    let globals = ["Extension", "Chip", "Object X position", "Object Y position"];
    let columns: String = globals.iter().enumerate().map(|(i, g)| format!("{}. {g}\n", i + 1)).collect();
    std::fs::write(format!("{}.columns", stem.display()), columns).expect("it is written");
    let header = "CTYPE1  = 'RA---TAN'\nCTYPE2  = 'DEC--TAN'\nCRPIX1  = 1\nCRPIX2  = 1\nCRVAL1  = 11\nCRVAL2  = 41\nCD1_1   = -1E-5\nCD1_2   = 0\nCD2_1   = 0\nCD2_2   = 1E-5\n";
    std::fs::write(format!("{}.wcs.hdr", stem.display()), header).expect("it is written");
    let read = |text: &[u8]| {
        std::fs::write(&stem, text).expect("it is written");
        read(&stem, &Hdu::Number(1), dir.path())
    };
    assert_eq!(read(b"0 1 3.5 4.5\n0 1 nan 1e3\n"), Ok(2));
    assert_eq!(read(b""), Ok(0));
    for (text, wanted) in [
        (&b"0 1 3.5 4.5\n0 1 3.5\n"[..], "line 2: 3 numbers, wanted 4 (.columns)"),
        (b"0 1 3.5 4.5 6\n", "line 1: more than 4 numbers (.columns), the next is \"6\""),
        (b"0 1 3.5 4.5\n0 1 3.5 4.", "line 2: the last line has no end: the file is truncated"),
        (b"0 x 3.5 4.5\n", "line 1: column 2: \"x\" is not a number"),
        (b"0 70000 3.5 4.5\n", "line 1: column 2: \"70000\" is not a number"),
        (b"0 1 3.5 4.5\n\xff\xfe\n", "line 2: "),
    ] {
        let error = read(text).expect_err("it is refused");
        assert!(error.contains("x.phot: line") && error.contains(wanted), "{error}");
    }
    // no line end in a large file: refused before it is read whole
    let error = read(&vec![b'7'; 64 << 20]).expect_err("it is refused");
    assert!(error.contains("line 1: longer than"), "{error}");
}
