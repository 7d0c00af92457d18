//! The synthetic survey against the facts: `simulate_oracle.py` reads the files with astropy and recomputes what must hold,
//! `simulate_peaks.py` looks for the stars on the mosaics.
#![allow(clippy::unwrap_used)]

use crate::harness;
use brickyard::simulate::{Dolphot, Error, Options, Overlaps, Products, Report, run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn oracle_agrees(survey: &Path) {
    let Some(python) = harness::python() else { return };
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulate_oracle.py");
    let facts = harness::shared().map(|shared| shared.join("facts"));
    let output = Command::new(python).arg(oracle).arg(survey).args(facts).output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "{said}\n{complained}");
}

fn small(out: &Path) -> Options {
    Options { bricks: vec![15], fields: vec![10, 11], objects: 400, ..Options::new(out) }
}

/// Every file of a folder with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_path_buf(), std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

fn simulated(options: &Options) -> (Report, BTreeMap<PathBuf, Vec<u8>>) {
    let report = run(options).unwrap();
    (report, contents(&options.out))
}

/// Data rows of a FITS file with an empty primary HDU and one table: (bytes a row, rows).
fn rows(file: &[u8]) -> (usize, Vec<&[u8]>) {
    let card = |key: &str| {
        let found = file[2880..]
            .chunks(80)
            .take_while(|card| !card.starts_with(b"END     "))
            .find(|card| card.starts_with(format!("{key:<8}=").as_bytes()));
        std::str::from_utf8(&found.unwrap()[10..30]).unwrap().trim().parse::<usize>().unwrap()
    };
    let cards = file[2880..].chunks(80).position(|card| card.starts_with(b"END     ")).unwrap() + 1;
    let start = 2880 + (cards * 80).next_multiple_of(2880);
    let (width, count) = (card("NAXIS1"), card("NAXIS2"));
    (width, file[start..start + width * count].chunks(width).collect())
}

fn file_ending<'a>(files: &'a BTreeMap<PathBuf, Vec<u8>>, end: &str) -> &'a [u8] {
    files.iter().find(|(path, _)| path.to_string_lossy().ends_with(end)).map(|(_, bytes)| bytes.as_slice()).unwrap()
}

#[test]
fn same_seed_same_bytes_whatever_the_threads() {
    let scratch = tempfile::tempdir().unwrap();
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (_, first) = alone.install(|| simulated(&small(&scratch.path().join("one"))));
    let (_, again) = simulated(&small(&scratch.path().join("two")));
    assert!(first.len() > 7 && first == again, "the same seed gave other bytes");
    let (_, other) = simulated(&Options { seed: 2, ..small(&scratch.path().join("three")) });
    assert_eq!(first.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    assert_ne!(file_ending(&first, "_st.fits"), file_ending(&other, "_st.fits"));
}

#[test]
fn what_is_written_beside_it_does_not_change_a_product() {
    let scratch = tempfile::tempdir().unwrap();
    let (_, all) = simulated(&small(&scratch.path().join("all")));
    let only = Products { st: true, phot: false, truth: false };
    let (report, stars) = simulated(&Options { products: only, dolphot: Dolphot::None, ..small(&scratch.path().join("stars")) });
    assert_eq!(report.files.len(), 1);
    assert_eq!(file_ending(&all, "_st.fits"), file_ending(&stars, "_st.fits"));
}

#[test]
fn plain_and_compressed_tables_hold_the_same_bytes() {
    use std::io::Read;
    let scratch = tempfile::tempdir().unwrap();
    let (_, packed) = simulated(&small(&scratch.path().join("packed")));
    let (_, plain) = simulated(&Options { gzip: false, ..small(&scratch.path().join("plain")) });
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(file_ending(&packed, "-f10_f275w-f336w-f475w-f814w-f110w-f160w_v2_phot.fits.gz"))
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, file_ending(&plain, "-f10_f275w-f336w-f475w-f814w-f110w-f160w_v2_phot.fits"));
}

#[test]
fn star_file_is_laid_out_as_the_real_one_byte_by_byte() {
    let Some(facts) = harness::shared().map(|shared| shared.join("facts")) else { return };
    let real = std::fs::read(facts.join("../data/real/phat_b15_f10_v2_st_269rows.fits")).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let (report, files) = simulated(&small(scratch.path()));
    let ours = file_ending(&files, "_st.fits");
    let headers = 2880 + 5 * 2880;
    let differing: Vec<String> = (0..headers / 80)
        .filter(|k| ours[k * 80..k * 80 + 80] != real[k * 80..k * 80 + 80])
        .map(|k| String::from_utf8_lossy(&ours[k * 80..k * 80 + 30]).into_owned())
        .collect();
    assert_eq!(differing, [format!("NAXIS2  = {:>20}", report.objects)], "cards that differ from the real file's");
    assert_eq!(rows(ours).0, 270);
    assert_eq!(ours.len() % 2880, 0);
}

#[test]
fn files_agree_with_each_other_and_with_the_facts() {
    let scratch = tempfile::tempdir().unwrap();
    let options = Options { bricks: vec![1, 4, 15], fields: vec![9, 15], objects: 2400, ..Options::new(scratch.path()) };
    let (report, files) = simulated(&options);
    assert_eq!(report.files.len(), 3 + 6 + 3 * 4 + 1);
    assert_eq!(files.len(), report.files.len() + 1, "nothing but the report's files and the marker is left");
    for file in &report.files {
        assert_eq!(files[&file.path].len() as u64, file.bytes, "{}", file.path.display());
    }
    oracle_agrees(scratch.path());
}

#[test]
fn densities_and_colours_are_those_of_the_bricks() {
    let scratch = tempfile::tempdir().unwrap();
    let products = Products { st: true, phot: false, truth: true };
    let options = Options { objects: 40_000, products, dolphot: Dolphot::None, seed: 3, ..Options::new(scratch.path()) };
    let (report, _) = simulated(&options);
    let off = (report.objects as f64 - 40_000.0).abs();
    assert!(off < 3.0 * 200.0, "{} objects for 40,000 asked", report.objects);
    assert!(report.shared > 0);
    oracle_agrees(scratch.path());
}

#[test]
fn a_stack_with_all_overlaps_has_62_images_and_fits_the_999_columns() {
    let scratch = tempfile::tempdir().unwrap();
    let options = Options {
        bricks: vec![21],
        fields: vec![6, 8],
        objects: 60,
        overlaps: Overlaps::All,
        dolphot: Dolphot::All,
        ..Options::new(scratch.path())
    };
    let (report, files) = simulated(&options);
    assert_eq!(report.measurements, report.objects * 62);
    let columns = std::str::from_utf8(file_ending(&files, "F08.phot.columns")).unwrap();
    assert_eq!(columns.lines().count(), 11 + 13 * (6 + 62));
    oracle_agrees(scratch.path());
}

#[test]
fn every_bright_star_of_the_truth_lies_on_its_peak_in_all_six_filters() {
    let Some(python) = harness::python() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let products = Products { st: false, phot: false, truth: true };
    let base = Options { products, dolphot: Dolphot::None, images_arcsec: Some(80.0), ..Options::new(scratch.path()) };
    run(&Options { bricks: vec![15], fields: vec![10], objects: 10_000, ..base }).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulate_peaks.py");
    let output = Command::new(python).arg(script).arg(env!("CARGO_BIN_EXE_brickyard")).arg(scratch.path()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "{said}");
}

#[test]
fn bricks_that_lie_over_each_other_are_simulated() {
    let scratch = tempfile::tempdir().unwrap();
    let products = Products { st: true, phot: false, truth: false };
    let options = Options { bricks: vec![9, 11, 12, 13], objects: 4000, products, dolphot: Dolphot::None, ..Options::new(scratch.path()) };
    let report = run(&options).unwrap();
    assert!(
        report.shared * 10 > report.objects,
        "bricks 9, 11, 12 and 13 share much of their sky, not {} of {}",
        report.shared,
        report.objects
    );
}

#[test]
fn a_folder_with_other_files_is_refused_and_our_own_is_replaced() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("survey");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("thesis.tex"), "do not lose").unwrap();
    let refusal = run(&small(&out)).unwrap_err();
    assert!(matches!(refusal, Error::Foreign { .. }) && refusal.to_string().contains("--force"), "{refusal}");
    run(&Options { force: true, ..small(&out) }).unwrap();
    let (_, fewer) = simulated(&Options { fields: vec![12], objects: 100, ..small(&out) });
    assert_eq!(fewer[Path::new("thesis.tex")], b"do not lose");
    assert!(!fewer.keys().any(|path| path.to_string_lossy().contains("-f10")), "files of the earlier run are left: {:?}", fewer.keys());
}

#[test]
fn impossible_options_say_what_was_wanted() {
    let scratch = tempfile::tempdir().unwrap();
    let wrong = [
        Options { bricks: vec![24], ..small(scratch.path()) },
        Options { fields: vec![], ..small(scratch.path()) },
        Options { fields: vec![3, 3], ..small(scratch.path()) },
        Options { objects: 3, ..small(scratch.path()) },
    ];
    let said: Vec<String> = wrong.iter().map(|options| run(options).unwrap_err().to_string()).collect();
    expect_test::expect![[r#"
        bricks: wanted ascending numbers from 1 to 23, each once, got [24]
        fields: wanted ascending numbers from 1 to 18, each once, got []
        fields: wanted ascending numbers from 1 to 18, each once, got [3, 3]
        objects: wanted at least 4, two a field, got 3"#]]
    .assert_eq(&said.join("\n"));
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing is written");
}

#[test]
fn a_table_ends_only_with_the_rows_its_header_promises() {
    use brickyard::format::fits_write::{Column, Form, Row, TableFile};
    let columns = [Column::new("n", Form::J), Column::new("name", Form::A(3))];
    let mut row = Row::default();
    row.j(7);
    row.a("abcdef", 3);
    let written = |times: usize| {
        let mut table = TableFile::create(Vec::new(), &columns, 2, &[]).unwrap();
        (0..times).for_each(|_| table.write_rows(row.bytes()).unwrap());
        table.finish()
    };
    assert!(written(1).unwrap_err().to_string().contains("promises 14 bytes of rows, 7 were written"));
    let file = written(2).unwrap();
    assert_eq!((file.len() % 2880, rows(&file)), (0, (7, vec![&b"\0\0\0\x07abc"[..]; 2])));
}
