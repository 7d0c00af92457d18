//! Loader manifests: `loaders/<catalogue>/<loader>.toml`, which say how the files of a survey become the rows of a table.
//!
//! A manifest names the files it takes, the HDU, what a row is (`objects`, `exposures`, `blocks`), and for each table
//! column where its value comes from; a column that it does not mention is taken from the file column of the same
//! name, whatever the case. `loaders/README.md` shows the grammar by example. Unknown keys are errors, and all faults
//! of a manifest against its table are listed at once.

use super::transform::Transform;
use crate::format::fits::Hdu;
use crate::schema::{Catalog, Pattern, Table};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The built-in manifests, compiled in.
static BUILT_IN: include_dir::Dir<'_> = include_dir::include_dir!("$CARGO_MANIFEST_DIR/loaders");

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{place}: {message}")]
    Toml { place: String, message: String },
    #[error("{place}: {} fault{}:\n{}", faults.len(), if faults.len() == 1 { "" } else { "s" }, faults.join("\n"))]
    Faults { place: String, faults: Vec<String> },
    #[error("there is no loader {wanted:?}; there are {}", known.join(", "))]
    NoSuchLoader { wanted: String, known: Vec<String> },
}

/// What becomes a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowsOf {
    /// Each row of the file.
    Objects,
    /// Each single-exposure block of each row of the file.
    Exposures,
    /// Each single-exposure block of the file, once.
    Blocks,
}

/// What is known of the exposure of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExposureField {
    /// The place of the block among the single-exposure blocks, from 1: the subscript into the arrays of phot_v2.
    Block,
    Image,
    Filter,
    Chip,
    Exptime,
    Mjd,
    Dateobs,
    Timeobs,
}

/// Where a table column's value comes from: exactly one of the sources, perhaps with an alternative.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// A column of the file.
    pub file: Option<String>,
    /// A `{name}` of the file-name pattern.
    pub capture: Option<String>,
    /// A header card of the HDU.
    pub header: Option<String>,
    /// The same value in every row.
    pub value: Option<toml::Value>,
    /// A named transform.
    pub transform: Option<Transform>,
    /// The file columns that the transform takes.
    #[serde(default)]
    pub args: Vec<String>,
    /// The numbers and words that the transform takes.
    #[serde(default)]
    pub with: BTreeMap<String, toml::Value>,
    /// A column of the row's own block (`{n}` is its number); in `objects` an array over all single blocks.
    pub block: Option<String>,
    /// A column of the combined block of `filter`.
    pub combined: Option<String>,
    pub filter: Option<String>,
    /// What the block's exposure was.
    pub exposure: Option<ExposureField>,
    /// SQL NULL in every row.
    #[serde(default)]
    pub null: bool,
    /// File values that become SQL NULL.
    #[serde(default)]
    pub nulls: Vec<f64>,
    /// The origin to take when the file lacks this one.
    pub otherwise: Option<Box<Origin>>,
}

/// How blocks of columns are numbered and described.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocks {
    /// Block `n` is there when this column is.
    pub column: String,
    /// The header card of each fact (`image = "IMAGE{n}"`); a block whose image card is missing is a combined one.
    pub cards: BTreeMap<ExposureField, String>,
}

/// Origins for each of some bands.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Each {
    band: Vec<String>,
    columns: BTreeMap<String, Origin>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    table: String,
    description: String,
    files: Vec<String>,
    #[serde(default = "first_extension")]
    hdu: Hdu,
    #[serde(default = "objects")]
    rows: RowsOf,
    position: Option<[String; 2]>,
    #[serde(default)]
    replace: Vec<String>,
    blocks: Option<Blocks>,
    #[serde(default)]
    columns: BTreeMap<String, Origin>,
    #[serde(default)]
    each: Vec<Each>,
    #[serde(default)]
    ignore: Vec<String>,
}

fn first_extension() -> Hdu {
    Hdu::Number(1)
}

fn objects() -> RowsOf {
    RowsOf::Objects
}

/// A manifest, checked against its table.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// `phat_v2.phot_mod`: folder and file name.
    pub name: String,
    pub description: String,
    pub table: Table,
    pub files: Vec<Pattern>,
    pub hdu: Hdu,
    pub rows: RowsOf,
    /// The file columns of right ascension and declination, degrees ICRS.
    pub position: Option<[String; 2]>,
    /// Table columns whose values, known from the file name, select the rows of one file.
    pub replace: Vec<String>,
    pub blocks: Option<Blocks>,
    /// The origin of each table column that the manifest mentions.
    pub columns: BTreeMap<String, Origin>,
    /// File columns that are left out on purpose (patterns with `*`).
    pub ignore: Vec<Pattern>,
    /// SHA-256 of the manifest's text, the first 12 hexadecimal digits.
    pub version: String,
}

impl Manifest {
    /// Reads and checks one manifest. `name` is `<catalogue>.<loader>`, `place` is for messages.
    pub fn parse(name: &str, place: &str, text: &str, catalogs: &[Catalog]) -> Result<Manifest, Error> {
        let toml = |e: toml::de::Error| Error::Toml { place: located(place, text, e.span()), message: e.message().to_owned() };
        let file: File = toml::from_str(text).map_err(toml)?;
        let mut faults = Vec::new();
        let table = file.table.split_once('.').and_then(|(c, t)| catalogs.iter().find(|cat| cat.name == c)?.table(t)).cloned();
        let Some(table) = table else {
            let known: Vec<_> = catalogs.iter().flat_map(|c| &c.tables).map(Table::full_name).collect();
            let message = format!("table {:?} is in no schema; there are {}", file.table, known.join(", "));
            return Err(Error::Toml { place: place.to_owned(), message });
        };
        let mut columns = file.columns;
        for each in &file.each {
            for band in &each.band {
                columns.extend(each.columns.iter().map(|(name, origin)| (banded(name, band), origin.banded(band))));
            }
        }
        for (name, origin) in &columns {
            if table.column(name).is_none() {
                faults.push(format!("  columns.{name}: {} has no such column", table.full_name()));
            }
            origin.check(&format!("columns.{name}"), file.rows, file.blocks.is_some(), &mut faults);
        }
        for name in file.replace.iter().filter(|name| table.column(name).is_none()) {
            faults.push(format!("  replace: {} has no column {name:?}", table.full_name()));
        }
        if file.rows != RowsOf::Objects && file.blocks.is_none() {
            faults.push("  rows: exposures and blocks need a [blocks] section".into());
        }
        if file.rows != RowsOf::Blocks && file.position.is_none() {
            faults.push("  position = [\"ra\", \"dec\"] is missing: the file's columns of the position in degrees".into());
        }
        let mut patterns = |list: &[String], what: &str| -> Vec<Pattern> {
            list.iter().filter_map(|p| Pattern::parse(p).map_err(|e| faults.push(format!("  {what}: {p:?}: {e}"))).ok()).collect()
        };
        let (files, ignore) = (patterns(&file.files, "files"), patterns(&file.ignore, "ignore"));
        if !faults.is_empty() {
            return Err(Error::Faults { place: place.to_owned(), faults });
        }
        Ok(Manifest {
            name: name.to_owned(),
            description: file.description,
            table,
            files,
            hdu: file.hdu,
            rows: file.rows,
            position: file.position,
            replace: file.replace,
            blocks: file.blocks,
            columns,
            ignore,
            version: super::ledger::short_hash(text.as_bytes()),
        })
    }

    /// What the file name says, if this manifest takes the file: the values of its `{name}`s.
    pub fn takes(&self, path: &Path) -> Option<BTreeMap<String, String>> {
        let name = path.file_name()?.to_str()?;
        self.files.iter().find_map(|pattern| pattern.matches(name))
    }
}

impl Origin {
    fn banded(&self, band: &str) -> Origin {
        let text = |s: &Option<String>| s.as_ref().map(|s| banded(s, band));
        Origin {
            file: text(&self.file),
            header: text(&self.header),
            block: text(&self.block),
            combined: text(&self.combined),
            filter: text(&self.filter),
            args: self.args.iter().map(|s| banded(s, band)).collect(),
            otherwise: self.otherwise.as_ref().map(|o| Box::new(o.banded(band))),
            ..self.clone()
        }
    }

    /// Exactly one source, with what belongs to it.
    fn check(&self, place: &str, rows: RowsOf, blocks: bool, faults: &mut Vec<String>) {
        let sources = [
            self.file.is_some(),
            self.capture.is_some(),
            self.header.is_some(),
            self.value.is_some(),
            self.transform.is_some(),
            self.block.is_some(),
            self.combined.is_some(),
            self.exposure.is_some(),
            self.null,
        ];
        let count = sources.iter().filter(|&&is| is).count();
        let mut fault = |what: &str| faults.push(format!("  {place}: {what}"));
        if count != 1 {
            fault(&format!("wanted one of file, capture, header, value, transform, block, combined, exposure, null; found {count}"));
        }
        if let Some(transform) = self.transform {
            let wanted = transform.arguments();
            if self.args.len() != wanted.len() {
                fault(&format!("transform {} takes args = [{}]", transform.name(), wanted.join(", ")));
            }
            let needs = transform.settings();
            for name in needs.iter().filter(|name| !self.with.contains_key(**name)) {
                fault(&format!("transform {} needs with = {{ {name} = ... }}", transform.name()));
            }
            for name in self.with.keys().filter(|name| !needs.contains(&name.as_str())) {
                fault(&format!("transform {} has no setting {name:?}; it has {}", transform.name(), needs.join(", ")));
            }
        } else if !self.args.is_empty() || !self.with.is_empty() {
            fault("args and with belong to a transform");
        }
        if self.combined.is_some() != self.filter.is_some() {
            fault("combined and filter go together");
        }
        if (self.block.is_some() || self.combined.is_some() || self.exposure.is_some()) && !blocks {
            fault("block, combined and exposure need a [blocks] section");
        }
        if self.exposure.is_some() && rows == RowsOf::Objects {
            fault("exposure belongs to rows = \"exposures\" or \"blocks\"");
        }
        if let Some(otherwise) = &self.otherwise {
            otherwise.check(&format!("{place}.otherwise"), rows, blocks, faults);
        }
    }
}

/// `{band}` as it is, `{BAND}` in upper case.
fn banded(text: &str, band: &str) -> String {
    text.replace("{band}", band).replace("{BAND}", &band.to_ascii_uppercase())
}

/// `place:line:column` of a byte span.
fn located(place: &str, text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let Some(span) = span else { return place.to_owned() };
    let before = &text[..span.start.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("{place}:{line}:{column}")
}

/// All manifests: those of `dirs` (`DIR/<catalogue>/<loader>.toml`) before the built-in ones of the same name.
pub fn load_all(dirs: &[PathBuf], catalogs: &[Catalog]) -> Result<Vec<Manifest>, Error> {
    let mut texts: Vec<(String, String, String)> = Vec::new();
    for dir in dirs {
        collect(dir, &mut texts)?;
    }
    for file in BUILT_IN.dirs().flat_map(|d| d.files()).filter(|f| f.path().extension().is_some_and(|e| e == "toml")) {
        if let Some(text) = file.contents_utf8() {
            texts.push((dotted(file.path()), format!("loaders/{}", file.path().display()), text.to_owned()));
        }
    }
    let mut manifests: Vec<Manifest> = Vec::new();
    for (name, place, text) in texts {
        if !manifests.iter().any(|m| m.name == name) {
            manifests.push(Manifest::parse(&name, &place, &text, catalogs)?);
        }
    }
    manifests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(manifests)
}

/// `phat_v2/phot_mod.toml` -> `phat_v2.phot_mod`.
fn dotted(path: &Path) -> String {
    path.with_extension("").components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join(".")
}

fn collect(dir: &Path, texts: &mut Vec<(String, String, String)>) -> Result<(), Error> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    for catalogue in std::fs::read_dir(dir).map_err(io(dir))? {
        let folder = catalogue.map_err(io(dir))?.path();
        if !folder.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&folder).map_err(io(&folder))? {
            let path = file.map_err(io(&folder))?.path();
            if path.extension().is_some_and(|e| e == "toml") {
                let text = std::fs::read_to_string(&path).map_err(io(&path))?;
                let name = dotted(path.strip_prefix(dir).unwrap_or(&path));
                texts.push((name, path.display().to_string(), text));
            }
        }
    }
    Ok(())
}

/// The manifest called `wanted`: `phat_v2.phot_mod`, or `phot_mod` where that is clear.
pub fn named<'a>(manifests: &'a [Manifest], wanted: &str) -> Result<&'a Manifest, Error> {
    let exact = manifests.iter().find(|m| m.name == wanted);
    let mut short = manifests.iter().filter(|m| m.name.rsplit('.').next() == Some(wanted));
    let only = short.next().filter(|_| short.next().is_none());
    exact
        .or(only)
        .ok_or_else(|| Error::NoSuchLoader { wanted: wanted.to_owned(), known: manifests.iter().map(|m| m.name.clone()).collect() })
}
