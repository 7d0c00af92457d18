//! The loop that accepts connections, and the way it ends: no new ones, running requests finish.

use super::access::{self, Peer};
use super::clients::Clients;
use super::connection::Patient;
use super::{App, router};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tower::ServiceExt;

/// Serves until `stop` is done, then lets running requests finish for as long as the options say.
/// Says whether all of them did.
pub async fn serve(app: App, listener: TcpListener, stop: impl Future<Output = ()>) -> bool {
    access::recorder();
    let routes = router::router(app.clone());
    let places = Arc::new(Semaphore::new(app.options.connections.max(1)));
    let clients = Clients::new(app.options.connections_per_client);
    let (end, ending) = watch::channel(());
    // Every connection holds a sender: when all are gone, so are the connections.
    let (alive, mut gone) = mpsc::channel::<()>(1);
    let mut stop = pin!(stop);
    loop {
        let (accepted, place) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, peer) = accepted;
        let Some(permit) = clients.enter(peer.ip()) else {
            tracing::debug!(client = %peer.ip(), "too many connections");
            continue;
        };
        let (app, routes, ending, alive) = (app.clone(), routes.clone(), ending.clone(), alive.clone());
        tokio::spawn(async move {
            converse(app, routes, stream, peer, ending).await;
            drop((alive, place, permit));
        });
    }
    drop((listener, alive));
    end.send_replace(());
    let drain = Duration::from_secs(app.options.drain_s);
    tokio::time::timeout(drain, gone.recv()).await.is_ok()
}

/// The next connection, when there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> ((TcpStream, SocketAddr), Option<tokio::sync::OwnedSemaphorePermit>) {
    let place = places.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok(accepted) => return (accepted, place),
            Err(error) => {
                // Mostly "too many open files": others must close theirs first.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection to its end.
async fn converse(app: App, routes: Router, stream: TcpStream, peer: SocketAddr, mut ending: watch::Receiver<()>) {
    let options = &app.options;
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        routes.clone().oneshot(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(options.header_timeout_s))
        .max_buf_size(options.header_bytes.max(8192))
        // A closed sending side means that the client went away: its query is cancelled.
        .half_close(false)
        .serve_connection(TokioIo::new(Patient::new(stream, options)), service);
    let mut served = pin!(served);
    let result = tokio::select! {
        result = &mut served => result,
        _ = ending.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(client = %peer.ip(), %error, "a connection ended early");
    }
}
