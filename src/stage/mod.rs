//! The stages of a reduction: ordinary programs from files to files, run by workers or by hand, one file each.
//!
//! ```text
//! exposures - sort - tag - prepare - photometry - catalogue - merge - load
//!                                    |                |           |
//!                                    |                +- diagrams +
//!                                    +- ast_list - ast_run (many) - ast_merge
//! ```
//!
//! A stage reads the files that it is given, writes into the working folder, and knows no runner, queue or store. Events that it tells
//! are lines of `events.ndjson` there. Its outputs appear whole or not at all ([`Whole`]): a name in the folder means success. The same
//! inputs and options make the same bytes, whatever the number of threads.
//!
//! DOLPHOT itself and its tools are programs of their author, found by path ([`Dolphot`]); exposures that the simulation wrote say so
//! in their headers, and only those can be measured without it.

pub mod ast_list;
pub mod ast_merge;
pub mod ast_run;
pub mod catalogue;
pub mod diagrams;
pub mod merge;
pub mod photometry;
pub mod prepare;
pub mod sort;
pub mod stars;
mod table;
pub mod tag;

use crate::{format, image, plot, simulate};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The graph of the whole reduction as a manifest of the stage runner.
pub const PHAT: &str = include_str!("../../loaders/phat_v2/pipeline/phat.toml");

/// Why a stage made nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{}: {what}", path.display())]
    Bad { path: PathBuf, what: String },
    #[error("{0}")]
    Asked(String),
    #[error(transparent)]
    Dolphot(#[from] format::dolphot::Error),
    #[error(transparent)]
    Table(#[from] format::open::Error),
    #[error(transparent)]
    Image(#[from] image::Error),
    #[error(transparent)]
    Simulate(#[from] simulate::Error),
    #[error(transparent)]
    Plot(#[from] plot::Error),
    #[error(
        "{program} is not found in {place}: it is a program of DOLPHOT, which its author distributes; name the folder that holds it with --dolphot"
    )]
    NoProgram { program: String, place: String },
    #[error("{program} {arguments}: {how}{said}")]
    Program { program: String, arguments: String, how: String, said: String },
}

/// A result with the file that it is about.
pub(crate) fn at<T>(doing: &'static str, path: &Path, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::File { doing, path: path.to_owned(), source })
}

pub(crate) fn bad(path: &Path, what: impl Into<String>) -> Error {
    Error::Bad { path: path.to_owned(), what: what.into() }
}

/// A file that appears under its name when it is whole and on the disk, and not before.
#[derive(Debug)]
pub struct Whole {
    path: PathBuf,
    part: PathBuf,
    file: File,
    is_done: bool,
}

impl Whole {
    pub fn create(path: &Path) -> Result<Whole, Error> {
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        let file = at("create", &part, File::create(&part))?;
        Ok(Whole { path: path.to_owned(), part, file, is_done: false })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        at("write", &self.part, self.file.write_all(bytes))
    }

    /// Writes anew what stands at the beginning.
    pub fn write_head(&mut self, bytes: &[u8]) -> Result<(), Error> {
        at("write", &self.part, std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, 0))
    }

    /// Brings what was written to the disk; what can fail for want of room has failed then.
    pub fn sync(&self) -> Result<(), Error> {
        at("sync", &self.part, self.file.sync_all())
    }

    pub fn finish(mut self) -> Result<(), Error> {
        self.sync()?;
        at("rename", &self.part, fs::rename(&self.part, &self.path))?;
        self.is_done = true;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        at("sync", folder, File::open(folder).and_then(|folder| folder.sync_all()))
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = fs::remove_file(&self.part); // the error that brought us here is told already
        }
    }
}

/// Writes a small file, whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut whole = Whole::create(path)?;
    whole.write(bytes)?;
    whole.finish()
}

/// Tells events to whoever runs the stage: one JSON object a line.
pub(crate) fn tell(dir: &Path, events: &[serde_json::Value]) -> Result<(), Error> {
    let text: String = events.iter().map(|event| format!("{event}\n")).collect();
    write_whole(&dir.join("events.ndjson"), text.as_bytes())
}

/// What a simulated stack was made with, from the file that `prepare` writes.
pub(crate) fn recipe(path: &Path) -> Result<simulate::Recipe, Error> {
    serde_json::from_str(&at("read", path, fs::read_to_string(path))?).map_err(|error| bad(path, error.to_string()))
}

/// Puts links to the files into the working folder, where DOLPHOT looks for what it reads.
pub(crate) fn link_all(files: &[PathBuf], dir: &Path) -> Result<(), Error> {
    for path in files {
        let link = dir.join(name_of(path)?);
        let target = at("find", path, fs::canonicalize(path))?;
        if fs::canonicalize(&link).ok().as_deref() != Some(&target) {
            at("link", &link, std::os::unix::fs::symlink(&target, &link))?;
        }
    }
    Ok(())
}

/// The name of a file without its folders.
pub(crate) fn name_of(path: &Path) -> Result<&str, Error> {
    path.file_name().and_then(|name| name.to_str()).ok_or_else(|| bad(path, "its name is not plain text"))
}

/// Where DOLPHOT's programs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dolphot {
    /// In a folder, or on the PATH (its folders).
    In(Vec<PathBuf>),
    /// There are none: the exposures are simulated and say how.
    Simulated,
}

impl Dolphot {
    /// The program, or an error that says what to do.
    pub fn program(&self, name: &str) -> Result<PathBuf, Error> {
        let Dolphot::In(folders) = self else {
            return Err(Error::Asked(format!("{name} is not run on simulated exposures")));
        };
        let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        let place = || folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(":");
        found.ok_or_else(|| Error::NoProgram { program: name.to_owned(), place: place() })
    }
}

/// Runs a program to its end in a folder; what it says goes on to our own output, its last words into the error.
pub(crate) fn run(program: &Path, arguments: &[String], dir: &Path) -> Result<(), Error> {
    let mut command = std::process::Command::new(program);
    let output = at("run", program, command.args(arguments).current_dir(dir).stdin(std::process::Stdio::null()).output())?;
    let _ = io::stdout().write_all(&output.stdout); // a log that cannot be written stops no photometry
    let _ = io::stderr().write_all(&output.stderr);
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr }).into_owned();
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    Err(Error::Program {
        program: program.display().to_string(),
        arguments: arguments.join(" "),
        how: output.status.to_string(),
        said: last.map_or_else(String::new, |line| format!(": {line}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.fits");
        let mut whole = Whole::create(&path).expect("created");
        whole.write(b"xx3").expect("written");
        assert!(!path.exists());
        whole.write_head(b"12").expect("written");
        whole.finish().expect("finished");
        assert_eq!(fs::read(&path).expect("read"), b"123");
        drop(Whole::create(&dir.path().join("b.fits")).expect("created"));
        assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 1, "nothing is left of what was not finished");
    }

    #[test]
    fn a_program_that_is_not_there_is_named_with_its_remedy() {
        let dolphot = Dolphot::In(vec!["/nowhere".into(), "/neither".into()]);
        let error = dolphot.program("acsmask").expect_err("it is not there").to_string();
        assert!(error.contains("acsmask is not found in /nowhere:/neither") && error.contains("--dolphot"), "{error}");
    }
}
