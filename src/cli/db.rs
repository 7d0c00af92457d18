//! `brickyard db`: start, stop and show the embedded PostgreSQL.

use crate::config::Config;
use crate::db::{self, cluster};
use anyhow::Context;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

/// `status` of a server that does not run, as service managers have it.
const STOPPED: u8 = 3;

/// Start, stop and show the embedded PostgreSQL
///
/// It is a private cluster in the data directory, reached over its own socket and a free port of the loopback, with a
/// password. Every command that asks the database starts it; it runs until it is stopped here.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  brickyard db status
  brickyard db psql
  brickyard db psql -- -c 'SELECT count(*) FROM phat_v2.phot_mod'
  brickyard db url --tcp       for TOPCAT and JDBC";

#[derive(clap::Subcommand)]
enum Verb {
    /// Start the database (every command that asks it does so by itself)
    Start,
    /// Stop the database; open transactions are rolled back
    Stop,
    /// Show whether it runs, where it is and how large (exit code 3 when stopped)
    Status,
    /// Print its URL, password included, for psql, psycopg, JDBC; starts it
    Url {
        /// Over loopback instead of the unix socket (for JDBC)
        #[arg(long)]
        tcp: bool,
    },
    /// Open psql on it; what follows -- goes to psql
    Psql {
        #[arg(last = true)]
        args: Vec<OsString>,
    },
}

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    let options = config.db();
    match args.verb {
        Verb::Start => start(&options).await,
        Verb::Stop => stop(&options).await,
        Verb::Status => status(&options).await,
        Verb::Url { tcp } => url(&options, tcp).await,
        Verb::Psql { args } => psql(&options, args).await,
    }
}

async fn start(options: &db::Options) -> anyhow::Result<ExitCode> {
    ours(options, "start")?;
    let server = cluster::start(options).await?;
    println!("running: process {}, port {}, socket {}", server.pid, server.port, server.socket_dir.display());
    Ok(ExitCode::SUCCESS)
}

async fn stop(options: &db::Options) -> anyhow::Result<ExitCode> {
    ours(options, "stop")?;
    let ran = cluster::stop(options).await?;
    println!("{}", if ran { "stopped" } else { "was not running" });
    Ok(ExitCode::SUCCESS)
}

/// Somebody else's server is not ours to start or stop.
fn ours(options: &db::Options, verb: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.database_url.is_none(),
        "--database-url (BRICKYARD_DATABASE_URL) names a server that you run; brickyard does not {verb} it. Leave the URL out to {verb} the embedded one"
    );
    Ok(())
}

async fn status(options: &db::Options) -> anyhow::Result<ExitCode> {
    if options.database_url.is_some() {
        return external_status(options).await;
    }
    let status = cluster::status(options).await?;
    let mut lines = vec![("data", status.home.display().to_string()), ("size", megabytes(status.size_bytes))];
    lines.push(("version", status.major.map_or("none (no database made yet)".into(), |major| format!("PostgreSQL {major}"))));
    let Some(server) = status.server else {
        print("stopped", &lines);
        return Ok(ExitCode::from(STOPPED));
    };
    lines.push(("process", server.pid.to_string()));
    lines.push(("port", format!("127.0.0.1:{}", server.port)));
    lines.push(("socket", server.socket_dir.display().to_string()));
    lines.extend(about(options).await?);
    print("running", &lines);
    Ok(ExitCode::SUCCESS)
}

async fn external_status(options: &db::Options) -> anyhow::Result<ExitCode> {
    let lines = about(options).await?;
    print("running (a server of your own)", &lines);
    Ok(ExitCode::SUCCESS)
}

/// What only the server itself can say.
async fn about(options: &db::Options) -> anyhow::Result<Vec<(&'static str, String)>> {
    let connection = db::connect(options).await?;
    let mut lines = vec![("server", connection.target())];
    for (name, bytes) in db::connect::databases(&connection).await? {
        lines.push(("database", format!("{name}, {}", megabytes(bytes))));
    }
    Ok(lines)
}

fn print(state: &str, lines: &[(&str, String)]) {
    println!("{:<9} {state}", "state");
    for (name, value) in lines {
        println!("{name:<9} {value}");
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

async fn url(options: &db::Options, tcp: bool) -> anyhow::Result<ExitCode> {
    let url = match &options.database_url {
        Some(url) => url.clone(),
        None => {
            let server = cluster::start(options).await?;
            if tcp { server.url_tcp(cluster::OWNER) } else { server.url(cluster::OWNER) }
        }
    };
    println!("{url}");
    Ok(ExitCode::SUCCESS)
}

/// Becomes psql. The password travels in the environment, where other users cannot see it.
async fn psql(options: &db::Options, args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let mut command = match &options.database_url {
        Some(url) => {
            let (url, password) = without_password(url);
            let mut command = std::process::Command::new("psql");
            command.arg("--dbname").arg(url).envs(password.map(|password| ("PGPASSWORD", password)));
            command
        }
        None => {
            let server = cluster::start(options).await?;
            let mut command = std::process::Command::new(cluster::program(options, "psql").await?);
            command.env("PGHOST", &server.socket_dir).env("PGPORT", server.port.to_string());
            command.env("PGUSER", cluster::OWNER).env("PGPASSWORD", &server.password).env("PGDATABASE", cluster::OWNER);
            command
        }
    };
    let program = command.get_program().to_owned();
    let error = command.args(args).exec();
    Err(error).with_context(|| format!("cannot run {}; install the package postgresql-client", program.display()))
}

/// The URL as it may be seen in ps, and the password that was in it.
fn without_password(url: &str) -> (String, Option<String>) {
    let config = url.parse::<tokio_postgres::Config>().ok();
    let password = config.and_then(|config| String::from_utf8(config.get_password()?.to_vec()).ok());
    let cut = url.split_once("://").and_then(|(scheme, rest)| {
        let (login, place) = rest.split_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{scheme}://{user}@{place}"))
    });
    match cut {
        Some(shown) => (shown, password),
        // No password in the place where URLs have it: nothing that we could hide.
        None => (url.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn the_password_leaves_the_url() {
        let (url, password) = without_password("postgresql://me:p%40ss@db.example:5432/x?sslmode=prefer");
        assert_eq!((url.as_str(), password.as_deref()), ("postgresql://me@db.example:5432/x?sslmode=prefer", Some("p@ss")));
        assert_eq!(without_password("postgresql:///x?host=/tmp"), ("postgresql:///x?host=/tmp".into(), None));
    }
}
