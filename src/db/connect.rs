//! The one door to a server: the embedded cluster (started when it does not run), or the one of a URL.
//!
//! A [`Connection`] has been checked: PostgreSQL 15 or newer, the extension q3c present. It drives itself on a task of
//! its own, carries our session settings, and can open more of its kind.

use super::cluster::{self, Server};
use super::error::innermost;
use super::feed::Feeds;
use super::{Error, Options};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Statement};

/// The oldest server that we work with, as server_version_num.
const OLDEST: i32 = 150_000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A session with a server; dereferences to [`tokio_postgres::Client`]. Dropping it closes the session.
pub struct Connection {
    client: Client,
    config: Config,
    url: String,
    poisoned: bool,
    /// When a pool got it back.
    pub(super) rests_since: Option<Instant>,
    statements: Mutex<HashMap<&'static str, Statement>>,
    feeds: Option<Feeds>,
}

/// Connects to the server of `options`, starting the embedded one if it is meant and does not run.
pub async fn connect(options: &Options) -> Result<Connection, Error> {
    match &options.database_url {
        Some(url) => external(url).await,
        None => embedded(options).await,
    }
}

async fn external(url: &str) -> Result<Connection, Error> {
    let config: Config = url.parse().map_err(|e| Error::Url { why: innermost(&e) })?;
    let connection = open(config, url.to_owned()).await?;
    check(&connection).await?;
    Ok(connection)
}

async fn embedded(options: &Options) -> Result<Connection, Error> {
    // Any failure of the quick way (server just dying, database not made yet) is sorted out by a careful start.
    if let Ok(Some(server)) = cluster::running(options).await
        && let Ok(connection) = open_embedded(&server).await
    {
        return Ok(connection);
    }
    let server = cluster::start(options).await?;
    open_embedded(&server).await
}

async fn open_embedded(server: &Server) -> Result<Connection, Error> {
    server.feeds.sweep();
    let mut connection = open(server.config(cluster::OWNER), server.url(cluster::OWNER)).await?;
    connection.feeds = Some(server.feeds.clone());
    check(&connection).await?;
    Ok(connection)
}

/// Gives a new cluster its database, roles and extension; in an old one it finds them there. The database takes
/// connections only when the rest is done, so that nobody meets it half-made.
pub(super) async fn furnish(server: &Server) -> Result<(), Error> {
    let postgres = open(server.config("postgres"), server.url("postgres")).await?;
    let present: bool = postgres.query_one(include_str!("../../sql/db/has_database.sql"), &[&cluster::OWNER]).await?.get(0);
    if !present {
        postgres.batch_execute(include_str!("../../sql/db/create_database.sql")).await?;
    }
    postgres.query_one(include_str!("../../sql/db/reader_password.sql"), &[&server.reader_password]).await?;
    postgres.batch_execute(include_str!("../../sql/db/reader.sql")).await?;
    open_embedded(server).await.map(drop)
}

/// A session that may only read: as `brickyard_read` on the embedded server; on another one as its user, who becomes `brickyard_read`
/// where that role may be taken. `owner` is a session with the same server; `settings` hold from the first statement on.
pub async fn reader(options: &Options, owner: &Connection, settings: &[(&str, String)]) -> Result<Connection, Error> {
    let mut words: Vec<String> =
        settings.iter().map(|(name, value)| format!("-c {name}={}", value.replace('\\', "\\\\").replace(' ', "\\ "))).collect();
    let mut config = owner.config.clone();
    if options.database_url.is_none() {
        let server = cluster::running(options).await?.ok_or_else(|| Error::Lost { why: "the embedded server does not run".into() })?;
        config = server.config(cluster::OWNER);
        config.user(cluster::READER).password(&server.reader_password);
    } else {
        let has_role: bool = owner.query_one(include_str!("../../sql/db/reader_role.sql"), &[]).await?.get("has_role");
        if has_role {
            words.push(format!("-c role={}", cluster::READER));
        }
        words.extend(config.get_options().map(str::to_owned));
    }
    config.options(words.join(" ")).application_name("brickyard reader");
    open(config, owner.url.clone()).await
}

/// Lets the role `brickyard_read` read all tables of `schema`, those made later included.
pub async fn publish(client: &Client, schema: &str) -> Result<(), Error> {
    client.query_one(include_str!("../../sql/db/published_schema.sql"), &[&schema]).await?;
    Ok(client.batch_execute(include_str!("../../sql/db/publish.sql")).await?)
}

/// Names and sizes in bytes of the databases that we may enter.
pub async fn databases(client: &Client) -> Result<Vec<(String, u64)>, Error> {
    let rows = client.query(include_str!("../../sql/db/databases.sql"), &[]).await?;
    Ok(rows.iter().map(|row| (row.get("name"), u64::try_from(row.get::<_, i64>("bytes")).unwrap_or(0))).collect())
}

async fn open(mut config: Config, url: String) -> Result<Connection, Error> {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_application_name().is_none() {
        config.application_name("brickyard");
    }
    if config.get_ssl_mode() == SslMode::Require {
        let remedy = "; use sslmode=prefer on a network that you trust, an ssh tunnel, or a socket";
        return Err(Error::Connect {
            target: target(&config),
            why: "TLS (sslmode=require) is not built in".into(),
            remedy,
            may_pass: false,
        });
    }
    let (client, driver) = config.connect(NoTls).await.map_err(|e| why_not(&config, &e))?;
    // The driver's error reaches the client as a closed connection; there is nobody else to tell.
    tokio::spawn(async move { drop(driver.await) });
    client.query_one(include_str!("../../sql/db/session.sql"), &[]).await?;
    Ok(Connection { client, config, url, poisoned: false, rests_since: None, statements: Mutex::default(), feeds: None })
}

/// Refuses a server that is too old, and creates q3c where it is missing.
async fn check(connection: &Connection) -> Result<(), Error> {
    let row = connection.query_one(include_str!("../../sql/db/check.sql"), &[]).await?;
    let (number, version): (i32, String) = (row.get("version_num"), row.get("version"));
    if number < OLDEST {
        return Err(Error::OldServer { target: connection.target(), version });
    }
    if row.get("q3c_ready") {
        return Ok(());
    }
    let had: bool = row.get("has_q3c");
    match connection.batch_execute(include_str!("../../sql/db/q3c.sql")).await {
        Ok(()) => Ok(()),
        // Without the mark queries are slower, not wrong; altering another's functions may be refused.
        Err(_) if had => Ok(()),
        Err(error) => Err(no_extension(connection, number / 10_000, &error)),
    }
}

fn no_extension(connection: &Connection, major: i32, error: &tokio_postgres::Error) -> Error {
    let target = connection.target();
    let why = match error.code() {
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => "this role may not create it (that takes a superuser)".to_owned(),
        Some(code) if *code == SqlState::UNDEFINED_FILE || *code == SqlState::FEATURE_NOT_SUPPORTED => {
            "it is not installed on the server's machine".to_owned()
        }
        _ => innermost(error),
    };
    Error::NoExtension { target, major: major.unsigned_abs(), why }
}

fn why_not(config: &Config, error: &tokio_postgres::Error) -> Error {
    let remedy = match error.code() {
        Some(code) if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "; check user and password in the URL"
        }
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => "; create the database first (createdb)",
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => "; close other sessions or raise max_connections",
        Some(_) => "",
        None => "; is the server running, and are host and port right?",
    };
    let why = match error.as_db_error() {
        Some(db) => db.message().to_owned(),
        None => innermost(error),
    };
    let may_pass = error.code().is_none_or(|code| code.code().starts_with("57P"));
    Error::Connect { target: target(config), why, remedy, may_pass }
}

/// `brickyard@host:5432/database`, without the password.
fn target(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or_default();
    format!("{user}@{host}:{port}/{}", config.get_dbname().unwrap_or(user))
}

impl Connection {
    /// One more session with the same server, user and database, with the same settings.
    pub async fn another(&self) -> Result<Connection, Error> {
        let other = open(self.config.clone(), self.url.clone()).await?;
        Ok(Connection { feeds: self.feeds.clone(), ..other })
    }

    /// Pipes that the server can read COPYs from: those of the embedded one, on this machine and with us as its owner.
    pub fn feeds(&self) -> Option<&Feeds> {
        self.feeds.as_ref()
    }

    /// The statement, prepared when this session first asks for it.
    pub async fn prepared(&self, sql: &'static str) -> Result<Statement, Error> {
        let known = self.statements.lock().ok().and_then(|known| known.get(sql).cloned());
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await.map_err(|error| Error::from(error).in_sql(sql))?;
        if let Ok(mut known) = self.statements.lock() {
            known.insert(sql, statement.clone());
        }
        Ok(statement)
    }

    /// A session of its own that executes `sql` (a `LISTEN`) and calls `hear` at each notice, until the server ends it.
    pub async fn listen(&self, sql: &str, mut hear: impl FnMut()) -> Result<(), Error> {
        let (client, mut driver) = self.config.connect(NoTls).await?;
        let mut notices = futures_util::stream::poll_fn(move |cx| driver.poll_message(cx));
        let begun = client.batch_execute(sql);
        tokio::pin!(begun);
        let mut listening = false;
        loop {
            tokio::select! {
                done = &mut begun, if !listening => {
                    done?;
                    listening = true;
                    hear();
                }
                message = notices.next() => match message {
                    Some(Ok(AsyncMessage::Notification(_))) => hear(),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.into()),
                    None => return Ok(()),
                },
            }
        }
    }

    /// How to reach the server, password included.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same for the client library.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// `user@host:port/database`, fit for messages.
    pub fn target(&self) -> String {
        target(&self.config)
    }

    /// Marks the session as not to be used again by a pool: a query was given up half-way.
    pub fn poison(&mut self) {
        self.poisoned = true;
    }

    /// Closed, or given up half-way.
    pub fn is_broken(&self) -> bool {
        self.poisoned || self.client.is_closed()
    }
}

impl Deref for Connection {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}
