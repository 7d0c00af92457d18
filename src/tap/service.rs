//! The state that all requests share: sessions, what is published, limits.
//!
//! Two kinds of sessions: of the owner, for TAP_SCHEMA, jobs and books, never for a user's query; and of readers, for nothing else. Readers
//! of the embedded server log in as `brickyard_read`, which may read published schemas only. On a server of the user's own they log in
//! as the URL says and become `brickyard_read` if that role exists and may be taken (`CREATE ROLE brickyard_read; GRANT brickyard_read
//! TO user`); if not, only the transactions' read-only mode and the translator stand between a query and that user's other tables,
//! which the log says at the start. What is published is looked at again every few seconds.

use super::published::{self, Published};
use super::query::{Session, Snapshot};
use super::{Error, Options, functions, registry};
use crate::adql::{Catalogue, Relation};
use crate::db::{self, Connection, pool::Pool};
use crate::schema::Catalog;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

/// Where the service finds things.
#[derive(Debug, Clone)]
pub struct Place {
    pub db: db::Options,
    /// Folders of the user's own catalogues, before the built-in ones.
    pub schema_dirs: Vec<PathBuf>,
    /// For results, uploads and scratch files.
    pub data_dir: PathBuf,
    /// How clients reach the service, without a slash at the end.
    pub base_url: String,
}

/// The service: one for the process, shared by all requests.
pub struct Service {
    pub options: Options,
    pub place: Place,
    /// Sessions as the owner: TAP_SCHEMA, jobs, books. Never for a user's query.
    pub owner: Pool,
    readers: Pool,
    /// Sessions of readers for jobs.
    job_readers: Pool,
    catalogs: Vec<Catalog>,
    snapshot: RwLock<Arc<Snapshot>>,
    started: jiff::Timestamp,
}

const OWNER_SESSIONS: u32 = 4;
/// At most: how many jobs run at once is said elsewhere, and a session is opened when one is wanted.
const JOB_SESSIONS: u32 = 64;

impl Service {
    /// Connects, publishes, and makes ready what queries need.
    pub async fn start(place: Place, options: Options) -> Result<Service, Error> {
        let mut connection = db::connect(&place.db).await?;
        functions::create(&connection).await?;
        let catalogs = catalogs(&place)?;
        let published = published::publish(&mut connection, &catalogs, &options.publish).await?;
        limit_reader(&connection, &options).await?;
        let reader = db::connect::reader(&place.db, &connection, &settings(&place, &options, options.sync_limit_s)).await?;
        let user: String =
            reader.query_one(include_str!("../../sql/tap/reading_user.sql"), &[]).await.map_err(db::Error::from)?.get("name");
        if user != db::cluster::READER {
            let remedy = "make the role brickyard_read and grant it to the user of --database-url";
            tracing::warn!(%user, remedy, "queries run as a user who may be able to read more than is published");
        }
        let readers = db::pool::pool(reader, options.connections.max(1)).await?;
        let for_jobs = db::connect::reader(&place.db, &connection, &settings(&place, &options, options.async_limit_s)).await?;
        let job_readers = db::pool::pool(for_jobs, JOB_SESSIONS).await?;
        let owner = db::pool::pool(connection, OWNER_SESSIONS).await?;
        let snapshot = RwLock::new(Arc::new(snapshot(published)));
        Ok(Service { options, place, owner, readers, job_readers, catalogs, snapshot, started: jiff::Timestamp::now() })
    }

    /// Looks for changes of the published tables until the service is gone.
    pub fn watch(self: &Arc<Self>) {
        let pause = Duration::from_secs(self.options.refresh_s.max(1));
        let service: Weak<Service> = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(service) = service.upgrade() else { return };
                if let Err(error) = service.refresh().await {
                    tracing::warn!(%error, "cannot look for changes of the published tables");
                }
            }
        });
    }

    /// Publishes anew if tables have changed; says whether they had.
    pub async fn refresh(&self) -> Result<bool, Error> {
        let mut session = self.session().await?;
        let word = published::word_now(&session, &self.catalogs, &self.options.publish).await?;
        if word == self.snapshot().published.word {
            return Ok(false);
        }
        let published = published::publish(&mut session, &self.catalogs, &self.options.publish).await?;
        tracing::info!(tables = published.relations.len(), "the published tables have changed");
        let fresh = Arc::new(snapshot(published));
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(true)
    }

    /// What can be asked now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the service began to answer.
    pub fn started(&self) -> jiff::Timestamp {
        self.started
    }

    /// The naming authority in identifiers.
    pub fn authority(&self) -> String {
        registry::authority(&self.options.authority, &self.place.base_url)
    }

    /// For scratch files of answers.
    pub fn scratch_dir(&self) -> PathBuf {
        self.place.data_dir.join("scratch")
    }

    /// A session as the owner.
    pub async fn session(&self) -> Result<bb8::PooledConnection<'_, db::pool::Sessions>, Error> {
        let wait = Duration::from_secs(self.options.wait_s);
        taken(tokio::time::timeout(wait, self.owner.get()).await, OWNER_SESSIONS, self.options.wait_s)
    }

    /// A session of its own as the owner, for what holds one for long.
    pub async fn own_session(&self) -> Result<Connection, Error> {
        Ok(db::connect(&self.place.db).await?)
    }

    /// A session for one synchronous query.
    pub async fn reader(&self) -> Result<Session, Error> {
        let wait = Duration::from_secs(self.options.wait_s);
        let taken = taken(tokio::time::timeout(wait, self.readers.get_owned()).await, self.options.connections, self.options.wait_s)?;
        Ok(Session::synchronous(taken, Duration::from_secs(self.options.sync_limit_s)))
    }

    /// A reading session for one job, which may take so long.
    pub async fn job_reader(&self, limit: Duration) -> Result<Session, Error> {
        let wait = Duration::from_secs(self.options.wait_s);
        let taken = taken(tokio::time::timeout(wait, self.job_readers.get_owned()).await, JOB_SESSIONS, self.options.wait_s)?;
        Ok(Session::asynchronous(taken, limit.max(Duration::from_secs(1))).await?)
    }

    /// What stands in the way of answering; empty for nothing.
    pub async fn ailments(&self) -> Vec<String> {
        let patience = Duration::from_secs(5);
        let asked = async {
            let session = self.readers.get().await.map_err(|_| ())?;
            session.simple_query("").await.map_err(|_| ())
        };
        let mut ailments = Vec::new();
        match tokio::time::timeout(patience, asked).await {
            Ok(Ok(_)) => {}
            Ok(Err(())) => ailments.push("The database cannot be reached.".to_owned()),
            Err(_) => ailments.push("All database sessions are busy.".to_owned()),
        }
        if self.snapshot().published.relations.iter().all(|relation| relation.table.schema == published::TAP_SCHEMA) {
            ailments.push("No catalogue is loaded.".to_owned());
        }
        ailments
    }
}

type Got<T> = Result<Result<T, bb8::RunError<db::Error>>, tokio::time::error::Elapsed>;

fn taken<T>(got: Got<T>, connections: u32, waited_s: u64) -> Result<T, Error> {
    match got {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(bb8::RunError::User(error))) => Err(error.into()),
        Ok(Err(bb8::RunError::TimedOut)) | Err(_) => Err(Error::Busy { connections, waited_s }),
    }
}

/// Every catalogue that the user's folders and the program hold.
pub fn catalogs(place: &Place) -> Result<Vec<Catalog>, Error> {
    let names = Catalog::names(&place.schema_dirs)?;
    Ok(names.iter().map(|name| Catalog::load(&place.schema_dirs, name)).collect::<Result<_, _>>()?)
}

fn snapshot(published: Published) -> Snapshot {
    let relations = published.relations.iter().map(|relation| Relation::new(relation.table.clone(), relation.rows)).collect();
    Snapshot { catalogue: Catalogue::new(relations), published }
}

/// What a reading session is opened with; it costs no round trip.
fn settings(place: &Place, options: &Options, limit_s: u64) -> Vec<(&'static str, String)> {
    vec![
        ("default_transaction_read_only", "on".into()),
        ("statement_timeout", format!("{limit_s}s")),
        ("lock_timeout", "10s".into()),
        ("idle_in_transaction_session_timeout", "60s".into()),
        // a client that went away while nothing is sent
        ("client_connection_check_interval", "5s".into()),
        ("work_mem", options.work_mem.clone()),
        ("max_parallel_workers_per_gather", options.parallel_workers.to_string()),
        ("search_path", "pg_catalog,public".into()),
        // cones are answered in less time than planning for parallel work would take
        ("jit", "off".into()),
        // of which the view ivoa.obscore makes identifiers and URLs
        ("brickyard.base_url", place.base_url.clone()),
        ("brickyard.authority", registry::authority(&options.authority, &place.base_url)),
    ]
}

/// Limits that a session may not set itself.
async fn limit_reader(connection: &Connection, options: &Options) -> Result<(), Error> {
    connection.query_one(include_str!("../../sql/tap/temp_file_limit.sql"), &[&options.temp_file_limit]).await.map_err(db::Error::from)?;
    connection.batch_execute(include_str!("../../sql/tap/reader_settings.sql")).await.map_err(db::Error::from)?;
    Ok(())
}
