//! `brickyard adql`: reads a query and says what is wrong with it, or what it becomes.

use crate::adql::{self, Catalogue, Options, Parameter, Relation, Statement};
use crate::config::Config;
use crate::schema::Catalog;
use crate::{db, tap};
use anyhow::Context;
use serde::Deserialize;
use std::io::{BufRead, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

/// Translate an ADQL query into SQL, or say what is wrong with it
///
/// An error is shown with its place and its remedy, and the exit code is 2.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The query, or - to read it from standard input
    #[arg(conflicts_with = "batch", allow_hyphen_values = true)]
    query: Option<String>,
    /// Judge the grammar only: tables, columns and types are not looked at
    #[arg(long)]
    syntax_only: bool,
    /// Ask the database how it would run the query, and at what cost
    #[arg(long, conflicts_with_all = ["syntax_only", "batch"])]
    explain: bool,
    /// Read JSON lines {"id", "query", "udfs"} from standard input and write {"id", "ok", "error"} for each; grammar only
    #[arg(long)]
    batch: bool,
}

const EXAMPLES: &str = "\
Examples:
  brickyard adql \"SELECT TOP 10 ra, dec FROM phat_v2.phot_mod WHERE DISTANCE(ra, dec, 11.02, 41.23) < 0.01\"
  brickyard adql --explain - < query.adql
  brickyard adql --syntax-only \"SELECT count(*) FROM any.table\"
  brickyard adql --batch < queries.jsonl
udfs names functions that are taken as known, in any form: \"f(x REAL) -> REAL, g\".";

/// A query was not right; 1 is for what went wrong around it.
const WRONG: u8 = 2;

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    if args.batch {
        return batch(std::io::stdin().lock(), std::io::stdout().lock());
    }
    let text = text(args.query.as_deref())?;
    let translated = match args.syntax_only {
        true => adql::parse(&text).map(|_| None),
        false => adql::translate(&text, &catalogue(config)?, &Options::default()).map(Some),
    };
    match translated {
        Ok(None) => println!("The grammar is right."),
        Ok(Some(statement)) => {
            print!("{}", shown(&statement));
            if args.explain {
                explain(config, &statement).await?;
            }
        }
        Err(error) => {
            eprint!("{}", error.render(&text));
            return Ok(ExitCode::from(WRONG));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The tables of all catalogues, whether they are loaded or not.
fn catalogue(config: &Config) -> anyhow::Result<Catalogue> {
    let mut relations = Vec::new();
    for name in Catalog::names(&config.schema_dir)? {
        let tables = Catalog::load(&config.schema_dir, &name)?.tables;
        relations.extend(tables.into_iter().map(|table| Relation::new(Arc::new(table), None)));
    }
    Ok(Catalogue::new(relations))
}

/// The SQL, and its parameters as comments.
fn shown(statement: &Statement) -> String {
    let parameters = statement.parameters.iter().enumerate();
    let lines: String = parameters.map(|(i, value)| format!("-- ${} = {}\n", i + 1, literal(value))).collect();
    format!("{}\n{lines}", statement.sql)
}

/// A parameter for people: long lists by their length.
fn literal(value: &Parameter) -> String {
    const FEW: usize = 8;
    match value {
        Parameter::Boolean(value) => value.to_string(),
        Parameter::Integer(value) => value.to_string(),
        Parameter::Bigint(value) => value.to_string(),
        Parameter::Double(value) => value.to_string(),
        Parameter::Text(value) => format!("{value:?}"),
        Parameter::Timestamp(microseconds) => format!("2000-01-01T00:00:00 and {} s", *microseconds as f64 / 1e6),
        Parameter::Bigints(values) if values.len() <= FEW => format!("{values:?}"),
        Parameter::Doubles(values) if values.len() <= FEW => format!("{values:?}"),
        Parameter::Texts(values) if values.len() <= FEW => format!("{values:?}"),
        Parameter::Bigints(values) => format!("a list of {}", values.len()),
        Parameter::Doubles(values) => format!("a list of {}", values.len()),
        Parameter::Texts(values) => format!("a list of {}", values.len()),
    }
}

/// Prints how the server would run it.
async fn explain(config: &Config, statement: &Statement) -> anyhow::Result<()> {
    let connection = db::connect(&config.db()).await?;
    tap::functions::create(&connection).await.context("cannot make the functions that translated queries call")?;
    let plan = tap::query::plan(&connection, statement).await.context("the server cannot plan it")?;
    println!("\n{}", plan.join("\n"));
    Ok(())
}

fn text(query: Option<&str>) -> anyhow::Result<String> {
    match query {
        Some("-") | None => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).context("cannot read the query from standard input")?;
            String::from_utf8(bytes).context("the query is no UTF-8 text")
        }
        Some(query) => Ok(query.to_owned()),
    }
}

/// A line of the batch.
#[derive(Deserialize)]
struct Task {
    #[serde(default)]
    id: serde_json::Value,
    query: String,
    #[serde(default)]
    udfs: serde_json::Value,
}

fn batch(input: impl BufRead, mut output: impl Write) -> anyhow::Result<ExitCode> {
    for line in input.split(b'\n') {
        let line = line.context("cannot read the next line")?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (id, verdict) = match serde_json::from_slice::<Task>(&line) {
            Ok(task) => (task.id.clone(), judge(&task)),
            Err(error) => (serde_json::Value::Null, Err(format!("this is no line {{\"id\", \"query\", \"udfs\"}}: {error}"))),
        };
        let answer = serde_json::json!({ "id": id, "ok": verdict.is_ok(), "error": verdict.err() });
        writeln!(output, "{answer}").and_then(|()| output.flush()).context("cannot write the answer")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The fault of a query in one line, if it has one.
fn judge(task: &Task) -> Result<(), String> {
    let declared = task.udfs.to_string();
    let words: Vec<&str> = declared.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let is_known = |name: &str| !adql::function::forms(name).is_empty() || words.iter().any(|word| word.eq_ignore_ascii_case(name));
    adql::parse_with(&task.query, &is_known).map(|_| ()).map_err(|error| {
        let (line, column) = error.line_column(&task.query);
        let remedy: String = error.hints.iter().map(|hint| format!("; remedy: {hint}")).collect();
        format!("line {line}, column {column}: {error} ({}){remedy}", error.code.name())
    })
}
