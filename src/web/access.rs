//! What surrounds every request: its id and client, headers, CORS, gzip, panics, the log line and the metrics.

use super::{App, Error, Request as Known, linger};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::compression::{CompressionLayer, CompressionLevel};

/// The other end of the connection; the server's loop puts it into every request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Nothing from elsewhere, nothing that runs; a page that needs more says so itself.
const CONTENT_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Marks answers that other sites' pages may not read: they get no CORS header.
pub const OWN_PAGES: (HeaderName, HeaderValue) =
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
/// Software, its version, and the role of this server (IVOA note on software identification).
const SERVER: &str = concat!("brickyard/", env!("CARGO_PKG_VERSION"));

/// Puts everything around the routes.
pub fn around(routes: Router<App>, app: App) -> Router<App> {
    // What is compressed already would only cost time.
    let worth = SizeAbove::new(256)
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::const_new("application/vnd.apache.parquet"))
        .and(NotForContentType::const_new("application/gzip"));
    let gzip = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth);
    routes.layer(gzip).layer(CatchPanicLayer::custom(panicked)).layer(from_fn_with_state(app, attend))
}

/// The outermost layer.
async fn attend(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let known = Known { id: new_id(), client: client(&request, &app.options.trusted_proxies) };
    let (method, path) = (request.method().clone(), shown(request.uri().path()));
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    request.extensions_mut().insert(known.clone());
    let span = tracing::info_span!("request", id = %known.id, client = %known.client);
    let answered = async {
        match method {
            Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
            _ => next.run(linger::read_on(request)).await,
        }
    };
    let mut response = tracing::Instrument::instrument(answered, span.clone()).await;
    dress(response.headers_mut(), &known.id, method == Method::OPTIONS);
    let (status, seconds) = (response.status().as_u16(), begun.elapsed().as_secs_f64());
    span.in_scope(|| tracing::info!(%method, path, status, ms = (seconds * 1e4).round() / 10.0, "answered"));
    metrics::counter!("brickyard_http_requests_total", "route" => route.clone(), "status" => status.to_string()).increment(1);
    metrics::histogram!("brickyard_http_first_byte_seconds", "route" => route).record(seconds);
    response
}

/// The headers of every answer.
fn dress(headers: &mut HeaderMap, id: &str, preflight: bool) {
    let fixed = [
        (header::SERVER, SERVER),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "Location, Content-Disposition, Content-Range, ETag, Retry-After, X-Error-Code, X-Request-Id",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if headers.get(&OWN_PAGES.0) != Some(&OWN_PAGES.1) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(CONTENT_POLICY));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    if preflight {
        const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS");
        headers.insert(header::ALLOW, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, Authorization, Content-Type, Range"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
}

/// Not to be guessed, and unique among the runs of the service.
fn new_id() -> String {
    static RUN: OnceLock<u32> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let run = RUN.get_or_init(rand::random);
    format!("{run:08x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The client's address: the nearest address in X-Forwarded-For that is no proxy of ours, when our own proxy sent it.
fn client(request: &Request, trusted: &[IpAddr]) -> IpAddr {
    let unknown = IpAddr::from([0, 0, 0, 0]);
    let peer = request.extensions().get::<Peer>().map_or(unknown, |peer| peer.0.ip().to_canonical());
    if !trusted.contains(&peer) {
        return peer;
    }
    let lines = request.headers().get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<IpAddr> = lines.flat_map(|line| line.split(',')).filter_map(|hop| hop.trim().parse().ok()).collect();
    hops.into_iter().rev().find(|hop| !trusted.contains(hop)).unwrap_or(peer)
}

/// A path for the log: no control characters, no novels.
fn shown(path: &str) -> String {
    path.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::internal(&format!("panic: {}", text.unwrap_or("without a message"))).into_response()
}

/// The collector of the process's metrics.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0];
    let install = || PrometheusBuilder::new().set_buckets(&SECONDS).ok()?.install_recorder().ok();
    RECORDER.get_or_init(install).as_ref()
}

/// `/metrics`, for the addresses that may see it.
pub async fn metrics(State(app): State<App>, axum::Extension(known): axum::Extension<Known>) -> Result<Response, Error> {
    if !app.options.metrics_clients.contains(&known.client) {
        return Err(Error::new(StatusCode::FORBIDDEN, "forbidden", "metrics are for the operators of this service"));
    }
    metrics::gauge!("brickyard_queries_under_way").set(app.clients.under_way() as f64);
    let Some(recorder) = recorder() else { return Err(Error::not_found("no metrics are collected")) };
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(peer: &str, forwarded: &[&str]) -> Request {
        let mut request = Request::default();
        request.extensions_mut().insert(Peer(peer.parse().unwrap()));
        for line in forwarded {
            request.headers_mut().append(FORWARDED_FOR, line.parse().unwrap());
        }
        request
    }

    #[test]
    fn only_our_own_proxies_say_who_the_client_is() {
        let proxies: Vec<IpAddr> = ["127.0.0.1", "10.0.0.9"].map(|a| a.parse().unwrap()).into();
        let of = |peer, forwarded: &[&str]| client(&request(peer, forwarded), &proxies).to_string();
        assert_eq!(of("192.0.2.1:5", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(of("127.0.0.1:5", &["1.2.3.4, 198.51.100.7, 10.0.0.9"]), "198.51.100.7");
        assert_eq!(of("127.0.0.1:5", &["nonsense"]), "127.0.0.1");
        assert_eq!(of("[::ffff:192.0.2.1]:5", &[]), "192.0.2.1");
    }
}
