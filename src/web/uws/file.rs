//! A stored result over HTTP: whole or a range (RFC 9110, section 14), with ETag and length, never compressed on the way.

use super::super::Error;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::io::SeekFrom;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

const CHUNK: usize = 256 << 10;

/// What the head of the answer says.
pub struct About<'a> {
    pub mime: &'a str,
    pub etag: String,
    /// A name for saving it, of letters, digits, `-` and `.` only.
    pub file_name: String,
}

/// Answers with the file, or the part of it that `asked` wants.
pub async fn answer(path: &Path, about: &About<'_>, asked: &HeaderMap) -> Result<Response, Error> {
    let mut file = tokio::fs::File::open(path).await.map_err(|error| lost(&error))?;
    let length = file.metadata().await.map_err(|error| lost(&error))?.len();
    let mut headers = heads(about)?;
    if header_text(asked, header::IF_NONE_MATCH).is_some_and(|tags| tags == "*" || tags.split(',').any(|tag| tag.trim() == about.etag)) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let whole = header_text(asked, header::IF_RANGE).is_some_and(|tag| tag.trim() != about.etag);
    let range = header_text(asked, header::RANGE).filter(|_| !whole).map_or(Range::Whole, |text| range(text, length));
    let (status, first, count) = match range {
        Range::Whole => (StatusCode::OK, 0, length),
        Range::Part { first, last } => {
            headers.insert(header::CONTENT_RANGE, text_value(&format!("bytes {first}-{last}/{length}"))?);
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Range::Outside => {
            headers.insert(header::CONTENT_RANGE, text_value(&format!("bytes */{length}"))?);
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        }
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(count));
    file.seek(SeekFrom::Start(first)).await.map_err(|error| lost(&error))?;
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(count), CHUNK));
    Ok((status, headers, body).into_response())
}

fn heads(about: &About<'_>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, text_value(about.mime)?);
    headers.insert(header::ETAG, text_value(&about.etag)?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_DISPOSITION, text_value(&format!("attachment; filename=\"{}\"", about.file_name))?);
    // A result never changes, but it may be deleted.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache, no-transform"));
    Ok(headers)
}

fn text_value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(|error| Error::internal(&error))
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn lost(error: &std::io::Error) -> Error {
    tracing::error!(%error, "a result cannot be read");
    Error::new(StatusCode::INTERNAL_SERVER_ERROR, "result-lost", "the result is not on the disk any more")
        .hint("create the job again; the operators of this service find the reason in their log")
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    Part { first: u64, last: u64 },
    Outside,
}

/// One range of bytes; several, other units and what does not parse are answered with the whole.
fn range(text: &str, length: u64) -> Range {
    let Some((first, last)) = text.trim().strip_prefix("bytes=").filter(|r| !r.contains(',')).and_then(|r| r.split_once('-')) else {
        return Range::Whole;
    };
    let number = |text: &str| text.trim().parse::<u64>();
    match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            Ok(0) => Range::Outside,
            Ok(_) if length == 0 => Range::Outside,
            Ok(count) => Range::Part { first: length.saturating_sub(count), last: length - 1 },
            Err(_) => Range::Whole,
        },
        (first, last) => match (number(first), if last.is_empty() { Ok(u64::MAX) } else { number(last) }) {
            (Ok(first), Ok(last)) if last < first => Range::Whole,
            (Ok(first), Ok(_)) if first >= length => Range::Outside,
            (Ok(first), Ok(last)) => Range::Part { first, last: last.min(length - 1) },
            _ => Range::Whole,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        let part = |first, last| Range::Part { first, last };
        for (text, wanted) in [
            ("bytes=0-9", part(0, 9)),
            ("bytes=90-", part(90, 99)),
            ("bytes=90-1000", part(90, 99)),
            ("bytes=-10", part(90, 99)),
            ("bytes=-1000", part(0, 99)),
            ("bytes=100-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=9-0", Range::Whole),
            ("bytes=0-1,5-6", Range::Whole),
            ("rows=0-1", Range::Whole),
            ("bytes=x-y", Range::Whole),
            ("bytes=99999999999999999999-", Range::Whole),
        ] {
            assert_eq!(range(text, 100), wanted, "{text}");
        }
        assert_eq!(range("bytes=0-", 0), Range::Outside);
    }
}
