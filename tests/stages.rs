//! The stages of a reduction: files byte-equal to the truth's whatever the threads, damage, and the whole graph with a real master and worker.

use crate::harness::{self, brickyard, runtime, scratch, server};
use crate::pipeline::processes::{Process, Site, until};
use brickyard::db::Connection;
use brickyard::simulate::{Options, Overlaps, Products, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const CUTS: [&str; 6] = ["F275W=0.15,1.30", "F336W=0.15,1.30", "F475W=0.20,2.25", "F814W=0.20,2.25", "F110W=0.15,2.25", "F160W=0.15,2.25"];

/// Two fields with every product.
fn survey(out: &Path, dolphot: brickyard::simulate::Dolphot) {
    let options = Options {
        bricks: vec![15],
        fields: vec![10, 11],
        objects: 400,
        overlaps: Overlaps::None,
        gzip: false,
        dolphot,
        products: Products { st: true, phot: true, truth: true },
        exposures: true,
        ..Options::new(out)
    };
    run(&options).unwrap();
}

/// The files of a folder whose names end so, by name.
fn ending(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.to_string_lossy().ends_with(end));
    found.sort();
    found
}

fn stage(dir: &Path, name: &str, files: &[PathBuf], more: &[&str]) -> Output {
    let mut command: Command = brickyard();
    command.current_dir(dir).args(["stage", name]).args(more).args(files);
    command.output().unwrap()
}

fn works(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn fails(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it should have failed: {words:?}");
    for word in words {
        assert!(said.contains(word), "wanted {word:?} in: {said}");
    }
}

fn catalogue(dir: &Path, phot: &Path, field: &str, more: &[&str]) -> Output {
    let cuts: Vec<&str> = CUTS.iter().flat_map(|cut| ["--cut", cut]).collect();
    let names = [&format!("--phot-out=f{field}_phot.fits"), &format!("--st-out=f{field}_st.fits")];
    let place = ["--brick", "15", "--field", field];
    let args: Vec<&str> = cuts.into_iter().chain(names.map(String::as_str)).chain(place).chain(more.iter().copied()).collect();
    stage(dir, "catalogue", &[phot.to_path_buf()], &args)
}

#[test]
fn catalogues_of_text_are_the_truth_s_files_byte_by_byte_whatever_the_threads() {
    let dir = scratch();
    survey(dir.path(), brickyard::simulate::Dolphot::All);
    let brick = dir.path().join("brick15");
    let texts = ending(&brick, ".phot");
    let truths = ending(&brick, "_phot.fits");
    assert_eq!((texts.len(), truths.len()), (2, 2));
    for threads in ["1", "3"] {
        let out = scratch();
        for ((text, truth), field) in texts.iter().zip(&truths).zip(["10", "11"]) {
            works(&catalogue(out.path(), text, field, &["--threads", threads]));
            let made = std::fs::read(out.path().join(format!("f{field}_phot.fits"))).unwrap();
            assert!(made == std::fs::read(truth).unwrap(), "_phot.fits of field {field} with {threads} threads");
        }
        // whatever the order they are named in
        let mut fields = ending(out.path(), "_st.fits");
        fields.reverse();
        works(&stage(out.path(), "merge", &fields, &["--brick", "15", "--keep", "all", "--out", "brick.fits"]));
        let [truth] = &ending(&brick, "_v2_st.fits")[..] else { panic!("one star file a brick") };
        assert!(std::fs::read(out.path().join("brick.fits")).unwrap() == std::fs::read(truth).unwrap(), "_st.fits with {threads} threads");
        assert!(ending(out.path(), ".part").is_empty());
    }
}

#[test]
fn astropy_reads_what_a_stage_wrote_and_finds_the_cuts_obeyed() {
    let Some(python) = harness::python() else { return };
    let dir = scratch();
    survey(dir.path(), brickyard::simulate::Dolphot::All);
    let text = &ending(&dir.path().join("brick15"), ".phot")[0];
    works(&catalogue(dir.path(), text, "10", &["--star-flags"]));
    let code = r#"
import sys, numpy as np
from astropy.io import fits
from astropy.wcs import WCS
st, phot, text, hdr = sys.argv[1:]
for path in (st, phot):
    with fits.open(path) as f: f.verify('exception')
s, p = fits.getdata(st, 1), fits.getdata(phot, 1)
rows = np.loadtxt(text)
assert len(s) == len(p) == len(rows), (len(s), len(p), len(rows))
w = WCS(fits.Header.fromtextfile(hdr))
ra, dec = w.all_pix2world(rows[:, 2], rows[:, 3], 0)
assert np.abs(ra - s['ra']).max() < 1e-10 and np.abs(dec - s['dec']).max() < 1e-10
# DOLPHOT's order of filters; 13 columns a block after 11
cuts = {'f275w': (.15, 1.3), 'f336w': (.15, 1.3), 'f475w': (.2, 2.25), 'f814w': (.2, 2.25), 'f110w': (.15, 2.25), 'f160w': (.15, 2.25)}
good = 0
for n, f in enumerate(['f475w', 'f814w', 'f275w', 'f336w', 'f110w', 'f160w']):
    b = rows[:, 11 + 13 * n: 24 + 13 * n]
    for c, name in [(2, 'rate'), (3, 'raterr'), (4, 'vega'), (6, 'err'), (7, 'chi'), (8, 'snr'), (9, 'sharp'), (10, 'round'), (11, 'crowd'), (12, 'flag')]:
        assert (s[f + '_' + name] == b[:, c].astype('f4')).all(), (f, name)
    star = (b[:, 8] >= 4) & (b[:, 9] ** 2 < cuts[f][0])
    assert (s[f + '_st'] == star).all(), f
    gst = (star & (b[:, 11] < cuts[f][1])) | (b[:, 4] == 99.999)
    assert (s[f + '_gst'] == gst).all(), f
    good += gst.sum()
assert 0 < good < 6 * len(s)
assert (p['COUNTS7'] == rows[:, 11 + 78].astype('f4')).all()
"#;
    let stem = text.with_extension("");
    let header = format!("{}_F475W_drz.hdr", stem.display());
    let mut command = Command::new(python);
    command.args(["-c", code]).args([dir.path().join("f10_st.fits"), dir.path().join("f10_phot.fits"), text.clone()]).arg(header);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn diagrams_hold_the_stars_that_astropy_counts() {
    let dir = scratch();
    survey(dir.path(), brickyard::simulate::Dolphot::All);
    let text = &ending(&dir.path().join("brick15"), ".phot")[0];
    works(&catalogue(dir.path(), text, "10", &[]));
    let st = dir.path().join("f10_st.fits");
    let out = scratch();
    let drawn = stage(out.path(), "diagrams", std::slice::from_ref(&st), &[]);
    works(&drawn);
    let said = String::from_utf8(drawn.stdout).unwrap();
    let counted = |name: &str| -> u64 {
        let line = said.lines().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("no {name} in {said}"));
        line.split(' ').next().unwrap().parse().unwrap()
    };
    let pairs = ["f275w-f336w", "f336w-f475w", "f475w-f814w", "f814w-f110w", "f110w-f160w"];
    let pictures = ending(out.path(), ".png");
    assert_eq!(pictures.len(), said.lines().filter(|line| line.ends_with(".png")).count());
    assert!(pictures.iter().all(|path| std::fs::read(path).unwrap().starts_with(b"\x89PNG")));
    if let Some(python) = harness::python() {
        let code = r#"
import sys
from astropy.io import fits
s = fits.getdata(sys.argv[1], 1)
print(len(s))
for pair in sys.argv[2:]:
    a, b = pair.split('-')
    print((s[a + '_gst'] & s[b + '_gst'] & (s[a + '_vega'] < 90) & (s[b + '_vega'] < 90)).sum())
"#;
        let output = Command::new(python).args(["-c", code]).arg(&st).args(pairs).output().unwrap();
        let wanted: Vec<u64> = String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(counted("f10_st_density.png"), wanted[0]);
        for (pair, wanted) in pairs.iter().zip(&wanted[1..]) {
            match wanted {
                0 => assert!(said.contains(&format!("no star is good in both filters of {}", pair.to_uppercase())), "{said}"),
                _ => assert_eq!(counted(&format!("f10_st_{pair}_cmd.png")), *wanted, "{pair}"),
            }
        }
        assert!(wanted[3] > 20, "{wanted:?}");
    }
    works(&stage(out.path(), "diagrams", std::slice::from_ref(&st), &["--pair", "f475w-f160w"]));
    assert!(out.path().join("f10_st_f475w-f160w_cmd.png").is_file());
    fails(
        &stage(out.path(), "diagrams", std::slice::from_ref(&st), &["--pair", "F475W-F999W"]),
        &["there is no filter F999W; there are F275W"],
    );
    let truth = ending(dir.path(), "truth.fits");
    fails(&stage(out.path(), "diagrams", &truth, &[]), &["wanted a _st.fits of the stage `catalogue`"]);
}

#[test]
fn a_damaged_text_leaves_nothing_and_is_named_with_its_line() {
    let dir = scratch();
    survey(dir.path(), brickyard::simulate::Dolphot::All);
    let brick = dir.path().join("brick15");
    let text = &ending(&brick, ".phot")[0];
    let sound = std::fs::read_to_string(text).unwrap();
    let many = sound.lines().count();
    let out = scratch();
    let with = |content: &str, words: &[&str]| {
        std::fs::write(text, content).unwrap();
        fails(&catalogue(out.path(), text, "10", &[]), words);
        assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0, "nothing is left");
    };
    with(&sound[..sound.len() - 40], &[&format!("line {many}: the last line has no end")]);
    with("", &["there is no object in it"]);
    let lines: Vec<&str> = sound.lines().collect();
    let bad = |line: usize, text: String| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        lines[line - 1] = text;
        lines.join("\n") + "\n"
    };
    with(&bad(7, lines[6].replacen("0 1 ", "0 one ", 1)), &["line 7: column 2: \"one\""]);
    with(&bad(9, lines[8].replacen("0 1 ", "1 1 ", 1)), &["line 9: column 1: \"1\", wanted 0"]);
    with(&bad(5, "0 1 2".into()), &["line 5: 3 numbers, wanted"]);
    with(&bad(many, format!("{} 1", lines[many - 1])), &[&format!("line {many}: more than")]);
    with(&bad(3, "9".repeat(3 << 20)), &["line 3: longer than"]);
    std::fs::write(text, &sound).unwrap();
    let args = ["--cut", "F475W=0.2,2.25", "--phot-out=p.fits", "--st-out=s.fits"];
    fails(&stage(out.path(), "catalogue", std::slice::from_ref(text), &args), &["there are no cuts for F110W", "--cut F110W="]);
    let columns = PathBuf::from(format!("{}.columns", text.display()));
    let described = std::fs::read_to_string(&columns).unwrap();
    let cut: String = described.lines().take(20).map(|line| format!("{line}\n")).collect();
    std::fs::write(&columns, cut).unwrap();
    fails(&catalogue(out.path(), text, "10", &[]), &["its .columns file lacks 4 of the columns", "SHARP1"]);
}

#[test]
fn exposures_are_sorted_by_their_headers_or_nothing_is_told() {
    let dir = scratch();
    survey(dir.path(), brickyard::simulate::Dolphot::None);
    let brick = dir.path().join("brick15");
    let (raw, references) = (ending(&brick.join("raw"), "_flt.fits"), ending(&brick, "_drz.hdr"));
    // 18 exposures a field: 9 of ACS and 4 of UVIS with two chips, 5 of IR with one
    assert_eq!((raw.len(), references.len()), (36, 2));
    let all: Vec<PathBuf> = raw.iter().chain(&references).cloned().collect();
    let out = scratch();
    works(&stage(out.path(), "sort", &all, &[]));
    let text = std::fs::read_to_string(out.path().join("events.ndjson")).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.iter().map(|event| event["key"].as_str().unwrap()).collect::<Vec<_>>(), ["12056_M31-B15-F10", "12056_M31-B15-F11"]);
    let payload = &events[0]["payload"];
    assert_eq!((payload["exposures"].as_i64(), payload["images"].as_i64(), payload["field"].as_str()), (Some(18), Some(31), Some("10")));
    assert_eq!(payload["filters"], serde_json::json!(["F110W", "F160W", "F275W", "F336W", "F475W", "F814W"]));
    let files: BTreeSet<String> = events
        .iter()
        .flat_map(|event| event["payload"]["files"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(files, all.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect());
    let empty = scratch();
    fails(&stage(empty.path(), "sort", &raw, &[]), &["no reference image", "_drz.hdr"]);
    fails(&stage(empty.path(), "sort", &references, &[]), &["a reference image but no exposure"]);
    let twice = empty.path().join("jother_flt.fits");
    std::fs::copy(&raw[0], &twice).unwrap();
    fails(&stage(empty.path(), "sort", &[&all[..], &[twice]].concat(), &[]), &["is the same exposure"]);
    let alien = dir.path().join("truth.fits");
    fails(&stage(empty.path(), "sort", &[alien], &[]), &["DETECTOR is missing"]);
    assert!(!empty.path().join("events.ndjson").exists());
}

#[test]
fn real_and_simulated_exposures_do_not_go_together_and_missing_programs_are_named() {
    let dir = scratch();
    survey(dir.path(), brickyard::simulate::Dolphot::None);
    let brick = dir.path().join("brick15");
    let target = ["--target", "12056_M31-B15-F10"];
    let (raw, reference) = (ending(&brick.join("raw"), "_flt.fits"), ending(&brick, "F10_F475W_drz.hdr"));
    let of_field = |path: &&PathBuf| path.file_name().unwrap().to_string_lossy()[4..6] == *"10";
    let raw: Vec<PathBuf> = raw.iter().filter(of_field).cloned().collect();
    assert_eq!(raw.len(), 18);
    let tagged = scratch();
    works(&stage(tagged.path(), "tag", &[&raw[..], &reference[..]].concat(), &target));
    let files: Vec<PathBuf> = ending(tagged.path(), "");
    assert_eq!(files.len(), 19);
    let out = scratch();
    fails(&stage(out.path(), "tag", &raw, &["--target", "12056_M31-B15-F11"]), &["wanted 12056_M31-B15-F11"]);
    fails(&stage(out.path(), "prepare", &files, &[target[0], target[1], "--dolphot", "/nowhere"]), &["it is a simulated exposure"]);
    works(&stage(out.path(), "prepare", &files, &[target[0], target[1], "--dolphot", "simulated"]));
    let prepared = ending(out.path(), "");
    let place = ["--target", target[1], "--brick", "15", "--field", "10"];
    fails(
        &stage(out.path(), "photometry", &prepared, &[&place[..], &["--dolphot", "/nowhere"]].concat()),
        &["dolphot is not found in /nowhere"],
    );
    let other = ["--target", target[1], "--brick", "15", "--field", "11", "--dolphot", "simulated"];
    fails(&stage(out.path(), "photometry", &prepared, &other), &["wanted the 31 image-chips of brick 15, field 11"]);
    // without the cards it is a real exposure, and the tools are asked for
    for path in &files {
        let mut bytes = std::fs::read(path).unwrap();
        for at in (0..bytes.len().min(2880 * 2)).step_by(80) {
            if bytes[at..].starts_with(b"SIM") && !bytes[at..].starts_with(b"SIMPLE") {
                bytes[at..at + 3].copy_from_slice(b"WAS");
            }
        }
        std::fs::write(path, bytes).unwrap();
    }
    let empty = scratch();
    fails(&stage(empty.path(), "prepare", &files, &[target[0], target[1], "--dolphot", "simulated"]), &["it is no simulated exposure"]);
    let missing = stage(empty.path(), "prepare", &files, &[target[0], target[1], "--dolphot", "/nowhere"]);
    fails(&missing, &["mask is not found in /nowhere", "which its author distributes"]);
}

/// The field 10 of a survey, prepared and measured in a folder.
fn measured(dir: &Path, out: &Path) {
    survey(dir, brickyard::simulate::Dolphot::None);
    let brick = dir.join("brick15");
    let target = ["--target", "12056_M31-B15-F10"];
    let of_field = |path: &PathBuf| path.file_name().unwrap().to_string_lossy()[4..6] == *"10";
    let mut files = ending(&brick.join("raw"), "_flt.fits");
    files.retain(of_field);
    files.extend(ending(&brick, "F10_F475W_drz.hdr"));
    let tagged = scratch();
    works(&stage(tagged.path(), "tag", &files, &target));
    works(&stage(out, "prepare", &ending(tagged.path(), ""), &[target[0], target[1], "--dolphot", "simulated"]));
    let place = ["--target", target[1], "--brick", "15", "--field", "10", "--dolphot", "simulated"];
    works(&stage(out, "photometry", &ending(out, ""), &place));
}

fn ast_merge(dir: &Path, files: &[PathBuf]) -> Output {
    let cuts: Vec<&str> = CUTS.iter().flat_map(|cut| ["--cut", cut]).collect();
    stage(dir, "ast-merge", files, &[&cuts[..], &["--asts-out=asts.fits", "--completeness-out=completeness.fits"]].concat())
}

#[test]
fn artificial_stars_are_drawn_tested_in_lists_and_merged_to_what_astropy_counts() {
    let (dir, out) = (scratch(), scratch());
    measured(dir.path(), out.path());
    let inputs = ending(out.path(), "");
    let list = |to: &Path, stars: &str, each: &str, more: &[&str]| {
        let args = [&["--target", "12056_M31-B15-F10", "--stars", stars, "--list", each], more].concat();
        works(&stage(to, "ast-list", &inputs, &args));
        ending(to, ".list")
    };
    let place = ["--brick", "15", "--field", "10", "--dolphot", "simulated"];
    let mut tables = Vec::new();
    // cut into lists or not: the same stars, and the same tests of them
    for each in ["100", "600"] {
        let to = scratch();
        let lists = list(to.path(), "600", each, &[]);
        assert_eq!(lists.len(), 600 / each.parse::<usize>().unwrap());
        let told = std::fs::read_to_string(to.path().join("events.ndjson")).unwrap();
        let events: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.len(), lists.len());
        assert_eq!(events[0]["payload"]["files"][0], lists[0].file_name().unwrap().to_str().unwrap());
        for list in &lists {
            works(&stage(to.path(), "ast-run", &[&inputs[..], std::slice::from_ref(list)].concat(), &place));
        }
        let mut files = ending(to.path(), ".fake");
        files.reverse();
        let merged = ast_merge(to.path(), &[&files[..], &inputs[..]].concat());
        works(&merged);
        assert!(String::from_utf8_lossy(&merged.stdout).starts_with("600 artificial stars, "));
        tables.push(["asts.fits", "completeness.fits"].map(|name| std::fs::read(to.path().join(name)).unwrap()));
        if each == "100" {
            ast_tables_are_right(to.path(), &inputs);
        }
    }
    assert!(tables[0] == tables[1], "the same bytes however the stars are cut into lists");
    let other = scratch();
    let drawn = |more: &[&str]| std::fs::read(&list(other.path(), "50", "50", more)[0]).unwrap();
    assert!(drawn(&[]) == drawn(&["--seed", "1"]) && drawn(&[]) != drawn(&["--seed", "2"]));
    let none = scratch();
    assert!(list(none.path(), "0", "100", &[]).is_empty());
    assert_eq!(std::fs::read_to_string(none.path().join("events.ndjson")).unwrap(), "");
    works(&ast_merge(none.path(), &inputs));
    assert!(!none.path().join("asts.fits").exists());
}

/// Against numpy: what was put in, what the cuts keep, completeness, bias and scatter.
fn ast_tables_are_right(dir: &Path, inputs: &[PathBuf]) {
    let Some(python) = harness::python() else { return };
    let code = r#"
import sys, glob, numpy as np
from astropy.io import fits
from astropy.wcs import WCS
dir, header = sys.argv[1:]
for name in ('asts', 'completeness'):
    with fits.open(f'{dir}/{name}.fits') as f: f.verify('exception')
a, c = fits.getdata(f'{dir}/asts.fits', 1), fits.getdata(f'{dir}/completeness.fits', 1)
cards = fits.getheader(f'{dir}/completeness.fits', 1)
rows = np.concatenate([np.loadtxt(p, ndmin=2) for p in sorted(glob.glob(f'{dir}/*.fake'))])
stars = np.concatenate([np.loadtxt(p, ndmin=2) for p in sorted(glob.glob(f'{dir}/*.list'))])
assert len(a) == len(rows) == len(stars) == 600
images = (rows.shape[1] - 4 - 11 - 6 * 13) // (2 + 13)
assert images == 31
assert (rows[:, 2:4] == stars[:, 2:4]).all()
ra, dec = WCS(fits.Header.fromtextfile(header)).all_pix2world(stars[:, 2], stars[:, 3], 0)
assert np.abs(ra - a['ra']).max() < 1e-10 and np.abs(dec - a['dec']).max() < 1e-10
cuts = {'f275w': (.15, 1.3), 'f336w': (.15, 1.3), 'f475w': (.2, 2.25), 'f814w': (.2, 2.25), 'f110w': (.15, 2.25), 'f160w': (.15, 2.25)}
first, found, falls = 4 + 2 * images + 11, np.zeros(600, bool), 0
for n, f in enumerate(['f475w', 'f814w', 'f275w', 'f336w', 'f110w', 'f160w']):
    b = rows[:, first + 13 * n: first + 13 * n + 13]
    put = stars[:, 4 + n]
    assert (a[f + '_in'] == put.astype('f4')).all(), f
    assert (a[f + '_vega'] == b[:, 4].astype('f4')).all() and (a[f + '_flag'] == b[:, 12]).all(), f
    known = b[:, 4] < 99
    found |= known
    good = known & (b[:, 8] >= 4) & (b[:, 9] ** 2 < cuts[f][0]) & (b[:, 11] < cuts[f][1])
    assert (a[f + '_gst'] == good).all(), f
    recovered = good & (np.abs(b[:, 4].astype('f4').astype('f8') - put) <= .75)
    mine = c[c['filter'] == f.upper()]
    assert mine['stars'].sum() == 600
    for r in mine:
        inside = (put >= r['mag_from']) & (put < r['mag_to'])
        assert inside.sum() == r['stars'] and (inside & recovered).sum() == r['recovered'], (f, r)
        assert abs(r['completeness'] - r['recovered'] / r['stars']) < 1e-6
        if r['recovered'] >= 5:
            assert abs(r['bias'] - np.median((b[:, 4] - put)[inside & recovered])) < 0.12, (f, r)
            assert r['scatter'] > 0
    # bright stars are found, faint ones are not
    big = mine[mine['stars'] >= 5]
    assert big['completeness'][0] > 0.5 and big['completeness'][-1] < 0.35, (f, big['completeness'])
    key = 'M50_' + f[1:].upper()
    if key in cards:
        falls += 1
        assert mine['mag_from'].min() < cards[key] < mine['mag_to'].max()
assert falls >= 5, falls
assert (a['found'] == found).all() and 0 < found.sum() < 600
"#;
    let header = inputs.iter().find(|path| path.to_string_lossy().ends_with("_F475W_drz.hdr")).expect("a reference");
    let output = Command::new(python).args(["-c", code]).arg(dir).arg(header).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What is said to DOLPHOT, and when its tests are a success; the program here only repeats.
#[test]
fn dolphot_is_told_of_artificial_stars_and_half_of_its_tests_are_no_success() {
    let (dir, out) = (scratch(), scratch());
    measured(dir.path(), out.path());
    let inputs = ending(out.path(), "");
    works(&stage(out.path(), "ast-list", &inputs, &["--target", "12056_M31-B15-F10", "--stars", "7", "--list", "7"]));
    let files = [&inputs[..], &ending(out.path(), ".list")[..]].concat();
    let programs = scratch();
    let program = programs.path().join("dolphot");
    let with = |lines: &str| {
        let text = format!("#!/bin/sh\nset -e\ntest -s \"$1\"\nlist=$(sed -n 's/^FakeStars = //p' \"${{2#-p}}\")\n{lines}\n");
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let to = scratch();
        let place = ["--brick", "15", "--field", "10", "--dolphot", programs.path().to_str().unwrap()];
        let ended = stage(to.path(), "ast-run", &files, &place);
        (ended, ending(to.path(), ".ast00001.fake"))
    };
    let (ended, made) = with("cp \"$list\" \"$1.fake\"");
    works(&ended);
    assert_eq!(made.len(), 1);
    let (ended, made) = with("head -n 3 \"$list\" > \"$1.fake\"");
    fails(&ended, &["DOLPHOT tested 3 of its 7 stars"]);
    assert!(made.is_empty());
    let (ended, _) = with("echo no memory; exit 255");
    fails(&ended, &["dolphot 12056_M31-B15-F10.phot -p12056_M31-B15-F10.ast00001.list.param", "no memory"]);
}

/// Rows of a table in one word each way.
async fn digest(connection: &Connection, table: &str, condition: &str) -> (i64, String) {
    let sql = format!("select count(*), coalesce(md5(string_agg(t::text, E'\\n' order by t::text)), '') from {table} t where {condition}");
    let row = connection.query_one(&sql, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

/// A worker that serves the classes of the graph; `load` finds the database in its environment.
fn worker(site: &Site) -> Process {
    let token = site.dir.path().join("w.token");
    std::fs::write(&token, site.say(&["token", "create", "w", "--class", "default,load"])).unwrap();
    let mut command = brickyard();
    command.env("BRICKYARD_DATABASE_URL", &site.database).env("BRICKYARD_DATA_DIR", site.dir.path());
    command.args(["worker", "--url", &site.url(), "--name", "w", "--slots", "2", "--cpu", "8", "--memory", "100000", "--disk", "100000"]);
    command.arg("--token-file").arg(token).arg("--dir").arg(site.dir.path().join("workers/w"));
    command.args(["--pass-env", "BRICKYARD_DATABASE_URL,BRICKYARD_DATA_DIR"]);
    let log = std::fs::File::create(site.dir.path().join("w.err")).unwrap();
    Process(command.stdout(Stdio::null()).stderr(log).spawn().expect("a worker"))
}

/// What led to the brick's file is told by its name as by its bytes, and written as a crate that holds together.
fn provenance_is_told(site: &Site, brick: &Path) {
    let name = "hlsp_phat_hst_wfc3-uvis-acs-wfc-wfc3-ir_12056-m31-b15_f275w-f336w-f475w-f814w-f110w-f160w_v2_st.fits";
    let path = format!("/where/it/was/loaded/{name}");
    let found: Value = serde_json::from_str(&site.say(&["provenance", &path, "--run", "m31", "--json"])).unwrap();
    let steps = found["steps"].as_array().unwrap();
    let tasks: Vec<&str> = steps.iter().map(|step| step["task"].as_str().unwrap()).collect();
    // two fields, each tagged, prepared, measured and catalogued; none was loaded to make the file
    let many = |task: &str| tasks.iter().filter(|name| **name == task).count();
    assert_eq!(["sort", "tag", "prepare", "photometry", "catalogue", "merge", "load_field"].map(many), [1, 2, 2, 2, 2, 1, 0], "{tasks:?}");
    assert_eq!((tasks[0], tasks[tasks.len() - 1]), ("sort", "merge"));
    // the exposures are named by the hashes of their bytes
    let (hash, _) = brickyard::pipeline::scratch::sha256_of(&ending(&brick.join("raw"), "_flt.fits")[0]).unwrap();
    let inputs = steps[0]["inputs"].as_array().unwrap();
    assert_eq!(inputs.len(), 38);
    assert!(inputs.iter().any(|file| file["sha256"] == hash.as_str() && file["made_by"].is_null()), "{hash}");

    let out = site.dir.path().join("crate");
    site.say(&["export", name, "--out", out.to_str().unwrap(), "--all", "--license", "https://creativecommons.org/licenses/by/4.0/"]);
    let document: Value = serde_json::from_slice(&std::fs::read(out.join("ro-crate-metadata.json")).unwrap()).unwrap();
    let graph = document["@graph"].as_array().unwrap();
    let ids: BTreeSet<&str> = graph.iter().map(|entity| entity["@id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), graph.len(), "an id is of one entity");
    assert!(graph.iter().all(|entity| entity["@type"].is_string()));
    let entity = |id: &str| graph.iter().find(|entity| entity["@id"] == id).unwrap_or_else(|| panic!("no {id}"));
    assert_eq!(entity("ro-crate-metadata.json")["about"]["@id"], "./");
    let root = entity("./");
    for needed in ["name", "description", "datePublished", "license", "hasPart", "mainEntity"] {
        assert!(!root[needed].is_null(), "the root has no {needed}");
    }
    // every reference leads to an entity of the crate, but for those of the web
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) if object.len() == 1 && object.contains_key("@id") => found.extend(object["@id"].as_str()),
            Value::Object(object) => object.values().for_each(|value| references(value, found)),
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut told = Vec::new();
    graph.iter().for_each(|entity| references(entity, &mut told));
    assert!(told.len() > 100);
    for id in told {
        assert!(ids.contains(id) || id.starts_with("https://") || id.starts_with("http://schema.org/"), "{id} leads nowhere");
    }
    // every part is there with the bytes that it is said to have
    let parts = root["hasPart"].as_array().unwrap();
    for part in parts {
        let id = part["@id"].as_str().unwrap();
        let (hash, bytes) = brickyard::pipeline::scratch::sha256_of(&out.join(id)).unwrap();
        let told = entity(id);
        assert_eq!(
            (told["sha256"].as_str(), told["contentSize"].as_str()),
            (Some(hash.as_str()), Some(bytes.to_string().as_str())),
            "{id}"
        );
    }
    let actions: Vec<&Value> = graph.iter().filter(|entity| entity["@type"] == "CreateAction").collect();
    assert_eq!(actions.len(), steps.len());
    let merge = actions.last().unwrap();
    let command = merge["description"].as_str().unwrap();
    assert!(
        command.starts_with("brickyard stage merge --brick 15 --keep footprint --out hlsp_") && command.ends_with("_st.fits"),
        "{command}"
    );
    assert!(command.contains(" in/fields/hlsp_") && entity(merge["instrument"]["@id"].as_str().unwrap())["name"] == "merge");
    assert_eq!(merge["result"][0], root["mainEntity"]);
    // by its bytes, from anywhere
    let copy = site.dir.path().join("renamed.fits");
    std::fs::copy(out.join(root["mainEntity"]["@id"].as_str().unwrap()), &copy).unwrap();
    let text = site.say(&["provenance", copy.to_str().unwrap()]);
    assert!(text.starts_with(name) && text.contains(": merge of brick_measured"), "{text}");
    let alone = site.dir.path().join("alone");
    site.say(&["export", copy.to_str().unwrap(), "--out", alone.to_str().unwrap()]);
    assert_eq!(std::fs::read_dir(alone.join("data")).unwrap().count(), 1);
    for (args, words) in [
        (vec!["provenance", "never.fits"], "no run has made or been given a file named \"never.fits\""),
        (vec!["export", name, "--out", out.to_str().unwrap()], "is there already"),
    ] {
        fails(&site.command(&args).output().unwrap(), &[words]);
    }
}

/// Exposures go in, and the rows that come out are those of the truth's files, loaded without the pipeline.
#[test]
fn the_graph_runs_from_exposures_to_the_rows_of_the_truth() {
    let rt = runtime();
    let truth = scratch();
    survey(truth.path(), brickyard::simulate::Dolphot::None);
    let brick = truth.path().join("brick15");
    let (wanted, wanted_url) = rt.block_on(server().database("stages_truth"));
    let mut load = brickyard();
    let data = scratch();
    load.args(["load", "--database-url", &wanted_url, "--data-dir"]).arg(data.path());
    works(&load.args(ending(&brick, "_v2_st.fits")).args(ending(&brick, "_v2_phot.fits")).output().unwrap());

    let (found, url) = rt.block_on(server().database("stages_run"));
    let site = Site::new(&url);
    site.say(&["run", "create", "m31", "phat", "--set", "dolphot=simulated", "--set", "asts=60", "--set", "ast_list=20"]);
    let raw = ending(&brick.join("raw"), "_flt.fits").into_iter().chain(ending(&brick, "_drz.hdr"));
    let files: Vec<String> = raw.map(|path| format!("raw={}", path.display())).collect();
    let args: Vec<&str> = ["fire", "m31", "exposures", "--key", "night1"]
        .into_iter()
        .chain(files.iter().flat_map(|file| ["--file", file.as_str()]))
        .collect();
    site.say(&args);
    let _master = site.master();
    let _worker = worker(&site);
    let status = || -> Vec<Value> { serde_json::from_str(&site.say(&["status", "m31", "--json"])).unwrap() };
    let number = |line: &Value, state: &str| line[state].as_i64().unwrap();
    until("all jobs are done", Duration::from_secs(600), || {
        let lines = status();
        let failed: i64 = lines.iter().map(|line| number(line, "failed")).sum();
        let log = || std::fs::read_to_string(site.dir.path().join("w.err")).unwrap_or_default();
        assert_eq!(failed, 0, "{}\n{}", site.say(&["jobs", "m31", "--failed"]), log());
        lines.iter().all(|line| number(line, "jobs") > 0 && number(line, "jobs") == number(line, "done"))
    });
    let jobs = |task: &str| status().iter().find(|line| line["task"] == task).map(|line| number(line, "jobs"));
    assert_eq!(["sort", "catalogue", "merge", "diagrams", "ast_run", "ast_merge"].map(jobs), [1, 2, 1, 3, 6, 2].map(Some));
    let tables = "select count(*) from pipeline.artifact where role in ('asts', 'completeness') and bytes > 2880";
    assert_eq!(rt.block_on(found.query_one(tables, &[])).unwrap().get::<_, i64>(0), 4);
    rt.block_on(async {
        let kept = "(inside_ir = 1 and inside_chipgap = 0) or inside_other_chipgap = 1";
        let stars = digest(&found, "phat_v2.phot_mod", "true").await;
        assert_eq!(stars, digest(&wanted, "phat_v2.phot_mod", kept).await);
        let measurements = digest(&found, "phat_v2.phot_meas", "true").await;
        assert_eq!(measurements, digest(&wanted, "phat_v2.phot_meas", "true").await);
        assert!(stars.0 > 300 && measurements.0 >= stars.0 * 31, "{stars:?} {measurements:?}");
        assert_eq!(digest(&found, "phat_v2.exposure", "true").await, digest(&wanted, "phat_v2.exposure", "true").await);
    });
    provenance_is_told(&site, &brick);
    // told again: the same event is no news
    assert!(site.say(&args).contains("0 new events"));
}

#[test]
fn the_built_in_graph_is_checked_drawn_and_dry_run() {
    let dir = scratch();
    let say = |args: &[&str]| {
        let output = brickyard().current_dir(dir.path()).arg("pipeline").args(args).output().unwrap();
        works(&output);
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(say(&["check", "phat"]).ends_with("no faults\n"));
    let graph = say(&["graph", "phat"]);
    let at = |task: &str| graph.find(&format!(" {task} ")).unwrap_or_else(|| panic!("{task} is in {graph}"));
    assert!(at("sort") < at("prepare") && at("prepare") < at("catalogue") && at("catalogue") < at("merge"));
    assert!(say(&["dry-run", "phat", "--set", "dolphot=/opt/dolphot"]).contains("--dolphot=/opt/dolphot"));
    say(&["graph", "phat", "--png", "graph.png"]);
    assert!(std::fs::read(dir.path().join("graph.png")).unwrap().starts_with(b"\x89PNG"));
}
