//! Fields to a brick: one star file, with the flags that tell where in the survey's tiling an object lies.
//!
//! The `_st.fits` of the fields ([`super::catalogue`]) are appended in the order of their numbers; each row gets its field and the four
//! `inside_*` flags of its position ([`crate::simulate::Survey`]). The same piece of sky is in several fields: the survey's catalogue keeps
//! what is inside the field's infrared image but not in its chip gap, or in a neighbour's gap that the field fills ([`Keep::Footprint`]).
//!
//! Memory: a few thousand rows.

use super::table::Output;
use super::{Error, bad};
use crate::format::fits::Hdu;
use crate::format::fits_write::{Column, Form};
use crate::format::layout::{Layout, RawKind};
use crate::format::open::Source;
use crate::simulate::Survey;
use std::path::{Path, PathBuf};

/// Which rows go into the brick's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Keep {
    /// Those that the survey's catalogue keeps: in the field's own part of the tiling.
    Footprint,
    /// All that were measured.
    All,
}

/// What is merged.
#[derive(Debug, Clone)]
pub struct Options {
    pub files: Vec<PathBuf>,
    pub brick: u8,
    pub keep: Keep,
    pub out: PathBuf,
}

/// What was merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    pub fields: usize,
    pub read: u64,
    pub kept: u64,
}

const ROWS: usize = 4096;
const FLAGS: [&str; 4] = ["inside_ir", "inside_brick", "inside_chipgap", "inside_other_chipgap"];

/// An open field.
struct Part<'a> {
    path: &'a Path,
    number: u8,
    source: Source,
}

/// Merges.
pub fn run(options: &Options) -> Result<Report, Error> {
    let mut parts = options.files.iter().map(|path| open(path, options)).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|part| part.number);
    let Some(first) = parts.first() else {
        return Err(Error::Asked("there are no files: wanted the _st.fits of a brick's fields".into()));
    };
    if let Some(pair) = parts.windows(2).find(|pair| pair[0].number == pair[1].number) {
        let what = format!("field {} is in {} too", pair[1].number, pair[0].path.display());
        return Err(bad(pair[1].path, what));
    }
    let own = columns(first.path, &first.source.layout)?;
    if let Some(other) = parts.iter().find(|part| !same(&part.source.layout, &parts[0].source.layout)) {
        return Err(bad(
            other.path,
            format!("its columns are not those of {}: fields of a brick are made with the same filters and cuts", first.path.display()),
        ));
    }
    let mut columns = own;
    columns.push(Column::new("field", Form::K));
    columns.extend(FLAGS.map(|name| Column::new(name, Form::L)));
    let survey = Survey::phat()?;
    let mut out = Output::create(&options.out, &columns, &[])?;
    let mut report = Report { fields: parts.len(), read: 0, kept: 0 };
    for part in &mut parts {
        append(part, &survey, options, &mut out, &mut report)?;
    }
    out.close(&columns, report.kept, &[])?;
    out.finish()?;
    Ok(report)
}

fn open<'a>(path: &'a Path, options: &Options) -> Result<Part<'a>, Error> {
    let folder = options.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let source = Source::open(path, &Hdu::Number(1), folder)?;
    let number = |key: &str| {
        source.header.number::<u8>(key).ok_or_else(|| {
            bad(path, format!("its header does not tell {key}: wanted a field's _st.fits as the stage `catalogue` writes it"))
        })
    };
    let (brick, number) = (number("BRICK")?, number("FIELD")?);
    if brick != options.brick {
        return Err(bad(path, format!("it is a field of brick {brick}, wanted {}", options.brick)));
    }
    Ok(Part { path, number, source })
}

/// Rows are copied as they are: every column must have a form that can be written.
fn columns(path: &Path, layout: &Layout) -> Result<Vec<Column>, Error> {
    let form = |kind: RawKind| match kind {
        RawKind::Logical => Some(Form::L),
        RawKind::Short => Some(Form::I),
        RawKind::Int => Some(Form::J),
        RawKind::Long => Some(Form::K),
        RawKind::Float => Some(Form::E),
        RawKind::Double => Some(Form::D),
        _ => None,
    };
    let column = |column: &crate::format::layout::RawColumn| {
        let form = form(column.kind).filter(|_| column.repeat == 1 && !column.is_scaled());
        form.map(|form| Column::new(column.name.clone(), form))
            .ok_or_else(|| bad(path, format!("column {} is {}: wanted plain numbers and logicals", column.name, column.form())))
    };
    let found = layout.columns.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    for name in ["ra", "dec"] {
        if layout.find(name).is_none_or(|column| column.kind != RawKind::Double) {
            return Err(bad(path, format!("there is no column {name} of doubles")));
        }
    }
    Ok(found)
}

fn same(a: &Layout, b: &Layout) -> bool {
    let shape = |layout: &Layout| layout.columns.iter().map(|column| (column.name.clone(), column.kind, column.repeat)).collect::<Vec<_>>();
    shape(a) == shape(b)
}

fn append(part: &mut Part<'_>, survey: &Survey, options: &Options, out: &mut Output, report: &mut Report) -> Result<(), Error> {
    let index = survey.index(options.brick, part.number);
    let index = index.ok_or_else(|| bad(part.path, format!("the survey has no field {} in brick {}", part.number, options.brick)))?;
    let field = &survey.fields[index];
    let layout = &part.source.layout;
    let place = |name: &str| layout.find(name).map_or(0, |column| column.offset);
    let (ra, dec, width) = (place("ra"), place("dec"), layout.row_bytes);
    let (mut rows, mut merged) = (Vec::new(), Vec::new());
    loop {
        rows.clear();
        merged.clear();
        if part.source.read(ROWS, &mut rows)? == 0 {
            return Ok(());
        }
        for row in rows.chunks_exact(width) {
            let number = |at: usize| f64::from_be_bytes(row[at..at + 8].try_into().expect("eight bytes"));
            let inside = field.inside([number(ra), number(dec)]);
            report.read += 1;
            if options.keep == Keep::Footprint && !((inside.ir && !inside.chipgap) || inside.other_chipgap) {
                continue;
            }
            report.kept += 1;
            merged.extend_from_slice(row);
            merged.extend_from_slice(&i64::from(part.number).to_be_bytes());
            merged.extend([inside.ir, inside.brick, inside.chipgap, inside.other_chipgap].map(|yes| if yes { b'T' } else { b'F' }));
        }
        out.rows(&merged)?;
    }
}
