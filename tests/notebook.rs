//! The notebooks, run cell by cell against a service over a sample that has the Cepheid V5343.

use crate::harness::{self, Serving};
use std::path::Path;
use std::process::Command;

#[test]
fn the_tap_notebook_runs_and_finds_the_cepheid() {
    let Some(python) = harness::python() else { return };
    let (_, url) = harness::runtime().block_on(harness::server().database("notebook"));
    let dir = harness::scratch();
    let files = dir.path().join("survey").to_string_lossy().into_owned();
    for words in [
        &["simulate", "--out", &files, "--bricks", "4,15", "--fields", "10,15", "--objects", "4000", "--products", "st,phot"][..],
        &["load", &files],
    ] {
        let mut command = harness::brickyard();
        command.env("BRICKYARD_DATA_DIR", dir.path()).env("BRICKYARD_DATABASE_URL", &url).args(words);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let serving = Serving::start(&url, &[]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // somebody who wants to look at the pictures says where they should stay
    let kept = std::env::var_os("BRICKYARD_TEST_PICTURES").map_or_else(|| dir.path().to_owned(), Into::into);
    let output = Command::new(python)
        .arg(root.join("tests/notebook.py"))
        .arg(root.join("notebooks/01_phat_with_tap.ipynb"))
        .arg(&kept)
        .env("BRICKYARD_URL", serving.url(""))
        .env("HOME", dir.path())
        .output()
        .expect("Python runs");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("of {'PHAT_11.0220304+41.234515'}"), "the cone holds V5343 alone:\n{said}");
    assert!(said.ends_with("4 pictures\n"), "maps, diagram, young and old, light curve:\n{said}");
}
