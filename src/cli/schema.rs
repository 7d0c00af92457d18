//! `brickyard schema`: check and print the table definitions.

use crate::config::Config;
use crate::schema::{Catalog, Table, ddl, doc, felis};
use std::path::Path;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

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
    /// Print the SQL that creates a catalogue: tables, keys, indices, comments and the view tbl_stat
    Ddl {
        /// A catalogue's name, like phat_v2
        name: String,
    },
    /// Print a catalogue as Felis YAML, Rubin's schema language
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
        Command::Felis { name } => print!("{}", felis::yaml(&load(&name)?)),
        Command::Doc { name } => print!("{}", doc::markdown(&load(&name)?)),
    }
    Ok(ExitCode::SUCCESS)
}

fn check(config: &Config, what: Option<String>) -> anyhow::Result<ExitCode> {
    let wanted = match what {
        Some(what) => vec![what],
        None => Catalog::names(&config.schema_dir)?,
    };
    let mut code = ExitCode::SUCCESS;
    for what in wanted {
        // A bare word is a name; `./phat_v2` is a folder beside us.
        let is_folder = what.contains('/') || (what == ".");
        let read = if is_folder { Catalog::read(Path::new(&what)) } else { Catalog::load(&config.schema_dir, &what) };
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
