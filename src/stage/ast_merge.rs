//! Artificial-star tests, last step: all tests of a field as one table, and how complete and how exact the photometry is.
//!
//! `_asts.fits` has a row a star: x, y, ra, dec, whether it was found, and for each filter the magnitude that was put in (`f475w_in`), what
//! was measured (`_vega`, `_err`, `_snr`, `_sharp`, `_crowd`, `_flag`), and whether that passes the cuts of good stars (`_gst`).
//!
//! `_completeness.fits` has a row a filter and half magnitude of input: the stars put in, those recovered and their part (`completeness`), the
//! median and half the central 68 per cent of measured minus input magnitude of these (`bias`, `scatter`; NaN below [`LEAST`] stars). A
//! star is recovered in a filter when it passes the cuts and was measured not more than [`BLEND_MAG`] brighter or fainter than it is: one
//! that is brighter by more was found in the light of another. Cards `M50_<filter>` tell where half of the stars are lost.
//!
//! Memory: a batch of lines, and four bytes a star and filter.

use super::catalogue::{Block, blocks, filters};
use super::stars::{Cut, NO_MAG, Quality};
use super::table::Output;
use super::{Error, at, bad, name_of};
use crate::format::dolphot::{self, Guide, LINE_BYTES};
use crate::format::fits_write::{Card, Column, Form, Row, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

/// A star that is measured so much brighter or fainter than it was put in is not recovered: half of its light is another's.
pub const BLEND_MAG: f64 = 0.75;
/// Width of a row of the completeness table.
pub const BIN_MAG: f64 = 0.5;
/// Stars of which a median is worth telling.
pub const LEAST: usize = 5;
/// Bytes of rows that are written together.
const BATCH: usize = 1 << 20;

/// What is merged.
#[derive(Debug, Clone)]
pub struct Options {
    /// DOLPHOT's `.fake` files of one field, and the photometry with what stands beside it.
    pub files: Vec<PathBuf>,
    pub asts_out: PathBuf,
    pub completeness_out: PathBuf,
    pub cuts: Vec<Cut>,
    pub snr_min: f64,
}

/// What was merged.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Report {
    pub stars: u64,
    pub found: u64,
    /// The magnitude of each filter at which half of the stars are lost, where the tests reach it.
    pub half: BTreeMap<String, Option<f64>>,
}

/// A filter of the tests.
struct Filter {
    name: String,
    cut: Cut,
    /// The first of its images, 0-based: that tells its input magnitude.
    image: usize,
    /// Where in a row vega, err, snr, sharp, crowd and flag are.
    at: [usize; 6],
    bins: BTreeMap<i32, Bin>,
}

/// Stars of a half magnitude.
#[derive(Default)]
struct Bin {
    stars: u64,
    /// Measured minus input magnitudes of those recovered.
    offsets: Vec<f32>,
}

/// Merges; without tests it makes nothing.
///
/// # Errors
/// When a line is not one of a test of this photometry, or a filter has no cuts.
pub fn run(options: &Options) -> Result<Option<Report>, Error> {
    let ends = |path: &&PathBuf, end: &str| name_of(path).is_ok_and(|name| name.ends_with(end));
    let mut fakes: Vec<&PathBuf> = options.files.iter().filter(|path| ends(path, ".fake")).collect();
    fakes.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    if fakes.is_empty() {
        return Ok(None);
    }
    let phot = options.files.iter().find(|path| ends(path, ".phot"));
    let phot = phot.ok_or_else(|| Error::Asked("there is no photometry (.phot) among the files".into()))?;
    let guide = Guide::read(phot)?;
    let images = blocks(&guide)?.iter().filter(|block| block.image.is_some()).count();
    let mut filters = plan(&guide, options)?;
    let columns = columns(&filters);
    let mut out = Output::create(&options.asts_out, &columns, &[])?;
    let (mut row, mut report) = (Row::with_capacity(2 * BATCH), Report { stars: 0, found: 0, half: BTreeMap::new() });
    for path in fakes {
        let file = at("open", path, File::open(path))?;
        let (mut text, mut line, mut number) = (BufReader::with_capacity(1 << 20, file), Vec::new(), 0_u64);
        loop {
            line.clear();
            if at("read", path, (&mut text).take(LINE_BYTES).read_until(b'\n', &mut line))? == 0 {
                break;
            }
            number += 1;
            let found = add(&line, &guide, images, &mut filters, options.snr_min, &mut row);
            let found = found.map_err(|what| dolphot::Error::Line { path: path.clone(), line: number, what })?;
            report.stars += 1;
            report.found += u64::from(found);
            if row.len() > BATCH {
                out.rows(row.bytes())?;
                row.clear();
            }
        }
    }
    out.rows(row.bytes())?;
    if report.stars == 0 {
        return Err(bad(&options.asts_out, "the tests have no star: a test that failed leaves an empty file"));
    }
    out.close(&columns, report.stars, &[])?;
    report.half = filters.iter().map(|filter| (filter.name.clone(), filter.half())).collect();
    let table = completeness(options, &filters)?;
    // both are on the disk before either has its name
    out.finish()?;
    table.finish()?;
    Ok(Some(report))
}

fn plan(guide: &Guide, options: &Options) -> Result<Vec<Filter>, Error> {
    let blocks = blocks(guide)?;
    let singles: Vec<&str> = blocks.iter().filter(|block| block.image.is_some()).map(|block| block.filter.as_str()).collect();
    let filter = |standing: &Block| {
        let (name, block) = (standing.filter.clone(), standing.number);
        let cut = options.cuts.iter().find(|cut| cut.filter.eq_ignore_ascii_case(&name)).cloned();
        let cut = cut.ok_or_else(|| Error::Asked(format!("there are no cuts for {name}: give --cut {name}=SHARP2,CROWD")))?;
        let image =
            singles.iter().position(|single| **single == *name).ok_or_else(|| bad(&guide.path, format!("no image is of {name}")))?;
        let offset = |column: &str| {
            let found = guide.layout.find(&column.replace('#', &block.to_string())).map(|column| column.offset);
            found.ok_or_else(|| bad(&guide.path, format!("its .columns file lacks {column} of {name}")))
        };
        let [vega, err, snr] = ["MAG#_VEGA", "MAG#_ERR", "SNR#"].map(offset);
        let [sharp, crowd, flag] = ["SHARP#", "CROWD#", "FLAG#"].map(offset);
        Ok(Filter { name, cut, image, at: [vega?, err?, snr?, sharp?, crowd?, flag?], bins: BTreeMap::new() })
    };
    filters(guide, &blocks)?.into_iter().map(filter).collect()
}

fn columns(filters: &[Filter]) -> Vec<Column> {
    let mut columns = vec![
        Column::new("x", Form::E),
        Column::new("y", Form::E),
        Column::new("ra", Form::D),
        Column::new("dec", Form::D),
        Column::new("found", Form::L),
    ];
    for filter in filters {
        let name = |what: &str| format!("{}_{what}", filter.name.to_ascii_lowercase());
        columns.extend(["in", "vega", "err", "snr", "sharp", "crowd"].map(|what| Column::new(name(what), Form::E)));
        columns.push(Column::new(name("flag"), Form::I));
        columns.push(Column::new(name("gst"), Form::L));
    }
    columns
}

/// Appends the row of a test; says whether the star was found at all.
fn add(line: &[u8], guide: &Guide, images: usize, filters: &mut [Filter], snr_min: f64, row: &mut Row) -> Result<bool, String> {
    let (input, photometry) = dolphot::first_numbers(line, 4 + 2 * images)?;
    let mut measured = Vec::new();
    guide.parse_line(photometry, &mut measured)?;
    let float = |at: usize| f32::from_be_bytes(measured[at..at + 4].try_into().expect("four bytes"));
    let found = filters.iter().any(|filter| float(filter.at[0]) < NO_MAG);
    let [ra, dec] = guide.sky_deg(input[2], input[3]);
    row.e(input[2] as f32);
    row.e(input[3] as f32);
    row.d(ra);
    row.d(dec);
    row.l(found);
    for filter in filters {
        let mag = input[5 + 2 * filter.image];
        let [vega, err, snr, sharp, crowd] = [0, 1, 2, 3, 4].map(|i| float(filter.at[i]));
        let is_good = vega < NO_MAG && filter.cut.is_clean(Quality { vega, snr, sharp, crowd }, snr_min);
        row.e(mag as f32);
        for value in [vega, err, snr, sharp, crowd] {
            row.e(value);
        }
        row.i(i16::from_be_bytes(measured[filter.at[5]..filter.at[5] + 2].try_into().expect("two bytes")));
        row.l(is_good);
        let bin = filter.bins.entry((mag / BIN_MAG).floor() as i32).or_default();
        let offset = f64::from(vega) - mag;
        bin.stars += 1;
        if is_good && offset.abs() <= BLEND_MAG {
            bin.offsets.push(offset as f32);
        }
    }
    Ok(found)
}

impl Bin {
    fn completeness(&self) -> f64 {
        self.offsets.len() as f64 / self.stars.max(1) as f64
    }

    /// Median, and half of the central 68 per cent, of measured minus input magnitude.
    fn spread(&self) -> [f64; 2] {
        if self.offsets.len() < LEAST {
            return [f64::NAN; 2];
        }
        let mut sorted = self.offsets.clone();
        sorted.sort_by(f32::total_cmp);
        let at = |part: f64| f64::from(sorted[((sorted.len() - 1) as f64 * part).round() as usize]);
        [at(0.5), (at(0.84) - at(0.16)) / 2.0]
    }
}

impl Filter {
    /// Where completeness falls through a half for the last time, between the middles of bins of at least [`LEAST`] stars.
    fn half(&self) -> Option<f64> {
        let points: Vec<(f64, f64)> = self
            .bins
            .iter()
            .filter(|(_, bin)| bin.stars >= LEAST as u64)
            .map(|(bin, stars)| ((f64::from(*bin) + 0.5) * BIN_MAG, stars.completeness()))
            .collect();
        let fall = points.windows(2).rev().find(|pair| pair[0].1 >= 0.5 && pair[1].1 < 0.5)?;
        let [(bright, more), (faint, less)] = [fall[0], fall[1]];
        Some(bright + (faint - bright) * (more - 0.5) / (more - less))
    }
}

fn completeness(options: &Options, filters: &[Filter]) -> Result<Output, Error> {
    const FILTER_WIDTH: usize = 8;
    let columns = [
        Column::new("filter", Form::A(FILTER_WIDTH)),
        Column::new("mag_from", Form::E),
        Column::new("mag_to", Form::E),
        Column::new("stars", Form::K),
        Column::new("recovered", Form::K),
        Column::new("completeness", Form::E),
        Column::new("bias", Form::E),
        Column::new("scatter", Form::E),
    ];
    let half = |filter: &Filter| {
        Some(Card::new(
            format!("M50_{:.4}", filter.name.trim_start_matches('F')),
            Value::Float(filter.half()?, 3),
            "half of the stars are lost",
        ))
    };
    let mut cards: Vec<Card> = filters.iter().filter_map(half).collect();
    cards.push(Card::new("BLENDMAG", Value::Float(BLEND_MAG, 2), "recovered: measured within so many mag"));
    let mut out = Output::create(&options.completeness_out, &columns, &cards)?;
    let (mut rows, mut count) = (Row::with_capacity(4096), 0);
    for filter in filters {
        for (bin, stars) in &filter.bins {
            let [bias, scatter] = stars.spread();
            rows.a(&filter.name, FILTER_WIDTH);
            rows.e((f64::from(*bin) * BIN_MAG) as f32);
            rows.e((f64::from(*bin + 1) * BIN_MAG) as f32);
            rows.k(stars.stars as i64);
            rows.k(stars.offsets.len() as i64);
            for value in [stars.completeness(), bias, scatter] {
                rows.e(value as f32);
            }
            count += 1;
        }
    }
    out.rows(rows.bytes())?;
    out.close(&columns, count, &cards)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completeness_and_the_magnitude_of_its_half_are_those_of_the_stars() {
        let bin = |stars: u64, recovered: usize| Bin { stars, offsets: (0..recovered).map(|i| i as f32 * 0.01).collect() };
        let bins = BTreeMap::from([(48, bin(10, 10)), (49, bin(10, 8)), (50, bin(10, 2)), (51, bin(2, 2))]);
        let cut = "F475W=0.2,2.25".parse().expect("a cut");
        let filter = Filter { name: "F475W".into(), cut, image: 0, at: [0; 6], bins };
        // 0.8 at 24.75, 0.2 at 25.25; two stars tell nothing
        assert!((filter.half().expect("it falls") - 25.0).abs() < 1e-9);
        assert_eq!(filter.bins[&49].completeness(), 0.8);
        let [bias, scatter] = filter.bins[&48].spread();
        assert!((bias - 0.05).abs() < 1e-6 && (scatter - 0.035).abs() < 1e-6, "{bias} {scatter}");
        assert!(filter.bins[&51].spread()[0].is_nan());
    }
}
