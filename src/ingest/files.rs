//! Which files to load with which loaders: names, folders and globs to [`Task`]s.

use super::Loaders;
use super::manifest::Manifest;
use crate::schema::Catalog;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{wanted}: no such file or folder, and no file matches it as a pattern")]
    Nothing { wanted: String },
    #[error("{}: no file in this folder is one that {} takes", path.display(), loaders)]
    EmptyFolder { path: PathBuf, loaders: String },
    #[error("{}: no loader takes a file of this name; name one with --loader ({known})", path.display())]
    NoLoader { path: PathBuf, known: String },
}

/// A file and what takes it.
#[derive(Debug, Clone)]
pub struct Task {
    pub path: PathBuf,
    pub loaders: Loaders,
    /// What the file name says: `brick`, `field`.
    pub captures: BTreeMap<String, String>,
    /// Was the file named by the user, or found in a folder?
    pub named: bool,
}

/// What the user asked for.
pub struct Request<'a> {
    pub manifests: &'a [Manifest],
    pub catalogs: &'a [Catalog],
    /// Use these loaders whatever the file's name.
    pub forced: bool,
    /// Values for `{name}`s that the file name does not tell.
    pub set: &'a BTreeMap<String, String>,
}

/// Resolves the words of the command line, in their order; a file comes once.
pub fn tasks(words: &[String], request: &Request<'_>) -> Result<Vec<Task>, Error> {
    let mut tasks: Vec<Task> = Vec::new();
    for word in words {
        for task in expand(word, request)? {
            if !tasks.iter().any(|t| t.path == task.path) {
                tasks.push(task);
            }
        }
    }
    Ok(tasks)
}

fn expand(word: &str, request: &Request<'_>) -> Result<Vec<Task>, Error> {
    let path = Path::new(word);
    if path.is_dir() {
        return folder(path, request);
    }
    if path.exists() {
        return Ok(vec![named(path, request)?]);
    }
    let nothing = || Error::Nothing { wanted: word.to_owned() };
    let mut found: Vec<PathBuf> = glob::glob(word).map_err(|_| nothing())?.filter_map(Result::ok).collect();
    found.sort();
    if found.is_empty() {
        return Err(nothing());
    }
    let mut tasks = Vec::new();
    for path in found {
        if path.is_dir() {
            tasks.extend(folder(&path, request)?);
        } else {
            tasks.push(named(&path, request)?);
        }
    }
    Ok(tasks)
}

/// A file that the user named must have a loader.
fn named(path: &Path, request: &Request<'_>) -> Result<Task, Error> {
    let path = absolute(path)?;
    if let Some(task) = task_of(&path, request, true) {
        return Ok(task);
    }
    let known = || request.manifests.iter().map(|m| m.name.clone()).collect::<Vec<_>>().join(", ");
    if !request.forced {
        return Err(Error::NoLoader { known: known(), path });
    }
    let loaders = request.manifests.iter().map(|m| with_duplicates(m, request.catalogs)).collect();
    Ok(Task { path, loaders, captures: request.set.clone(), named: true })
}

fn task_of(path: &Path, request: &Request<'_>, named: bool) -> Option<Task> {
    let mut captures = BTreeMap::new();
    let mut loaders = Vec::new();
    for manifest in request.manifests {
        if let Some(found) = manifest.takes(path) {
            captures.extend(found);
            loaders.push(with_duplicates(manifest, request.catalogs));
        }
    }
    captures.extend(request.set.clone());
    (!loaders.is_empty()).then(|| Task { path: path.to_owned(), loaders, captures, named })
}

/// The manifest with the table `<table>_duplicate` of its catalogue.
fn with_duplicates(manifest: &Manifest, catalogs: &[Catalog]) -> (Manifest, Option<crate::schema::Table>) {
    let catalog = catalogs.iter().find(|c| c.name == manifest.table.schema);
    let duplicates = catalog.and_then(|c| c.table(&format!("{}_duplicate", manifest.table.name)));
    (manifest.clone(), duplicates.cloned())
}

/// All files below a folder that a loader takes, in the order of their paths.
fn folder(path: &Path, request: &Request<'_>) -> Result<Vec<Task>, Error> {
    let mut files = Vec::new();
    walk(&absolute(path)?, &mut files)?;
    files.sort();
    let tasks: Vec<Task> = files.iter().filter_map(|file| task_of(file, request, false)).collect();
    if tasks.is_empty() {
        let loaders = request.manifests.iter().map(|m| m.name.clone()).collect::<Vec<_>>().join(", ");
        return Err(Error::EmptyFolder { path: path.to_owned(), loaders });
    }
    Ok(tasks)
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let io = |source| Error::Io { path: dir.to_owned(), source };
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::fs::canonicalize(path).map_err(|source| Error::Io { path: path.to_owned(), source })
}
