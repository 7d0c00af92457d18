//! What workers ask of their master. One handler for each route; everything is decided below.
//!
//! Bodies are JSON, strict and bounded ([`protocol`]); the token comes as `Authorization: Bearer`. No GET changes anything. Every
//! report may be repeated. Answers: 200; 400 not understood; 401 no valid token; 404 no such attempt; 409 fenced (drop this job, go
//! on); 413 too large; 503 the database or the store does not answer (try again).

use super::Site;
use crate::pipeline::master::{Bearer, Master};
use crate::pipeline::protocol::{self, Answer, Bounded, Claim, Complete, Fail, Heartbeat, Refusal, Register, Stage, Urls};
use crate::pipeline::{Error, state::Verdict};
use crate::store::{self, Access};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use futures_util::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

type Answered = Result<Response, Refused>;

/// The routes of workers; paths begin with `/v1`.
pub fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/v1/register", post(register))
        .route("/v1/claim", post(claim))
        .route("/v1/heartbeat", post(heartbeat))
        .route("/v1/jobs/{job}/{attempt}/complete", post(complete))
        .route("/v1/jobs/{job}/{attempt}/fail", post(fail))
        .route("/v1/jobs/{job}/{attempt}/stage", post(stage))
        .route("/v1/jobs/{job}/{attempt}/urls", post(urls))
        .route("/v1/jobs/{job}/{attempt}/log", post(log))
        .layer(DefaultBodyLimit::max(protocol::BODY_BYTES))
        .route("/v1/bytes/{*key}", get(read_bytes).put(write_bytes).layer(DefaultBodyLimit::disable()))
}

/// The master, as soon as there is one.
struct Ready(Arc<Master>);

impl FromRequestParts<Arc<Site>> for Ready {
    type Rejection = Refused;
    async fn from_request_parts(_: &mut Parts, site: &Arc<Site>) -> Result<Ready, Refused> {
        match site.master().await? {
            Some(master) => Ok(Ready(master)),
            None => Err(Refused(StatusCode::SERVICE_UNAVAILABLE, "there is no pipeline yet: try again".into())),
        }
    }
}

/// A refusal with its status.
pub struct Refused(StatusCode, String);

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        let status = match &error {
            Error::Unauthorized => StatusCode::UNAUTHORIZED,
            Error::Fenced => StatusCode::CONFLICT,
            Error::Refused(_) | Error::Store(store::Error::Key { .. }) => StatusCode::BAD_REQUEST,
            Error::Store(error) => of_store(error),
            Error::Db(_) | Error::Pool(_) | Error::NoAnswer => StatusCode::SERVICE_UNAVAILABLE,
            Error::RunExists { .. } | Error::NoRun { .. } | Error::NoJob { .. } | Error::Stored(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // what the database or the disk say is for our log, not for the net
        let text = match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INTERNAL_SERVER_ERROR => {
                tracing::warn!(%error, "a worker's request failed");
                "the master cannot do this now: try again".to_owned()
            }
            _ => error.to_string(),
        };
        Refused(status, text)
    }
}

fn of_store(error: &store::Error) -> StatusCode {
    match error {
        store::Error::Key { .. } | store::Error::Url { .. } | store::Error::Cut { .. } => StatusCode::BAD_REQUEST,
        store::Error::Missing { .. } => StatusCode::NOT_FOUND,
        store::Error::Exists { .. } | store::Error::Changed { .. } => StatusCode::CONFLICT,
        store::Error::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        store::Error::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
        store::Error::Io { .. } | store::Error::Remote { .. } => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(Refusal { error: self.1 })).into_response()
    }
}

async fn bearer(master: &Master, headers: &HeaderMap) -> Result<Bearer, Refused> {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    Ok(master.authorize(token.ok_or(Error::Unauthorized)?).await?)
}

fn decode<T: DeserializeOwned + Bounded>(body: &[u8]) -> Result<T, Refused> {
    let bad = |why: String| Refused(StatusCode::BAD_REQUEST, why);
    let value: T = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    value.check().map_err(bad)?;
    Ok(value)
}

fn answer(verdict: Verdict) -> Answered {
    match verdict {
        Verdict::Ok | Verdict::Already => Ok(Json(Answer { verdict }).into_response()),
        Verdict::Fenced => Err(Error::Fenced.into()),
        Verdict::Unknown => Err(Refused(StatusCode::NOT_FOUND, "there is no such attempt".into())),
    }
}

async fn register(Ready(master): Ready, headers: HeaderMap, body: Bytes) -> Answered {
    let bearer = bearer(&master, &headers).await?;
    let request: Register = decode(&body)?;
    Ok(Json(master.register(&bearer, &request).await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    #[serde(default)]
    wait: u64,
}

async fn claim(Ready(master): Ready, Query(wait): Query<Wait>, headers: HeaderMap, body: Bytes) -> Answered {
    let bearer = bearer(&master, &headers).await?;
    let request: Claim = decode(&body)?;
    Ok(Json(master.claim(&bearer, &request, Duration::from_secs(wait.wait)).await?).into_response())
}

async fn heartbeat(Ready(master): Ready, headers: HeaderMap, body: Bytes) -> Answered {
    let bearer = bearer(&master, &headers).await?;
    let request: Heartbeat = decode(&body)?;
    Ok(Json(master.heartbeat(&bearer, &request).await?).into_response())
}

async fn complete(Ready(master): Ready, Path((job, attempt)): Path<(i64, i32)>, headers: HeaderMap, body: Bytes) -> Answered {
    let bearer = bearer(&master, &headers).await?;
    let request: Complete = decode(&body)?;
    answer(master.complete(&bearer, job, attempt, request).await?)
}

async fn fail(Ready(master): Ready, Path((job, attempt)): Path<(i64, i32)>, headers: HeaderMap, body: Bytes) -> Answered {
    let bearer = bearer(&master, &headers).await?;
    let request: Fail = decode(&body)?;
    answer(master.fail(&bearer, job, attempt, &request).await?)
}

async fn stage(Ready(master): Ready, Path((job, attempt)): Path<(i64, i32)>, headers: HeaderMap, body: Bytes) -> Answered {
    let bearer = bearer(&master, &headers).await?;
    let request: Stage = decode(&body)?;
    answer(master.stage(&bearer, job, attempt, &request).await?)
}

async fn urls(Ready(master): Ready, Path((job, attempt)): Path<(i64, i32)>, headers: HeaderMap, body: Bytes) -> Answered {
    let bearer = bearer(&master, &headers).await?;
    let request: Urls = decode(&body)?;
    Ok(Json(master.urls(&bearer, job, attempt, &request).await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Piece {
    worker: i64,
    offset: u64,
}

/// The body is the piece itself.
async fn log(
    Ready(master): Ready,
    Path((job, attempt)): Path<(i64, i32)>,
    Query(piece): Query<Piece>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let bearer = bearer(&master, &headers).await?;
    if body.len() > protocol::LOG_BYTES {
        return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, format!("a piece of a log has at most {} bytes", protocol::LOG_BYTES)));
    }
    Ok(Json(master.log(&bearer, piece.worker, job, attempt, piece.offset, &body).await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    until: u64,
    signature: String,
}

/// Bytes of a local store; the signature in the URL is the permission.
async fn read_bytes(Ready(master): Ready, Path(key): Path<String>, Query(signed): Query<Signature>) -> Answered {
    master.check_url(Access::Get, &key, signed.until, &signed.signature)?;
    let (size, bytes) = master.store.get(&key).await.map_err(Error::from)?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream".to_owned()), (header::CONTENT_LENGTH, size.to_string())];
    Ok((headers, Body::from_stream(bytes)).into_response())
}

async fn write_bytes(Ready(master): Ready, Path(key): Path<String>, Query(signed): Query<Signature>, body: Body) -> Answered {
    master.check_url(Access::Put, &key, signed.until, &signed.signature)?;
    let named = key.clone();
    let bytes = body.into_data_stream().map_err(move |error| store::Error::Cut { key: named.clone(), why: error.to_string() });
    master.store.put(&key, bytes.boxed(), master.artifact_bytes()).await.map_err(Error::from)?;
    Ok(StatusCode::CREATED.into_response())
}
