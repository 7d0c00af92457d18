//! The image archive: registered by the binary, found and cut through the service; pyvo, astropy and STILTS as judges.

mod many; // thousands of images: the index on footprints, and how quick it is

use crate::harness::{self, Serving, python, stilts};
use crate::tap::{Reply, curl};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Six mosaics of a brick, some hundred pixels wide.
pub fn mosaics(out: &Path) {
    let out = out.to_string_lossy().into_owned();
    let words = ["simulate", "--out", &out, "--bricks", "15", "--fields", "10", "--objects", "500", "--products", "st", "--images", "15"];
    let output = harness::brickyard().args(words).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// `brickyard images ...` with a root.
pub fn images(url: &str, root: &Path, words: &[&str]) -> Output {
    let scratch = harness::scratch();
    let mut command = harness::brickyard();
    command.env("BRICKYARD_DATA_DIR", scratch.path()).env("BRICKYARD_DATABASE_URL", url);
    command.env("BRICKYARD_IMAGES_ROOTS", format!("[{:?}]", root.display().to_string()));
    command.arg("images").args(words).output().expect("it runs")
}

pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub fn database(name: &str) -> String {
    harness::runtime().block_on(harness::server().database(name)).1
}

#[test]
fn files_are_registered_once_and_what_becomes_of_them_is_noticed() {
    let (dir, url) = (harness::scratch(), database("images_add"));
    let root = dir.path().join("survey");
    mosaics(&root);
    let folder = root.to_string_lossy().into_owned();
    let ask = |words: &[&str]| {
        let output = images(&url, &root, words);
        (output.status.success(), text(&output))
    };
    let (is_fine, told) = ask(&["add", &folder]);
    assert!(is_fine && told.contains("images added: 6"), "{told}");
    let (is_fine, told) = ask(&["add", &folder, "--sha256"]);
    assert!(is_fine && told.contains("images of changed files read anew: 6"), "{told}");
    let (is_fine, told) = ask(&["add", &folder, "--sha256"]);
    assert!(is_fine && told.contains("files unchanged: 6") && !told.contains("added"), "{told}");
    let (is_fine, told) = ask(&["list"]);
    assert!(is_fine && told.matches("_drz.fits").count() == 6 && told.contains("WFC3/UVIS") && told.contains("F160W"), "{told}");
    let (is_fine, told) = ask(&["check", "--sha256"]);
    assert!(is_fine && told.contains("6 of 6 files are as they were"), "{told}");

    let found: Vec<PathBuf> = glob::glob(&format!("{folder}/**/*_drz.fits")).expect("a pattern").flatten().collect();
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    std::fs::remove_file(&found[0]).expect("it goes");
    // one byte, with the file's time as before: only the hash can tell
    let mut bytes = std::fs::read(&found[1]).expect("a file");
    let time = std::fs::metadata(&found[1]).and_then(|metadata| metadata.modified()).expect("a time");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&found[1], &bytes).expect("written");
    std::fs::File::options().append(true).open(&found[1]).and_then(|file| file.set_modified(time)).expect("a time is set");
    std::fs::write(&found[2], &bytes).expect("written");
    let (is_fine, told) = ask(&["check"]);
    assert!(!is_fine && told.contains("4 of 6") && told.contains("gone") && told.contains("changed"), "{told}");
    let (is_fine, told) = ask(&["check", "--sha256"]);
    assert!(!is_fine && told.contains("3 of 6") && told.contains("SHA-256"), "{told}");
    let (_, told) = ask(&["check", "--forget"]);
    assert!(told.contains(&format!("{}: forgotten", found[0].strip_prefix(&root).expect("below").display())), "{told}");
    let (is_fine, told) = ask(&["add", &folder]);
    assert!(is_fine && told.contains("images of changed files read anew: 1") && told.contains("files unchanged: 4"), "{told}");
    assert!(!ask(&["list"]).1.contains(&name(&found[0])));
}

#[test]
fn a_survey_of_ones_own_says_what_its_names_tell() {
    let dir = harness::scratch();
    let runtime = harness::runtime();
    let (client, url) = runtime.block_on(harness::server().database("images_survey"));
    let (root, made, loaders) = (dir.path().join("root"), dir.path().join("made"), dir.path().join("loaders"));
    mosaics(&made);
    std::fs::create_dir_all(&root).expect("a folder");
    let found = glob::glob(&format!("{}/**/*_f475w_*_drz.fits", made.display())).expect("a pattern").flatten().next().expect("a mosaic");
    std::fs::copy(found, root.join("smc_t07_007.fits")).expect("copied");
    let manifest = loaders.join("smc/images/tiles.toml");
    std::fs::create_dir_all(manifest.parent().expect("a folder")).expect("a folder");
    let text = "collection = \"SMC\"\ndescription = \"Tiles\"\ncalib_level = 4\n[bands_m]\nf475w = [4.0e-7, 5.0e-7]\n[[names]]\n\
                files = [\"smc_t{field}_*.fits\"]\nobs_id = \"smc-{field:03}\"\ntitle = \"Tile {field} of the SMC\"\n";
    let add = || {
        let mut command = harness::brickyard();
        command.env("BRICKYARD_DATA_DIR", dir.path().join("data")).env("BRICKYARD_DATABASE_URL", &url);
        command.env("BRICKYARD_IMAGES_ROOTS", format!("[{:?}]", root.display().to_string())).arg("--loader-dir").arg(&loaders);
        command.args(["images", "add"]).arg(&root).output().expect("it runs")
    };
    std::fs::write(&manifest, text.replace("{field:03}", "{brick:03}")).expect("written");
    let output = add();
    let told = self::text(&output);
    assert!(!output.status.success() && told.contains("tiles.toml") && told.contains("have {brick}"), "{told}");
    std::fs::write(&manifest, text).expect("written");
    let output = add();
    assert!(output.status.success(), "{}", self::text(&output));
    let row = runtime.block_on(async {
        let sql = "select o.obs_collection, o.obs_id, o.obs_title, o.calib_level, o.em_min, o.em_max, i.field
                   from ivoa.obscore o join brickyard.image i using (obs_id)";
        let row = client.query_one(sql, &[]).await.expect("one row");
        let texts: [String; 3] = [row.get(0), row.get(1), row.get(2)];
        (texts, row.get::<_, i32>(3), row.get::<_, f64>(4), row.get::<_, f64>(5), row.get::<_, i16>(6))
    });
    let texts = ["SMC", "smc-007", "Tile 7 of the SMC"].map(str::to_owned);
    assert_eq!(row, (texts, 4, 4.0e-7, 5.0e-7, 7));
}

#[test]
fn only_images_of_the_sky_under_a_root_are_taken() {
    let (dir, url) = (harness::scratch(), database("images_refused"));
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    std::fs::create_dir_all(&root).expect("a folder");
    mosaics(&outside);
    let found: Vec<PathBuf> = glob::glob(&format!("{}/**/*_f475w_*_drz.fits", outside.display())).expect("a pattern").flatten().collect();
    let link = root.join("link_drz.fits");
    std::os::unix::fs::symlink(&found[0], &link).expect("a link");
    std::fs::write(root.join("table.fits"), b"not FITS at all").expect("written");
    for path in [&found[0], &link] {
        let output = images(&url, &root, &["add", &path.to_string_lossy()]);
        assert!(!output.status.success() && text(&output).contains("not in a configured folder"), "{}", text(&output));
    }
    let output = images(&url, &root, &["add", &root.join("table.fits").to_string_lossy()]);
    assert!(!output.status.success() && text(&output).contains("not a FITS file"), "{}", text(&output));
    let output = harness::brickyard().env("BRICKYARD_DATABASE_URL", &url).args(["images", "add", "/tmp"]).output().expect("it runs");
    assert!(!output.status.success() && text(&output).contains("BRICKYARD_IMAGES_ROOTS"), "{}", text(&output));
    let output = images(&url, &root, &["list"]);
    assert!(text(&output).contains("no image is registered"), "{}", text(&output));
}

/// A service with six mosaics, for all tests that only ask.
struct Site {
    serving: Serving,
    folder: TempDir,
}

fn site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(|| {
        let (folder, url) = (harness::scratch(), database("images"));
        mosaics(folder.path());
        let output = images(&url, folder.path(), &["add", &folder.path().to_string_lossy()]);
        assert!(output.status.success(), "{}", text(&output));
        let roots = format!("[{:?}]", folder.path().display().to_string());
        // a whole mosaic, and little more
        let settings = [("BRICKYARD_IMAGES_ROOTS", roots.as_str()), ("BRICKYARD_IMAGES_PIECE_BYTES", "1000000")];
        Site { serving: Serving::start(&url, &settings), folder }
    })
}

fn get(path: &str) -> Reply {
    curl(&[&site().serving.url(path)])
}

/// The identifier and the middle of the F475W mosaic.
fn blue() -> (String, f64, f64) {
    let reply = get("/sia2/query?BAND=4.7e-7&RESPONSEFORMAT=csv");
    let (head, rows) = (reply.text(), reply.rows());
    let names: Vec<&str> = head.lines().next().expect("a header").split(',').collect();
    let cell = |name: &str| rows[0].split(',').nth(names.iter().position(|n| *n == name).expect("a column")).expect("a cell").to_owned();
    (cell("obs_publisher_did"), cell("s_ra").parse().expect("a number"), cell("s_dec").parse().expect("a number"))
}

#[test]
fn pyvo_finds_links_and_cuts_what_astropy_would_cut() {
    let Some(python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/clients.py");
    let output = Command::new(python).arg(script).arg(site().serving.url("")).arg(site().folder.path()).output().expect("Python starts");
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn the_notebooks_lines_select_an_image_and_fetch_its_piece() {
    let Some(python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/sia1.py");
    let (_, ra, dec) = blue();
    let words = [site().serving.url(""), ra.to_string(), dec.to_string()];
    let output = Command::new(python).arg(script).args(words).output().expect("Python starts");
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn the_table_is_obscore_as_taplint_knows_it() {
    let Some(stilts) = stilts() else { return };
    let findings = crate::tap::taplint(&stilts, &site().serving.url("/tap"), "TMV TME TMS TMC CPV CAP OBS");
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn stilts_finds_images_and_reads_links() {
    let Some(stilts) = stilts() else { return };
    let (id, ra, dec) = blue();
    let base = site().serving.url("");
    let run = |words: &[String]| {
        let output = Command::new(&stilts).args(words).output().expect("it runs");
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        text(&output)
    };
    let of = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut words = of(&["cone", "servicetype=sia2", "radius=0.001", "ofmt=csv"]);
    words.extend([format!("serviceurl={base}/sia2/query"), format!("lon={ra}"), format!("lat={dec}")]);
    assert_eq!(run(&words).lines().filter(|line| line.contains("_drz.fits")).count(), 6);
    let mut words = of(&["cone", "servicetype=sia", "radius=0.002", "ofmt=csv"]);
    words.extend([format!("serviceurl={base}/sia"), format!("lon={ra}"), format!("lat={dec}")]);
    assert_eq!(run(&words).lines().filter(|line| line.contains("/svc/cutout?")).count(), 6);
    let mut words = of(&["datalinklint"]);
    words.push(format!("votable={base}/datalink/links?ID={id}"));
    let told = run(&words);
    assert!(!told.lines().any(|line| line.starts_with("E-") || line.starts_with("F-")), "{told}");
    let mut words = of(&["votlint"]);
    words.push(format!("votable={base}/sia2/query"));
    let told = run(&words);
    assert!(!told.contains("ERROR"), "{told}");
    let mut words = of(&["votlint"]);
    words.push(format!("votable={base}/sia?POS={ra},{dec}&SIZE=0.01"));
    let told = run(&words);
    assert!(!told.contains("ERROR"), "{told}");
}

#[test]
fn what_cannot_be_cut_has_its_status_and_its_word() {
    let (id, ra, dec) = blue();
    for (wrong, word) in [("BAND=5+4", "BAND"), ("POS=CIRCLE+1+2", "circle"), ("CALIB=x", "level"), ("MAXREC=x", "MAXREC")] {
        let reply = get(&format!("/sia2/query?{wrong}"));
        assert!(reply.status == 400 && reply.text().contains("QUERY_STATUS") && reply.text().contains(word), "{wrong}: {}", reply.text());
    }
    let soda = |more: &str| get(&format!("/soda/sync?ID={id}{more}"));
    for (more, status, word) in [
        ("&CIRCLE=200+10+0.001", 204, ""),
        ("&POS=RANGE+0+1+0+1", 204, ""),
        ("&BAND=1+2", 204, ""),
        ("&TIME=1+2", 204, ""),
        ("&CIRCLE=1+2", 400, "UsageFault"),
        ("&CIRCLE=1+2+nan", 400, "UsageFault"),
        ("&CIRCLE=1+2+3&CIRCLE=1+2+4", 400, "MultiValuedParamNotSupported: CIRCLE"),
        ("&POS=BOX+1+2+3+4", 400, "UsageFault"),
        ("&RESPONSEFORMAT=image/gif", 400, "UsageFault"),
        ("&ID=ivo://x/y", 400, "MultiValuedParamNotSupported: ID"),
        ("&POLYGON=0+0+120+0+240+0", 400, "UsageFault"),
    ] {
        let reply = soda(more);
        assert!(reply.status == status && reply.text().starts_with(word), "{more}: {} {}", reply.status, reply.text());
    }
    let circle = format!("{ra}+{dec}+0.001");
    for id in
        ["", "ivo://x/y", "x", "ivo://127.0.0.1/images?../../etc/passwd/0", "ivo://127.0.0.1/images?%2500", "ivo://127.0.0.1/images?%00"]
    {
        for path in ["/soda/sync?CIRCLE={circle}&ID=", "/datalink/file?ID="] {
            let reply = get(&format!("{}{id}", path.replace("{circle}", &circle)));
            assert!(matches!(reply.status, 400 | 404), "{id}: {} {}", reply.status, reply.text());
            assert!(!reply.text().contains("/tmp"), "{}", reply.text());
        }
    }
    for (query, status) in [
        ("siaRef=no.fits&POS=1,1&SIZE=1", 404),
        ("siaRef=../../etc/passwd&POS=1,1&SIZE=1", 404),
        ("siaRef=/etc/passwd&POS=1,1&SIZE=1", 404),
        ("siaRef=a%00b&POS=1,1&SIZE=1", 404),
        ("POS=1,1&SIZE=1", 400),
        ("siaRef=x&POS=1,1&SIZE=-1", 400),
        ("siaRef=x&POS=1,1&SIZE=nan", 400),
        ("siaRef=x&POS=1,95&SIZE=1", 400),
        ("siaRef=x&extn=x&POS=1,1&SIZE=1", 400),
        ("siaRef=x&extn=99999999999&POS=1,1&SIZE=1", 400),
    ] {
        assert_eq!(get(&format!("/svc/cutout?{query}")).status, status, "{query}");
    }
    // a frame far larger than the image is trimmed, padded it would be too large
    let name = id.split('/').rev().nth(1).expect("a name");
    let wide = format!("/svc/cutout?siaRef={name}&POS={ra},{dec}&SIZE=1");
    assert_eq!(get(&wide).status, 200);
    let reply = get(&format!("{wide}&fill=nan"));
    assert!(reply.status == 413 && reply.text().contains("1000000"), "{} {}", reply.status, reply.text());
    let reply = get(&format!("/svc/cutout?siaRef={name}&POS=200,10&SIZE=0.001"));
    assert_eq!(reply.status, 404);
}

#[test]
fn a_file_that_vanished_or_left_its_root_is_not_served() {
    let (dir, url) = (harness::scratch(), database("images_gone"));
    let root = dir.path().join("survey");
    mosaics(&root);
    let output = images(&url, &root, &["add", &root.to_string_lossy()]);
    assert!(output.status.success(), "{}", text(&output));
    let roots = format!("[{:?}]", root.display().to_string());
    let serving = Serving::start(&url, &[("BRICKYARD_IMAGES_ROOTS", &roots)]);
    let found: Vec<PathBuf> = glob::glob(&format!("{}/**/*_f475w_*_drz.fits", root.display())).expect("a pattern").flatten().collect();
    let name = found[0].file_name().expect("a name").to_string_lossy().into_owned();
    let path = format!("/svc/cutout?siaRef={name}&POS=11.0,41.0&SIZE=0.001");
    // far from the image, but the image is there
    assert!(curl(&[&serving.url(&path)]).text().contains("nothing at this position"));
    let secret = dir.path().join("secret.fits");
    std::fs::rename(&found[0], &secret).expect("it moves");
    let reply = curl(&[&serving.url(&path)]);
    assert!(reply.status == 404 && reply.text().contains("not there at the moment"), "{}", reply.text());
    std::os::unix::fs::symlink(&secret, &found[0]).expect("a link");
    let reply = curl(&[&serving.url(&path)]);
    assert!(reply.status == 404 && reply.text().contains("not there at the moment"), "{}", reply.text());
}

#[test]
fn without_images_the_service_says_so() {
    let url = database("images_none");
    let serving = Serving::start(&url, &[]);
    let reply = curl(&[&serving.url("/sia2/query?POS=CIRCLE+1+1+1")]);
    assert!(reply.status == 404 && reply.text().contains("no images"), "{}", reply.text());
    assert_eq!(curl(&[&serving.url("/soda/sync?ID=ivo://127.0.0.1/images?a/0")]).status, 404);
    assert_eq!(curl(&[&serving.url("/svc/cutout?siaRef=a&POS=1,1&SIZE=1")]).status, 404);
    assert!(!curl(&[&serving.url("/tap/capabilities")]).text().contains("ObsCore"));
}

#[test]
fn the_command_cuts_lists_of_positions() {
    let (dir, url) = (harness::scratch(), database("images_command"));
    let survey = dir.path().join("survey");
    mosaics(&survey);
    let output = images(&url, &survey, &["add", &survey.to_string_lossy()]);
    assert!(output.status.success(), "{}", text(&output));
    let folder = survey.to_string_lossy().into_owned();
    let out = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let run = |words: &[&str], input: &str| {
        use std::io::Write;
        let mut command = harness::brickyard();
        command.env("BRICKYARD_DATA_DIR", dir.path()).env("BRICKYARD_DATABASE_URL", &url).arg("cutout").args(words);
        command.args(["--file", &folder]).stdin(std::process::Stdio::piped());
        let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("it runs");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        (output.status.success(), text(&output))
    };
    let names = |folder: &str| {
        let found = glob::glob(&format!("{folder}/*")).expect("a pattern").flatten();
        found.map(|path| path.file_name().expect("a name").to_string_lossy().into_owned()).collect::<Vec<String>>()
    };
    // where the blue mosaic looks
    let output = images(&url, &survey, &["list"]);
    let told = text(&output);
    let line = told.lines().find(|line| line.contains("F475W")).expect("a line");
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|word| word.starts_with('+')).expect("a declination");
    let (ra, dec): (f64, f64) = (words[at - 1].parse().expect("a number"), words[at].parse().expect("a number"));

    // a list, with names and sizes of its own and a position where nothing is
    let list = format!("# RA ,Dec,size,name\n{ra},{dec},1arcsec,first\n{ra},{dec},,../second\n200,10,,far\n");
    std::fs::write(out("list.csv"), &list).expect("written");
    let (is_fine, told) = run(&["--list", &out("list.csv"), "2", "--filter", "F475W,F814W", "--output", &out("a")], "");
    assert!(is_fine && told.contains("4 pieces written") && told.contains("far: no image overlaps"), "{told}");
    let found = names(&out("a"));
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().all(|name| name.ends_with("_first.fits") || name.ends_with("_second.fits")), "{found:?}");
    let cache = brickyard::image::gzip::Cache::new(dir.path(), 0);
    for (end, side) in [("_first.fits", 20_u64), ("_second.fits", 40)] {
        let name = found.iter().find(|name| name.contains("f475w") && name.ends_with(end)).expect("a piece");
        let mut file = brickyard::image::FitsFile::open(&dir.path().join("a").join(name), &cache).expect("FITS");
        let image = file.image(&brickyard::image::Select::Number(0)).expect("an image");
        assert!(image.axes.iter().all(|length| length.abs_diff(side) <= 1), "{:?}", image.axes);
        let wcs = file.wcs(&image, ' ').expect("coordinates");
        let [x, y] = wcs.sky_to_pixel(ra, dec).expect("in front");
        let middle = (side as f64 + 1.0) / 2.0;
        assert!((x - middle).abs() <= 1.0 && (y - middle).abs() <= 1.0, "{x} {y}");
    }
    // the same from standard input, as colour pictures; red, green and blue are chosen
    let (is_fine, told) = run(&["--list", "-", "2arcsec", "--rgb", "--output", &out("b")], &list);
    assert!(is_fine && told.contains("2 pieces written"), "{told}");
    assert!(names(&out("b")).iter().all(|name| name.starts_with("f160w-f814w-f275w_") && name.ends_with(".png")), "{:?}", names(&out("b")));
    // positions from the database
    let sql =
        format!("SELECT ra, dec, obs_collection || '_' || obs_bandpass AS name FROM (SELECT {ra} AS ra, {dec} AS dec) AS at, ivoa.obscore");
    let (is_fine, told) = run(&["--query", &sql, "1", "--filter", "F110W", "--png", "--output", &out("c")], "");
    assert!(is_fine && told.contains("6 pieces written"), "{told}");
    assert!(names(&out("c")).iter().any(|name| name.ends_with("_PHAT_F814W.png")), "{:?}", names(&out("c")));
    // what is wrong is said with its line or its remedy
    for (words, word) in [
        (&["--list", "-"][..], "no size"),
        (&["--list", "-", "10", "20"], "give the size alone"),
        (&["--list", "-", "2", "--filter", "F999W"], "no image of filter F999W"),
        (&["--list", "-", "2", "--rgb", "--filter", "F475W"], "three filters"),
        (&["--query", "DELETE FROM brickyard.image", "2"], "read-only"),
        (&["--query", "SELECT 1 AS x", "2"], "no column ra"),
        (&["1", "2"], "SIZE"),
    ] {
        let (is_fine, told) = run(&[words, &["--output", &out("d")]].concat(), &list);
        assert!(!is_fine && told.contains(word), "{words:?}: {told}");
    }
    let (is_fine, told) = run(&["--list", "-", "2", "--output", &out("d")], "ra,dec\n1,1\n1,91\n");
    assert!(!is_fine && told.contains("line 3") && told.contains("91"), "{told}");
    assert!(names(&out("d")).is_empty());
}

#[test]
fn browsers_and_registries_are_led_to_images() {
    let (_, ra, dec) = blue();
    let page = get("/images");
    assert_eq!((page.status, page.text().matches("<img ").count()), (200, 6), "{}", page.text());
    assert!(page.text().contains("6 images") && page.text().contains("ACS/WFC"), "{}", page.text());
    let here = get(&format!("/images?POS={ra},{dec}&SIZE=0.001")).text();
    let links: Vec<&str> = here.split("\"").filter(|text| text.contains("/soda/sync?") || text.contains("/datalink/")).collect();
    assert_eq!(links.len(), 24, "{here}");
    for link in links {
        let reply = curl(&[&link.replace("&amp;", "&")]);
        assert!(reply.status == 200 && !reply.body.is_empty(), "{link}: {} {}", reply.status, reply.text());
    }
    assert!(get(&format!("/images?POS={ra},{dec}&SIZE=0")).text().contains("6 images"));
    assert!(get("/images?POS=200,10&SIZE=0.1").text().contains("No image is at this position"));
    let wrong = get("/images?POS=%3Cscript%3E,1&SIZE=1");
    assert!(wrong.status == 400 && wrong.text().contains("RA,DEC"), "{}", wrong.text());
    assert!(!get("/images?SIZE=%22%3E%3Cscript%3E").text().contains("<script>"));
    let json = get(&format!("/sia?POS={ra},{dec}&SIZE=0.001&RESPONSEFORMAT=json"));
    let rows: serde_json::Value = serde_json::from_slice(&json.body).unwrap_or_else(|error| panic!("{error}: {}", json.text()));
    assert_eq!(rows["data"].as_array().map(Vec::len), Some(6), "{rows}");
    let registry = get("/registry").text();
    for standard in ["SIA", "SIA#query-2.0", "DataLink#links-1.1", "SODA#sync-1.0", "SODA#async-1.0"] {
        assert!(registry.contains(&format!("standardID=\"ivo://ivoa.net/std/{standard}\"")), "{standard}: {registry}");
    }
    assert_eq!(
        registry.matches("<ri:Resource ").count().to_string(),
        registry.split("numberReturned=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a number")
    );
    assert!(get("/").text().contains("/images\""));
}
