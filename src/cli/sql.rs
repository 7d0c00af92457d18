//! `brickyard sql`: runs one statement and writes its rows.

use super::answer::{self, Output};
use crate::config::Config;
use crate::{db, explore};
use anyhow::Context;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio_postgres::error::SqlState;

/// Run an SQL statement and print its rows
///
/// CSV goes to standard output, all rows as they come; --format and --output say otherwise.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// One SQL statement, or - to read it from standard input
    #[arg(required_unless_present = "file", conflicts_with = "file", allow_hyphen_values = true)]
    sql: Option<String>,
    /// Read the statement from this file
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Let the statement change the database; without it the session only reads
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  brickyard sql \"SELECT * FROM phat_v2.phot_mod LIMIT 10\" --format table
  brickyard sql \"SELECT brick, count(*) FROM phat_v2.phot_mod GROUP BY brick ORDER BY brick\"
  brickyard sql --file query.sql --output answer.parquet
  echo \"SELECT 1 AS one\" | brickyard sql - --format json
Ctrl-C cancels the statement on the server.";

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    args.output.check()?;
    let sql = statement(&args)?;
    let connection = db::connect(&config.db()).await?;
    let cancel = connection.cancel_token();
    answer::interruptible(cancel, async {
        let asked = ask(&connection, &sql, &args).await;
        asked.map_err(|error| advise(error, args.write))
    })
    .await
}

async fn ask(connection: &db::Connection, sql: &str, args: &Args) -> anyhow::Result<()> {
    if !args.write {
        explore::read_only(connection).await?;
    }
    let statement = connection.prepare(sql).await.map_err(|error| db::Error::from(error).in_sql(sql))?;
    if statement.columns().is_empty() && !sql.trim().is_empty() {
        let rows = connection.execute(&statement, &[]).await.map_err(|error| db::Error::from(error).in_sql(sql))?;
        eprintln!("done, {rows} rows changed");
        return Ok(());
    }
    args.output.write(db::wire_rows(connection, sql, &[]).await?, &connection.cancel_token()).await
}

fn statement(args: &Args) -> anyhow::Result<String> {
    let sql = match (&args.file, args.sql.as_deref()) {
        (Some(path), _) => std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
        (None, Some("-")) | (None, None) => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read the statement from standard input")?;
            text
        }
        (None, Some(sql)) => sql.to_owned(),
    };
    if sql.trim().is_empty() {
        anyhow::bail!("there is no statement: give one, such as \"SELECT 1\"");
    }
    Ok(sql)
}

/// Adds the remedy where we know one that the server does not.
fn advise(error: anyhow::Error, write: bool) -> anyhow::Error {
    let code = error.chain().find_map(answer::code).cloned();
    let several = code.as_ref() == Some(&SqlState::SYNTAX_ERROR) && error.to_string().contains("multiple commands");
    let advice = match code {
        _ if several => "one statement at a time: run brickyard sql once for each, or brickyard db psql for a script",
        Some(SqlState::READ_ONLY_SQL_TRANSACTION) if !write => "add --write to let the statement change the database",
        _ => return error,
    };
    anyhow::anyhow!("{error}\n  remedy: {advice}")
}
