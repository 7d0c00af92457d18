//! Pictures of a star file: colour-magnitude diagrams of good stars, and where the stars are.
//!
//! A diagram for each pair of filters (neighbours in wavelength unless others are asked for), of stars that are good in both, and a map of
//! the number of stars. The map's HEALPix cells are as small as some ten stars in each allow.
//!
//! Memory: a few MB a diagram, and the map's cells, which grow with the piece of sky and not with its stars.

use super::{Error, bad, name_of, write_whole};
use crate::format::fits::Hdu;
use crate::format::layout::{Layout, RawKind};
use crate::format::open::Source;
use crate::plot::diagram::{self, Counts, Grid};
use crate::plot::lightcurve::wavelength_nm;
use crate::plot::map::{self, Healpix, Scale, Scheme};
use crate::sky::healpix;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Options {
    /// `_st.fits` of a field or a brick.
    pub st: PathBuf,
    /// Blue and red filter; neighbours in wavelength if there is none.
    pub pairs: Vec<(String, String)>,
    pub dir: PathBuf,
}

/// What was drawn.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    pub stars: u64,
    pub pictures: Vec<Picture>,
    /// Pairs without a star that is good in both.
    pub empty: Vec<String>,
}

/// A picture, and how many stars are in it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Picture {
    pub name: String,
    pub stars: u64,
}

const ROWS: usize = 4096;
/// Magnitudes from here on say that there is none.
const NO_MAG: f32 = 90.0;
/// The smallest and the largest cells of the map: 3.2 arcsec and 3.4 arcmin.
const DEPTHS: [u8; 2] = [16, 10];
const STARS_IN_CELL: u64 = 10;
const COLOURS: Grid = Grid { from: -8.0, step: 0.02, cells: 1000 };
const MAGNITUDES: Grid = Grid { from: 10.0, step: 0.04, cells: 600 };

/// A filter's columns.
#[derive(Debug, Clone)]
struct Filter {
    name: String,
    vega: usize,
    good: usize,
}

struct Pair {
    blue: Filter,
    red: Filter,
    counts: Counts,
}

/// Draws.
pub fn run(options: &Options) -> Result<Report, Error> {
    let mut source = Source::open(&options.st, &Hdu::Number(1), &options.dir)?;
    let stem = name_of(&options.st)?.trim_end_matches(".fits").to_owned();
    let filters = filters(&source.layout, options)?;
    let mut pairs = pairs(&filters, options)?;
    let offset = |name: &str| {
        let column = source.layout.find(name).filter(|column| column.kind == RawKind::Double);
        column.map(|column| column.offset).ok_or_else(|| bad(&options.st, format!("there is no column {name} of doubles")))
    };
    let (ra, dec) = (offset("ra")?, offset("dec")?);
    let (mut rows, mut stars, mut cells) = (Vec::new(), 0, BTreeMap::<u64, u64>::new());
    loop {
        rows.clear();
        if source.read(ROWS, &mut rows)? == 0 {
            break;
        }
        for row in rows.chunks_exact(source.layout.row_bytes) {
            let number = |at: usize| f64::from_be_bytes(row[at..at + 8].try_into().expect("eight bytes"));
            let (ra, dec) = (number(ra), number(dec));
            if !(ra.is_finite() && (-90.0..=90.0).contains(&dec)) {
                return Err(bad(&options.st, format!("row {}: the position {ra}, {dec} is not on the sky", stars + 1)));
            }
            stars += 1;
            *cells.entry(healpix::nest(DEPTHS[0], ra, dec)).or_default() += 1;
            pairs.iter_mut().for_each(|pair| pair.add(row));
        }
    }
    if stars == 0 {
        return Err(bad(&options.st, "there is no star in it"));
    }
    let mut report = Report { stars, pictures: Vec::new(), empty: Vec::new() };
    for pair in &pairs {
        let name = pair.name();
        if pair.counts.points() == 0 {
            report.empty.push(name);
            continue;
        }
        let picture = format!("{stem}_{}_cmd.png", name.to_ascii_lowercase());
        write_whole(&options.dir.join(&picture), &diagram::diagram(&pair.counts, &pair.caption(&stem))?)?;
        report.pictures.push(Picture { name: picture, stars: pair.counts.points() });
    }
    let picture = format!("{stem}_density.png");
    write_whole(&options.dir.join(&picture), &density(cells, stars, &stem)?)?;
    report.pictures.push(Picture { name: picture, stars });
    Ok(report)
}

/// Filters with a magnitude and a flag of good stars, by wavelength.
fn filters(layout: &Layout, options: &Options) -> Result<Vec<Filter>, Error> {
    let of = |name: &str| {
        let vega = layout.find(&format!("{name}_vega")).filter(|column| column.kind == RawKind::Float)?;
        let good = layout.find(&format!("{name}_gst")).filter(|column| column.kind == RawKind::Logical)?;
        Some(Filter { name: name.to_ascii_uppercase(), vega: vega.offset, good: good.offset })
    };
    let names = layout.columns.iter().filter_map(|column| column.name.strip_suffix("_gst"));
    let mut filters: Vec<Filter> = names.filter_map(of).collect();
    filters.sort_by_key(|filter| wavelength_nm(&filter.name));
    match filters.is_empty() {
        true => Err(bad(&options.st, "no filter has columns <filter>_vega and <filter>_gst: wanted a _st.fits of the stage `catalogue`")),
        false => Ok(filters),
    }
}

fn pairs(filters: &[Filter], options: &Options) -> Result<Vec<Pair>, Error> {
    let named = |name: &str| {
        let known = || filters.iter().map(|filter| filter.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = filters.iter().find(|filter| filter.name.eq_ignore_ascii_case(name)).cloned();
        found.ok_or_else(|| bad(&options.st, format!("there is no filter {name}; there are {}", known())))
    };
    let pair = |blue: Filter, red: Filter| Pair { blue, red, counts: Counts::new(COLOURS, MAGNITUDES) };
    if options.pairs.is_empty() {
        return Ok(filters.windows(2).map(|two| pair(two[0].clone(), two[1].clone())).collect());
    }
    options.pairs.iter().map(|(blue, red)| Ok(pair(named(blue)?, named(red)?))).collect()
}

impl Pair {
    fn name(&self) -> String {
        format!("{}-{}", self.blue.name, self.red.name)
    }

    fn add(&mut self, row: &[u8]) {
        let magnitude = |filter: &Filter| {
            let vega = f32::from_be_bytes(row[filter.vega..filter.vega + 4].try_into().expect("four bytes"));
            (row[filter.good] == b'T' && vega < NO_MAG).then_some(f64::from(vega))
        };
        if let (Some(blue), Some(red)) = (magnitude(&self.blue), magnitude(&self.red)) {
            self.counts.add(blue - red, red);
        }
    }

    fn caption(&self, stem: &str) -> diagram::Caption {
        diagram::Caption {
            title: format!("{} stars, good in {} and {}", self.counts.points(), self.blue.name, self.red.name),
            subtitle: shortened(stem),
            across: format!("{} − {} (Vega)", self.blue.name, self.red.name),
            down: format!("{} (Vega)", self.red.name),
        }
    }
}

/// The middle of a long name tells least.
fn shortened(stem: &str) -> String {
    let letters: Vec<char> = stem.chars().collect();
    match letters.len() {
        0..=44 => stem.to_owned(),
        many => format!("{}...{}", letters[..8].iter().collect::<String>(), letters[many - 33..].iter().collect::<String>()),
    }
}

/// Four cells become one until there are enough stars in each.
fn density(mut cells: BTreeMap<u64, u64>, stars: u64, stem: &str) -> Result<Vec<u8>, Error> {
    let mut depth = DEPTHS[0];
    while depth > DEPTHS[1] && stars < STARS_IN_CELL * cells.len() as u64 {
        depth -= 1;
        let finer = std::mem::take(&mut cells);
        finer.into_iter().for_each(|(cell, count)| *cells.entry(cell >> 2).or_default() += count);
    }
    let counts: Vec<(u64, f64)> = cells.into_iter().map(|(cell, count)| (cell, count as f64)).collect();
    let caption = map::Caption {
        title: format!("{stars} objects"),
        subtitle: shortened(stem),
        value: format!("objects in a cell of NSIDE {}", 1_u32 << depth),
        scale: Scale::Linear,
    };
    Ok(map::map(&counts, Healpix { nside: 1 << depth, scheme: Scheme::Nested }, &caption)?)
}
