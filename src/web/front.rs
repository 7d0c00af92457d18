//! The front page, and what stands where nothing is.

use super::{App, Error};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Html;

/// `/`: the endpoints, and lines to copy for the usual clients.
pub async fn page(State(app): State<App>) -> Html<String> {
    Html(format!("<!DOCTYPE html>\n<title>brickyard</title>\n<p>{}</p>\n", super::error::escape(&app.base_url)))
}

/// Where nothing is.
pub async fn nowhere(State(app): State<App>, uri: Uri) -> Error {
    let path: String = uri.path().chars().take(100).collect();
    Error::not_found(format!("there is nothing at {path}")).hint(format!("the endpoints are listed at {}/", app.base_url))
}

/// Where something is, but not for this method.
pub async fn not_that_way(method: Method) -> Error {
    Error::new(StatusCode::METHOD_NOT_ALLOWED, "method", format!("{method} is not for this resource"))
}
