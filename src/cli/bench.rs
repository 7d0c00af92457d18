//! `brickyard bench`: figures of merit as a table, or as JSON.

use crate::bench::{self, BENCHES, Figure};
use crate::config::Config;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure the figures of merit, side by side with the server's own speed
///
/// It happens in a database of its own, bench/ of the data directory.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which bench to run; none lists them
    #[arg(value_name = "BENCH")]
    name: Option<String>,
    /// A small sample and few runs
    #[arg(long)]
    quick: bool,
    /// Print the figures as a JSON list on stdout
    #[arg(long)]
    json: bool,
    /// Runs of each measurement [default: 5, quick: 3]
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// Only the figures whose group has this name (load: ids, mod, meas, recipe, index,
    /// python, scale, cones, map; tap: stream, memory, cone, async, upload, adql;
    /// image: cutout, rice, rate, memory, hips, sia2, sia1; pipeline: jobs, watch, catalogue, rows)
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    only: Vec<String>,
    /// For tap: ADQL queries to translate, a JSON object with `query` a line [default: the service's examples]
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  brickyard bench                 lists the benches
  brickyard bench load --quick    a small sample, a minute or two
  brickyard bench load --json     figures as a JSON list on stdout
  brickyard bench tap --only cone,stream";

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    let Some(name) = &args.name else {
        for (name, about) in BENCHES {
            println!("{name:8} {about}");
        }
        return Ok(ExitCode::SUCCESS);
    };
    anyhow::ensure!(BENCHES.iter().any(|(n, _)| n == name), "there is no bench {name:?}; `brickyard bench` lists them");
    anyhow::ensure!(config.database_url.is_none(), "a bench reads the CPU time of the server's processes: leave --database-url out");
    let mut db = config.db();
    db.data_dir = db.data_dir.join("bench");
    if name == "pipeline" {
        let brickyard = std::env::current_exe()?;
        let options = bench::pipeline::Options { db, quick: args.quick, runs: args.runs.unwrap_or(3).max(1), only: args.only, brickyard };
        return show(&bench::pipeline::run(&options, &|line| eprintln!("{line}")).await?, args.json);
    }
    let python = std::env::var_os("BRICKYARD_TEST_PYTHON").map(Into::into);
    let (quick, only, runs) = (args.quick, args.only, args.runs.unwrap_or(if args.quick { 3 } else { 5 }).max(1));
    let say = |line| eprintln!("{line}");
    let figures = match name.as_str() {
        "image" => bench::image::run(&bench::image::Options { db, quick, runs, only, python }, &say).await?,
        "tap" => bench::tap::run(&bench::tap::Options { db, quick, runs, only, queries: args.queries }, &say).await?,
        _ => bench::load::run(&bench::load::Options { db, quick, runs, only, python }, &say).await?,
    };
    show(&figures, args.json)
}

fn show(figures: &[Figure], json: bool) -> anyhow::Result<ExitCode> {
    if json {
        let list: Vec<_> = figures.iter().map(Figure::json).collect();
        println!("{}", serde_json::to_string_pretty(&list)?);
    } else {
        print(figures);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(figures: &[Figure]) {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY);
    table.set_header(["figure", "median", "spread", "unit", "goal", "holds"]);
    for figure in figures {
        let spread = figure.spread.map_or_else(String::new, |(low, high)| format!("{}..{}", number(low), number(high)));
        let holds = figure.holds().map_or("", |h| if h { "yes" } else { "NO" });
        table.add_row([figure.name.clone(), number(figure.value), spread, figure.unit.into(), figure.goal.to_string(), holds.into()]);
    }
    println!("{table}");
}

/// Three figures.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
