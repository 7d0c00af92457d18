//! Runs one job: its parameters to a question, its files to tables, rows to a file on the disk.
//!
//! Dropping the future stops everything: the session cancels its query on the server, the writer gives its file up.

use super::{DiskError, Fault, Job, Jobs, Outcome};
use crate::format::{self, Ending};
use crate::tap::query::{self, Answer, Failure, Question};
use crate::tap::upload::{self, Content};
use crate::tap::{Error, Service};
use futures_util::StreamExt;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Seconds of the planner's unit of cost: scans, sorts, groups and a merge join of 2 million rows took 1.0e-5 to 2.1e-5 on two loaded
/// cores (PostgreSQL 15); rows that lie scattered, ten times that. A quote is no promise.
const SECONDS_PER_COST: f64 = 2e-5;

pub(super) async fn execute(jobs: &Arc<Jobs>, service: &Service, job: &Job) -> Result<Outcome, Fault> {
    let question = Question::from_parameters(&job.parameters, &service.options)?;
    let tables = tables(jobs, job).await.map_err(Failure::from)?;
    let snapshot = service.snapshot();
    let mut catalogue = snapshot.catalogue.clone();
    if tables.is_empty() {
        // before a session is opened: most errors are found here
        query::translate(&question, &catalogue)?;
    }
    let mut session = service.job_reader(job.duration).await?;
    if !tables.is_empty() {
        catalogue = catalogue.with(session.upload(tables, jobs.uploads()).await?);
    }
    let statement = query::translate(&question, &catalogue)?;
    jobs.quote(&job.id, query::cost(&session, &statement).await? * SECONDS_PER_COST);
    let head = query::head(service, &question, &statement, &snapshot);
    let answer = query::run(service, session, &statement, &question, head).await?;
    let bytes = write(jobs, &job.id, answer).await?;
    Ok(Outcome { bytes, mime: question.kind.mime().to_owned(), ending: question.kind.ending().to_owned() })
}

/// The uploaded tables that the job names.
async fn tables(jobs: &Jobs, job: &Job) -> Result<Vec<(String, Content)>, upload::Error> {
    let named = upload::parse(job.parameters.iter().filter(|(name, _)| name == "UPLOAD").map(|(_, value)| value.as_str()))?;
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let mut parts = Vec::with_capacity(job.uploads.len());
    for upload in &job.uploads {
        parts.push((upload.part.clone(), Content { file: File::open(jobs.disk().upload(&job.id, &upload.file))? }));
    }
    let scratch = || jobs.disk().scratch().map_err(|error| io::Error::other(error.to_string()));
    upload::collect(named, parts, scratch, jobs.uploads()).await
}

/// The whole answer to the disk; its bytes. An answer that broke off is no result.
async fn write(jobs: &Jobs, id: &str, mut answer: Answer) -> Result<u64, Fault> {
    let mut writer = jobs.disk().writer(id);
    while let Some(chunk) = answer.next().await {
        writer.write(chunk?).await?;
    }
    if let Some(Ending::Failed(message)) = answer.progress.ending() {
        let is_timeout = message.contains("was stopped after");
        return Err(Fault { message: message.clone(), code: if is_timeout { "timeout" } else { "query" }.into(), transient: false });
    }
    Ok(writer.finish().await?)
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Fault {
        let transient = match &failure {
            Failure::Stopped | Failure::Refused { is_ours: true, .. } => true,
            Failure::Upload { code, .. } => *code == "upload-fetch",
            Failure::Usage(_)
            | Failure::Adql { .. }
            | Failure::Timeout { .. }
            | Failure::Costly { .. }
            | Failure::Refused { .. }
            | Failure::Format(_) => false,
        };
        Fault { message: failure.to_string(), code: failure.code().to_owned(), transient }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        tracing::error!(%error, "a job found no database session");
        let message = "the database cannot be reached at the moment: create the job again";
        Fault { message: message.into(), code: "unavailable".into(), transient: true }
    }
}

impl From<format::Error> for Fault {
    fn from(error: format::Error) -> Fault {
        match error {
            format::Error::Rows(error) => match error.downcast::<Failure>() {
                Ok(failure) => (*failure).into(),
                Err(error) => super::runner::internal(&error),
            },
            error => Failure::Format(error.to_string()).into(),
        }
    }
}

impl From<DiskError> for Fault {
    fn from(error: DiskError) -> Fault {
        let (code, transient) = match &error {
            DiskError::TooLarge { .. } => ("limit-result", false),
            DiskError::Quota { .. } => ("storage", true),
            DiskError::Full | DiskError::Io(_) => {
                tracing::error!(%error, cause = ?error, "a result cannot be kept");
                ("storage", true)
            }
        };
        Fault { message: error.to_string(), code: code.into(), transient }
    }
}
