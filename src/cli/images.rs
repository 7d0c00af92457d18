//! `brickyard images`: which images the service finds and cuts.

use super::cutout;
use crate::archive::facts::Told;
use crate::archive::registry::{self, Adding, Ailment, Outcome};
use crate::archive::{self, Roots};
use crate::config::Config;
use crate::db::{self, Connection};
use crate::hips;
use crate::image::{self, Curve, gzip};
use crate::tap;
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Register FITS images, so that the service finds and cuts them
///
/// Only headers are read; files stay where they are, in the folders and buckets that images.roots of the configuration names, or
/// below them. Keys of a bucket are those that all S3 clients take: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION,
/// AWS_ENDPOINT_URL. Registered images are rows of ivoa.obscore: TAP and SIA 2 find them, DataLink and SODA give the file, pieces and
/// pictures.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  export BRICKYARD_IMAGES_ROOTS=\"['/data/phat']\"     or roots in [images] of brickyard.toml
  brickyard images add /data/phat                    all images below; again: only what is new or changed
  brickyard images add 's3://phat/brick15/*_drz.fits'    with s3://phat in images.roots
  brickyard images list
  brickyard images check                             has a file changed or vanished?
  brickyard images hips --out /data/hips             a HiPS of each filter, for Aladin
  brickyard serve";

#[derive(clap::Subcommand)]
enum Verb {
    /// Register images; those that are in and have not changed are passed over
    Add(AddArgs),
    /// List the registered images
    List,
    /// Look whether files have vanished or changed (exit code 1 if one has)
    Check {
        /// Read whole files whose SHA-256 is known
        #[arg(long)]
        sha256: bool,
        /// Take the images of vanished files out of the list
        #[arg(long)]
        forget: bool,
    },
    /// Make a HiPS of each filter, which Aladin shows at all scales, or bring it up to date
    ///
    /// Tiles are made of the registered images, those of the highest calibration level of each filter; where images overlap, their
    /// mean counts. Images in buckets are fetched whole, one after another, into 64 GiB of the scratch folder at most. A run that broke off goes on where it stopped, and after images have changed only their tiles are made anew.
    Hips(HipsArgs),
}

#[derive(clap::Args)]
struct HipsArgs {
    /// Only these filters [default: all that are registered]
    #[arg(long, value_name = "F814W,..", value_delimiter = ',')]
    filter: Vec<String>,
    /// Only images of this collection
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Where to write: a folder in which each filter has its own; images.hips of the configuration names it to brickyard serve
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
    /// Black and white of the pictures: zscale, minmax, 99.5%, or two values [default: as before, at first 99.5%]
    #[arg(long, allow_hyphen_values = true)]
    cuts: Option<String>,
    /// Brightness curve of the pictures [default: as before, at first asinh]
    #[arg(long, value_enum)]
    stretch: Option<Curve>,
    /// Take pixels that are exactly 0 for values; drizzled images have them where there is nothing
    #[arg(long)]
    zeros: bool,
}

#[derive(clap::Args)]
struct AddArgs {
    /// Files, folders (all .fits files below) or patterns, also as s3://bucket/...
    #[arg(required = true, value_name = "FILE|DIR|GLOB")]
    files: Vec<String>,
    /// The collection that the images belong to [default: that of the survey whose manifest knows the file's name, else the telescope]
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Level of calibration: 1 instrumental, 2 calibrated, 3 combined [default: the survey's, else 3 for drizzled images and 2 for others]
    #[arg(long, value_name = "1-4", value_parser = clap::value_parser!(i32).range(1..=4))]
    calib_level: Option<i32>,
    /// Read whole files and keep their SHA-256
    #[arg(long)]
    sha256: bool,
}

/// Inflated .fits.gz, and files of buckets, that are kept while headers are read or a HiPS is made.
const CACHE_BYTES: u64 = 64 << 30;

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Add(args) => add(config, args).await,
        Verb::List => list(config).await,
        Verb::Check { sha256, forget } => check(config, sha256, forget).await,
        Verb::Hips(args) => hips(config, args).await,
    }
}

async fn add(config: &Config, args: AddArgs) -> anyhow::Result<ExitCode> {
    let roots = Roots::new(&config.images.roots, &config.store_credentials())?;
    let (remote, local): (Vec<String>, Vec<String>) = args.files.into_iter().partition(|word| word.starts_with("s3://"));
    let mut files = cutout::files(&local)?;
    for word in &remote {
        let found = roots.listed(word).await?;
        anyhow::ensure!(!found.is_empty(), "{word}: there is no such file, none below it, and none that fits it as a pattern");
        files.extend(found.into_iter().map(|url| (url == *word, PathBuf::from(url))).map(|(is_named, url)| (url, is_named)));
    }
    let surveys = Arc::new(archive::Surveys::load(&config.loader_dir)?);
    let adding = Adding { surveys, told: Told { collection: args.collection, calib_level: args.calib_level }, sha256: args.sha256 };
    let mut connection = db::connect(&config.db()).await?;
    registry::create(&connection).await?;
    let cache = Arc::new(gzip::Cache::new(super::load::scratch_dir(config)?, CACHE_BYTES));
    let bar = progress_bar(files.len() as u64);
    let (mut counts, mut failed) = (BTreeMap::<&str, usize>::new(), 0);
    for (path, is_named) in &files {
        match registry::add(&mut connection, &roots, path, &adding, &cache).await {
            Ok(outcome) => tell(outcome, path, *is_named, &mut counts, &bar),
            // a folder may hold tables and others' files
            Err(archive::Error::Image(image::Error::NotFits { .. })) if !is_named => *counts.entry(NO_IMAGE).or_default() += 1,
            Err(
                error @ (archive::Error::Image(_) | archive::Error::Io { .. } | archive::Error::NotUtf8 { .. } | archive::Error::Store(_)),
            ) => {
                failed += 1;
                bar.suspend(|| eprintln!("{error}"));
            }
            Err(error) => return Err(error.into()),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if counts.keys().any(|what| *what == ADDED || *what == CHANGED) {
        registry::analyze(&connection).await?;
    }
    publish(config, &mut connection).await?;
    let told: Vec<String> = counts.iter().map(|(what, count)| format!("{what}: {count}")).collect();
    println!("{}", if told.is_empty() { "nothing was registered".to_owned() } else { told.join(", ") });
    Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

const ADDED: &str = "images added";
const CHANGED: &str = "images of changed files read anew";
const NO_IMAGE: &str = "files without images";

fn tell(outcome: Outcome, path: &Path, is_named: bool, counts: &mut BTreeMap<&str, usize>, bar: &ProgressBar) {
    let (what, count) = match outcome {
        Outcome::Added(images) => (ADDED, images),
        Outcome::Changed(images) => (CHANGED, images),
        Outcome::Unchanged => ("files unchanged", 1),
        Outcome::NoImage => (NO_IMAGE, 1),
    };
    if is_named && outcome == Outcome::NoImage {
        bar.suspend(|| eprintln!("{}: there is no image with celestial coordinates in it", path.display()));
    }
    *counts.entry(what).or_default() += count;
}

fn progress_bar(length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() || length < 2 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} files, {per_sec}, {eta} left");
    let bar = ProgressBar::new(length);
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

/// Tells TAP_SCHEMA.
pub async fn publish(config: &Config, connection: &mut Connection) -> anyhow::Result<()> {
    let catalogs = super::load::catalogs(config)?;
    tap::functions::create(connection).await?;
    tap::published::publish(connection, &catalogs, &config.tap.publish).await?;
    Ok(())
}

async fn list(config: &Config) -> anyhow::Result<ExitCode> {
    let connection = db::connect(&config.db()).await?;
    let lines = if registry::exists(&connection).await? { registry::list(&connection).await? } else { Vec::new() };
    if lines.is_empty() {
        println!("no image is registered; brickyard images add FOLDER does it");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY);
    table.set_header(["file", "HDU", "filter", "instrument", "pixels", "arcsec/pixel", "exposure", "middle"]);
    for line in &lines {
        table.add_row([
            line.path.clone(),
            line.hdu.to_string(),
            line.filter.clone().unwrap_or_default(),
            line.instrument.clone().unwrap_or_default(),
            line.naxis.iter().map(i64::to_string).collect::<Vec<_>>().join(" x "),
            format!("{:.4}", line.scale_arcsec),
            line.exptime_s.map(|seconds| format!("{seconds} s")).unwrap_or_default(),
            format!("{:.5} {:+.5}", line.ra_deg, line.dec_deg),
        ]);
    }
    println!("{table}");
    Ok(ExitCode::SUCCESS)
}

async fn check(config: &Config, sha256: bool, forget: bool) -> anyhow::Result<ExitCode> {
    let roots = Roots::new(&config.images.roots, &config.store_credentials())?;
    let connection = db::connect(&config.db()).await?;
    if !registry::exists(&connection).await? {
        println!("no image is registered");
        return Ok(ExitCode::SUCCESS);
    }
    let (count, ailing) = registry::check(&connection, &roots, sha256).await.context("looking at the registered files")?;
    let mut left = 0;
    for (path, ailment) in &ailing {
        let what = match ailment {
            Ailment::Vanished if forget => {
                registry::forget(&connection, path).await?;
                println!("{path}: forgotten, the file is gone");
                continue;
            }
            Ailment::Vanished => "the file is gone; images check --forget takes it out of the list",
            Ailment::RootUnknown => "its folder is not in images.roots any more",
            Ailment::Changed => "the file has changed; images add reads it anew",
            Ailment::Damaged => "size and time are the same, but the SHA-256 is not: the disk or somebody has damaged it",
        };
        left += 1;
        println!("{path}: {what}");
    }
    println!("{} of {count} files are as they were", count - ailing.len());
    Ok(if left > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Makes the HiPS one after another; each uses all cores.
async fn hips(config: &Config, args: HipsArgs) -> anyhow::Result<ExitCode> {
    let roots = Roots::new(&config.images.roots, &config.store_credentials())?;
    let connection = db::connect(&config.db()).await?;
    let filters = (!args.filter.is_empty()).then_some(args.filter.as_slice());
    let exposed = registry::by_filter(&connection, filters, args.collection.as_deref()).await?;
    drop(connection);
    let unknown: Vec<&str> =
        args.filter.iter().map(String::as_str).filter(|name| !exposed.iter().any(|e| e.filter.eq_ignore_ascii_case(name))).collect();
    anyhow::ensure!(unknown.is_empty(), "no image of {} is registered; brickyard images list shows those that are", unknown.join(", "));
    anyhow::ensure!(!exposed.is_empty(), "no image is registered; brickyard images add FOLDER does it");
    let authority = tap::registry::authority(&config.tap.authority, &config.web.base_url);
    let cache = gzip::Cache::new(super::load::scratch_dir(config)?, CACHE_BYTES);
    let work = move || {
        for images in exposed.chunk_by(|a, b| a.filter == b.filter) {
            one_hips(&args, &roots, images, &authority, &cache)?;
        }
        Ok(ExitCode::SUCCESS)
    };
    tokio::task::spawn_blocking(work).await.context("making the HiPS stopped")?
}

fn one_hips(args: &HipsArgs, roots: &Roots, images: &[registry::Exposed], authority: &str, cache: &gzip::Cache) -> anyhow::Result<()> {
    let filter = &images[0].filter;
    let folder: String = filter.chars().map(|c| if c.is_ascii_alphanumeric() || "-_+".contains(c) { c } else { '_' }).collect();
    let whole = archive::Whole::new(roots, cache);
    let frame = |image: &registry::Exposed| {
        let gone = || format!("{}: the file is gone or not in a configured folder; brickyard images check tells more", image.place.path);
        // what the file is now, not when it was registered
        let archive::Stamp { bytes, mtime_ns } = whole.stamp(&image.place).with_context(gone)?;
        Ok(hips::Frame { name: image.place.path.clone(), hdu: usize::try_from(image.hdu)?, bytes, mtime_ns })
    };
    let frames = images.iter().map(frame).collect::<anyhow::Result<Vec<_>>>()?;
    let mut collections: Vec<&str> = images.iter().map(|image| image.collection.as_str()).collect();
    collections.sort_unstable();
    collections.dedup();
    let span = |of: fn(&registry::Exposed) -> Option<[f64; 2]>| {
        images.iter().filter_map(of).reduce(|[a, b], [low, high]| [a.min(low), b.max(high)])
    };
    let about = hips::About {
        id: format!("ivo://{authority}/hips/{folder}"),
        title: format!("{} {filter}", collections.join(", ")),
        collection: Some(collections.join(", ")),
        band_m: span(|image| image.band_m),
        times_mjd: span(|image| image.times_mjd),
        date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%MZ").to_string(),
    };
    let options = hips::Options { cuts: args.cuts.clone(), curve: args.stretch, zero_is_data: args.zeros };
    let bar = hips_bar();
    let out = args.out.join(&folder);
    let progress = |event| {
        let (what, done, all) = match event {
            hips::Event::Tiles { done, all } => ("tiles of the deepest order", done, all),
            hips::Event::Pictures { done, all } => ("pictures", done, all),
        };
        bar.set_length(all);
        bar.set_message(format!("{filter}: {what}"));
        bar.set_position(done);
    };
    // a path is in one root only
    let places: BTreeMap<&str, &archive::Place> = images.iter().map(|image| (image.place.path.as_str(), &image.place)).collect();
    let open = |frame: &hips::Frame| Ok(whole.open(places[frame.name.as_str()])?);
    let report = hips::make(&out, &frames, &about, &options, &open, &progress).with_context(|| format!("HiPS of {filter}"))?;
    bar.finish_and_clear();
    let hips::Report { order, tiles, made, stale } = report;
    let anew = if stale > 0 { format!(", of which {stale} were of images that have changed or gone") } else { String::new() };
    println!("{filter}: {tiles} tiles to order {order}, {made} made now{anew}, in {}", out.display());
    Ok(())
}

fn hips_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(1);
    let style = ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} {msg}, {eta} left");
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}
