//! `/tap/async` and `/soda/async`: the whole tree of UWS 1.1 over [`Jobs`](crate::tap::jobs::Jobs), the same for each kind of job.
//!
//! Changes answer 303 with the job's URL, as the standard wants; 403 refuses what the phase does not allow, 404 what is not there (any
//! more), 400 a wrong value, 429 and 503 a full queue with Retry-After. A bad query is not refused here: it becomes a job in ERROR.
//!
//! Who knows a job's id may do with it what it likes (ids are 128 random bits); the list shows a client its own jobs only.

mod document;
mod file;

use super::form::{Form, Part};
use super::{App, Error, Parameters, Request, images};
use crate::tap::job::{self, BadValue, Phase};
use crate::tap::jobs::{self, Edit, Job, Kind, New, Upload};
use axum::Extension;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt;
use std::convert::Infallible;
use std::time::{Duration, SystemTime};

/// Silence that no client takes for a dead line; then the head of the answer goes ahead and blanks follow.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest RUNID.
const RUN_ID: usize = 256;
/// Parameters of a job at most.
const PARAMETERS: usize = 256;

/// The routes of both trees.
pub fn routes() -> Router<App> {
    tree(Kind::Query).merge(tree(Kind::Pieces))
}

/// The routes of a tree; its handlers are told which one it is.
fn tree(kind: Kind) -> Router<App> {
    let at = |path: &str| format!("{}{path}", list_path(kind));
    Router::new()
        .route(list_path(kind), get(list).post(create))
        .route(&at("/{id}"), get(show).post(act).delete(delete))
        .route(&at("/{id}/phase"), get(phase).post(set_phase))
        .route(&at("/{id}/executionduration"), get(duration).post(set))
        .route(&at("/{id}/destruction"), get(destruction).post(set))
        .route(&at("/{id}/quote"), get(quote))
        .route(&at("/{id}/owner"), get(owner))
        .route(&at("/{id}/runid"), get(run_id).post(set))
        .route(&at("/{id}/parameters"), get(parameters).post(set))
        .route(&at("/{id}/error"), get(error))
        .route(&at("/{id}/results"), get(results))
        .route(&at("/{id}/results/result"), get(result))
        .layer(Extension(kind))
}

/// Starts the workers.
pub fn work(app: &App) {
    app.jobs.work(&app.tap, images::pieces::worker(images::cutter(app)));
}

type Answer = Result<Response, Error>;
/// Which tree a request is about.
type Tree = Extension<Kind>;

/// Where the list of a kind is.
const fn list_path(kind: Kind) -> &'static str {
    match kind {
        Kind::Query => "/tap/async",
        Kind::Pieces => "/soda/async",
    }
}

fn job_url(app: &App, kind: Kind, id: &str) -> String {
    app.url(&format!("{}/{id}", list_path(kind)))
}

/// 303: see there.
fn see(url: String) -> Answer {
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, url)]).into_response())
}

fn text(text: impl Into<String>) -> Answer {
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text.into()).into_response())
}

fn xml(document: String) -> Answer {
    Ok(([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], document).into_response())
}

async fn list(State(app): State<App>, Extension(kind): Tree, Extension(request): Extension<Request>, parameters: Parameters) -> Answer {
    let phases: Vec<Phase> = parameters.all("PHASE").filter(|text| !text.trim().is_empty()).map(job::phase).collect::<Result<_, _>>()?;
    let after = parameters.get("AFTER").map(|text| job::moment("AFTER", text)).transpose()?.map(SystemTime::from);
    let last = parameters.get("LAST").map(|text| job::last(text, app.jobs.options().list)).transpose()?;
    let phases = (!phases.is_empty()).then_some(phases.as_slice());
    let jobs = app.jobs.list(kind, &client(&request), phases, after, last).await?;
    xml(document::list(&jobs, &app.url(list_path(kind))))
}

/// Whose jobs these are. An address is enough: what matters is hidden behind ids.
fn client(request: &Request) -> String {
    request.client.to_canonical().to_string()
}

async fn create(State(app): State<App>, Extension(kind): Tree, Extension(request): Extension<Request>, form: Form) -> Answer {
    let run = match form.parameters.get("PHASE").map(str::trim) {
        None => false,
        Some(phase) if phase.eq_ignore_ascii_case("RUN") => true,
        Some(other) => return Err(BadValue::new("PHASE", other, "is not possible for a new job: give RUN or nothing").into()),
    };
    let wanted = Wanted::read(&app, &form.parameters)?;
    let parameters = merge(Vec::new(), &form.parameters)?;
    let id = app.jobs.new_id()?;
    let uploads = keep(&app, kind, &id, form.files).await?;
    let options = app.jobs.options();
    let new = New {
        kind,
        client: client(&request),
        owner: None,
        run_id: wanted.run_id,
        parameters,
        uploads,
        duration: wanted.duration.unwrap_or(app.jobs.limit()),
        destruction: wanted.destruction,
        retention: Duration::from_secs(options.retention_s.min(options.retention_most_s)),
        quote: None,
    };
    app.jobs.create(&id, new, run).await?;
    see(job_url(&app, kind, &id))
}

/// What a form says about the job itself.
struct Wanted {
    run_id: Option<String>,
    duration: Option<Duration>,
    destruction: Option<SystemTime>,
}

impl Wanted {
    fn read(app: &App, parameters: &Parameters) -> Result<Wanted, Error> {
        let now = jiff::Timestamp::now();
        let most =
            jiff::SignedDuration::try_from(Duration::from_secs(app.jobs.options().retention_most_s)).unwrap_or(jiff::SignedDuration::MAX);
        let latest = now.checked_add(most).unwrap_or(jiff::Timestamp::MAX);
        let destruction = parameters.get("DESTRUCTION").map(|text| job::destruction(text, now, latest)).transpose()?;
        let duration = parameters.get("EXECUTIONDURATION").map(|text| job::duration(text, app.jobs.limit())).transpose()?;
        let run_id = parameters.get("RUNID").map(checked_run_id).transpose()?;
        Ok(Wanted { run_id, duration, destruction: destruction.map(SystemTime::from) })
    }
}

fn checked_run_id(text: &str) -> Result<String, BadValue> {
    match text.chars().count() <= RUN_ID && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(BadValue::new("RUNID", text, format!("is not a name: give at most {RUN_ID} characters in one line"))),
    }
}

/// Parameters of UWS itself, which say something about the job and nothing about the query.
const OF_THE_JOB: [&str; 5] = ["PHASE", "ACTION", "EXECUTIONDURATION", "DESTRUCTION", "WAIT"];

/// New values in the place of old ones; UPLOAD adds to what is there, because each names other tables.
fn merge(mut old: Vec<(String, String)>, new: &Parameters) -> Result<Vec<(String, String)>, Error> {
    let new = || new.0.iter().filter(|(name, _)| !OF_THE_JOB.contains(&name.as_str()));
    if new().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
        return Err(Error::usage("a parameter has a NUL character in it"));
    }
    old.retain(|(name, _)| name == "UPLOAD" || new().all(|(other, _)| other != name));
    old.extend(new().cloned());
    match old.len() <= PARAMETERS {
        true => Ok(old),
        false => Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, "limit-parameters", format!("a job has at most {PARAMETERS} parameters"))),
    }
}

/// Copies the files of a form to the job's folder.
async fn keep(app: &App, kind: Kind, id: &str, files: Vec<Part>) -> Result<Vec<Upload>, Error> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    if kind == Kind::Pieces {
        return Err(Error::usage("a job of pieces takes no files: give identifiers as ID, regions as CIRCLE, POLYGON or POS"));
    }
    let (disk, id) = (app.jobs.disk().clone(), id.to_owned());
    let copied = tokio::task::spawn_blocking(move || {
        let copy = |mut part: Part| {
            let file = disk.keep_upload(&id, &mut part.file)?;
            let Part { head, bytes, .. } = part;
            Ok(Upload { part: head.name, file, file_name: head.file_name, content_type: head.content_type, bytes })
        };
        files.into_iter().map(copy).collect::<Result<Vec<_>, jobs::DiskError>>()
    });
    Ok(copied.await.map_err(|error| Error::internal(&error))??)
}

async fn show(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>, parameters: Parameters) -> Answer {
    let Some(wait) = parameters.get("WAIT") else {
        let job = app.jobs.job(kind, &id).await?;
        return xml(document::head().to_owned() + &document::job(&job, &job_url(&app, kind, &id)));
    };
    let longest = job::wait(wait, Duration::from_secs(app.jobs.options().wait_s))?;
    let only_in = parameters.get("PHASE").map(job::phase).transpose()?;
    app.jobs.wait(kind, &id, longest.min(PATIENCE), only_in).await?;
    let job = app.jobs.job(kind, &id).await?;
    let url = job_url(&app, kind, &id);
    let left = longest.saturating_sub(PATIENCE);
    let over = left.is_zero() || !job.phase.is_active() || only_in.is_some_and(|phase| phase != job.phase);
    if over {
        return xml(document::head().to_owned() + &document::job(&job, &url));
    }
    Ok(([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], Body::from_stream(long_wait(app, job, url, left))).into_response())
}

/// The XML declaration at once, a blank line for each [`PATIENCE`] that passes, the job at the end: clients and proxies see life. A job
/// that is deleted meanwhile is shown as it was, ABORTED.
fn long_wait(app: App, first: Job, url: String, left: Duration) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    let declaration = futures_util::stream::once(std::future::ready(Ok(Bytes::from_static(document::head().as_bytes()))));
    let rest = futures_util::stream::unfold(Some((app, first, url, left)), |state| async move {
        let (app, first, url, left) = state?;
        let kind = first.kind;
        let waited = app.jobs.wait(kind, &first.id, left.min(PATIENCE), Some(first.phase)).await;
        let now = match waited {
            Ok(()) => app.jobs.job(kind, &first.id).await,
            Err(error) => Err(error),
        };
        let left = left.saturating_sub(PATIENCE);
        match now {
            Ok(job) if job.phase == first.phase && !left.is_zero() => Some((Ok(Bytes::from_static(b"\n")), Some((app, first, url, left)))),
            Ok(job) => Some((Ok(document::job(&job, &url).into()), None)),
            Err(_) => Some((Ok(document::job(&Job { phase: Phase::Aborted, ..first }, &url).into()), None)),
        }
    });
    declaration.chain(rest.fuse())
}

/// POST to the job: ACTION=DELETE; what belongs to a resource below it is taken here too.
async fn act(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>, form: Form) -> Answer {
    match form.parameters.get("ACTION").map(str::trim) {
        Some(action) if action.eq_ignore_ascii_case("delete") => remove(&app, kind, &id).await,
        Some(other) => Err(BadValue::new("ACTION", other, "is not possible: give DELETE").into()),
        None if form.parameters.get("PHASE").is_some() => change_phase(&app, kind, &id, &form.parameters).await,
        None => change(&app, kind, &id, form).await,
    }
}

async fn delete(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>) -> Answer {
    remove(&app, kind, &id).await
}

async fn remove(app: &App, kind: Kind, id: &str) -> Answer {
    app.jobs.delete(kind, id).await?;
    see(app.url(list_path(kind)))
}

async fn phase(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>) -> Answer {
    text(app.jobs.phase(kind, &id).await?.name())
}

async fn set_phase(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>, form: Form) -> Answer {
    change_phase(&app, kind, &id, &form.parameters).await
}

async fn change_phase(app: &App, kind: Kind, id: &str, parameters: &Parameters) -> Answer {
    match parameters.require("PHASE")?.trim() {
        run if run.eq_ignore_ascii_case("RUN") => app.jobs.run(kind, id).await?,
        abort if abort.eq_ignore_ascii_case("ABORT") => app.jobs.abort(kind, id).await?,
        other => return Err(BadValue::new("PHASE", other, "is not something to do: give RUN or ABORT").into()),
    }
    see(job_url(app, kind, id))
}

async fn set(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>, form: Form) -> Answer {
    change(&app, kind, &id, form).await
}

/// Changes whatever the form names.
async fn change(app: &App, kind: Kind, id: &str, form: Form) -> Answer {
    let wanted = Wanted::read(app, &form.parameters)?;
    let job = app.jobs.job(kind, id).await?;
    let parameters = merge(job.parameters.clone(), &form.parameters)?;
    let edits = parameters != job.parameters || wanted.duration.is_some() || wanted.run_id.is_some() || !form.files.is_empty();
    if edits {
        job::next(job.phase, job::Event::Edit).map_err(jobs::Error::from)?; // before files are copied
        let mut uploads = job.uploads;
        let new = keep(app, kind, id, form.files).await?;
        uploads.retain(|old| new.iter().all(|upload| upload.part != old.part));
        uploads.extend(new);
        let edit = Edit { parameters: Some(parameters), run_id: wanted.run_id, duration: wanted.duration, uploads: Some(uploads) };
        app.jobs.edit(kind, id, &edit).await?;
    }
    if let Some(at) = wanted.destruction {
        app.jobs.set_destruction(kind, id, at).await?;
    }
    see(job_url(app, kind, id))
}

async fn duration(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>) -> Answer {
    text(app.jobs.job(kind, &id).await?.duration.as_secs().to_string())
}

async fn destruction(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>) -> Answer {
    text(document::time(app.jobs.job(kind, &id).await?.destruction))
}

async fn quote(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>) -> Answer {
    text(app.jobs.job(kind, &id).await?.quote.map(document::time).unwrap_or_default())
}

async fn owner(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>) -> Answer {
    text(app.jobs.job(kind, &id).await?.owner.unwrap_or_default())
}

async fn run_id(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>) -> Answer {
    text(app.jobs.job(kind, &id).await?.run_id.unwrap_or_default())
}

async fn parameters(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>) -> Answer {
    xml(document::parameters(&app.jobs.job(kind, &id).await?))
}

async fn results(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>) -> Answer {
    xml(document::results(&app.jobs.job(kind, &id).await?, &job_url(&app, kind, &id)))
}

/// The error as a document of its own, a VOTable unless the job asked for text.
async fn error(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>) -> Answer {
    let job = app.jobs.job(kind, &id).await?;
    let Some(fault) = &job.fault else {
        return Err(Error::not_found(format!("the job is {}: it has no error", job.phase.name())));
    };
    let asked = Parameters(job.parameters.clone());
    let format = asked.get("RESPONSEFORMAT").or_else(|| asked.get("FORMAT")).unwrap_or_default().to_ascii_lowercase();
    // SODA 1.0, section 4.3: errors are text
    let is_text = kind == Kind::Pieces
        || ["text/plain", "txt", "text/csv", "csv", "tsv", "text/tab-separated-values"].iter().any(|text| format.starts_with(text));
    if is_text {
        return text(format!("{}\n", fault.message));
    }
    Ok(Error::new(StatusCode::OK, "job-error", fault.message.clone()).votable().into_response())
}

async fn result(State(app): State<App>, Extension(kind): Tree, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let job = app.jobs.job(kind, &id).await?;
    let Some(outcome) = job.result.as_ref().filter(|_| job.phase == Phase::Completed) else {
        let error = Error::not_found(format!("the job is {}: it has no result", job.phase.name()));
        return Err(match (&job.fault, job.phase) {
            (Some(fault), _) => error.hint(fault.message.clone()),
            (None, Phase::Pending) => error.hint("post PHASE=RUN to its phase"),
            (None, phase) if phase.is_active() => error.hint("wait for it with WAIT"),
            (None, _) => error,
        });
    };
    if outcome.bytes == 0 && kind == Kind::Pieces {
        return Ok(StatusCode::NO_CONTENT.into_response()); // as the synchronous service says that nothing overlaps
    }
    let about = file::About { mime: &outcome.mime, etag: outcome.etag(&id), file_name: format!("{id}.{}", outcome.ending) };
    file::answer(&app.jobs.disk().result(&id), &about, &headers).await
}

impl From<BadValue> for Error {
    fn from(error: BadValue) -> Error {
        Error::usage(error.to_string())
    }
}

impl From<jobs::DiskError> for Error {
    fn from(error: jobs::DiskError) -> Error {
        use jobs::DiskError;
        match error {
            DiskError::TooLarge { .. } => Error::new(StatusCode::PAYLOAD_TOO_LARGE, "limit-result", error.to_string()),
            DiskError::Quota { .. } | DiskError::Full | DiskError::Io(_) => {
                tracing::error!(%error, cause = ?error, "no room for jobs");
                Error::new(StatusCode::SERVICE_UNAVAILABLE, "storage", error.to_string()).retry_after(600)
            }
        }
    }
}

impl From<jobs::Error> for Error {
    fn from(error: jobs::Error) -> Error {
        let message = error.to_string();
        match error {
            jobs::Error::Db(error) => crate::tap::Error::from(error).into(),
            jobs::Error::Disk(error) => error.into(),
            jobs::Error::NoJob(_) => Error::not_found(message),
            jobs::Error::Refused(_) => Error::new(StatusCode::FORBIDDEN, "phase", message),
            jobs::Error::ClientFull { .. } => Error::new(StatusCode::TOO_MANY_REQUESTS, "limit-jobs", message).retry_after(60),
            jobs::Error::Full { .. } => Error::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).retry_after(60),
        }
    }
}
