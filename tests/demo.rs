//! `brickyard demo`: one command simulates, loads, asks and stops; what it promises on the terminal is there.

use crate::harness;
use crate::tap::curl;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn demo(data_dir: &Path, more: &[&str]) -> Command {
    let mut command = harness::brickyard();
    command.env("BRICKYARD_DATA_DIR", data_dir).arg("demo").args(more);
    command
}

/// Standard output of a run that ended well.
fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}

fn is_stopped(data_dir: &Path) -> bool {
    let status = harness::brickyard().env("BRICKYARD_DATA_DIR", data_dir).args(["db", "status"]).output().expect("it runs");
    status.status.code() == Some(3)
}

/// Width and height, out of the header of a PNG.
fn png_size(path: &Path) -> (u32, u32) {
    let bytes = std::fs::read(path).expect("the picture is there");
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{} is no PNG", path.display());
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}

/// The whole numbers of the last line that begins with `head`, after blanks and bars; their commas are left out.
fn numbers(text: &str, head: &str) -> Vec<u64> {
    let line = text
        .lines()
        .rfind(|line| line.trim_start_matches(['│', ' ']).starts_with(head))
        .unwrap_or_else(|| panic!("no line {head} in\n{text}"));
    line.replace(',', "").split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn the_demo_runs_end_to_end_and_again() {
    let dir = harness::data_dir();
    let folder = dir.path().join("demo");
    let first = said(&demo(dir.path(), &["--once", "--objects", "3000", "--port", "0"]).output().expect("it runs"));
    assert!(is_stopped(dir.path()), "--once leaves a server running");

    // what was simulated is what the files say and what the database counts
    let [objects, measurements, files, mosaics] = numbers(&first, &numbers_head(&first))[..] else { panic!("{first}") };
    assert_eq!((files, mosaics), (76, 24), "4 bricks and 72 fields, 4 bricks in six filters");
    assert!(objects.abs_diff(3000) <= 55, "{objects}: within the square root of 3,000");
    assert_eq!(numbers(&first, "phot_meas")[0], measurements);
    assert_eq!(numbers(&first, "star_v2")[0], objects);
    assert_eq!(numbers(&first, "phot_mod ")[0] + numbers(&first, "phot_mod_duplicate")[0], objects);
    // the tables are the paper's: 88 columns and 45 indices, 24 columns and 8
    assert_eq!(numbers(&first, "phot_mod ")[1..3], [88, 45]);
    assert_eq!(numbers(&first, "phot_meas")[1..3], [24, 8]);

    // the light curve is V5343's: its exposures, as the paper's figure has them
    let figure: Vec<&str> = first.lines().filter(|line| line.contains("F475W_flt.chip")).collect();
    assert_eq!(figure.len(), 6, "{first}");
    assert!(first.contains("all 30 are drawn over time"), "{first}");
    assert!(first.contains("24 images are registered") && first.contains("are drawn in colours in"), "{first}");
    for picture in ["density.png", "v5343.png", "colour.png"] {
        let (width, height) = png_size(&folder.join(picture));
        assert!(width > 500 && height > 500, "{picture} is {width} x {height}");
    }

    // exposures have become rows, and the tree shows how
    let reduced = first.lines().find(|line| line.contains("measurements of brick 15 are in its tables")).expect("a line");
    let counts: Vec<u64> = reduced.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(counts[0] > 300 && counts[1] >= counts[0] * 31, "{reduced}");
    for line in ["sort job ", "catalogue job ", "barrier brick ", "load_brick job "] {
        assert!(first.contains(line), "no {line:?} in\n{first}");
    }
    assert!(!first.contains("failed,") && is_stopped(&folder.join("reduction")), "{first}");

    // the service has answered a query before it was stopped
    let mods = numbers(&first, "phot_mod ")[0];
    assert!(
        first.contains("Serving at http://127.0.0.1:") && first.replace(',', "").contains(&format!("it counts {mods} objects")),
        "{first}"
    );

    // a sample of an older version has no mosaics, and a note that does not know of them; its tables stay as they are
    let noted =
        || -> serde_json::Value { serde_json::from_slice(&std::fs::read(folder.join("sample.json")).expect("a note")).expect("JSON") };
    let note = noted();
    let mut older = note.clone();
    older.as_object_mut().expect("an object").remove("images").expect("it knows of images");
    std::fs::write(folder.join("sample.json"), older.to_string()).expect("written");
    let drawn: Vec<PathBuf> = glob::glob(&format!("{}/survey/*/*_drz.fits", folder.display())).expect("a pattern").flatten().collect();
    let before: Vec<Vec<u8>> = drawn.iter().map(|path| std::fs::read(path).expect("a mosaic")).collect();
    assert_eq!(drawn.len(), 24);
    drawn.iter().for_each(|path| std::fs::remove_file(path).expect("it goes"));

    // the second time all else is there; the server runs until it is told to stop
    let mut child =
        demo(dir.path(), &["--objects", "3000", "--port", "0"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut second = String::new();
    while !second.contains("Ctrl-C here") {
        assert_ne!(out.read_line(&mut second).expect("text"), 0, "it ended before it waited:\n{second}");
    }
    assert!(second.contains("from an earlier run") && second.contains("24 mosaics added to it"), "{second}");
    let again: Vec<Vec<u8>> = drawn.iter().map(|path| std::fs::read(path).expect("a mosaic")).collect();
    assert!(before == again, "mosaics that are added are those that a new sample has");
    assert_eq!(noted(), note);
    // the lines to copy work: a search, a piece, a picture
    let urls: Vec<&str> = second.lines().map(str::trim).filter(|line| line.starts_with("http://")).collect();
    let [search, piece, picture] = urls[..] else { panic!("{second}") };
    let search = curl(&[search]);
    assert_eq!((search.status, search.rows().len()), (200, 6), "{}", search.text());
    let piece = curl(&[piece]);
    assert!(piece.status == 200 && piece.body.starts_with(b"SIMPLE  =") && piece.body.len() > 160 * 200 * 4, "{}", piece.head);
    let picture = curl(&[picture]);
    assert!(picture.status == 200 && picture.body.starts_with(b"\xff\xd8"), "{}", picture.head);
    assert_eq!(numbers(&second, "phat_v2.phot_meas"), [0, 72, 0, 0, 0], "all 72 files skipped");
    assert!(!is_stopped(dir.path()), "the server runs while the demo waits");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).expect("it takes signals");
    assert!(child.wait().expect("it ends").success());
    out.read_to_string(&mut second).expect("text");
    assert!(second.contains("The database is stopped"), "{second}");
    assert!(is_stopped(dir.path()));

    // another sample does not go on top of this one
    let other = demo(dir.path(), &["--once", "--objects", "5000"]).output().expect("it runs");
    let error = String::from_utf8_lossy(&other.stderr);
    assert_eq!(other.status.code(), Some(1));
    assert!(error.contains("a sample of 3000 objects") && error.contains("--data-dir DIR demo"), "{error}");
    assert!(is_stopped(dir.path()));
}

/// The line of step 2: `3,010 objects, 97,000 measurements, 76 files`.
fn numbers_head(text: &str) -> String {
    let line = text.lines().find(|line| line.contains(" objects, ")).expect("the line of the survey");
    line.split('(').next().unwrap_or(line).trim().to_owned()
}

#[tokio::test]
async fn synthetic_stars_do_not_get_among_the_users_own() {
    let (client, url) = harness::server().database("demo_refused").await;
    let dir = harness::scratch();
    let run = |words: &[&str]| {
        let mut command = harness::brickyard();
        command.env("BRICKYARD_DATA_DIR", dir.path()).env("BRICKYARD_DATABASE_URL", &url).args(words).output().expect("it runs")
    };
    let own = dir.path().join("own");
    said(&run(&["simulate", "--out", &own.to_string_lossy(), "--bricks", "15", "--fields", "10", "--objects", "50", "--products", "st"]));
    said(&run(&["load", "--indexes", "none", &own.to_string_lossy()]));
    let refused = run(&["demo", "--once", "--objects", "3000"]);
    let error = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("m31-b15") && error.contains("among which the demo would put synthetic stars"), "{error}");
    let rows: i64 = client.query_one("select count(*) from phat_v2.phot_mod", &[]).await.expect("it is there").get(0);
    assert!((40..=60).contains(&rows), "{rows}: the user's rows are as they were");
}
