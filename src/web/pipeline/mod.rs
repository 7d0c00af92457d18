//! The stage runner over HTTP: [`workers`] ask their master, people look at its pages and press buttons.
//!
//! Pages are server-rendered HTML; [`page`] is what they share, each other file is one of them. They work without JavaScript and by
//! keyboard; a script of 40 lines asks for the page again while it is seen. No GET changes anything: buttons are forms that POST to
//! [`act`]. Who may see and press what is decided in [`visitor`].
//!
//! At most [`PAGES`] pages are made at a time, so that people who watch never take all sessions from workers.

mod act;
mod job;
mod page;
mod run;
mod search;
mod start;
mod tree;
mod visitor;
mod workers;

use crate::pipeline::Error;
use crate::pipeline::master::Master;
use axum::Router;
use axum::routing::{get, post};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore};

/// Pages that are made at the same time.
const PAGES: usize = 2;
/// How often a database without a pipeline is asked whether it has one now.
const AGAIN: Duration = Duration::from_secs(2);

type Opening = Pin<Box<dyn Future<Output = Result<Option<Arc<Master>>, Error>> + Send>>;

/// What the handlers share.
pub struct Site {
    /// Before the path of every link; empty is the root of this server.
    base: String,
    /// Addresses that may read without a token.
    readers: Vec<IpAddr>,
    open: Option<Box<dyn Fn() -> Opening + Send + Sync>>,
    opened: Mutex<Opened>,
    pages: Semaphore,
}

#[derive(Default)]
struct Opened {
    master: Option<Arc<Master>>,
    asked: Option<Instant>,
}

impl Site {
    /// With a master that is there; nobody reads its pages without a token.
    pub fn of(master: Arc<Master>) -> Arc<Site> {
        let opened = Opened { master: Some(master), asked: None };
        Arc::new(Site { base: String::new(), readers: Vec::new(), open: None, opened: Mutex::new(opened), pages: Semaphore::new(PAGES) })
    }

    /// With a master that begins when the database has a pipeline: `open` gives it then.
    pub fn later(base: String, readers: Vec<IpAddr>, open: impl Fn() -> Opening + Send + Sync + 'static) -> Arc<Site> {
        let open: Box<dyn Fn() -> Opening + Send + Sync> = Box::new(open);
        Arc::new(Site { base, readers, open: Some(open), opened: Mutex::default(), pages: Semaphore::new(PAGES) })
    }

    /// The master; `None` as long as the database has no pipeline.
    pub async fn master(&self) -> Result<Option<Arc<Master>>, Error> {
        let mut opened = self.opened.lock().await;
        if let Some(open) = &self.open
            && opened.master.is_none()
            && opened.asked.is_none_or(|asked| asked.elapsed() > AGAIN)
        {
            opened.asked = Some(Instant::now());
            opened.master = open().await?;
        }
        Ok(opened.master.clone())
    }

    /// The URL of a path of this site.
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// Every route of the stage runner.
pub fn router<S>(site: Arc<Site>) -> Router<S> {
    Router::new()
        .merge(workers::routes())
        // pages
        .route("/pipeline", get(start::runs))
        .route("/pipeline/workers", get(start::workers))
        .route("/pipeline/runs/{run}", get(run::page))
        .route("/pipeline/runs/{run}/tree", get(tree::page))
        .route("/pipeline/runs/{run}/jobs", get(search::page))
        .route("/pipeline/jobs/{job}", get(job::page))
        .route("/pipeline/jobs/{job}/log", get(job::log))
        .route("/pipeline/watch.js", get(page::script))
        // what changes something
        .route("/pipeline/act", post(act::act))
        .route("/pipeline/login", get(visitor::form).post(visitor::enter))
        .route("/pipeline/logout", post(visitor::leave))
        .with_state(site)
}
