//! The books of the jobs in PostgreSQL: one function for each file of `sql/tap/job_*.sql`.
//!
//! Statements go over two sessions that all requests share, one for reading and one for writing: the client library sends several
//! statements down one session without waiting for each other's answers, and a status is one indexed row, so that a thousand pollers
//! need no pool. Writing has a session of its own because each commit waits for the disk. A session that broke is opened anew by the
//! next statement.

use super::{Fault, Job, Kind, New, Outcome, Upload};
use crate::db::{self, Connection};
use crate::tap::job::{self, Event, Phase};
use postgres_types::{Json, ToSql};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::RwLock;
use tokio_postgres::{Row, Statement};

/// The statements that are prepared in both sessions, by place in [`SQL`].
#[derive(Clone, Copy)]
enum Ask {
    Job,
    Phase,
    List,
    Create,
    Run,
    Abort,
    Edit,
    Destruction,
    Delete,
    Claim,
    Quote,
    Finish,
    Fail,
    Release,
    Lose,
    Expire,
    Files,
    Runners,
}

const SQL: [&str; 18] = [
    include_str!("../../../sql/tap/job.sql"),
    include_str!("../../../sql/tap/job_phase.sql"),
    include_str!("../../../sql/tap/job_list.sql"),
    include_str!("../../../sql/tap/job_create.sql"),
    include_str!("../../../sql/tap/job_run.sql"),
    include_str!("../../../sql/tap/job_abort.sql"),
    include_str!("../../../sql/tap/job_edit.sql"),
    include_str!("../../../sql/tap/job_destruction.sql"),
    include_str!("../../../sql/tap/job_delete.sql"),
    include_str!("../../../sql/tap/job_claim.sql"),
    include_str!("../../../sql/tap/job_quote.sql"),
    include_str!("../../../sql/tap/job_finish.sql"),
    include_str!("../../../sql/tap/job_fail.sql"),
    include_str!("../../../sql/tap/job_release.sql"),
    include_str!("../../../sql/tap/job_lose.sql"),
    include_str!("../../../sql/tap/job_expire.sql"),
    include_str!("../../../sql/tap/job_files.sql"),
    include_str!("../../../sql/tap/runner_count.sql"),
];

/// A session with its prepared statements.
struct Session {
    connection: Connection,
    statements: Vec<Statement>,
}

/// A session that heals: all callers share it, and the first to find it broken opens the next.
struct Link {
    options: db::Options,
    session: RwLock<Option<Arc<Session>>>,
}

impl Link {
    fn new(options: db::Options) -> Link {
        Link { options, session: RwLock::new(None) }
    }

    async fn session(&self) -> Result<Arc<Session>, db::Error> {
        let whole = |session: &Option<Arc<Session>>| session.as_ref().filter(|s| !s.connection.is_broken()).cloned();
        if let Some(session) = whole(&*self.session.read().await) {
            return Ok(session);
        }
        let mut held = self.session.write().await;
        if let Some(session) = whole(&held) {
            return Ok(session);
        }
        let connection = db::connect(&self.options).await?;
        let mut statements = Vec::with_capacity(SQL.len());
        for sql in SQL {
            statements.push(connection.prepare(sql).await?);
        }
        let session = Arc::new(Session { connection, statements });
        *held = Some(session.clone());
        Ok(session)
    }

    /// Rows of a statement. One that met a session which had just broken is asked again on a new one, if `again` says that this is harmless.
    async fn ask(&self, ask: Ask, parameters: &[&(dyn ToSql + Sync)], again: bool) -> Result<Vec<Row>, db::Error> {
        let session = self.session().await?;
        match session.connection.query(&session.statements[ask as usize], parameters).await.map_err(db::Error::from) {
            Err(error) if again && error.may_pass() => {
                let session = self.session().await?;
                Ok(session.connection.query(&session.statements[ask as usize], parameters).await?)
            }
            other => other,
        }
    }
}

/// The two sessions.
pub struct Store {
    reads: Link,
    writes: Link,
}

/// Why a job was not made or not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// This client has so many waiting.
    Client(i64),
    /// All together have.
    All(i64),
}

/// A line of the job list.
#[derive(Debug, Clone)]
pub struct Listed {
    pub id: String,
    pub phase: Phase,
    pub run_id: Option<String>,
    pub owner: Option<String>,
    pub creation: SystemTime,
}

/// Limits on waiting jobs.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub of_client: i64,
    pub of_all: i64,
}

/// What may be changed in a job that does not run yet; `None` leaves it.
#[derive(Debug, Default)]
pub struct Edit {
    pub parameters: Option<Vec<(String, String)>>,
    pub run_id: Option<String>,
    pub duration: Option<Duration>,
    pub uploads: Option<Vec<Upload>>,
}

impl Store {
    /// Makes the books where they are missing.
    pub async fn open(options: db::Options) -> Result<Store, db::Error> {
        let store = Store { reads: Link::new(options.clone()), writes: Link::new(options.clone()) };
        let connection = db::connect(&options).await?;
        connection.batch_execute(include_str!("../../../sql/tap/create_jobs.sql")).await?;
        Ok(store)
    }

    pub async fn job(&self, kind: Kind, id: &str) -> Result<Option<Job>, db::Error> {
        let rows = self.reads.ask(Ask::Job, &[&id, &kind.name()], true).await?;
        rows.first().map(|row| job_of(row).map(|job| Job { position: row.get("position"), ..job })).transpose()
    }

    pub async fn phase(&self, kind: Kind, id: &str) -> Result<Option<Phase>, db::Error> {
        let rows = self.reads.ask(Ask::Phase, &[&id, &kind.name()], true).await?;
        rows.first().map(|row| phase_of(row.get(0))).transpose()
    }

    pub async fn list(
        &self,
        kind: Kind,
        client: &str,
        phases: Option<&[Phase]>,
        after: Option<SystemTime>,
        last: usize,
    ) -> Result<Vec<Listed>, db::Error> {
        let phases: Option<Vec<&str>> = phases.map(|phases| phases.iter().map(|phase| phase.name()).collect());
        let last = i64::try_from(last).unwrap_or(i64::MAX);
        let rows = self.reads.ask(Ask::List, &[&client, &phases, &after, &last, &kind.name()], true).await?;
        let listed = |row: &Row| {
            let (id, run_id, owner, creation) = (row.get("id"), row.get("run_id"), row.get("owner"), row.get("creation"));
            phase_of(row.get("phase")).map(|phase| Listed { id, phase, run_id, owner, creation })
        };
        rows.iter().map(listed).collect()
    }

    /// Writes a new job, in `phase` PENDING or QUEUED, unless there is no room. `folder` names where its files are.
    pub async fn create(&self, id: &str, new: &New, phase: Phase, room: Room, folder: &str) -> Result<Result<(), Full>, db::Error> {
        let uploaded: i64 = new.uploads.iter().map(|upload| i64::try_from(upload.bytes).unwrap_or(i64::MAX)).sum();
        let parameters: [&(dyn ToSql + Sync); 16] = [
            &id,
            &new.client,
            &new.owner,
            &new.run_id,
            &phase.name(),
            &seconds(new.duration),
            &new.destruction,
            &new.retention.as_secs_f64(),
            &Json(&new.parameters),
            &Json(&new.uploads),
            &uploaded,
            &new.quote,
            &room.of_client,
            &room.of_all,
            &folder,
            &new.kind.name(),
        ];
        let rows = self.writes.ask(Ask::Create, &parameters, false).await?;
        Ok(rows.first().map_or(Ok(()), |row| room_of(row, room)))
    }

    /// PENDING to QUEUED; `Ok(false)` if it was not pending any more.
    pub async fn run(&self, id: &str, room: Room) -> Result<Result<bool, Full>, db::Error> {
        let rows = self.writes.ask(Ask::Run, &[&id, &room.of_client, &room.of_all], true).await?;
        let Some(row) = rows.first() else { return Ok(Ok(false)) };
        let (of_client, of_all): (i64, i64) = (row.get("of_client"), row.get("of_all"));
        Ok(match row.get("moved") {
            true => Ok(true),
            false if of_client >= room.of_client => Err(Full::Client(of_client)),
            false if of_all >= room.of_all => Err(Full::All(of_all)),
            false => Ok(false),
        })
    }

    pub async fn abort(&self, id: &str) -> Result<bool, db::Error> {
        self.changed(Ask::Abort, &[&id, &job::sources(Event::Abort)]).await
    }

    pub async fn edit(&self, id: &str, edit: &Edit) -> Result<bool, db::Error> {
        let uploaded = edit.uploads.as_ref().map(|all| all.iter().map(|u| i64::try_from(u.bytes).unwrap_or(i64::MAX)).sum::<i64>());
        let parameters: [&(dyn ToSql + Sync); 7] = [
            &id,
            &job::sources(Event::Edit),
            &edit.parameters.as_ref().map(Json),
            &edit.run_id,
            &edit.duration.map(seconds),
            &edit.uploads.as_ref().map(Json),
            &uploaded,
        ];
        self.changed(Ask::Edit, &parameters).await
    }

    pub async fn set_destruction(&self, kind: Kind, id: &str, at: SystemTime) -> Result<bool, db::Error> {
        self.changed(Ask::Destruction, &[&id, &at, &kind.name()]).await
    }

    pub async fn delete(&self, kind: Kind, id: &str) -> Result<bool, db::Error> {
        self.changed(Ask::Delete, &[&id, &kind.name()]).await
    }

    /// The next job for the service `runner`, which is EXECUTING from now on and writes to `folder`.
    pub async fn claim(&self, runner: i32, of_client: i64, folder: &str) -> Result<Option<Job>, db::Error> {
        let rows = self.writes.ask(Ask::Claim, &[&runner, &of_client, &folder], false).await?;
        rows.first().map(job_of).transpose()
    }

    pub async fn quote(&self, id: &str, runner: i32, in_s: f64) -> Result<bool, db::Error> {
        self.changed(Ask::Quote, &[&id, &runner, &in_s]).await
    }

    pub async fn finish(&self, id: &str, runner: i32, outcome: &Outcome) -> Result<bool, db::Error> {
        let bytes = i64::try_from(outcome.bytes).unwrap_or(i64::MAX);
        self.changed(Ask::Finish, &[&id, &runner, &Json(outcome), &bytes]).await
    }

    pub async fn fail(&self, id: &str, runner: i32, fault: &Fault) -> Result<bool, db::Error> {
        self.changed(Ask::Fail, &[&id, &runner, &Json(fault)]).await
    }

    pub async fn release(&self, id: &str, runner: i32) -> Result<bool, db::Error> {
        self.changed(Ask::Release, &[&id, &runner]).await
    }

    /// Ends the jobs whose service is gone; their ids.
    pub async fn lose(&self, fault: &Fault) -> Result<Vec<String>, db::Error> {
        let rows = self.writes.ask(Ask::Lose, &[&Json(fault)], true).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Forgets the jobs whose time has come; their ids.
    pub async fn expire(&self) -> Result<Vec<String>, db::Error> {
        let rows = self.writes.ask(Ask::Expire, &[], true).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Id, phase and bytes on disk of every job.
    pub async fn files(&self) -> Result<Vec<(String, Phase, u64)>, db::Error> {
        let rows = self.reads.ask(Ask::Files, &[], true).await?;
        let file = |row: &Row| phase_of(row.get(1)).map(|phase| (row.get(0), phase, u64::try_from(row.get::<_, i64>(2)).unwrap_or(0)));
        rows.iter().map(file).collect()
    }

    /// Services that work the queue.
    pub async fn runners(&self) -> Result<i64, db::Error> {
        let rows = self.reads.ask(Ask::Runners, &[], true).await?;
        Ok(rows.first().map_or(0, |row| row.get(0)))
    }

    async fn changed(&self, ask: Ask, parameters: &[&(dyn ToSql + Sync)]) -> Result<bool, db::Error> {
        let session = self.writes.session().await?;
        Ok(session.connection.execute(&session.statements[ask as usize], parameters).await? > 0)
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn room_of(row: &Row, room: Room) -> Result<(), Full> {
    let (of_client, of_all): (i64, i64) = (row.get("of_client"), row.get("of_all"));
    match row.get("made") {
        true => Ok(()),
        false if of_client >= room.of_client => Err(Full::Client(of_client)),
        false => Err(Full::All(of_all)),
    }
}

/// A phase as the database's check constraint lets it be.
fn phase_of(name: &str) -> Result<Phase, db::Error> {
    Phase::from_name(name).ok_or_else(|| db::Error::Client(format!("uws.job holds the unknown phase {name}")))
}

fn job_of(row: &Row) -> Result<Job, db::Error> {
    let Json(parameters) = row.get::<_, Json<Vec<(String, String)>>>("parameters");
    let Json(uploads) = row.get::<_, Json<Vec<Upload>>>("uploads");
    let fault = row.get::<_, Option<Json<Fault>>>("fault").map(|json| json.0);
    let result = row.get::<_, Option<Json<Outcome>>>("result").map(|json| json.0);
    let kind: &str = row.get("kind");
    let kind = Kind::from_name(kind).ok_or_else(|| db::Error::Client(format!("uws.job holds the unknown kind {kind}")))?;
    Ok(Job {
        id: row.get("id"),
        kind,
        client: row.get("client"),
        owner: row.get("owner"),
        run_id: row.get("run_id"),
        phase: phase_of(row.get("phase"))?,
        creation: row.get("creation"),
        started: row.get("started"),
        ended: row.get("ended"),
        quote: row.get("quote"),
        duration: Duration::from_secs(u64::try_from(row.get::<_, i64>("duration_s")).unwrap_or(0)),
        destruction: row.get("destruction"),
        parameters,
        uploads,
        fault,
        result,
        position: None,
    })
}
