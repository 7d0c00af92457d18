//! `brickyard demo`: a synthetic sample of the survey, loaded, asked and served, in one command.
//!
//! What it makes lies in `<data_dir>/demo`: `survey/` (the simulated files), `sample.json` (the options that they were
//! made with; it is there when they are whole), three pictures, and `reduction/`, the data directory of a reduction that the stage runner
//! does ([`super::reduce`]). The rows go into the ordinary database of the data
//! directory, so that every other command answers from them afterwards; a database that holds files of the user's own
//! is refused, because synthetic stars among real ones would be found by nobody. Run again, everything that is there
//! is used as it is.

use super::answer::write_png;
use super::{cutout, images, load, reduce, serve, simulate};
use crate::archive::{Roots, Surveys, registry};
use crate::config::Config;
use crate::cutout::{self as pictures, Origin};
use crate::db::{self, Connection, cluster};
use crate::explore::{Lightcurve, Map, Star, map};
use crate::format::table;
use crate::image::{FitsFile, Piece, Select, gzip};
use crate::ingest::{self, Event, Indexing, Progress, files, ledger, manifest, sort};
use crate::simulate::{Dolphot, Options};
use anyhow::Context;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Simulate a sample of a survey, load it, ask it and serve it: a first look
///
/// The sample is synthetic (bricks 1, 4, 15 and 23 of PHAT, thinned, and a drizzled mosaic of each in six filters) and goes into the database of the data directory,
/// which must not hold files of your own. The first run takes about a minute; run again, it uses what is there.
///
/// It shows the answers to the three example queries of the paper, three pictures, a reduction from exposures to rows by the stage runner,
/// and commands to go on with, and then serves
/// the sample over HTTP for TOPCAT, pyvo, STILTS and browsers. Service and database run until you press Ctrl-C; a database that ran
/// before goes on running.
#[derive(clap::Args)]
pub struct Args {
    /// Stop when everything has been shown and the service has answered, instead of waiting for Ctrl-C
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    listen: serve::Listen,
    /// Objects in all, each with 32 measurements or more
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    objects: u64,
}

/// 128 + SIGINT, as shells report it.
const INTERRUPTED: u8 = 130;

/// The Cepheid of the paper's light curve.
const V5343: Star = Star::Near { ra_deg: 11.02203, dec_deg: 41.23451, radius_deg: 0.2 / 3600.0 };
const V5343_PERIOD_D: f64 = 10.29;

/// The side of its mosaics.
const MOSAIC_ARCSEC: f64 = 40.0;
/// The brick whose middle is drawn in colours: the nearest to M31's centre.
const DRAWN_BRICK: &str = "brick01";
/// Red, green, blue.
const DRAWN_FILTERS: [&str; 3] = ["f814w", "f475w", "f336w"];

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    let mut interrupted = Interrupted::new()?;
    let options = config.db();
    let embedded = options.database_url.is_none();
    let ran_before = embedded && cluster::running(&options).await?.is_some();
    let shown = tokio::select! {
        shown = show(config, &args) => Some(shown),
        () = interrupted.wait() => None,
    };
    let ours = embedded && !ran_before;
    let Some(shown) = shown else {
        if ours {
            cluster::stop(&options).await?;
        }
        cluster::stop(&reduce::place(config, &absolute(&config.data_dir()).join("demo")).db()).await?;
        eprintln!("interrupted; the same command goes on from here");
        // The simulation may still be at work on threads that nothing can call back.
        std::process::exit(i32::from(INTERRUPTED));
    };
    let served = match &shown {
        Ok(drawn) => serve(config, &args, drawn, &mut interrupted).await,
        Err(_) => Ok(()),
    };
    if ours {
        cluster::stop(&options).await?;
        println!("The database is stopped; any command that asks it starts it again.");
    }
    shown.and(served).map(|()| ExitCode::SUCCESS)
}

/// The same, with the survey's folder as one of those that images may lie in.
fn with_images(config: &Config) -> Config {
    let mut config = config.clone();
    config.images.roots.push(survey_folder(&config));
    config
}

fn survey_folder(config: &Config) -> PathBuf {
    absolute(&config.data_dir()).join("demo/survey")
}

/// Serves the sample until Ctrl-C, or only until the service has shown that it answers.
async fn serve(config: &Config, args: &Args, drawn: &Drawn, interrupted: &mut Interrupted) -> anyhow::Result<()> {
    let mut config = with_images(config);
    args.listen.put_into(&mut config);
    // requests would scroll the commands away
    config.web.log_level = "warn".to_owned();
    serve::start_log(&config)?;
    let (listener, app) = match serve::open(&config).await {
        Err(error) if !args.listen.names_port() && is_taken(&error) => {
            println!("\nPort {} is taken; --port N chooses one.", config.web.port);
            config.web.port = 0;
            serve::open(&config).await?
        }
        opened => opened?,
    };
    let (address, base_url) = (listener.local_addr()?, app.base_url.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve::until(app, listener, async { drop(stopped.await) }));
    let line = prove(address).await?;
    println!("\nServing at {base_url}/ for TOPCAT, pyvo, STILTS and your browser ({line}).");
    println!("{}", drawn.urls(&base_url));
    if !args.once {
        println!("The service and the database run until you press Ctrl-C here.");
        interrupted.wait().await;
        println!();
    }
    drop(stop);
    anyhow::ensure!(serving.await?, "requests that were still running have been cut off");
    Ok(())
}

fn is_taken(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

/// Asks the service one query as any client would; the old protocol, as its answers come in one piece.
async fn prove(address: SocketAddr) -> anyhow::Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const REQUEST: &str = "GET /tap/sync?LANG=ADQL&FORMAT=csv&QUERY=SELECT+COUNT(*)+AS+n+FROM+phat_v2.phot_mod HTTP/1.0\r\n\r\n";
    let begun = Instant::now();
    let reachable = if address.ip().is_unspecified() { SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()) } else { address };
    let mut stream = tokio::net::TcpStream::connect(reachable).await.context("the service does not take connections")?;
    stream.write_all(REQUEST.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.split(' ').nth(1) == Some("200"), "the service does not answer a query: {answer}");
    let count = answer.lines().filter_map(|line| line.trim().parse::<u64>().ok()).next_back();
    let count = count.with_context(|| format!("the service's answer has no number: {answer}"))?;
    Ok(format!("it counts {} objects in {:.0} ms", HumanCount(count), begun.elapsed().as_secs_f64() * 1e3))
}

/// Ctrl-C, SIGTERM, or the terminal going away.
struct Interrupted([Signal; 3]);

impl Interrupted {
    fn new() -> std::io::Result<Interrupted> {
        Ok(Interrupted([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {}, _ = hangup.recv() => {} }
    }
}

async fn show(config: &Config, args: &Args) -> anyhow::Result<Drawn> {
    let begun = Instant::now();
    let dir = config.data_dir().join("demo");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    let dir = fs::canonicalize(&dir).with_context(|| format!("cannot enter {}", dir.display()))?;
    println!("A sample of the PHAT survey of M31, synthetic, in {}", dir.display());

    step(1, "Start the database");
    let connection = db::connect(&config.db()).await?;
    println!("{} ({:.1} s)", connection.target(), begun.elapsed().as_secs_f64());
    refuse_other_files(&connection, &dir).await?;

    step(2, "Simulate the survey's files");
    survey(&dir, args.objects).await?;

    step(3, "Load them");
    load(config, &connection, &dir.join("survey")).await?;

    ask(&connection, &dir).await?;

    step(8, "Images of the same stars: drizzled mosaics in six filters");
    // the session of the questions refuses to write
    let drawn = register(&with_images(config), &mut db::connect(&config.db()).await?, &dir).await?;

    step(9, "Exposures of a brick to rows of their own, by the stage runner");
    reduce::run(&reduce::place(config, &dir)).await?;
    println!("\nAll of it took {:.0} s.", begun.elapsed().as_secs_f64());
    println!("{}", go_on(config, &drawn).await?);
    Ok(drawn)
}

fn step(number: usize, what: &str) {
    println!("\n{number}. {what}");
}

/// Synthetic rows must not get among the user's own.
async fn refuse_other_files(connection: &Connection, dir: &Path) -> anyhow::Result<()> {
    ledger::create(connection).await?;
    let ours = format!("{}/", dir.display());
    if let Some(row) = connection.query_opt(include_str!("../../sql/demo/other_file.sql"), &[&ours]).await.map_err(db::Error::from)? {
        let other: String = row.get("path");
        anyhow::bail!(
            "phat_v2 in this database holds rows of {other}, among which the demo would put synthetic stars; give the demo a place of its own: brickyard --data-dir DIR demo"
        );
    }
    Ok(())
}

/// What tells one sample from another, and what there is of it.
#[derive(Serialize, Deserialize)]
struct Sample {
    asked: u64,
    objects: u64,
    measurements: u64,
    files: usize,
    /// Mosaics; samples of older versions have none.
    #[serde(default)]
    images: usize,
}

/// Simulates the survey unless it is there.
async fn survey(dir: &Path, objects: u64) -> anyhow::Result<()> {
    let note = dir.join("sample.json");
    // The text of DOLPHOT would be the same measurements once more.
    let images_arcsec = Some(MOSAIC_ARCSEC);
    let options = Options { objects, dolphot: Dolphot::None, images_arcsec, ..Options::new(dir.join("survey")) };
    if let Some(sample) = earlier(&note)? {
        anyhow::ensure!(
            sample.asked == objects,
            "{} holds a sample of {} objects, not {objects}; leave --objects {objects} out, or give this sample a place of its own: brickyard --data-dir DIR demo",
            dir.display(),
            sample.asked
        );
        if dir.join("survey").is_dir() {
            println!("{}, from an earlier run", sample.text());
            return extend(sample, options, &note).await;
        }
    }
    let begun = Instant::now();
    let report = simulate::simulate(options).await?;
    let images = report.files.iter().filter(|file| is_mosaic(&file.path)).count();
    let files = report.files.iter().filter(|file| !file.path.ends_with("truth.fits")).count() - images;
    let sample = Sample { asked: objects, objects: report.objects, measurements: report.measurements, files, images };
    sample.write(&note)?;
    println!("{} ({:.1} s)", sample.text(), begun.elapsed().as_secs_f64());
    Ok(())
}

/// Draws the mosaics that the sample of an older version has not, or that have gone.
async fn extend(mut sample: Sample, options: Options, note: &Path) -> anyhow::Result<()> {
    let there = mosaics(&options.out)?.len();
    if sample.images > 0 && there >= sample.images {
        return Ok(());
    }
    let begun = Instant::now();
    let drawn = tokio::task::spawn_blocking(move || crate::simulate::add_images(&options)).await.context("drawing stopped")??;
    sample.images = drawn.len();
    sample.write(note)?;
    println!("{} mosaics added to it ({:.1} s)", sample.images, begun.elapsed().as_secs_f64());
    Ok(())
}

fn is_mosaic(path: &Path) -> bool {
    path.to_string_lossy().ends_with("_drz.fits")
}

/// The mosaics of a survey, by path.
fn mosaics(survey: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let files = cutout::files(&[survey.display().to_string()])?;
    Ok(files.into_iter().map(|(path, _)| path).filter(|path| is_mosaic(path)).collect())
}

impl Sample {
    fn text(&self) -> String {
        let (objects, measurements) = (HumanCount(self.objects), HumanCount(self.measurements));
        match self.images {
            0 => format!("{objects} objects, {measurements} measurements, {} files", self.files),
            images => format!("{objects} objects, {measurements} measurements, {} files, {images} mosaics", self.files),
        }
    }

    fn write(&self, note: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string(self).context("writing down what was simulated")?;
        fs::write(note, text).with_context(|| format!("cannot write {}", note.display()))
    }
}

fn earlier(note: &Path) -> anyhow::Result<Option<Sample>> {
    match fs::read(note) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text).with_context(|| format!("{} is damaged; remove it", note.display()))?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", note.display())),
    }
}

/// Loads the survey with the built-in loaders of phat_v2.
async fn load(config: &Config, connection: &Connection, survey: &Path) -> anyhow::Result<()> {
    let catalogs = load::catalogs(config)?;
    let manifests = manifest::load_all(&config.loader_dir, &catalogs)?;
    let request = files::Request { manifests: &manifests, catalogs: &catalogs, forced: false, set: &Default::default() };
    let tasks = files::tasks(&[survey.display().to_string()], &request)?;
    let options = ingest::Options {
        replace: false,
        recluster: false,
        indexing: Indexing::Build,
        index_sessions: load::index_sessions(),
        scratch_dir: load::scratch_dir(config)?,
        limits: sort::Limits::here(),
    };
    let progress = progress(tasks.len());
    let report = ingest::load(connection, tasks, &options, &progress).await.map_err(|error| match error {
        ingest::Error::Changed { .. } => {
            anyhow::anyhow!("{error}\nThe database holds another sample: give this one a place of its own, brickyard --data-dir DIR demo")
        }
        other => other.into(),
    })?;
    drop(progress);
    load::print_report(&report);
    Ok(())
}

/// One bar over all files, then over all indices; nothing where no terminal is.
fn progress(files: usize) -> Progress {
    if !std::io::stderr().is_terminal() {
        return Progress::silent();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos:>3} of {len} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(files as u64).with_style(style);
    bar.set_message("files");
    bar.enable_steady_tick(Duration::from_millis(200));
    let rows = std::sync::atomic::AtomicU64::new(0);
    let last = std::sync::Mutex::new(String::new());
    Progress::new(move |event| match event {
        Event::Copied { rows: more } => {
            let rows = more + rows.fetch_add(more, std::sync::atomic::Ordering::Relaxed);
            bar.set_message(format!("files, {} rows", HumanCount(rows)));
        }
        Event::File(report) => {
            let Ok(mut last) = last.lock() else { return };
            bar.inc(u64::from(*last != report.path));
            *last = report.path;
        }
        Event::Indexing { total } => {
            bar.set_length(total as u64);
            bar.set_position(0);
            bar.set_message("indices");
        }
        Event::Indexed { name, .. } => {
            bar.inc(1);
            bar.set_message(format!("indices, {name}"));
        }
        Event::Analyzing { table } => bar.set_message(format!("analysing {table}")),
        Event::Reading { .. } | Event::Read { .. } | Event::Copying { .. } | Event::Clustering { .. } => {}
    })
}

/// The three questions of the paper, and what the tables have become.
async fn ask(connection: &Connection, dir: &Path) -> anyhow::Result<()> {
    step(4, "Some rows: SELECT ... LIMIT");
    answer(connection, include_str!("../../sql/demo/first_rows.sql")).await?;

    step(5, "Where the stars are: a HEALPix map by pix4096");
    answer(connection, include_str!("../../sql/demo/healpix_map.sql")).await?;
    let map = Map { table: "phat_v2.phot_mod".parse()?, resolution: map::Resolution::Fine, value: map::Value::Count, condition: None };
    let cells = map::collect(&mut map.ask(connection).await?).await?;
    let count: usize = cells.iter().map(|batch| batch.num_rows()).sum();
    let png = dir.join("density.png");
    write_png(&png, &map.draw(&cells)?)?;
    println!("all {count} cells are drawn in {}", png.display());

    step(6, "How a star varies: the Cepheid V5343 by q3c_radial_query");
    answer(connection, include_str!("../../sql/demo/light_curve.sql")).await?;
    let lightcurve = Lightcurve { table: "phat_v2.phot_meas".parse()?, star: V5343, period_d: Some(V5343_PERIOD_D) };
    let measured = lightcurve.ask(connection).await?;
    let png = dir.join("v5343.png");
    write_png(&png, &lightcurve.draw(&measured)?)?;
    println!("all {} are drawn over time and folded by {V5343_PERIOD_D} days in {}", measured.measurements.len(), png.display());

    step(7, "What the tables have become");
    answer(connection, include_str!("../../sql/demo/tbl_stat.sql")).await
}

/// What has been drawn, for the commands to copy.
struct Drawn {
    /// A mosaic, as `/svc/cutout` names it.
    file: String,
    ra_deg: f64,
    dec_deg: f64,
}

impl Drawn {
    /// Questions about images that a browser can ask.
    fn urls(&self, base_url: &str) -> String {
        let Drawn { file, ra_deg, dec_deg } = self;
        let mosaic = format!("{base_url}/svc/cutout?siaRef={file}&POS={ra_deg:.5},{dec_deg:.5}");
        format!(
            "Images at a position, a piece of one as FITS, the same to look at:\n  \
             {base_url}/sia2/query?POS=CIRCLE+{ra_deg:.5}+{dec_deg:.5}+0.001&RESPONSEFORMAT=csv\n  \
             {mosaic}&SIZE=0.003\n  {mosaic}&SIZE=0.01&preview=true"
        )
    }
}

/// Registers the mosaics, says what there is, and draws the middle of one in colours.
async fn register(config: &Config, connection: &mut Connection, dir: &Path) -> anyhow::Result<Drawn> {
    let begun = Instant::now();
    let roots = Roots::new(&config.images.roots, &config.store_credentials())?;
    let cache = Arc::new(gzip::Cache::new(load::scratch_dir(config)?, u64::MAX));
    registry::create(connection).await?;
    let paths = mosaics(&dir.join("survey"))?;
    let adding = registry::Adding { surveys: Arc::new(Surveys::load(&config.loader_dir)?), ..registry::Adding::default() };
    for path in &paths {
        registry::add(connection, &roots, path, &adding, &cache).await?;
    }
    images::publish(config, connection).await?;
    println!("{} images are registered in ivoa.obscore ({:.1} s)", paths.len(), begun.elapsed().as_secs_f64());
    answer(connection, include_str!("../../sql/demo/images.sql")).await?;

    let lines = registry::list(connection).await?;
    let [red, green, blue] = DRAWN_FILTERS;
    let is_drawn = |path: &str, filter: &str| path.starts_with(DRAWN_BRICK) && path.contains(&format!("_{filter}_"));
    let middle = lines.iter().find(|line| is_drawn(&line.path, green)).with_context(|| format!("no image of {DRAWN_BRICK} in {green}"))?;
    let file = |filter: &str| {
        let wanted = || format!("no mosaic of {DRAWN_BRICK} in {filter}");
        let is_meant = |path: &&PathBuf| path.strip_prefix(dir.join("survey")).is_ok_and(|path| is_drawn(&path.to_string_lossy(), filter));
        paths.iter().find(is_meant).cloned().with_context(wanted)
    };
    let files = [file(red)?, file(green)?, file(blue)?];
    let size_deg = 0.9 * MOSAIC_ARCSEC / 3600.0;
    let piece = Piece::Frame { ra_deg: middle.ra_deg, dec_deg: middle.dec_deg, width_deg: size_deg, height_deg: size_deg };
    let draw = move || -> anyhow::Result<Vec<u8>> {
        let look = pictures::Look { scale_bar: true, compass: true, ..pictures::Look::default() };
        let mut opened = files.iter().map(|path| FitsFile::open(path, &cache)).collect::<Result<Vec<_>, _>>()?;
        let [red, green, blue] = opened.as_mut_slice() else { anyhow::bail!("a colour picture is made of three images") };
        let select = &Select::First;
        Ok(pictures::colour([red, green, blue].map(|file| Origin { file, select }), &piece, &look)?)
    };
    let bytes = tokio::task::spawn_blocking(draw).await.context("drawing stopped")??;
    let png = dir.join("colour.png");
    write_png(&png, &bytes)?;
    let arcsec = size_deg * 3600.0;
    println!("{arcsec:.0} x {arcsec:.0} arcsec of {DRAWN_BRICK} in {red}, {green}, {blue} are drawn in colours in {}", png.display());
    let name = middle.path.rsplit('/').next().unwrap_or(&middle.path).to_owned();
    Ok(Drawn { file: name, ra_deg: middle.ra_deg, dec_deg: middle.dec_deg })
}

/// Prints the statement and its rows.
async fn answer(connection: &Connection, file: &str) -> anyhow::Result<()> {
    let statement: Vec<&str> = file.lines().filter(|line| !line.starts_with("--")).collect();
    for line in &statement {
        println!("   {line}");
    }
    let begun = Instant::now();
    let rows = db::query(connection, &statement.join("\n"), &[]).await?;
    let width = comfy_table::Table::new().width().map(usize::from);
    let mut text = Vec::new();
    table::write(rows, table::Limits { width, ..table::Limits::default() }, &mut text).await?;
    let text = String::from_utf8_lossy(&text);
    writeln!(std::io::stdout(), "{} in {:.0} ms", text.trim_end(), begun.elapsed().as_secs_f64() * 1e3)?;
    Ok(())
}

/// Commands to copy.
async fn go_on(config: &Config, drawn: &Drawn) -> anyhow::Result<String> {
    let program = quoted(&std::env::current_exe().context("cannot tell where this program lies")?);
    let place = config.data_dir.as_ref().map(|dir| format!(" --data-dir {}", quoted(&absolute(dir)))).unwrap_or_default();
    let (stop, jdbc) = match cluster_port(config).await? {
        Some(port) => (
            "\n  brickyard db stop",
            format!("TOPCAT and JDBC: jdbc:postgresql://127.0.0.1:{port}/brickyard, user and password as in\n  brickyard db url --tcp"),
        ),
        None => ("", "TOPCAT and JDBC: the server of your --database-url".to_owned()),
    };
    let survey = quoted(&survey_folder(config));
    let reduction = quoted(&absolute(&config.data_dir()).join("demo/reduction"));
    let [red, green, blue] = DRAWN_FILTERS;
    Ok(format!(
        r#"
How to go on, in another terminal:
  alias brickyard='{alias}'
  brickyard sql "SELECT brick, count(*) FROM phat_v2.phot_mod GROUP BY brick" --format table
  brickyard cone 11.02203 41.23451 2arcsec --columns objid,ra,dec --format table
  brickyard map --png colour.png --value mean:"f475w_vega - f814w_vega" \
      --where "f475w_vega < 90 AND f814w_vega < 90"
  brickyard lightcurve 11.02203 41.23451 --period 10.29 --png v5343.png
  brickyard cutout {ra:.5} {dec:.5} 20arcsec --file {survey}/{DRAWN_BRICK} --rgb --filter {red},{green},{blue} --output colour.png
  brickyard db psql{stop}
  {program} --data-dir {reduction} pipeline tree m31
Python: psycopg.connect(URL), psql and others: the URL of
  brickyard db url
{jdbc}
Images, for brickyard serve and brickyard images:
  export BRICKYARD_IMAGES_ROOTS="['{folder}']"
Your own files, in a database without synthetic stars:
  {program} --data-dir DIR load FOLDER"#,
        ra = drawn.ra_deg,
        dec = drawn.dec_deg,
        folder = survey_folder(config).display(),
        alias = format!("{program}{place}").replace('\'', r"'\''"),
    ))
}

async fn cluster_port(config: &Config) -> anyhow::Result<Option<u16>> {
    let options = config.db();
    Ok(match options.database_url {
        None => cluster::running(&options).await?.map(|server| server.port),
        Some(_) => None,
    })
}

/// The other terminal may stand in another folder.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// A word for the shell.
fn quoted(word: &Path) -> String {
    let text = word.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_them_otherwise() {
        assert_eq!(quoted(Path::new("/opt/brick-yard_1.0/bin")), "/opt/brick-yard_1.0/bin");
        assert_eq!(quoted(Path::new("/my data/it's")), r"'/my data/it'\''s'");
    }
}
