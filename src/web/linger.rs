//! A request's body that is read to its end though nobody wants it any more.
//!
//! An answer may be there before the whole request is: a form that is too large, an upload that is refused at its first part. A service that
//! then stops reading and closes makes the system reset the connection, and the client, still writing, loses the answer with it. So what is
//! left of a body is read and thrown away for a while, as web servers do on closing, within limits of bytes and time.

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use futures_util::{Stream, StreamExt};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Thrown away at most.
const BYTES: usize = 16 << 20;
const WAIT: Duration = Duration::from_secs(2);

/// The same request, whose body is read on when it is dropped half-way. A client that waits for a `100 Continue` sends nothing before it is
/// asked to, and is left alone.
pub fn read_on(request: Request) -> Request {
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return request;
    }
    request.map(|body| Body::from_stream(Lingering(Some(body.into_data_stream()))))
}

/// A body, until it has ended.
struct Lingering(Option<BodyDataStream>);

impl Stream for Lingering {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let next = body.poll_next_unpin(context);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        next
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let (Some(body), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(WAIT, throw_away(body)));
        }
    }
}

async fn throw_away(mut body: BodyDataStream) {
    let mut bytes = 0;
    while let Some(Ok(chunk)) = body.next().await {
        bytes += chunk.len();
        if bytes > BYTES {
            return;
        }
    }
}
