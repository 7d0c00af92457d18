//! `brickyard load`: files into tables, with a progress bar and a closing report.

use crate::config::Config;
use crate::ingest::{self, Event, FileReport, Indexing, Options, Outcome, Progress, Report, files, manifest, sort};
use crate::schema::Catalog;
use crate::tap;
use anyhow::Context as _;
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Load catalogue files into the database, sorted by sky position, with ids and indices
///
/// Files are FITS binary tables (plain, .gz, tile-compressed) and DOLPHOT text (.phot with .columns, .info and a
/// reference WCS beside it). The loader manifests, loaders/<catalogue>/<loader>.toml, say which file names become rows
/// of which table.
///
/// One file is one transaction: run the same command again after an interruption and it goes on where it stopped; files
/// that are in are skipped. Rows that cannot be stored go to brickyard.reject with the reason.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Files, folders (all files below) or patterns
    #[arg(required = true, value_name = "FILE|DIR|GLOB")]
    files: Vec<String>,
    /// Use only this loader (phat_v2.phot_mod, or phot_mod), whatever the file's name; may be repeated
    #[arg(long, value_name = "NAME")]
    loader: Vec<String>,
    /// A value that the file name does not tell (--set brick=15)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Load changed files anew, in place of their old rows
    #[arg(long)]
    replace: bool,
    /// At the end, rewrite the tables in global sky order (CLUSTER)
    #[arg(long)]
    recluster: bool,
    /// Build missing indices at the end, or leave them to a later load
    #[arg(long, value_enum, default_value_t = Indexing::Build)]
    indexes: Indexing,
    /// Sessions that build indices side by side [default: one per core, at most 4]
    #[arg(long, value_name = "N")]
    index_sessions: Option<usize>,
    /// Print the report as JSON on stdout
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  brickyard load survey/                     all files below that a loader takes
  brickyard load 'survey/brick01/*_st.fits'
  brickyard load --replace survey/brick01    changed files in place of their old rows
  brickyard load --loader phat_v2.phot_mod --set brick=15 stars.fits";

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).ok_or_else(|| "wanted NAME=VALUE".to_owned())
}

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    let catalogs = catalogs(config)?;
    let mut manifests = manifest::load_all(&config.loader_dir, &catalogs)?;
    if !args.loader.is_empty() {
        let chosen: Result<Vec<_>, _> = args.loader.iter().map(|name| manifest::named(&manifests, name).cloned()).collect();
        manifests = chosen?;
    }
    let set: BTreeMap<String, String> = args.set.iter().cloned().collect();
    let request = files::Request { manifests: &manifests, catalogs: &catalogs, forced: !args.loader.is_empty(), set: &set };
    let tasks = files::tasks(&args.files, &request)?;
    let mut connection = crate::db::connect(&config.db()).await?;
    let options = Options {
        replace: args.replace,
        recluster: args.recluster,
        indexing: args.indexes,
        index_sessions: args.index_sessions.unwrap_or_else(index_sessions).max(1),
        scratch_dir: scratch_dir(config)?,
        limits: sort::Limits::here(),
    };
    let many = tasks.len();
    let progress = if std::io::stderr().is_terminal() { bars(many) } else { lines(many) };
    let report = ingest::load(&connection, tasks, &options, &progress).await?;
    tap::published::publish(&mut connection, &catalogs, &config.tap.publish).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).context("writing the report")?);
    } else {
        print_report(&report);
    }
    Ok(ExitCode::SUCCESS)
}

/// Every catalogue that the schema folders and the binary hold.
pub fn catalogs(config: &Config) -> anyhow::Result<Vec<Catalog>> {
    let names = Catalog::names(&config.schema_dir)?;
    names.iter().map(|name| Ok(Catalog::load(&config.schema_dir, name)?)).collect()
}

/// Sessions that build indices when the user does not say.
pub fn index_sessions() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(4)
}

/// Where sorted runs and inflated files go: the data directory, so that it is the disk that the user chose.
pub fn scratch_dir(config: &Config) -> anyhow::Result<std::path::PathBuf> {
    let dir = config.data_dir().join("scratch");
    std::fs::create_dir_all(&dir).with_context(|| format!("making the scratch folder {}", dir.display()))?;
    Ok(dir)
}

/// One bar that follows the file under way.
fn bars(files: usize) -> Progress {
    // what does not fit the line is the end of the message: the file name
    let style = "{prefix:.bold} {bar:20} {percent:>3}%  {wide_msg}";
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(1000).with_style(style.progress_chars("━╸ "));
    bar.enable_steady_tick(Duration::from_millis(200));
    let state = Mutex::new(State::default());
    Progress::new(move |event| {
        let Ok(mut state) = state.lock() else { return };
        match event {
            Event::Reading { file, .. } => {
                *state = State { file: short(&file), done: state.done, ..State::default() };
                bar.reset_elapsed();
                bar.set_prefix(format!("[{}/{files}]", state.done + 1));
                bar.set_position(0);
                bar.set_message(format!("reading {}", state.file));
            }
            Event::Read { rows, fraction } => {
                state.rows += rows;
                bar.set_position((fraction * 1000.0) as u64);
                bar.set_message(format!("read and sorted {} rows of {}", HumanCount(state.rows), state.file));
            }
            Event::Copying { table, rows } => {
                state.table = table;
                state.copied = 0;
                state.expected = rows;
                state.since = Some(Instant::now());
                bar.set_position(0);
            }
            Event::Copied { rows } => {
                state.copied += rows;
                // a file row may make many table rows; the first chunks tell how many
                let expected = state.expected.max(state.copied);
                bar.set_position(1000 * state.copied / expected.max(1));
                bar.set_message(rate(&state, expected));
            }
            Event::File(report) => {
                state.done += usize::from(state.last_path != report.path);
                state.last_path.clone_from(&report.path);
                bar.println(line(&report));
            }
            Event::Indexing { total } => {
                bar.set_length(total as u64);
                bar.set_position(0);
                bar.set_prefix("indices");
                bar.set_message(format!("building {total}"));
            }
            Event::Indexed { name, .. } => {
                bar.inc(1);
                bar.set_message(name);
            }
            Event::Analyzing { table } => bar.set_message(format!("analysing {table}")),
            Event::Clustering { table } => bar.set_message(format!("clustering {table}")),
        }
    })
}

#[derive(Default)]
struct State {
    file: String,
    last_path: String,
    done: usize,
    rows: u64,
    table: String,
    copied: u64,
    expected: u64,
    since: Option<Instant>,
}

fn rate(state: &State, expected: u64) -> String {
    let seconds = state.since.map_or(0.0, |t| t.elapsed().as_secs_f64()).max(1e-3);
    let rate = state.copied as f64 / seconds;
    let left = Duration::from_secs_f64((expected - state.copied) as f64 / rate.max(1.0));
    let (rows, rate) = (HumanCount(state.copied), HumanCount(rate as u64));
    format!("{rows} rows to {}, {rate} rows/s, {:#} left, {}", state.table, HumanDuration(left), state.file)
}

/// Plain lines, one per file and step.
fn lines(files: usize) -> Progress {
    let done = Mutex::new((0, String::new()));
    Progress::new(move |event| match event {
        Event::File(report) => {
            let Ok(mut done) = done.lock() else { return };
            if done.1 != report.path {
                *done = (done.0 + 1, report.path.clone());
            }
            eprintln!("[{}/{files}] {}", done.0, line(&report));
        }
        Event::Indexing { total } => eprintln!("building {total} indices"),
        Event::Clustering { table } => eprintln!("clustering {table}"),
        Event::Reading { .. }
        | Event::Read { .. }
        | Event::Copying { .. }
        | Event::Copied { .. }
        | Event::Indexed { .. }
        | Event::Analyzing { .. } => {}
    })
}

/// The file's name without its long words: those of the archive's names list instruments and filters, in every name the same.
fn short(path: &str) -> String {
    const LONGEST: usize = 24;
    let name = path.rsplit('/').next().unwrap_or(path);
    let words: Vec<&str> = name.split('_').map(|word| if word.len() > LONGEST { "…" } else { word }).collect();
    if name.len() > 2 * LONGEST { words.join("_") } else { name.to_owned() }
}

/// One file in one table, in a line.
fn line(report: &FileReport) -> String {
    let head = format!("{} -> {}", short(&report.path), report.table);
    if let Outcome::Skipped(why) = &report.outcome {
        return format!("{head}: skipped, {why}");
    }
    let mut text = format!("{head}: {} rows in {:.1} s", HumanCount(report.rows_loaded), report.seconds);
    for (rows, what) in [(report.rows_rejected, "rejected"), (report.rows_duplicate, "duplicate")] {
        if rows > 0 {
            text.push_str(&format!(", {} {what}", HumanCount(rows)));
        }
    }
    if report.outcome == Outcome::Replaced {
        text.push_str(" (replaced)");
    }
    if !report.unused_columns.is_empty() {
        text.push_str(&format!("; not used: {}", report.unused_columns.join(", ")));
    }
    text
}

/// The totals by table.
pub fn print_report(report: &Report) {
    let mut totals: BTreeMap<&str, [u64; 5]> = BTreeMap::new();
    for file in &report.files {
        let total = totals.entry(&file.table).or_default();
        let loaded = u64::from(!matches!(file.outcome, Outcome::Skipped(_)));
        for (sum, n) in total.iter_mut().zip([loaded, 1 - loaded, file.rows_loaded, file.rows_rejected, file.rows_duplicate]) {
            *sum += n;
        }
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY);
    table.set_header(["table", "files", "skipped", "rows", "rejected", "duplicate"]);
    for i in 1..6 {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    for (name, numbers) in &totals {
        table.add_row(std::iter::once((*name).to_owned()).chain(numbers.iter().map(|n| HumanCount(*n).to_string())));
    }
    println!("{table}");
    let rows: u64 = report.files.iter().map(|f| f.rows_loaded).sum();
    let (cpu, peak) = (report.cpu_seconds, report.peak_memory_bytes >> 20);
    println!("{} rows in {:.1} s ({cpu:.1} s of CPU and at most {peak} MiB in the loader)", HumanCount(rows), report.load_seconds);
    if !report.indexes_built.is_empty() {
        println!("{} indices in {:.1} s", report.indexes_built.len(), report.index_seconds);
    }
    if totals.values().any(|t| t[3] > 0) {
        println!("Rejected rows, with reasons: brickyard sql 'SELECT * FROM brickyard.reject'");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_what_tells_them_apart() {
        let name = "/a/hlsp_phat_hst_wfc3-uvis-acs-wfc-wfc3-ir_12056-m31-b15-f05_f275w-f336w-f475w-f814w-f110w-f160w_v2_phot.fits.gz";
        assert_eq!(short(name), "hlsp_phat_hst_…_12056-m31-b15-f05_…_v2_phot.fits.gz");
        assert_eq!(short("/a/phat_b15_f10_v2_st_269rows.fits"), "phat_b15_f10_v2_st_269rows.fits");
    }
}
