//! A catalogue: the folder `schema/<catalogue>/` with `catalogue.toml` and one TOML file per table.
//!
//! The catalogues of this package are embedded in the program; a folder that the user gives comes before them, and a catalogue found
//! there replaces the embedded one of the same name as a whole.

use super::{Error, Source, Table, parse};
use include_dir::{Dir, include_dir};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/schema");

/// A catalogue and its tables, expanded and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalog {
    /// The PostgreSQL schema (`phat_v2`), which is the folder's name.
    pub name: String,
    pub description: String,
    pub tables: Vec<Table>,
    /// A name for people (`PHAT v2`); empty for none.
    pub title: String,
    /// How to cite it, empty for none.
    pub citation: String,
    /// A page about it, empty for none.
    pub reference_url: String,
    /// Which columns refer to which.
    pub foreign_keys: Vec<ForeignKey>,
    /// Queries that show how to ask it.
    pub examples: Vec<Example>,
}

/// A column that refers to another table's column.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignKey {
    /// Table and column.
    pub from: (String, String),
    pub to: (String, String),
    pub description: String,
}

/// A query to learn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    pub name: String,
    pub description: String,
    /// ADQL.
    pub query: String,
}

impl Catalog {
    /// The catalogue called `name`: the first of `dirs` that has it, or else the built-in one.
    pub fn load(dirs: &[PathBuf], name: &str) -> Result<Catalog, Error> {
        for dir in dirs {
            if catalogues_in(dir)?.iter().any(|found| found == name) {
                return Catalog::read(&dir.join(name));
            }
        }
        match BUILT_IN.get_dir(name) {
            Some(dir) => Ok(parse::catalog(name, &format!("schema/{name}"), &built_in_sources(dir))?),
            None => Err(Error::NoCatalogue { name: name.into(), known: Catalog::names(dirs)?.join(", ") }),
        }
    }

    /// The names that [`Catalog::load`] knows, each once, sorted.
    pub fn names(dirs: &[PathBuf]) -> Result<Vec<String>, Error> {
        let mut names: Vec<String> = BUILT_IN.dirs().filter_map(|dir| stem(dir.path())).collect();
        for dir in dirs {
            names.extend(catalogues_in(dir)?);
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Reads the catalogue in the folder `dir`.
    pub fn read(dir: &Path) -> Result<Catalog, Error> {
        let absolute = std::path::absolute(dir).map_err(|source| Error::Read { path: dir.into(), source })?;
        let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut sources = Vec::new();
        for path in entries(dir)?.into_iter().filter(|path| is_toml(path)) {
            let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
            sources.push(Source { stem: stem(&path).unwrap_or_default(), path: path.display().to_string(), text });
        }
        Ok(parse::catalog(&name, &dir.display().to_string(), &sources)?)
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|t| t.name == name)
    }
}

fn built_in_sources(dir: &Dir<'_>) -> Vec<Source> {
    let files = dir.files().filter(|file| is_toml(file.path()));
    let source = |file: &include_dir::File<'_>| Source {
        stem: stem(file.path()).unwrap_or_default(),
        path: format!("schema/{}", file.path().display()),
        text: String::from_utf8_lossy(file.contents()).into_owned(),
    };
    files.map(source).collect()
}

/// The catalogues in a folder of catalogues: its subfolders with a `catalogue.toml`.
fn catalogues_in(dir: &Path) -> Result<Vec<String>, Error> {
    let folders = entries(dir)?.into_iter().filter(|path| path.join("catalogue.toml").is_file());
    Ok(folders.filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned())).collect())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = || -> std::io::Result<Vec<PathBuf>> { std::fs::read_dir(dir)?.map(|entry| entry.map(|e| e.path())).collect() };
    let mut paths = read().map_err(|source| Error::Read { path: dir.into(), source })?;
    paths.sort();
    Ok(paths)
}

fn is_toml(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("toml"))
}

fn stem(path: &Path) -> Option<String> {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalogues_have_no_faults() {
        for name in Catalog::names(&[]).unwrap() {
            Catalog::load(&[], &name).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
