//! Whether a reduction's rows are those of the truth: exposures through the whole built-in graph with a master and a worker as processes of
//! their own, beside the simulated catalogue files loaded as they are. In a database of its own.

use super::pipeline::Options;
use super::{Error, Figure, Goal};
use crate::db::{self, Connection};
use crate::simulate;
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The task of the built-in graph that comes last of those that every brick has.
const LAST: &str = "load_brick";

/// Number and digest of a table's rows.
type Rows = (i64, String);

struct Site<'a> {
    options: &'a Options,
    db: db::Options,
}

/// Runs the graph, loads the truth, compares.
pub async fn run(options: &Options, tell: &dyn Fn(&str)) -> Result<Vec<Figure>, Error> {
    let db = db::Options { data_dir: options.db.data_dir.join("rows"), ..options.db.clone() };
    let site = Site { options, db };
    let (survey, objects) = site.survey(tell)?;
    let connection = db::connect(&site.db).await?;
    for sql in [include_str!("../../sql/pipeline/drop_schema.sql"), include_str!("../../sql/bench/drop_catalogue.sql")] {
        connection.batch_execute(sql).await.map_err(db::Error::from)?;
    }
    tell(&format!("exposures of {objects} objects to rows"));
    let begun = Instant::now();
    site.reduce(&survey).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let found = rows(&connection, false).await?;

    tell("the truth's files to rows");
    connection.batch_execute(include_str!("../../sql/bench/drop_catalogue.sql")).await.map_err(db::Error::from)?;
    let mut load = vec![OsString::from("load")];
    load.extend(ending(&survey.join("brick15"), &["_st.fits", "_phot.fits"])?.into_iter().map(OsString::from));
    site.said(&load).await?;
    let truth = rows(&connection, true).await?;
    let differ = |(found, truth): (&Rows, &Rows)| if found == truth { 0.0 } else { (found.0.abs_diff(truth.0) as f64).max(1.0) };
    let [objects, measurements] = [0, 1].map(|i| differ((&found[i], &truth[i])));
    Ok(vec![
        Figure::of("exposures to rows, the whole graph", &[seconds], "s", Goal::Shown),
        Figure::of(format!("{} objects: rows other than the truth's", truth[0].0), &[objects], "rows", Goal::AtMost(0.0)),
        Figure::of(format!("{} measurements: rows other than the truth's", truth[1].0), &[measurements], "rows", Goal::AtMost(0.0)),
    ])
}

async fn rows(connection: &Connection, only_kept: bool) -> Result<[Rows; 2], Error> {
    let objects = connection.query_one(include_str!("../../sql/bench/objects.sql"), &[&only_kept]).await.map_err(db::Error::from)?;
    let measured = connection.query_one(include_str!("../../sql/bench/measurements.sql"), &[]).await.map_err(db::Error::from)?;
    Ok([objects, measured].map(|row| (row.get(0), row.get(1))))
}

/// The files of a folder with one of these endings, by name.
fn ending(folder: &Path, ends: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder).map_err(|source| Error::Io { doing: format!("reading {}", folder.display()), source })?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| ends.iter().any(|end| path.to_string_lossy().ends_with(end)));
    found.sort();
    Ok(found)
}

impl Site<'_> {
    /// Two fields with their exposures and the files that their reduction should come to.
    fn survey(&self, tell: &dyn Fn(&str)) -> Result<(PathBuf, u64), Error> {
        let objects = if self.options.quick { 500 } else { 10_000 };
        let out = self.db.data_dir.join(format!("survey-{objects}"));
        if !out.join("simulation.json").exists() {
            tell(&format!("writing exposures of {objects} objects"));
            simulate::run(&simulate::Options {
                objects,
                bricks: vec![15],
                fields: vec![10, 11],
                overlaps: simulate::Overlaps::None,
                dolphot: simulate::Dolphot::None,
                products: simulate::Products { st: true, phot: true, truth: false },
                gzip: false,
                exposures: true,
                force: true,
                ..simulate::Options::new(&out)
            })?;
        }
        Ok((out, objects))
    }

    fn command(&self, args: &[OsString]) -> Command {
        let mut command = Command::new(&self.options.brickyard);
        command.env("BRICKYARD_DATA_DIR", &self.db.data_dir).args(args).kill_on_drop(true);
        command
    }

    /// Runs the program to its end; gives what it said.
    async fn said(&self, args: &[OsString]) -> Result<String, Error> {
        let output = self.command(args).output().await.map_err(|source| Error::Io { doing: "running brickyard".into(), source })?;
        if !output.status.success() {
            return Err(Error::Child {
                command: format!("brickyard {args:?}"),
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn pipeline(&self, args: &[&str]) -> Result<String, Error> {
        self.said(&["pipeline"].iter().chain(args).map(OsString::from).collect::<Vec<_>>()).await
    }

    /// Tells a new run of the exposures, and waits until a master and a worker have done it all.
    async fn reduce(&self, survey: &Path) -> Result<(), Error> {
        self.pipeline(&["run", "create", "rows", "phat", "--set", "dolphot=simulated"]).await?;
        let brick = survey.join("brick15");
        let files = ending(&brick.join("raw"), &["_flt.fits"])?.into_iter().chain(ending(&brick, &["_drz.hdr"])?);
        let files: Vec<String> = files.map(|path| format!("--file=raw={}", path.display())).collect();
        let fire = ["fire", "rows", "exposures", "--key", "all"].into_iter().chain(files.iter().map(String::as_str));
        self.pipeline(&fire.collect::<Vec<_>>()).await?;
        let token = self.db.data_dir.join("token");
        let text = self.pipeline(&["token", "create", "rows", "--class", "default,load"]).await?;
        std::fs::write(&token, text).map_err(|source| Error::Io { doing: format!("writing {}", token.display()), source })?;
        let (master, url) = self.master().await?;
        let worker = self.worker(&url, &token)?;
        let done = self.wait().await;
        for mut child in [worker, master] {
            let _ = child.kill().await; // it may have ended
        }
        done
    }

    async fn master(&self) -> Result<(Child, String), Error> {
        let io = |source| Error::Io { doing: "starting a master".into(), source };
        let mut command = self.command(&["pipeline", "serve", "--listen", "127.0.0.1:0"].map(OsString::from));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(io)?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line).await.map_err(io)?;
        }
        match line.trim() {
            "" => Err(Error::Setup("the master ended before it said where it is".into())),
            url => Ok((child, url.to_owned())),
        }
    }

    fn worker(&self, url: &str, token: &Path) -> Result<Child, Error> {
        let args = ["worker", "--url", url, "--name", "rows", "--pass-env", "BRICKYARD_DATA_DIR"];
        // simulated exposures need little of what real ones do, which the manifest asks for
        let room = ["--slots", "2", "--cpu", "4", "--memory", "1000000", "--disk", "1000000", "--token-file"];
        let args: Vec<OsString> = args.iter().chain(&room).map(OsString::from).chain([token.into()]).collect();
        let spawned = self.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        spawned.map_err(|source| Error::Io { doing: "starting a worker".into(), source })
    }

    async fn wait(&self) -> Result<(), Error> {
        const PATIENCE: Duration = Duration::from_secs(1800);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let text = self.pipeline(&["status", "rows", "--json"]).await?;
            let lines: Vec<Value> = serde_json::from_str(&text).map_err(|error| Error::Setup(error.to_string()))?;
            let number = |line: &Value, state: &str| line[state].as_i64().unwrap_or(0);
            if lines.iter().any(|line| number(line, "failed") > 0) {
                return Err(Error::Setup(self.pipeline(&["jobs", "rows", "--failed"]).await?));
            }
            let is_loaded = lines.iter().any(|line| line["task"] == LAST && number(line, "jobs") > 0);
            // some tasks have no jobs here, as those of artificial stars
            if is_loaded && lines.iter().all(|line| number(line, "jobs") == number(line, "done")) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Err(Error::Setup(format!("the graph was not done after {PATIENCE:?}")))
    }
}
