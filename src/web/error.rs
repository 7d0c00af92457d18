//! One error for all handlers: an HTTP status, a code for programs, a message and a remedy for people.
//!
//! The body is a VOTable with QUERY_STATUS=ERROR (DALI 1.1, section 4.4) where a table was asked for, else plain text. Details that are
//! nobody's business (SQL, paths) stay in the log, beside the request's id.

use crate::format::{self, Info, Kind};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// An answer that is an error.
#[derive(Debug)]
pub struct Error {
    pub status: StatusCode,
    /// Kebab-case, for programs: `timeout`, `unknown-column`, `limit-form`, ....
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
    pub retry_after_s: Option<u64>,
    /// The format of the body; `None` is plain text.
    pub kind: Option<Kind>,
    /// Cone search has a word of its own for errors.
    pub is_cone: bool,
}

/// The code of an error, for programs that do not read bodies.
const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");

impl Error {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Error {
        Error { status, code, message: message.into(), hint: None, retry_after_s: None, kind: None, is_cone: false }
    }

    /// A parameter is missing or wrong.
    pub fn usage(message: impl Into<String>) -> Error {
        Error::new(StatusCode::BAD_REQUEST, "usage", message)
    }

    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    /// Something that should not have happened; what it was stands in the log only.
    pub fn internal(cause: &dyn std::fmt::Display) -> Error {
        tracing::error!(%cause, "internal error");
        Error::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the service failed on this request; its operators find out why in their log",
        )
    }

    /// What the client can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// When the client may try again.
    pub fn retry_after(mut self, seconds: u64) -> Error {
        self.retry_after_s = Some(seconds);
        self
    }

    /// With a VOTable for a body.
    pub fn votable(self) -> Error {
        self.for_kind(Kind::Binary2)
    }

    /// Told in the format that was asked for, where it can tell errors, else in a VOTable.
    pub fn for_kind(mut self, kind: Kind) -> Error {
        self.kind = Some(kind);
        self
    }

    fn infos(&self) -> Vec<Info> {
        let mut infos = vec![Info::new("ERROR_CODE", self.code)];
        if self.is_cone {
            infos.push(Info::new("Error", self.message.clone()));
        }
        infos
    }

    /// Message and hint.
    pub fn text(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}\nHint: {hint}", self.message),
            None => self.message.clone(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (kind, body) = match self.kind {
            None => ("text/plain; charset=utf-8", format!("{}\n", self.text()).into_bytes()),
            Some(kind) => format::error_document(kind, &self.text(), &self.infos()),
        };
        let mut response = (self.status, [(header::CONTENT_TYPE, kind), (ERROR_CODE, self.code)], body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<crate::tap::Error> for Error {
    fn from(error: crate::tap::Error) -> Error {
        use crate::tap;
        match error {
            tap::Error::Busy { .. } => Error::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.to_string()).retry_after(10),
            tap::Error::Db(crate::db::Error::Lost { .. } | crate::db::Error::Connect { .. }) => {
                tracing::error!(cause = %error, "no database");
                Error::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the database cannot be reached at the moment").retry_after(30)
            }
            other => Error::internal(&other),
        }
    }
}
