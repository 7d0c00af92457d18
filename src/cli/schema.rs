//! `brickyard schema`: check, print and compare the table definitions.

use crate::config::Config;
use crate::db;
use crate::schema::diff::{LIVE_COLUMNS, LIVE_INDEXES, LiveColumn, LiveIndex, LiveTable, diff};
use crate::schema::{Catalog, Table, ddl, doc, felis};
use anyhow::Context as _;
use std::path::Path;
use std::process::ExitCode;

/// Check, print and compare the table definitions
///
/// A catalogue is a folder of TOML files, one a table: schema/<catalogue>/<table>.toml. phat_v2 and lmc are built in;
/// folders of your own are named with --schema-dir.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  brickyard schema check                    every fault of every catalogue
  brickyard schema ddl phat_v2
  brickyard schema diff phat_v2             against the database
  brickyard --schema-dir surveys schema check smc";

#[derive(clap::Subcommand)]
enum Command {
    /// Find every fault in the TOML files of a catalogue
    ///
    /// Each fault is printed as file:line:column: what is wrong. Exit code 1 when there are any.
    Check {
        /// A catalogue's name, or a folder with catalogue.toml [default: all catalogues]
        #[arg(value_name = "NAME|DIR")]
        what: Option<String>,
    },
    /// Print the SQL that creates a catalogue
    Ddl {
        /// A catalogue's name, like phat_v2
        name: String,
    },
    /// Compare a catalogue with the database
    ///
    /// Prints every difference in columns, keys and indices. Exit code 1 when there are any.
    Diff {
        /// A catalogue's name, like phat_v2
        name: String,
    },
    /// Print a catalogue as Felis YAML, the schema language of the Rubin Observatory
    Felis {
        /// A catalogue's name, like phat_v2
        name: String,
    },
    /// Print a Markdown page about a catalogue
    Doc {
        /// A catalogue's name, like phat_v2
        name: String,
    },
}

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    let load = |name: &str| Catalog::load(&config.schema_dir, name);
    match args.command {
        Command::Check { what } => return check(config, what),
        Command::Ddl { name } => print!("{}", ddl::script(&load(&name)?)),
        Command::Diff { name } => return compare(config, &load(&name)?).await,
        Command::Felis { name } => print!("{}", felis::yaml(&load(&name)?)),
        Command::Doc { name } => print!("{}", doc::markdown(&load(&name)?)),
    }
    Ok(ExitCode::SUCCESS)
}

fn check(config: &Config, what: Option<String>) -> anyhow::Result<ExitCode> {
    let known = Catalog::names(&config.schema_dir)?;
    let wanted = what.map_or_else(|| known.clone(), |what| vec![what]);
    let mut code = ExitCode::SUCCESS;
    for what in wanted {
        let folder = Path::new(&what);
        let read = if !known.contains(&what) && folder.is_dir() { Catalog::read(folder) } else { Catalog::load(&config.schema_dir, &what) };
        match read {
            Ok(catalog) => println!("{}", summary(&catalog)),
            Err(crate::schema::Error::Faults(faults)) => {
                println!("{faults}\n{what}: {} fault(s)", faults.0.len());
                code = ExitCode::FAILURE;
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok(code)
}

fn summary(catalog: &Catalog) -> String {
    let table =
        |t: &Table| format!("{} ({} columns, {} indices)", t.name, t.columns.len(), t.indexes.len() + usize::from(!t.key.is_empty()));
    let tables: Vec<String> = catalog.tables.iter().map(table).collect();
    format!("{}: no faults; {}", catalog.name, tables.join(", "))
}

async fn compare(config: &Config, catalog: &Catalog) -> anyhow::Result<ExitCode> {
    let client = db::connect(&config.db()).await?;
    let mut differences = Vec::new();
    for table in &catalog.tables {
        let live = live_table(&client, table).await.with_context(|| format!("cannot describe {}", table.full_name()))?;
        differences.extend(diff(table, live.as_ref()));
    }
    for difference in &differences {
        println!("{difference}");
    }
    match differences.len() {
        0 => println!("{}: the database is as the schema says", catalog.name),
        n => println!("{}: {n} difference(s)", catalog.name),
    }
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The table as the database has it; `None` when it is not there.
async fn live_table(client: &tokio_postgres::Client, table: &Table) -> anyhow::Result<Option<LiveTable>> {
    let columns = client.query(LIVE_COLUMNS, &[&table.schema, &table.name]).await?;
    let indexes = client.query(LIVE_INDEXES, &[&table.schema, &table.name]).await?;
    let column =
        |row: &tokio_postgres::Row| LiveColumn { name: row.get(0), datatype: row.get(1), not_null: row.get(2), storage: row.get(3) };
    let index = |row: &tokio_postgres::Row| LiveIndex {
        name: row.get(0),
        primary: row.get(1),
        valid: row.get(2),
        method: row.get(3),
        expressions: row.get(4),
        partial: row.get(5),
    };
    let live = LiveTable { columns: columns.iter().map(column).collect(), indexes: indexes.iter().map(index).collect() };
    Ok((!live.columns.is_empty()).then_some(live))
}
