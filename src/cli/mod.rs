//! The command line: one subcommand per file.

use crate::config::Config;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod adql;
mod answer;
mod bench;
mod cone;
mod config;
mod cutout;
mod db;
mod demo;
mod images;
mod lightcurve;
mod load;
mod map;
mod pilot;
mod pipeline;
mod provenance;
mod reduce;
mod schema;
mod serve;
mod simulate;
mod sql;
mod stage;
mod worker;

/// Build resolved-star photometry catalogues in PostgreSQL, and ask them
#[derive(Parser)]
#[command(name = "brickyard", version, arg_required_else_help = true, after_help = FIRST)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    config: Config,
}

const FIRST: &str = "\
First steps:
  brickyard demo                 a synthetic sample of the PHAT survey, loaded and asked
  brickyard load --help          your own files
The database is started when it is needed. It goes on running until brickyard db stop.";

// In the order of a newcomer's needs. What a command is, says the doc comment of its Args.
#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Load(load::Args),
    Serve(serve::Args),
    Sql(sql::Args),
    Adql(adql::Args),
    Cone(cone::Args),
    Map(map::Args),
    Images(images::Args),
    Cutout(cutout::Args),
    Lightcurve(lightcurve::Args),
    Simulate(simulate::Args),
    Schema(schema::Args),
    Pipeline(pipeline::Args),
    Worker(worker::Args),
    Pilot(pilot::Args),
    Stage(stage::Args),
    Db(db::Args),
    Config(config::Args),
    Bench(bench::Args),
}

/// Parses the command line, runs the command, and turns an error into its message and exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match runtime(&cli.command) {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, but for those whose text an outer message carries already.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |mut text, cause| {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        text
    })
}

/// The loader's chunks go from its encoder to one connection: on one thread they are handed over without waking another.
fn runtime(command: &Command) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match command {
        Command::Load(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    // Queries nest as deep as the parser allows, and walking them takes stack: more than a thread has without this in a debug build.
    builder.thread_stack_size(16 << 20).enable_all().build()
}

async fn run(mut cli: Cli) -> anyhow::Result<ExitCode> {
    cli.config = cli.config.complete()?;
    match cli.command {
        Command::Demo(args) => demo::run(&cli.config, args).await,
        Command::Db(args) => db::run(&cli.config, args).await,
        Command::Schema(args) => schema::run(&cli.config, args).await,
        Command::Load(args) => load::run(&cli.config, args).await,
        Command::Serve(args) => serve::run(&cli.config, args).await,
        Command::Config(args) => config::run(&cli.config, args).await,
        Command::Simulate(args) => simulate::run(&cli.config, args).await,
        Command::Sql(args) => sql::run(&cli.config, args).await,
        Command::Adql(args) => adql::run(&cli.config, args).await,
        Command::Cone(args) => cone::run(&cli.config, args).await,
        Command::Images(args) => images::run(&cli.config, args).await,
        Command::Cutout(args) => cutout::run(&cli.config, args).await,
        Command::Map(args) => map::run(&cli.config, args).await,
        Command::Lightcurve(args) => lightcurve::run(&cli.config, args).await,
        Command::Pipeline(args) => pipeline::run(&cli.config, args).await,
        Command::Worker(args) => worker::run(&cli.config, args).await,
        Command::Pilot(args) => pilot::run(args),
        Command::Stage(args) => stage::run(&cli.config, args).await,
        Command::Bench(args) => bench::run(&cli.config, args).await,
    }
}
