//! One error for all handlers: an HTTP status, a code for programs, a message and a remedy for people.
//!
//! The body is a VOTable with QUERY_STATUS=ERROR (DALI 1.1, section 4.4) where a table was asked for, else plain text. Details that are
//! nobody's business (SQL, paths) stay in the log, beside the request's id.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// What the body of an error looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Body {
    /// `text/plain`
    #[default]
    Text,
    /// A VOTable with an INFO
    Votable,
}

/// An answer that is an error.
#[derive(Debug)]
pub struct Error {
    pub status: StatusCode,
    /// Kebab-case, for programs: `timeout`, `unknown-column`, `limit-form`, ....
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
    pub retry_after_s: Option<u64>,
    pub body: Body,
}

/// The code of an error, for programs that do not read bodies.
const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");

impl Error {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Error {
        Error { status, code, message: message.into(), hint: None, retry_after_s: None, body: Body::Text }
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
    pub fn votable(mut self) -> Error {
        self.body = Body::Votable;
        self
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
        let (kind, body) = match self.body {
            Body::Text => ("text/plain; charset=utf-8", format!("{}\n", self.text())),
            Body::Votable => ("application/x-votable+xml", votable(&self)),
        };
        let mut response = (self.status, [(header::CONTENT_TYPE, kind), (ERROR_CODE, self.code)], body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn votable(error: &Error) -> String {
    let message = escape(&error.text());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <VOTABLE version=\"1.4\" xmlns=\"http://www.ivoa.net/xml/VOTable/v1.3\">\n\
         <RESOURCE type=\"results\">\n\
         <INFO name=\"QUERY_STATUS\" value=\"ERROR\">{message}</INFO>\n\
         <INFO name=\"ERROR_CODE\" value=\"{}\"/>\n\
         </RESOURCE>\n\
         </VOTABLE>\n",
        error.code
    )
}

/// Text for XML: escaped, and without the control characters that XML 1.0 cannot hold.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            c if c.is_control() => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
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
