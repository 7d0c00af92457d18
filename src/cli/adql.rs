//! `brickyard adql`: reads a query and says what is wrong with it, or what it becomes.

use crate::adql;
use crate::config::Config;
use anyhow::Context;
use serde::Deserialize;
use std::io::{BufRead, Read, Write};
use std::process::ExitCode;

/// Check an ADQL query
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
    /// Read JSON lines {"id", "query", "udfs"} from standard input and write {"id", "ok", "error"} for each; grammar only
    #[arg(long)]
    batch: bool,
}

const EXAMPLES: &str = "\
Examples:
  brickyard adql --syntax-only \"SELECT TOP 10 * FROM phat_v2.phot_mod\"
  brickyard adql --batch < queries.jsonl
udfs names functions that are taken as known, in any form: \"f(x REAL) -> REAL, g\".";

/// A query was not right; 1 is for what went wrong around it.
const WRONG: u8 = 2;

pub async fn run(_config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    if args.batch {
        return batch(std::io::stdin().lock(), std::io::stdout().lock());
    }
    let text = text(args.query.as_deref())?;
    match adql::parse(&text) {
        Ok(_) => {
            println!("The syntax is right.");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprint!("{}", error.render(&text));
            Ok(ExitCode::from(WRONG))
        }
    }
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
    let is_known = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    adql::parse_with(&task.query, &is_known).map(|_| ()).map_err(|error| {
        let (line, column) = error.line_column(&task.query);
        let remedy: String = error.hints.iter().map(|hint| format!("; remedy: {hint}")).collect();
        format!("line {line}, column {column}: {error} ({}){remedy}", error.code.name())
    })
}
