//! TAP: synchronous queries and the documents about the service.

use super::{App, Error, Form, Parameters, Request};
use crate::adql::Catalogue;
use crate::format::{Head, Kind};
use crate::tap::query::{self as ask, Failure, Question, Session, Snapshot};
use crate::tap::upload::Content;
use crate::tap::vosi::{self, Detail, Limits};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

/// `/tap/sync`: the rows of a query, as the server finds them.
pub async fn query(State(app): State<App>, Extension(known): Extension<Request>, form: Result<Form, Error>) -> Result<Response, Error> {
    let Form { parameters, files } = form.map_err(Error::votable)?;
    let question = Question::from_parameters(&parameters.0, &app.tap.options);
    let kind = question.as_ref().map_or_else(|_| asked_kind(&parameters), |question| question.kind);
    let answered = match question {
        Ok(question) => match super::form::tables(&app, &parameters, files).await {
            Ok(tables) => answer_over(&app, &known, &question, tables, |_| ()).await,
            Err(error) => Err(failed(&app, error.into())),
        },
        Err(failure) => Err(failed(&app, failure)),
    };
    answered.map_err(|error| error.for_kind(kind))
}

/// The format in which an error is told when nothing else could be read of the request.
pub fn asked_kind(parameters: &Parameters) -> Kind {
    let wanted = parameters.get("RESPONSEFORMAT").or_else(|| parameters.get("FORMAT"));
    wanted.and_then(Kind::from_request).unwrap_or(Kind::Binary2)
}

/// Runs a question and streams its answer; `say` has more to say in its head.
pub async fn answer_with(app: &App, known: &Request, question: &Question, say: impl FnOnce(&mut Head)) -> Result<Response, Error> {
    answer_over(app, known, question, Vec::new(), say).await
}

/// The same, with uploaded tables.
pub async fn answer_over(
    app: &App,
    known: &Request,
    question: &Question,
    tables: Vec<(String, Content)>,
    say: impl FnOnce(&mut Head),
) -> Result<Response, Error> {
    let permit = app.clients.enter(known.client).ok_or_else(|| too_many(app))?;
    let snapshot = app.tap.snapshot();
    tracing::info!(query = ask::shown(&question.query, 500), rows = question.limit, format = ?question.kind, "query");
    let (session, catalogue) = session(app, &snapshot, tables).await?;
    let statement = ask::translate(question, &catalogue).map_err(|failure| failed(app, failure))?;
    let mut head = ask::head(&app.tap, question, &statement, &snapshot);
    say(&mut head);
    let session = match session {
        Some(session) => session,
        None => app.tap.reader().await?,
    };
    let mut answer = ask::run(&app.tap, session, &statement, question, head).await.map_err(|failure| failed(app, failure))?;
    answer.hold(permit);
    let name = format!("inline; filename=\"result.{}\"", question.kind.ending());
    let headers = [
        (header::CONTENT_TYPE, question.kind.mime().to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-store".into()),
    ];
    Ok((headers, Body::from_stream(answer)).into_response())
}

/// What can be asked, and the session with the uploaded tables; without uploads a session is taken only when the query is known to be right.
async fn session(app: &App, snapshot: &Snapshot, tables: Vec<(String, Content)>) -> Result<(Option<Session>, Catalogue), Error> {
    let catalogue = snapshot.catalogue.clone();
    if tables.is_empty() {
        return Ok((None, catalogue));
    }
    let mut session = app.tap.reader().await?;
    let relations = session.upload(tables, app.jobs.uploads()).await.map_err(|failure| failed(app, failure))?;
    Ok((Some(session), catalogue.with(relations)))
}

fn too_many(app: &App) -> Error {
    let message = format!("you have {} queries running, which is the most for one client", app.tap.options.queries_per_client);
    Error::new(StatusCode::TOO_MANY_REQUESTS, "too-many-queries", message)
        .hint("wait for one to finish, or hand them over as asynchronous jobs")
        .retry_after(5)
}

/// A failure as an answer, with what the client can do.
pub fn failed(app: &App, failure: Failure) -> Error {
    let (code, message) = (failure.code(), failure.to_string());
    let hint = format!("run it as an asynchronous job, which may take longer: {}", app.url("/tap/async"));
    match failure {
        Failure::Timeout { mode: "synchronous", .. } => Error::new(StatusCode::REQUEST_TIMEOUT, code, message).hint(hint),
        Failure::Timeout { .. } => Error::new(StatusCode::REQUEST_TIMEOUT, code, message),
        Failure::Costly { .. } => Error::new(StatusCode::BAD_REQUEST, code, message).hint(hint),
        Failure::Stopped => Error::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(10),
        Failure::Refused { code: "unavailable" | "locked" | "changed", .. } => {
            Error::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(10)
        }
        Failure::Refused { code: "forbidden", .. } => Error::new(StatusCode::FORBIDDEN, code, message),
        Failure::Refused { is_ours: true, .. } => Error::new(StatusCode::INTERNAL_SERVER_ERROR, code, message),
        Failure::Upload { code: "limit-upload", .. } => Error::new(StatusCode::PAYLOAD_TOO_LARGE, code, message),
        Failure::Upload { .. } | Failure::Usage(_) | Failure::Adql { .. } | Failure::Refused { .. } | Failure::Format(_) => {
            Error::new(StatusCode::BAD_REQUEST, code, message)
        }
    }
}

/// XML as the validators want to see it.
pub fn xml(document: String) -> Response {
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], document).into_response()
}

/// `/tap`: the way in for people.
pub async fn root(State(app): State<App>) -> Redirect {
    Redirect::to(&app.url("/"))
}

/// `/tap/capabilities`
pub async fn capabilities(State(app): State<App>) -> Response {
    xml(vosi::capabilities(&app.base_url, &app.tap.snapshot().published, &limits(&app)))
}

/// What is advertised.
pub fn limits(app: &App) -> Limits<'_> {
    Limits { tap: &app.tap.options, jobs: app.jobs.options(), upload: app.jobs.uploads() }
}

/// `/tap/tables`
pub async fn tables(State(app): State<App>, parameters: Parameters) -> Result<Response, Error> {
    let detail = parameters.parse("DETAIL", "min or max", |text| match text.to_ascii_lowercase().as_str() {
        "min" => Some(Detail::Min),
        "max" => Some(Detail::Max),
        _ => None,
    })?;
    Ok(xml(vosi::tables(&app.tap.snapshot().published, detail.unwrap_or(Detail::Max))))
}

/// `/tap/tables/{name}`
pub async fn table(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Error> {
    let document = vosi::tables_of(&app.tap.snapshot().published, &name);
    let missing = || {
        Error::not_found(format!("there is no table or schema {}", ask::shown(&name, 100)))
            .hint(format!("{} lists them", app.url("/tap/tables")))
    };
    document.map(xml).ok_or_else(missing)
}

/// `/tap/availability`
pub async fn availability(State(app): State<App>) -> Response {
    let ailments = app.tap.ailments().await;
    let is_available = !ailments.iter().any(|text| text.contains("database"));
    xml(vosi::availability(is_available, app.tap.started(), &ailments))
}

/// `/tap/examples`
pub async fn examples(State(app): State<App>) -> Response {
    let page = vosi::examples(&app.tap.snapshot().published, &app.base_url);
    ([(header::CONTENT_TYPE, "application/xhtml+xml; charset=utf-8")], page).into_response()
}
