//! HTTP: the site on one page ([`router`]), parameters, errors, what every answer carries, and the loop that serves.
//!
//! Handlers are thin: they read parameters, ask [`tap`] and its neighbours, and turn values into answers. Only this module
//! knows HTTP.

mod access;
mod clients;
mod connection;
pub mod error;
pub mod form;
mod front;
mod images;
mod linger;
pub mod multipart;
pub mod options;
pub mod parameters;
pub mod pipeline;
mod registry;
pub mod router;
mod scs;
pub mod serve;
mod sync;
pub mod uws;

pub use error::Error;
pub use form::Form;
pub use options::Options;
pub use parameters::Parameters;

use crate::archive::Archive;
use crate::tap;
use std::net::IpAddr;
use std::sync::Arc;

/// What handlers share.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// The parts of an [`App`].
pub struct Inner {
    pub options: Options,
    pub tap: Arc<tap::Service>,
    /// Asynchronous queries.
    pub jobs: Arc<tap::jobs::Jobs>,
    /// Images.
    pub archive: Arc<Archive>,
    /// The stage runner, where it is served.
    pub pipeline: Option<Arc<pipeline::Site>>,
    /// Queries under way, by client.
    pub clients: clients::Clients,
    /// `http://127.0.0.1:8080`, without a slash at the end: how clients reach the service.
    pub base_url: String,
}

impl App {
    /// The base URL is that of the place of `tap`.
    pub fn new(
        options: Options,
        tap: Arc<tap::Service>,
        jobs: Arc<tap::jobs::Jobs>,
        archive: Arc<Archive>,
        pipeline: Option<Arc<pipeline::Site>>,
    ) -> App {
        let base_url = tap.place.base_url.clone();
        let clients = clients::Clients::new(tap.options.queries_per_client);
        App(Arc::new(Inner { options, tap, jobs, archive, pipeline, clients, base_url }))
    }

    /// The URL of a path of this service, as clients reach it.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }
}

impl std::ops::Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// What is known of a request beside its parameters; an extension of every request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Names the request in the log, in the header `X-Request-Id` and in error texts.
    pub id: String,
    /// The client's address, behind trusted proxies too.
    pub client: IpAddr,
}
