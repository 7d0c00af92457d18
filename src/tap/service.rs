//! The state that all requests share: sessions, what is published, limits.

use super::{Error, Options};
use crate::db::{self, Connection};
use std::path::PathBuf;
use std::time::Duration;

/// Where the service finds things.
#[derive(Debug, Clone)]
pub struct Place {
    pub db: db::Options,
    /// Folders of the user's own catalogues, before the built-in ones.
    pub schema_dirs: Vec<PathBuf>,
    /// For results, uploads and scratch files.
    pub data_dir: PathBuf,
}

/// The service: one for the process, shared by all requests.
pub struct Service {
    pub options: Options,
    pub place: Place,
    /// Sessions as the owner: TAP_SCHEMA, jobs, books. Never for a user's query.
    pub owner: db::pool::Pool,
    started: jiff::Timestamp,
}

impl Service {
    /// Connects, and makes ready what queries need.
    pub async fn start(place: Place, options: Options) -> Result<Service, Error> {
        let connection = db::connect(&place.db).await?;
        let owner = db::pool::pool(connection, OWNER_SESSIONS).await?;
        Ok(Service { options, place, owner, started: jiff::Timestamp::now() })
    }

    /// When the service began to answer.
    pub fn started(&self) -> jiff::Timestamp {
        self.started
    }

    /// A session as the owner.
    pub async fn session(&self) -> Result<bb8::PooledConnection<'_, db::pool::Sessions>, Error> {
        let wait = Duration::from_secs(self.options.wait_s);
        match tokio::time::timeout(wait, self.owner.get()).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(bb8::RunError::User(error))) => Err(error.into()),
            Ok(Err(bb8::RunError::TimedOut)) | Err(_) => Err(Error::Busy { connections: OWNER_SESSIONS, waited_s: self.options.wait_s }),
        }
    }

    /// A session of its own as the owner, for what holds one for long.
    pub async fn own_session(&self) -> Result<Connection, Error> {
        Ok(db::connect(&self.place.db).await?)
    }
}

const OWNER_SESSIONS: u32 = 4;
