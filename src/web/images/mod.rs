//! Images over HTTP: found by SIA 1 and 2, described by DataLink, cut by SODA and in the manner of the Data Lab.
//!
//! Images are named by identifiers (`ivo://authority/images?path/hdu`) or file names, which the database resolves; a piece is cut on a
//! thread that may block, when its turn has come ([`archive::Archive::work`]).

pub mod cutout;
pub mod cutter;
pub mod datalink;
pub mod hips;
mod overlay;
pub mod page;
pub mod pieces;
pub mod sia1;
pub mod sia2;
pub mod soda;
pub mod wish;

use super::{App, Error, Request};
use crate::archive::{self, Entry};
use crate::image::Piece;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cutter::Cutter;
use futures_util::StreamExt;
use wish::Form;

/// The MIME type of images; `application/fits` is for tables too.
pub const FITS: &str = "image/fits";

/// What stands before an image's name in its identifier.
pub fn prefix(tap: &crate::tap::Service) -> String {
    format!("ivo://{}/images?", tap.authority())
}

/// The identifier of an image.
pub fn identifier(app: &App, entry: &Entry) -> String {
    prefix(&app.tap) + &entry.name
}

/// A value as it stands in the query of a URL.
pub fn in_query(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Can a text of a client be the name of anything? PostgreSQL's texts hold no NUL.
fn can_name(text: &str) -> bool {
    text.len() <= 4096 && !text.contains('\0')
}

/// The image of an identifier; `None` if it is none of ours.
pub async fn by_identifier(app: &App, id: &str) -> Result<Option<Entry>, Error> {
    cutter(app).by_identifier(id).await
}

pub fn cutter(app: &App) -> Cutter {
    Cutter { tap: app.tap.clone(), archive: app.archive.clone(), base_url: app.base_url.clone() }
}

/// Cuts a piece (none means the whole image) and sends it; `None` if the image has nothing of it.
pub async fn piece(app: &App, known: &Request, entry: Entry, piece: Option<Piece>, form: &Form) -> Result<Option<Response>, Error> {
    let permit = app.clients.enter(known.client).ok_or_else(|| too_many(app))?;
    let Some(made) = cutter(app).cut(entry, piece, form).await? else { return Ok(None) };
    let headers = [
        (header::CONTENT_TYPE, made.mime.to_owned()),
        (header::CONTENT_LENGTH, made.bytes.to_string()),
        (header::CONTENT_DISPOSITION, format!("inline; filename=\"{}\"", made.file_name)),
    ];
    let chunks = made.chunks().map(move |chunk| {
        // the client counts as busy until all is sent
        let _held = &permit;
        chunk
    });
    Ok(Some((headers, Body::from_stream(chunks)).into_response()))
}

/// A file's name for a header: what is not a letter, digit or one of `-_.` becomes `_`.
fn safe(file: &str) -> String {
    file.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}

fn too_many(app: &App) -> Error {
    let message = format!("you have {} requests under way, which is the most for one client", app.tap.options.queries_per_client);
    Error::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", message).hint("wait for one to finish").retry_after(5)
}

/// The bucket that images lie in does not answer, or not as it should.
fn storage(cause: &dyn std::fmt::Display) -> Error {
    tracing::error!(%cause, "the bucket of images");
    let message = "the store of images cannot be reached at the moment";
    Error::new(StatusCode::SERVICE_UNAVAILABLE, "storage", message).retry_after(10)
}

impl From<archive::Error> for Error {
    fn from(error: archive::Error) -> Error {
        match error {
            archive::Error::Busy { .. } => Error::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.to_string()).retry_after(10),
            archive::Error::Slow { .. } => Error::new(StatusCode::REQUEST_TIMEOUT, "timeout", error.to_string()),
            archive::Error::Gone => Error::new(StatusCode::NOT_FOUND, "gone", error.to_string()),
            archive::Error::Db(error) => crate::tap::Error::from(error).into(),
            archive::Error::Store(error) => storage(&error),
            other => Error::internal(&other),
        }
    }
}
