//! HiPS of the archive's images: judged by healpy and astropy, broken off and gone on with, of images that change, served.

use crate::harness::{self, Serving, python};
use crate::tap::curl;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Registered images of two filters; over the F475W mosaic lies a second one, turned and with holes.
struct Archive {
    dir: TempDir,
    url: String,
}

impl Archive {
    fn new(database: &str, side_arcsec: &str) -> Option<Archive> {
        let python = python()?;
        let archive = Archive { dir: harness::scratch(), url: harness::runtime().block_on(harness::server().database(database)).1 };
        let survey = archive.survey().display().to_string();
        let words = ["simulate", "--out", &survey, "--bricks", "15", "--fields", "10", "--objects", "500", "--products", "st"];
        done(&harness::brickyard().args(words).args(["--images", side_arcsec]).output().expect("it runs"));
        // two filters are enough
        for path in archive.mosaics("").iter().filter(|path| !["_f475w_", "_f336w_"].iter().any(|f| path.to_string_lossy().contains(f))) {
            std::fs::remove_file(path).expect("it goes");
        }
        let mut prepare = Command::new(python);
        prepare.arg(judge()).arg("prepare").arg(&archive.mosaics("_f475w_")[0]).arg(archive.second());
        done(&prepare.output().expect("Python starts"));
        done(&archive.images(&["add", &survey]).output().expect("it runs"));
        Some(archive)
    }

    fn survey(&self) -> PathBuf {
        self.dir.path().join("survey")
    }

    fn second(&self) -> PathBuf {
        self.survey().join("brick15/hlsp_phat_hst_acs-wfc_12056-m31-b15-f10_f475w_v1_drz.fits")
    }

    /// `brick15/..._drz.fits` with this in the name, by name.
    fn mosaics(&self, part: &str) -> Vec<PathBuf> {
        let all = glob::glob(&format!("{}/*/*_drz.fits", self.survey().display())).expect("a pattern").flatten();
        all.filter(|path| path.to_string_lossy().contains(part)).collect()
    }

    fn images(&self, words: &[&str]) -> Command {
        let mut command = harness::brickyard();
        command.env("BRICKYARD_DATA_DIR", self.dir.path().join("data")).env("BRICKYARD_DATABASE_URL", &self.url);
        command.env("BRICKYARD_IMAGES_ROOTS", format!("[{:?}]", self.survey().display().to_string()));
        command.arg("images").args(words);
        command
    }

    fn out(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `brickyard images hips` of F475W, with fixed black and white, and what it says.
    fn hips(&self, name: &str) -> String {
        let out = self.out(name).display().to_string();
        done(&self.images(&["hips", "--filter", "f475w", "--cuts", "0,1", "--out", &out]).output().expect("it runs"))
    }
}

fn judge() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hips/judge.py")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    text(output)
}

/// Tiles, pictures, coverage: everything but what tells the time.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = glob::glob(&format!("{}/**/*", folder.display())).expect("a pattern").flatten().filter(|path| path.is_file());
    let timeless = files.filter(|path| !["properties", "images.json", ".lock"].iter().any(|name| path.ends_with(name)));
    timeless.map(|path| (path.strip_prefix(folder).expect("below").to_owned(), std::fs::read(&path).expect("it can be read"))).collect()
}

/// Files, not bytes, in a message.
fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (contents(a), contents(b));
    let differ: Vec<&PathBuf> = a.keys().chain(b.keys()).filter(|path| a.get(*path) != b.get(*path)).collect();
    assert!(differ.is_empty() && a.len() > 30, "{} files, of which {differ:?} differ", a.len());
}

#[test]
fn values_places_and_coverage_are_those_of_the_images() {
    let Some(archive) = Archive::new("hips_judged", "30") else { return };
    let out = archive.out("hips").display().to_string();
    let said = done(&archive.images(&["hips", "--out", &out]).output().expect("it runs"));
    assert!(said.contains("F475W: ") && said.contains("to order 13") && said.contains("F336W: ") && said.contains("to order 14"), "{said}");
    for (filter, images) in [("F475W", archive.mosaics("_f475w_")), ("F336W", archive.mosaics("_f336w_"))] {
        let mut command = Command::new(python().expect("it was there"));
        let output = command.arg(judge()).arg("judge").arg(archive.out("hips").join(filter)).args(images).output().expect("Python starts");
        println!("{}", done(&output));
    }
    let wrong = archive.images(&["hips", "--filter", "F999W", "--out", &out]).output().expect("it runs");
    assert!(!wrong.status.success() && text(&wrong).contains("no image of F999W"), "{}", text(&wrong));
    let wrong = archive.images(&["hips", "--filter", "F475W", "--cuts", "x", "--out", &out]).output().expect("it runs");
    assert!(!wrong.status.success() && text(&wrong).contains("is not zscale"), "{}", text(&wrong));
    std::fs::create_dir_all(archive.out("own/F475W")).expect("a folder");
    std::fs::write(archive.out("own/F475W/thesis.tex"), "do not lose").expect("written");
    let own = archive.out("own").display().to_string();
    let wrong = archive.images(&["hips", "--filter", "F475W", "--out", &own]).output().expect("it runs");
    assert!(!wrong.status.success() && text(&wrong).contains("holds no HiPS of ours"), "{}", text(&wrong));
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes_and_a_done_one_does_nothing() {
    let Some(archive) = Archive::new("hips_killed", "12") else { return };
    let said = archive.hips("whole");
    let all: u64 = said.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number of tiles");
    assert!(said.contains(&format!("{all} made now")), "{said}");
    // killed when a few tiles are there, again and again
    let broken = archive.out("broken").display().to_string();
    let pattern = format!("{broken}/F475W/Norder*/Dir*/Npix*.fits");
    let count = || glob::glob(&pattern).expect("a pattern").flatten().count();
    for at_least in [1, 4, 9] {
        let mut command = archive.images(&["hips", "--filter", "f475w", "--cuts", "0,1", "--out", &broken]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let patience = Instant::now() + Duration::from_secs(60);
        while count() < at_least && child.try_wait().expect("a child").is_none() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }
    let left = count() as u64;
    let said = archive.hips("broken");
    assert!(left < all && said.contains(&format!("{} made now", all - left)), "{left} of {all} were there: {said}");
    assert_same(&archive.out("whole/F475W"), &archive.out("broken/F475W"));
    let time = |name: &str| std::fs::metadata(archive.out("whole/F475W").join(name)).and_then(|m| m.modified()).expect("a time");
    let before = [time("properties"), time("Moc.fits")];
    assert!(archive.hips("whole").contains("0 made now"));
    assert_eq!(before, [time("properties"), time("Moc.fits")]);
}

#[test]
fn images_that_change_come_or_go_are_noticed() {
    let Some(archive) = Archive::new("hips_changed", "12") else { return };
    archive.hips("kept");
    // other values in a hundred pixels
    let mut bytes = std::fs::read(archive.second()).expect("a file");
    let middle = bytes.len() / 2 / 4 * 4;
    bytes[middle..middle + 400].chunks_exact_mut(4).for_each(|pixel| pixel.copy_from_slice(&7.0_f32.to_be_bytes()));
    std::fs::write(archive.second(), &bytes).expect("written");
    let said = archive.hips("kept");
    assert!(said.contains("were of images that have changed or gone") && !said.contains(" 0 made now"), "{said}");
    archive.hips("fresh");
    assert_same(&archive.out("kept/F475W"), &archive.out("fresh/F475W"));
    // one goes: only what it covered alone vanishes
    std::fs::remove_file(archive.second()).expect("it goes");
    done(&archive.images(&["check", "--forget"]).output().expect("it runs"));
    archive.hips("kept");
    archive.hips("alone");
    assert_same(&archive.out("kept/F475W"), &archive.out("alone/F475W"));
    assert_ne!(contents(&archive.out("alone/F475W")), contents(&archive.out("fresh/F475W")));
    // pictures of another look, the same tiles
    let out = archive.out("kept").display().to_string();
    let said = done(&archive.images(&["hips", "--filter", "f475w", "--cuts", "0,2", "--out", &out]).output().expect("it runs"));
    assert!(said.contains("0 made now"), "{said}");
    let (kept, alone) = (contents(&archive.out("kept/F475W")), contents(&archive.out("alone/F475W")));
    let is_other = |ending: &str| kept.iter().any(|(path, bytes)| path.extension().is_some_and(|e| e == ending) && alone[path] != *bytes);
    assert!(is_other("png") && !is_other("fits"));
}

#[test]
fn images_in_a_bucket_make_the_same_tiles() {
    let Some(archive) = Archive::new("hips_bucket", "12") else { return };
    let Some(moto) = crate::store::Moto::start() else { return };
    archive.hips("folder");
    let mosaics = archive.mosaics("");
    for path in &mosaics {
        let key = path.strip_prefix(archive.survey()).expect("below it").display().to_string();
        assert_eq!(curl(&["-T", &path.to_string_lossy(), &format!("{}/bricks/m31/{key}", moto.endpoint)]).status, 200);
    }
    // the same paths, of another root
    done(&archive.images(&["list"]).output().expect("it runs"));
    let (_, url) = harness::runtime().block_on(harness::server().database("hips_bucket_s3"));
    let images = |words: &[&str]| {
        let mut command = archive.images(words);
        command.env("BRICKYARD_DATABASE_URL", &url).env("BRICKYARD_IMAGES_ROOTS", "['s3://bricks/m31']");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "secret").env("AWS_ENDPOINT_URL", &moto.endpoint);
        command.output().expect("it runs")
    };
    done(&images(&["add", "s3://bricks/m31"]));
    let out = archive.out("bucket").display().to_string();
    let make = || images(&["hips", "--filter", "f475w", "--cuts", "0,1", "--out", &out]);
    done(&make());
    assert_same(&archive.out("folder/F475W"), &archive.out("bucket/F475W"));
    assert!(done(&make()).contains("0 made now"));
    // of what was fetched nothing is left
    let scratch = std::fs::read_dir(archive.out("data/scratch")).map_or(0, Iterator::count);
    assert_eq!(scratch, 0);
    let gone = archive.second().strip_prefix(archive.survey()).expect("below it").display().to_string();
    let bucket = brickyard::store::Store::open("s3://bricks/m31", &moto.credentials()).expect("a store");
    harness::runtime().block_on(bucket.delete(&gone)).expect("it goes");
    let output = make();
    assert!(!output.status.success() && text(&output).contains("images check tells more"), "{}", text(&output));
}

#[test]
fn tiles_are_served_with_what_browsers_need_and_nothing_else_is() {
    let Some(archive) = Archive::new("hips_served", "8") else { return };
    archive.hips("hips");
    std::fs::write(archive.out("secret.txt"), "secret").expect("written");
    std::os::unix::fs::symlink(archive.out("hips/F475W"), archive.out("hips/link")).expect("a link");
    let out = archive.out("hips").display().to_string();
    let serving = Serving::start(&archive.url, &[("BRICKYARD_IMAGES_HIPS", &out)]);
    let get = |path: &str| curl(&["--path-as-is", &serving.url(path)]);
    let properties = get("/hips/F475W/properties");
    assert!(properties.status == 200 && properties.text().contains("hips_tile_format     = png fits"), "{}", properties.text());
    let tiles = glob::glob(&format!("{out}/F475W/Norder*/Dir*/Npix*.*")).expect("a pattern").flatten();
    let mut count = 0;
    for path in tiles {
        let reply = get(&format!("/hips/{}", path.strip_prefix(&out).expect("below").display()));
        assert!(reply.status == 200 && reply.body == std::fs::read(&path).expect("a tile"), "{}: {}", path.display(), reply.head);
        let mime = if path.extension().is_some_and(|ending| ending == "png") { "image/png" } else { "image/fits" };
        assert_eq!(reply.header("content-type").as_deref(), Some(mime));
        assert_eq!(reply.header("access-control-allow-origin").as_deref(), Some("*"));
        assert!(reply.header("cache-control").is_some_and(|value| value.contains("max-age")));
        count += 1;
    }
    assert!(count >= 28, "{count}");
    // what a browser has need not come again
    let tag = get("/hips/F475W/Norder0/Allsky.png").header("etag").expect("an ETag");
    let reply = curl(&["-H", &format!("If-None-Match: {tag}"), &serving.url("/hips/F475W/Norder0/Allsky.png")]);
    assert!(reply.status == 304 && reply.body.is_empty(), "{}", reply.head);
    assert_eq!(curl(&["-H", "If-None-Match: \"x\"", &serving.url("/hips/F475W/Norder0/Allsky.png")]).status, 200);
    let moc = get("/hips/F475W/Moc.fits");
    assert!(moc.status == 200 && moc.body.starts_with(b"SIMPLE"));
    // the page, whose policy lets Aladin Lite come
    let page = get("/hips/F475W/");
    assert!(page.status == 200 && page.text().contains("aladin.js"), "{}", page.head);
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("https://aladin.cds.unistra.fr")));
    let reply = get("/hips/F475W");
    assert!(
        (300..400).contains(&reply.status) && reply.header("location").is_some_and(|to| to.ends_with("/hips/F475W/")),
        "{}",
        reply.head
    );
    for path in [
        "/hips/F475W/Norder13/Dir0/Npix0.fits",
        "/hips/F336W/properties",
        "/hips/F475W/images.json",
        "/hips/F475W/.lock",
        "/hips/../secret.txt",
        "/hips/F475W/../../secret.txt",
        "/hips/F475W/%2e%2e/%2e%2e/secret.txt",
        "/hips/F475W/..%2f..%2fsecret.txt",
        "/hips/%2e%2e/secret.txt",
        "/hips/F475W//etc/passwd",
        "/hips/F475W/Norder0/..%2f..%2f..%2fsecret.txt",
        "/hips/F475W/properties%00.png",
        "/hips//properties",
        "/hips/",
    ] {
        let reply = get(path);
        assert!((400..500).contains(&reply.status) && !reply.text().contains("secret"), "{path}: {} {}", reply.status, reply.text());
    }
    let bare = Serving::start(&archive.url, &[]);
    assert_eq!(curl(&[&bare.url("/hips/F475W/properties")]).status, 404);
}
