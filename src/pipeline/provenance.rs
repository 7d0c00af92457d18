//! Where a file comes from: the jobs that led to it, each with its command, versions, machine, and the files that it read and made.
//!
//! All of it is in the books: an artifact is known by its SHA-256, so that a copy of it anywhere leads back here. A command is filled in
//! from what the job was given, as its worker did, with the paths in its scratch folder (`in/<role>/<name>`).
//!
//! Memory grows with the jobs and files that led to the one asked for, not with the run.

use super::manifest::Spec;
use super::protocol::{Input, Job, Told};
use super::worker::Fill;
use super::{Error, from_hex};
use crate::db::Connection;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file of a job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct File {
    pub role: String,
    pub name: String,
    pub sha256: String,
    pub bytes: i64,
    /// In the store.
    pub key: String,
    /// The job that made it; none made what came with an event.
    pub made_by: Option<i64>,
}

impl File {
    /// Of a row with these columns.
    pub(super) fn of(row: &tokio_postgres::Row) -> File {
        File {
            role: row.get("role"),
            name: row.get("name"),
            sha256: row.get("sha256"),
            bytes: row.get("bytes"),
            key: row.get("key"),
            made_by: row.get("made_by"),
        }
    }
}

/// A job that led to the file.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    pub job: i64,
    pub task: String,
    pub run: String,
    pub manifest_sha256: String,
    #[serde(skip)]
    pub manifest: String,
    pub command: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub event: Told,
    pub attempt: i32,
    /// ISO 8601, UTC.
    pub started: String,
    pub ended: String,
    /// Of the task: the hash of what it says.
    pub task_version: String,
    /// Of brickyard, where it ran.
    pub brickyard: String,
    pub worker: String,
    pub node: String,
    pub inputs: Vec<File>,
    pub outputs: Vec<File>,
}

/// A file with all that led to it, oldest first.
#[derive(Debug, Clone, Serialize)]
pub struct Provenance {
    pub run: String,
    pub file: File,
    pub steps: Vec<Step>,
}

/// How a file is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Sha256(String),
    Name(String),
}

impl Wanted {
    /// 64 hexadecimal digits, or a name, of which folders do not count.
    pub fn of(text: &str) -> Wanted {
        match text.len() == 64 && from_hex(text).is_some() {
            true => Wanted::Sha256(text.to_ascii_lowercase()),
            false => Wanted::Name(Path::new(text).file_name().map_or_else(|| text.to_owned(), |name| name.to_string_lossy().into_owned())),
        }
    }
}

/// The provenance of an artifact, in a run or, if it is `None`, in the newest that has it.
///
/// # Errors
/// When no run knows the file, or when several different ones have this name.
pub async fn of(connection: &Connection, wanted: &Wanted, run: Option<i64>) -> Result<Provenance, Error> {
    let (hash, name) = match wanted {
        Wanted::Sha256(hex) => (from_hex(hex), None),
        Wanted::Name(name) => (None, Some(name.as_str())),
    };
    let found = connection.query(include_str!("../../sql/pipeline/find_artifacts.sql"), &[&hash, &name, &run]).await?;
    let Some(first) = found.first() else {
        let what = match wanted {
            Wanted::Sha256(hex) => format!("no run has made or been given a file with the SHA-256 {hex}"),
            Wanted::Name(name) => {
                format!("no run has made or been given a file named {name:?}: give a file, a SHA-256, or the name of an artifact")
            }
        };
        return Err(Error::Refused(what));
    };
    let sha256: String = first.get("sha256");
    if let Some(other) = found.iter().find(|row| row.get::<_, String>("sha256") != sha256) {
        let hashes = format!(
            "{sha256} (run {}) and {} (run {})",
            first.get::<_, String>("run"),
            other.get::<_, String>("sha256"),
            other.get::<_, String>("run")
        );
        return Err(Error::Refused(format!("there are several files of that name, {hashes}: give the SHA-256, or --run")));
    }
    // the same bytes may have come with an event too: who made them tells more
    let chosen = found.iter().find(|row| row.get::<_, Option<i64>>("job_id").is_some()).unwrap_or(first);
    let file = File {
        role: chosen.get("role"),
        name: chosen.get("name"),
        sha256,
        bytes: chosen.get("bytes"),
        key: chosen.get("key"),
        made_by: chosen.get("job_id"),
    };
    Ok(Provenance { run: chosen.get("run"), file, steps: steps(connection, chosen.get("artifact_id")).await? })
}

async fn steps(connection: &Connection, artifact: i64) -> Result<Vec<Step>, Error> {
    let rows = connection.query(include_str!("../../sql/pipeline/provenance_jobs.sql"), &[&vec![artifact]]).await?;
    let jobs: Vec<i64> = rows.iter().map(|row| row.get("job_id")).collect();
    let mut files: BTreeMap<(i64, bool), Vec<File>> = BTreeMap::new();
    for row in connection.query(include_str!("../../sql/pipeline/provenance_files.sql"), &[&jobs]).await? {
        let of = (row.get("of_job"), row.get::<_, String>("kind") == "input");
        files.entry(of).or_default().push(File::of(&row));
    }
    let step = |row: &tokio_postgres::Row| {
        let job: i64 = row.get("job_id");
        let mut files_of = |is_input| files.remove(&(job, is_input)).unwrap_or_default();
        step(row, files_of(true), files_of(false))
    };
    rows.iter().map(step).collect()
}

/// A job as its worker is given it, of a row of its task, event and resources.
pub(super) fn job(row: &tokio_postgres::Row, inputs: &[File]) -> Result<Job, Error> {
    let spec: Spec = serde_json::from_value(row.get("spec")).map_err(Error::Stored)?;
    let given = |file: &File| Input {
        role: file.role.clone(),
        name: file.name.clone(),
        key: file.key.clone(),
        sha256: file.sha256.clone(),
        bytes: u64::try_from(file.bytes).unwrap_or(0),
    };
    Ok(Job {
        job: row.get("job_id"),
        attempt: row.get("attempt"),
        run: row.get("run"),
        task: row.get("task"),
        argv: spec.argv,
        env: spec.env,
        params: serde_json::from_value(row.get::<_, Value>("params")).map_err(Error::Stored)?,
        timeout_s: spec.timeout_s,
        cpu: row.get("cpu"),
        mem_mb: row.get("mem_mb"),
        disk_mb: row.get("disk_mb"),
        event: Told { name: row.get("event"), key: row.get("key"), payload: row.get("payload") },
        inputs: inputs.iter().map(given).collect(),
        needs: spec.needs,
        outputs: spec.outputs,
        emits: spec.emits,
        then: spec.then,
    })
}

fn step(row: &tokio_postgres::Row, inputs: Vec<File>, outputs: Vec<File>) -> Result<Step, Error> {
    let job = job(row, &inputs)?;
    let (command, env) = filled(&job)?;
    Ok(Step {
        job: job.job,
        task: job.task.clone(),
        run: job.run.clone(),
        manifest_sha256: row.get("manifest_sha256"),
        manifest: row.get("manifest"),
        command,
        env,
        event: job.event.clone(),
        attempt: job.attempt,
        started: row.get("started"),
        ended: row.get("ended"),
        task_version: row.get::<_, Option<String>>("task_version").unwrap_or_default(),
        brickyard: row.get("version"),
        worker: row.get("worker"),
        node: row.get("node"),
        inputs,
        outputs,
    })
}

/// Command and environment of a job as its worker fills them in, with paths in its scratch folder.
///
/// # Errors
/// When something that the templates name is not there.
pub(super) fn filled(job: &Job) -> Result<(Vec<String>, BTreeMap<String, String>), Error> {
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in &job.inputs {
        places.entry(file.role.clone()).or_default().push(Path::new("in").join(&file.role).join(&file.name));
    }
    let fill = Fill { brickyard: "brickyard".into(), job, inputs: &places };
    let filled = |template: &String| fill.argument(template).map_err(Error::Refused);
    let command = job.argv.iter().map(filled).collect::<Result<Vec<_>, _>>()?.concat();
    let env = job.env.iter().map(|(name, template)| Ok((name.clone(), filled(template)?.join(" ")))).collect::<Result<_, Error>>()?;
    Ok((command, env))
}

impl Provenance {
    /// Every file that occurs, once.
    pub fn files(&self) -> Vec<&File> {
        let of_steps = self.steps.iter().flat_map(|step| step.inputs.iter().chain(&step.outputs));
        let once: BTreeMap<(&str, &str), &File> =
            of_steps.chain([&self.file]).map(|file| ((file.sha256.as_str(), file.name.as_str()), file)).collect();
        once.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_wanted_by_hash_or_by_name() {
        let hash = "0123456789abcdef".repeat(4);
        assert_eq!(Wanted::of(&hash.to_uppercase()), Wanted::Sha256(hash));
        assert_eq!(Wanted::of("/data/b15_st.fits"), Wanted::Name("b15_st.fits".into()));
    }
}
