//! A worker's side of the protocol: requests to the master, bytes to and from signed URLs.

use super::protocol::{
    Alive, Answer, Claim, Claimed, Complete, Fail, Heartbeat, Logged, Refusal, Register, Registered, Signed, Stage, Urls,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;

/// How a request can end without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 409: the attempt is not ours any more.
    #[error("the attempt was given to another")]
    Fenced,
    /// 401: the token is not (or no longer) good.
    #[error("the master does not take this token")]
    Unauthorized,
    /// Another 4xx: the same again would end the same.
    #[error("the master refuses: {0}")]
    Refused(String),
    /// No answer, or 5xx: the same may work in a moment.
    #[error("the master does not answer: {0}")]
    Unreachable(String),
}

/// Speaks with one master.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    /// `url` is the master's, such as `https://runner.example/pipeline`.
    pub fn new(url: &str, token: &str) -> Result<Client, Error> {
        // the first of the process stays
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("brickyard-worker/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Refused(told(&error)))?;
        let base = url.trim_end_matches('/').to_owned();
        reqwest::Url::parse(&base).map_err(|error| Error::Refused(format!("{url:?} is no URL: {error}")))?;
        Ok(Client { http, base, token: token.trim().to_owned() })
    }

    async fn post<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize, timeout: Duration) -> Result<A, Error> {
        let request = self.http.post(format!("{}/{path}", self.base)).bearer_auth(&self.token).timeout(timeout).json(body);
        read(request.send().await).await
    }

    pub async fn register(&self, request: &Register) -> Result<Registered, Error> {
        self.post("v1/register", request, Duration::from_secs(20)).await
    }

    pub async fn claim(&self, request: &Claim, wait: Duration) -> Result<Claimed, Error> {
        self.post(&format!("v1/claim?wait={}", wait.as_secs()), request, wait + Duration::from_secs(20)).await
    }

    pub async fn heartbeat(&self, request: &Heartbeat) -> Result<Alive, Error> {
        self.post("v1/heartbeat", request, Duration::from_secs(10)).await
    }

    pub async fn complete(&self, job: i64, attempt: i32, request: &Complete) -> Result<Answer, Error> {
        self.post(&format!("v1/jobs/{job}/{attempt}/complete"), request, Duration::from_secs(60)).await
    }

    pub async fn fail(&self, job: i64, attempt: i32, request: &Fail) -> Result<Answer, Error> {
        self.post(&format!("v1/jobs/{job}/{attempt}/fail"), request, Duration::from_secs(20)).await
    }

    pub async fn stage(&self, job: i64, attempt: i32, request: &Stage) -> Result<Answer, Error> {
        self.post(&format!("v1/jobs/{job}/{attempt}/stage"), request, Duration::from_secs(60)).await
    }

    pub async fn urls(&self, job: i64, attempt: i32, request: &Urls) -> Result<Signed, Error> {
        self.post(&format!("v1/jobs/{job}/{attempt}/urls"), request, Duration::from_secs(20)).await
    }

    pub async fn log(&self, worker: i64, job: i64, attempt: i32, offset: u64, piece: Vec<u8>) -> Result<Logged, Error> {
        let url = format!("{}/v1/jobs/{job}/{attempt}/log?worker={worker}&offset={offset}", self.base);
        let request = self.http.post(url).bearer_auth(&self.token).timeout(Duration::from_secs(10)).body(piece);
        read(request.send().await).await
    }

    /// A signed URL, made whole if it is a path of the master's.
    fn whole(&self, url: &str) -> String {
        if url.starts_with("http://") || url.starts_with("https://") { url.to_owned() } else { format!("{}/{url}", self.base) }
    }

    /// Bytes of a signed URL. A read that brings nothing for a minute ends.
    pub async fn download(&self, url: &str) -> Result<reqwest::Response, Error> {
        let request = self.http.get(self.whole(url)).timeout(Duration::from_secs(24 * 3600));
        checked(request.send().await).await
    }

    /// A file to a signed URL; what is there already under it is ours of an earlier try.
    pub async fn upload(&self, url: &str, path: &Path, bytes: u64) -> Result<(), Error> {
        let file = tokio::fs::File::open(path).await.map_err(|error| Error::Refused(error.to_string()))?;
        let stream = tokio_util::io::ReaderStream::with_capacity(file, crate::store::CHUNK);
        let request = self
            .http
            .put(self.whole(url))
            .timeout(Duration::from_secs(24 * 3600))
            .header(reqwest::header::CONTENT_LENGTH, bytes)
            .body(reqwest::Body::wrap_stream(stream));
        match checked(request.send().await).await {
            Ok(_) | Err(Error::Fenced) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

type Sent = Result<reqwest::Response, reqwest::Error>;

async fn checked(sent: Sent) -> Result<reqwest::Response, Error> {
    let response = sent.map_err(|error| Error::Unreachable(told(&error)))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.text().await.unwrap_or_default();
    let why = serde_json::from_str::<Refusal>(&text).map_or_else(|_| text.chars().take(300).collect(), |refusal| refusal.error);
    Err(match status.as_u16() {
        409 | 412 => Error::Fenced,
        401 => Error::Unauthorized,
        408 | 429 | 500.. => Error::Unreachable(format!("{status}: {why}")),
        _ => Error::Refused(format!("{status}: {why}")),
    })
}

async fn read<A: DeserializeOwned>(sent: Sent) -> Result<A, Error> {
    checked(sent).await?.json().await.map_err(|error| Error::Unreachable(told(&error)))
}

/// The error with its innermost cause: the outer text alone says little.
fn told(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match (error.to_string(), cause.to_string()) {
        (outer, inner) if outer == inner => outer,
        (outer, inner) => format!("{outer}: {inner}"),
    }
}
