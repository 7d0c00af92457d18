//! Records for the registry, and the coverage of each table.

use super::{App, Error, Parameters, scs, sync};
use crate::tap::{coverage, query, registry};
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

/// `/registry`: VOResource records of the service and its catalogues.
pub async fn records(State(app): State<App>) -> Response {
    let published = &app.tap.snapshot().published;
    let document = registry::records(published, &app.base_url, &sync::limits(&app), app.tap.started(), scs::can_search);
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], document).into_response()
}

/// `/moc/{table}`: where on the sky a table has rows, as FITS, JSON or ASCII.
pub async fn moc(State(app): State<App>, Path(name): Path<String>, parameters: Parameters) -> Result<Response, Error> {
    let snapshot = app.tap.snapshot();
    let missing = || Error::not_found(format!("there is no coverage of {}", query::shown(&name, 100)));
    let relation = snapshot.published.find(&name).ok_or_else(missing)?;
    let moc = relation.moc.as_deref().and_then(coverage::parse).ok_or_else(missing)?;
    let format = parameters.get("RESPONSEFORMAT").or_else(|| parameters.get("FORMAT")).unwrap_or("fits").to_ascii_lowercase();
    let (mime, body, ending) = match format.as_str() {
        "fits" | "application/fits" => ("application/fits", coverage::fits(&moc, &relation.table.full_name()), "fits"),
        "json" | "application/json" => ("application/json", coverage::json(&moc), "json"),
        "ascii" | "txt" | "text/plain" => ("text/plain; charset=utf-8", coverage::ascii(&moc).into_bytes(), "txt"),
        _ => return Err(Error::usage(format!("RESPONSEFORMAT={} is not known; there are fits, json, ascii", query::shown(&format, 40)))),
    };
    let name = format!("inline; filename=\"{}_moc.{ending}\"", relation.table.full_name());
    Ok(([(header::CONTENT_TYPE, mime.to_owned()), (header::CONTENT_DISPOSITION, name)], body).into_response())
}
