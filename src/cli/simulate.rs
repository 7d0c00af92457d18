//! `brickyard simulate`: options to [`crate::simulate::Options`], a progress bar, a closing summary.

use crate::config::Config;
use crate::simulate::{Dolphot, Options, Overlaps, Products, Report, run_with};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const LONG: &str = "\
Write a synthetic survey with known truth, in PHAT's file layouts

Positions come from the survey's real footprints and density map, magnitudes from its real colour-magnitude maps; noise, \
crowding, chip gaps, overlaps, missing values and the rule of the good-star flags are those of the real files. The same \
options and seed give the same bytes.";

const EXAMPLES: &str = "\
Examples:
  brickyard simulate --out survey          4 bricks, 100,000 objects
  brickyard simulate --out one --bricks 15 --fields 10 --objects 5000 --dolphot all
  brickyard simulate --out big --bricks 15 --objects 2000000 --products st
  brickyard simulate --out seen --bricks 15 --fields 10 --objects 20000 --images 60
  brickyard simulate --out deep --bricks 4 --fields 15 --products phot --overlaps all

Each brick has one _st.fits. Each field has one _phot.fits.gz with the measurements of \
every image-chip and, as --dolphot says, DOLPHOT's own text (.phot, .phot.columns, \
.phot.info and the reference image's header). truth.fits tells what was put in.
Every field has one hot star with six good magnitudes and one sinusoidal variable. The \
Cepheid V5343 of the paper's light curve, with its 62 image-chips, is in brick 4, field 15, \
and comes only with that field.";

#[derive(clap::Args)]
#[command(about = LONG.lines().next().unwrap_or_default(), long_about = LONG, after_help = EXAMPLES)]
pub struct Args {
    /// Folder to write to; made if missing, refused if it holds other files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Bricks, 1 to 23: numbers and ranges
    #[arg(long, value_name = "LIST", default_value = "1,4,15,23")]
    bricks: String,
    /// Fields of each brick, 1 to 18
    #[arg(long, value_name = "LIST", default_value = "1-18")]
    fields: String,
    /// Objects in all, spread as the real survey's; fewer thin the survey, noise and crowding stay real
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    objects: u64,
    /// Seed of the random numbers
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// What to write
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "st,phot,dolphot,truth")]
    products: Vec<Product>,
    /// Which fields get DOLPHOT's text output
    #[arg(long, value_enum, default_value = "first")]
    dolphot: DolphotArg,
    /// How many images of neighbouring pointings a field's stack holds (none: 31 image-chips, few: 32, all: 62)
    #[arg(long, value_enum, default_value = "few")]
    overlaps: OverlapsArg,
    /// Draw drizzled mosaics in six filters too, squares of this side about the first field of each brick
    #[arg(long, value_name = "ARCSEC", num_args = 0..=1, default_missing_value = "40")]
    images: Option<f64>,
    /// Write the headers of the exposures too, for a reduction to begin with (needs --overlaps none)
    #[arg(long)]
    exposures: bool,
    /// Write _phot.fits rather than _phot.fits.gz
    #[arg(long)]
    no_gzip: bool,
    /// Write into a folder that holds other files
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Product {
    St,
    Phot,
    Dolphot,
    Truth,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum DolphotArg {
    /// Every field
    All,
    /// The first field of each brick
    First,
    /// No field
    None,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum OverlapsArg {
    None,
    Few,
    All,
}

impl Args {
    fn options(&self) -> anyhow::Result<Options> {
        let has = |product| self.products.contains(&product);
        let dolphot = match self.dolphot {
            DolphotArg::All => Dolphot::All,
            DolphotArg::First => Dolphot::First,
            DolphotArg::None => Dolphot::None,
        };
        Ok(Options {
            bricks: numbers(&self.bricks).context("--bricks")?,
            fields: numbers(&self.fields).context("--fields")?,
            objects: self.objects,
            seed: self.seed,
            products: Products { st: has(Product::St), phot: has(Product::Phot), truth: has(Product::Truth) },
            dolphot: if has(Product::Dolphot) { dolphot } else { Dolphot::None },
            overlaps: match self.overlaps {
                OverlapsArg::None => Overlaps::None,
                OverlapsArg::Few => Overlaps::Few,
                OverlapsArg::All => Overlaps::All,
            },
            gzip: !self.no_gzip,
            force: self.force,
            images_arcsec: self.images,
            exposures: self.exposures,
            ..Options::new(&self.out)
        })
    }
}

/// `1,4-6` is 1, 4, 5, 6, whatever the order they are given in.
fn numbers(list: &str) -> anyhow::Result<Vec<u8>> {
    let mut numbers = Vec::new();
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u8>().with_context(|| format!("'{part}' in '{list}': wanted numbers such as 1,4-6"));
        numbers.extend(number(from)?..=number(to)?);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

pub async fn run(_config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    let options = args.options()?;
    let started = Instant::now();
    let out = options.out.clone();
    let report = simulate(options).await?;
    summarise(&out, &report, started.elapsed());
    Ok(ExitCode::SUCCESS)
}

/// Runs the simulation on threads of its own, with a progress bar.
pub async fn simulate(options: Options) -> anyhow::Result<Report> {
    let work = move || {
        let bar = progress_bar(options.objects);
        let report = run_with(&options, &|done, all| bar.set_position(done.min(all)));
        bar.finish_and_clear();
        report
    };
    Ok(tokio::task::spawn_blocking(work).await.context("the simulation stopped")??)
}

fn progress_bar(objects: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} objects, {per_sec}, {eta} left");
    let bar = ProgressBar::new(objects);
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

fn summarise(out: &std::path::Path, report: &Report, elapsed: Duration) {
    let megabytes = report.files.iter().map(|file| file.bytes).sum::<u64>() as f64 / 1e6;
    println!("{}", out.display());
    for (end, what) in [
        ("_st.fits", "_st.fits: stars, one file a brick"),
        ("_phot.fits", "_phot.fits: measurements, one file a field"),
        ("_phot.fits.gz", "_phot.fits.gz: measurements, one file a field"),
        (".phot", ".phot: the same as DOLPHOT's text"),
        ("_flt.fits", "_flt.fits: exposures, their headers only (rows: chips)"),
        ("truth.fits", "truth.fits: what was put in"),
        ("_drz.fits", "_drz.fits: drizzled mosaics, a file a filter (rows: stars drawn)"),
    ] {
        let files: Vec<_> = report.files.iter().filter(|file| file.path.to_string_lossy().ends_with(end)).collect();
        if !files.is_empty() {
            let rows: u64 = files.iter().map(|file| file.rows).sum();
            println!("  {:>4} files {rows:>10} rows  {what}", files.len());
        }
    }
    println!(
        "{} objects ({} of them seen again in a later field), {} measurements, {megabytes:.1} MB, {:.1} s; 1 of {:.0} real objects",
        report.objects,
        report.shared,
        report.measurements,
        elapsed.as_secs_f64(),
        1.0 / report.fraction
    );
}
