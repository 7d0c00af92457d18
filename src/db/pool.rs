//! Several sessions with one server: index building side by side, and the service.
//!
//! A session comes back to the pool only whole: one that is closed, or that its user gave up half-way
//! ([`Connection::poison`]), is thrown away. Dropping a query's future does not stop the query on the server.

use super::{Connection, Error};
use bb8::ManageConnection;
use std::time::{Duration, Instant};

/// How old the last news of a session may be.
const NEWS: Duration = Duration::from_millis(200);

/// Sessions of the same kind as a first one.
pub type Pool = bb8::Pool<Sessions>;

/// Opens sessions like the given one.
pub struct Sessions {
    like: Connection,
}

/// A pool of at most `size` sessions with the server, user and database of `like`.
pub async fn pool(like: Connection, size: u32) -> Result<Pool, Error> {
    bb8::Pool::builder().max_size(size).test_on_check_out(true).build(Sessions { like }).await
}

impl ManageConnection for Sessions {
    type Connection = Connection;
    type Error = Error;

    async fn connect(&self) -> Result<Connection, Error> {
        self.like.another().await
    }

    /// A session that the server ended looks whole until its task has read the news, so one that has rested is asked on
    /// check-out: an empty round trip, some 50 microseconds and two wake-ups.
    async fn is_valid(&self, connection: &mut Connection) -> Result<(), Error> {
        match connection.rests_since {
            Some(since) if since.elapsed() < NEWS => Ok(()),
            _ => Ok(connection.batch_execute("").await?),
        }
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.rests_since = Some(Instant::now());
        connection.is_broken()
    }
}
