//! `brickyard cutout`: pieces of images about one position or many, as FITS, PNG or JPEG.

use super::answer;
use crate::config::Config;
use crate::cutout::{self, Look, Origin};
use crate::db;
use crate::explore::{
    self,
    position::{self, Unit},
};
use crate::format::{self, Kind};
use crate::image::{self, Curve, Cuts, Encoding, FitsFile, Piece, Select, cut, gzip};
use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Cut pieces out of FITS images, with world coordinates that are right, or draw them
///
/// Only the rows or tiles that a piece needs are read, whatever the image's size. A piece is a FITS file with the pixels as
/// they are, in the primary HDU, and all cards of the image; or a picture.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Right ascension: degrees or hours (00:44:05.29); left out with --list and --query
    #[arg(allow_hyphen_values = true, required_unless_present_any = ["list", "query"])]
    ra: Option<String>,
    /// Declination: degrees or sexagesimal
    #[arg(allow_hyphen_values = true, required_unless_present_any = ["list", "query"])]
    dec: Option<String>,
    /// Side of the piece, or WIDTHxHEIGHT, of --unit or with its own unit: 10arcsec, 0.5arcmin, 20x10arcsec
    #[arg(allow_hyphen_values = true, required_unless_present_any = ["list", "query"])]
    size: Option<String>,
    /// Unit of a bare SIZE: arcsec, arcmin or deg
    #[arg(long, default_value = "arcsec", value_parser = answer::text::<Unit>)]
    unit: Unit,
    /// Images: FITS files, plain, .gz or tile-compressed; folders; patterns
    #[arg(long = "file", short, value_name = "FILE|DIR|GLOB", required = true, num_args = 1..)]
    files: Vec<String>,
    /// Only images of these filters, by their FILTER card; with --rgb red, green, blue
    #[arg(long, value_name = "F814W,..", value_delimiter = ',')]
    filter: Vec<String>,
    /// Which image of a file: number, EXTNAME, or EXTNAME,EXTVER [default: the first]
    #[arg(long, value_name = "HDU", value_parser = answer::text::<Select>)]
    hdu: Option<Select>,
    /// Other images of the file to cut along as extensions (weights, data quality)
    #[arg(long, value_name = "HDU", num_args = 1.., conflicts_with_all = ["png", "jpeg", "rgb"], value_parser = answer::text::<Select>)]
    plane: Vec<Select>,
    /// Positions from a CSV file with the columns ra, dec and, if wanted, size and name; - for standard input
    #[arg(long, value_name = "CSV")]
    list: Option<PathBuf>,
    /// Positions from an SQL query of the database, with the same columns
    #[arg(long, value_name = "SQL", conflicts_with = "list")]
    query: Option<String>,
    /// Where to write: a folder, or for a single piece a file
    #[arg(long, short, value_name = "PATH", default_value = ".")]
    output: PathBuf,
    /// Give the whole frame, NaN or BLANK beyond the image's edge, instead of the part that is there
    #[arg(long)]
    pad: bool,
    #[command(flatten)]
    picture: PictureArgs,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Pictures")]
struct PictureArgs {
    /// A PNG instead of FITS
    #[arg(long)]
    png: bool,
    /// A JPEG instead of FITS
    #[arg(long, conflicts_with = "png")]
    jpeg: bool,
    /// One colour picture of three filters [without --filter: the three longest apart, long waves red]
    #[arg(long)]
    rgb: bool,
    /// Black and white: zscale, minmax, 99.5%, or two values
    #[arg(long, default_value = "99.5%", allow_hyphen_values = true, value_parser = answer::text::<Cuts>)]
    cuts: Cuts,
    /// Brightness curve
    #[arg(long, value_enum, default_value = "asinh")]
    stretch: Curve,
    /// North up and east left
    #[arg(long)]
    north_up: bool,
    /// Draw a scale bar and the directions
    #[arg(long)]
    marks: bool,
    /// Draw circles about the positions of a CSV file with the columns ra and dec
    #[arg(long, value_name = "CSV")]
    overlay: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  brickyard cutout 11.0220 41.2345 10 --file survey/brick04
  brickyard cutout 00:44:05.3 +41:14:04 20arcsec --file '*_f814w_*_drz.fits' --png --marks
  brickyard cutout 11.0220 41.2345 20 --file survey/brick04 --rgb --filter F814W,F475W,F336W --output colour.png
  brickyard cutout --list stars.csv 5arcsec --file survey --filter F475W --output pieces
  brickyard cutout --query \"SELECT ra, dec, objid AS name FROM phat_v2.phot_mod WHERE f475w_vega < 19\" 5 --file survey";

/// The most bytes of a piece; the machine is the user's own, but a slip of the finger should not fill its memory.
const LIMIT_BYTES: u64 = 4 << 30;
/// Inflated .fits.gz that are kept at once.
const CACHE_BYTES: u64 = 64 << 30;

/// One position and what its pieces are called.
struct Target {
    name: String,
    piece: Piece,
}

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    let scratch = super::load::scratch_dir(config)?;
    let asked = match &args.query {
        Some(sql) => Some(ask(config, sql).await.context("the query for positions")?),
        None => None,
    };
    tokio::task::spawn_blocking(move || cut_all(&args, asked, &scratch)).await.context("cutting stopped")?
}

/// The rows of a query, as CSV.
async fn ask(config: &Config, sql: &str) -> anyhow::Result<Vec<u8>> {
    let connection = db::connect(&config.db()).await?;
    explore::read_only(&connection).await?;
    let mut csv = Vec::new();
    format::write(db::wire_rows(&connection, sql, &[]).await?, Kind::Csv, &mut csv).await?;
    Ok(csv)
}

/// `asked`: the rows of the query for positions.
fn cut_all(args: &Args, asked: Option<Vec<u8>>, scratch: &Path) -> anyhow::Result<ExitCode> {
    let targets = targets(args, asked)?;
    let cache = gzip::Cache::new(scratch, CACHE_BYTES);
    let mut images = images(args, &cache)?;
    let look = look(args)?;
    let single = targets.len() == 1 && (images.len() == 1 || args.picture.rgb);
    let bar = progress_bar(targets.len() as u64);
    let mut written = 0;
    for target in &targets {
        let before = written;
        if args.picture.rgb {
            written += u64::from(colour(args, &mut images, target, &look, single)?);
        } else {
            for image in &mut images {
                written += u64::from(one(args, image, target, &look, single)?);
            }
        }
        if written == before {
            bar.suspend(|| eprintln!("{}: no image overlaps {}", target.name, target.piece));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    eprintln!("{written} pieces written");
    Ok(if written > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn progress_bar(length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() || length < 2 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} positions, {per_sec}, {eta} left");
    let bar = ProgressBar::new(length);
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

fn targets(args: &Args, asked: Option<Vec<u8>>) -> anyhow::Result<Vec<Target>> {
    let rows = match (asked, &args.list) {
        (Some(csv), _) => Some(("the query's answer".to_owned(), rows(csv.as_slice())?)),
        (None, Some(path)) => Some((path.display().to_string(), table(path)?)),
        (None, None) => None,
    };
    if let Some((name, rows)) = rows {
        // the only word beside a list is the size
        anyhow::ensure!(args.dec.is_none(), "with --list and --query the positions are theirs: give the size alone");
        let size = args.ra.as_deref().map(|text| sizes(text, args.unit)).transpose()?;
        return listed(&name, &rows, size, args.unit);
    }
    let size = args.size.as_deref().map(|text| sizes(text, args.unit)).transpose()?;
    let (Some(ra), Some(dec), Some(size)) = (&args.ra, &args.dec, size) else { bail!("give RA DEC SIZE, or --list") };
    let (ra_deg, dec_deg) = (position::ra_deg(ra)?, position::dec_deg(dec)?);
    Ok(vec![Target { name: format!("{ra_deg:.5}{dec_deg:+.5}"), piece: frame(ra_deg, dec_deg, size) }])
}

fn frame(ra_deg: f64, dec_deg: f64, [width_deg, height_deg]: [f64; 2]) -> Piece {
    Piece::Frame { ra_deg, dec_deg, width_deg, height_deg }
}

/// `10`, `10arcsec`, `20x10arcsec` in degrees.
fn sizes(text: &str, unit: Unit) -> anyhow::Result<[f64; 2]> {
    let Some((width, height)) = text.split_once('x') else {
        let side = position::radius_deg(text, unit).with_context(|| format!("size {text:?}"))?;
        return Ok([side; 2]);
    };
    // the unit stands at the end and counts for both
    let letters = height.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' ' | '+'));
    let width = if width.trim().ends_with(|c: char| c.is_ascii_digit() || c == '.') {
        format!("{}{letters}", width.trim())
    } else {
        width.to_owned()
    };
    let side = |text: &str| position::radius_deg(text, unit).with_context(|| format!("size {text:?}"));
    Ok([side(&width)?, side(height)?])
}

fn listed(of: &str, rows: &[Row], size: Option<[f64; 2]>, unit: Unit) -> anyhow::Result<Vec<Target>> {
    let target = |(number, row): (usize, &Row)| -> anyhow::Result<Target> {
        let (ra_deg, dec_deg) = row.position()?;
        let size = match row.cell("size") {
            Some(text) => sizes(text, unit)?,
            None => size.context("no size: give a column size, or a size for all beside --list or --query")?,
        };
        let name = row.cell("name").map_or_else(|| format!("{:05}_{ra_deg:.5}{dec_deg:+.5}", number + 1), safe_name);
        Ok(Target { name, piece: frame(ra_deg, dec_deg, size) })
    };
    rows.iter().enumerate().map(|row| target(row).with_context(|| format!("{of}, line {}", row.0 + 2))).collect()
}

/// Letters, digits and `+-._` of a name: it becomes a part of a file name.
fn safe_name(name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_') { c } else { '_' }).collect();
    let safe = safe.trim_start_matches('.');
    if safe.is_empty() { "_".into() } else { safe.chars().take(100).collect() }
}

/// The cells of a line under their names.
struct Row(Vec<(String, String)>);

impl Row {
    fn cell(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    fn position(&self) -> anyhow::Result<(f64, f64)> {
        let cell = |names: [&str; 2]| names.into_iter().find_map(|name| self.cell(name)).with_context(|| format!("no column {}", names[0]));
        Ok((position::ra_deg(cell(["ra", "ra_deg"])?)?, position::dec_deg(cell(["dec", "dec_deg"])?)?))
    }
}

fn table(path: &Path) -> anyhow::Result<Vec<Row>> {
    let read = || match path.to_str() {
        Some("-") => rows(std::io::stdin().lock()),
        _ => rows(std::fs::File::open(path)?),
    };
    read().with_context(|| format!("reading {}", path.display()))
}

fn rows(csv: impl Read) -> anyhow::Result<Vec<Row>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(csv);
    let names: Vec<String> = reader.headers()?.iter().map(|name| name.trim_start_matches('#').trim().to_lowercase()).collect();
    let row = |record: csv::StringRecord| Row(names.iter().cloned().zip(record.iter().map(str::to_owned)).collect());
    reader.records().map(|record| Ok(row(record?))).collect()
}

/// An open file with an image.
struct Opened {
    path: PathBuf,
    file: FitsFile,
    select: Select,
    filter: String,
}

/// Opens what the user names. Files that were found in folders and hold no image are passed over.
fn images(args: &Args, cache: &gzip::Cache) -> anyhow::Result<Vec<Opened>> {
    let select = args.hdu.clone().unwrap_or_default();
    let mut images = Vec::new();
    for (path, named) in files(&args.files)? {
        match open(&path, &select, cache) {
            Ok(image) if args.filter.is_empty() || args.filter.iter().any(|filter| filter.eq_ignore_ascii_case(&image.filter)) => {
                images.push(image)
            }
            Ok(_) => {}
            Err(image::Error::NoImage { .. } | image::Error::NotFits { .. }) if !named => {}
            Err(error) => return Err(error.into()),
        }
    }
    match images.is_empty() {
        true if args.filter.is_empty() => bail!("no image in {}", args.files.join(", ")),
        true => bail!("no image of filter {} in {}", args.filter.join(", "), args.files.join(", ")),
        false => Ok(images),
    }
}

fn open(path: &Path, select: &Select, cache: &gzip::Cache) -> Result<Opened, image::Error> {
    let mut file = FitsFile::open(path, cache)?;
    let image = file.image(select)?;
    let text = |key: &str| image.header.text(key).or_else(|| file.primary().header.text(key)).map(|text| text.trim().to_owned());
    // ACS has two wheels, one of which is clear
    let filters = ["FILTER", "FILTER1", "FILTER2"].into_iter().filter_map(text).find(|name| !name.is_empty() && !name.starts_with("CLEAR"));
    Ok(Opened { path: path.to_owned(), filter: filters.unwrap_or_default(), file, select: select.clone() })
}

/// The files of words that are files, folders (with those below) or patterns, and whether a word named the file itself.
pub fn files(words: &[String]) -> anyhow::Result<Vec<(PathBuf, bool)>> {
    let mut files = Vec::new();
    for word in words {
        let path = Path::new(word);
        let found: Vec<PathBuf> = if path.is_dir() {
            let pattern = format!("{}/**/*.fits*", glob::Pattern::escape(word.trim_end_matches('/')));
            glob::glob(&pattern)?.collect::<Result<_, _>>()?
        } else if path.exists() {
            vec![path.to_owned()]
        } else {
            glob::glob(word).with_context(|| format!("{word}: no such file, and not a pattern"))?.collect::<Result<_, _>>()?
        };
        if found.is_empty() {
            bail!("{word}: no such file or folder, and no file matches it as a pattern");
        }
        let named = path.is_file();
        files.extend(found.into_iter().filter(|path| path.is_file()).map(|path| (path, named)));
    }
    files.sort();
    files.dedup_by(|a, b| a.0 == b.0);
    Ok(files)
}

fn look(args: &Args) -> anyhow::Result<Look> {
    let picture = &args.picture;
    let overlay = match &picture.overlay {
        Some(path) => table(path)?.iter().map(Row::position).collect::<anyhow::Result<_>>().with_context(|| path.display().to_string())?,
        None => Vec::new(),
    };
    Ok(Look {
        encoding: if picture.jpeg { Encoding::Jpeg } else { Encoding::Png },
        cuts: picture.cuts,
        curve: picture.stretch,
        north_up: picture.north_up,
        scale_bar: picture.marks,
        compass: picture.marks,
        overlay,
        limit_bytes: LIMIT_BYTES,
        ..Look::default()
    })
}

/// Cuts one piece out of one image; false when they do not meet.
fn one(args: &Args, image: &mut Opened, target: &Target, look: &Look, single: bool) -> anyhow::Result<bool> {
    let stem = stem(&image.path);
    if args.picture.png || args.picture.jpeg {
        let origin = Origin { file: &mut image.file, select: &image.select };
        let bytes = match cutout::grey(origin, &target.piece, look) {
            Err(cutout::Error::Image(image::Error::Outside { .. })) => return Ok(false),
            other => other?,
        };
        let path = path_for(args, &format!("{stem}_{}.{}", target.name, ending(args)), single)?;
        write(&path, |out| out.write_all(&bytes))?;
        return Ok(true);
    }
    let options = cut::Options {
        pad: args.pad,
        planes: args.plane.clone(),
        limit_bytes: LIMIT_BYTES,
        date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        cards: Vec::new(),
    };
    let cutout = match image::cut(&mut image.file, &image.select, &target.piece, &options) {
        Err(image::Error::Outside { .. }) => return Ok(false),
        other => other?,
    };
    let path = path_for(args, &format!("{stem}_{}.fits", target.name), single)?;
    write(&path, |out| cutout.write(out))?;
    Ok(true)
}

fn ending(args: &Args) -> &'static str {
    if args.picture.jpeg { "jpg" } else { "png" }
}

/// The file's name without what all image files end in.
fn stem(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    [".gz", ".fz", ".fits", ".fit"].into_iter().fold(name, |name, end| name.strip_suffix(end).map(str::to_owned).unwrap_or(name))
}

/// Draws one colour picture of the three filters; false when one of them does not have the piece.
fn colour(args: &Args, images: &mut [Opened], target: &Target, look: &Look, single: bool) -> anyhow::Result<bool> {
    let filters = if args.filter.is_empty() { three_of(images)? } else { args.filter.clone() };
    let [red, green, blue] = filters.as_slice() else {
        bail!("--rgb wants three filters, red, green and blue: --filter F814W,F475W,F336W")
    };
    let mut chosen = Vec::new();
    for filter in [red, green, blue] {
        let mut found = None;
        for (at, image) in images.iter_mut().enumerate().filter(|(_, image)| image.filter.eq_ignore_ascii_case(filter)) {
            let shape = image.file.image(&image.select)?;
            match cut::place(&mut image.file, &shape, &target.piece) {
                Ok(_) => found = found.or(Some(at)),
                Err(image::Error::Outside { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let Some(at) = found else { return Ok(false) };
        chosen.push(at);
    }
    let mut files = Vec::new();
    for &at in &chosen {
        // one file may serve two colours: each has a handle of its own
        files.push((reopened(&images[at])?, images[at].select.clone()));
    }
    let [(red, a), (green, b), (blue, c)] = files.as_mut_slice() else { bail!("three files") };
    let origins = [Origin { file: red, select: a }, Origin { file: green, select: b }, Origin { file: blue, select: c }];
    let bytes = cutout::colour(origins, &target.piece, look)?;
    let name = format!("{}_{}.{}", filters.join("-").to_lowercase(), target.name, ending(args));
    write(&path_for(args, &name, single)?, |out| out.write_all(&bytes))?;
    Ok(true)
}

fn reopened(image: &Opened) -> anyhow::Result<FitsFile> {
    Ok(FitsFile::new(image.file.source().again())?)
}

/// Three filters of those that there are, the longest waves first.
fn three_of(images: &[Opened]) -> anyhow::Result<Vec<String>> {
    let mut filters: Vec<String> = images.iter().map(|image| image.filter.to_uppercase()).filter(|filter| !filter.is_empty()).collect();
    filters.sort_by(|a, b| wavelength(b).total_cmp(&wavelength(a)).then_with(|| a.cmp(b)));
    filters.dedup();
    match filters.len() {
        0..3 => bail!("--rgb wants images of three filters, found {}", if filters.is_empty() { "none".into() } else { filters.join(", ") }),
        count => Ok([0, (count - 1) / 2, count - 1].map(|at| filters[at].clone()).to_vec()),
    }
}

/// Nanometres that the name of a Hubble filter tells: F475W is 475, F110W of the infrared camera 1100.
fn wavelength(filter: &str) -> f64 {
    let digits: String = filter.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    match digits.parse::<f64>() {
        Ok(number) if number < 200.0 => 10.0 * number,
        Ok(number) => number,
        Err(_) => 0.0,
    }
}

/// Where a piece goes: into the folder, or into the file that the user named for a single one.
fn path_for(args: &Args, name: &str, single: bool) -> anyhow::Result<PathBuf> {
    let names_a_file = args.output.extension().is_some() && !args.output.is_dir();
    if names_a_file && single {
        return Ok(args.output.clone());
    }
    if names_a_file {
        bail!("{} is one file, but there are several pieces: name a folder", args.output.display());
    }
    std::fs::create_dir_all(&args.output).with_context(|| format!("making the folder {}", args.output.display()))?;
    Ok(args.output.join(name))
}

/// Writes a file that appears when it is whole.
fn write(path: &Path, act: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let mut temporary = answer::beside(path).with_context(cannot)?;
    act(temporary.as_file_mut()).with_context(cannot)?;
    temporary.persist(path).with_context(cannot)?;
    println!("{}", path.display());
    Ok(())
}
