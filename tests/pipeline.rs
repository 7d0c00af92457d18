//! The stage runner: its SQL against the model, barriers, budgets, plans, chaos with real workers and a real master.

use crate::harness::{runtime, server};
use brickyard::db::{self, Connection};
use brickyard::pipeline::manifest::Manifest;
use brickyard::pipeline::protocol::{Fail, Register, Told, Usage};
use brickyard::pipeline::queue::{self, Free, Queue};
use brickyard::pipeline::state::{Class, Event, Job, Outcome, Policy, State, Verdict};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const ALL_FREE: Free = Free { jobs: 1000, cpu: 1000, mem_mb: 1_000_000, disk_mb: 1_000_000 };

/// A database with the runner's tables, and its books.
async fn books(name: &str) -> (Connection, Queue, String) {
    let (mut connection, url) = server().database(name).await;
    queue::install(&mut connection).await.expect("the tables are made");
    queue::install(&mut connection).await.expect("and made again, nothing changes");
    let pool = db::pool::pool(connection.another().await.unwrap(), 8).await.unwrap();
    (connection, Queue::new(pool), url)
}

async fn run(connection: &mut Connection, name: &str, text: &str) -> i64 {
    let manifest = Manifest::parse("test.toml", text).unwrap_or_else(|faults| panic!("{faults}"));
    queue::create_run(connection, name, &manifest, &manifest.params, 0).await.expect("a run is made")
}

async fn worker(connection: &Connection, books: &Queue, name: &str) -> i64 {
    let token: i32 = connection
        .query_one(include_str!("../sql/pipeline/create_token.sql"), &[&name, &vec![0_u8; 32], &vec!["default"], &5, &None::<f64>, &"test"])
        .await
        .expect("a token")
        .get(0);
    register(books, token, name, name).await
}

async fn register(books: &Queue, token: i32, name: &str, node: &str) -> i64 {
    let request = Register {
        name: name.into(),
        node: node.into(),
        classes: Vec::new(),
        slots: 4,
        mem_mb: 1000,
        disk_mb: 1000,
        price_per_h: None,
        version: "1".into(),
    };
    books.register(token, &["default".to_owned()], &request).await.unwrap().expect("registered").0
}

fn event(name: &str, key: impl ToString, payload: Value) -> Told {
    Told { name: name.into(), key: key.to_string(), payload }
}

fn done(worker: i64, job: i64, attempt: i32, events: &[Told]) -> Value {
    json!({"worker": worker, "job": job, "attempt": attempt, "exit_code": 0, "artifacts": [], "events": events})
}

fn failure(worker: i64, class: Class, exit_code: Option<i32>) -> Fail {
    Fail { worker, class, exit_code, signal: None, usage: Usage::default(), message: "test".into() }
}

async fn states(connection: &Connection) -> BTreeMap<String, i64> {
    let rows = connection.query("select state::text, count(*) from pipeline.job_live group by 1", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// What a test may do to its one job.
#[derive(Debug, Clone, Copy)]
enum Step {
    Do(Event),
    /// Complete or fail with a worker and an attempt that may be wrong.
    Report {
        worker: usize,
        back: u32,
        class: Option<Class>,
        code: i32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let class = proptest::option::of((0..Class::ALL.len() - 1).prop_map(|i| Class::ALL[i + 1]));
    prop_oneof![
        4 => (0..2_i64).prop_map(|worker| Step::Do(Event::Claim { worker })),
        5 => (0..2_usize, 0..3_u32, class, 0..4).prop_map(|(worker, back, class, code)| Step::Report { worker, back, class, code }),
        1 => Just(Step::Do(Event::LeasePasses)),
        2 => Just(Step::Do(Event::Wake)),
        1 => Just(Step::Do(Event::Retry)),
        1 => Just(Step::Do(Event::Skip)),
        1 => Just(Step::Do(Event::Cancel)),
    ]
}

const ONE_TASK: &str = r#"
events = ["go"]
[[task]]
name = "work"
on = "go"
argv = ["true"]
emits = ["worked"]
retries = { lost = 2, oom = 1, exit = 2, staging = 1 }
backoff = { exit = "30s", staging = "0s" }
[[barrier]]
name = "all"
over = ["work"]
emit = "finished"
"#;

struct Subject<'a> {
    connection: &'a Connection,
    books: &'a Queue,
    workers: [i64; 2],
    job: i64,
}

impl Subject<'_> {
    /// Does the event to the database; gives the verdict, if such an event has one.
    async fn act(&self, event: Event) -> Option<Verdict> {
        match event {
            Event::Claim { worker } => {
                let claimed = self.books.claim(worker, ALL_FREE, 60).await.unwrap();
                Some(if claimed.is_empty() { Verdict::Fenced } else { Verdict::Ok })
            }
            Event::Complete { worker, attempt } => {
                let report = done(worker, self.job, attempt as i32, &[event_of("worked")]);
                Some(self.books.complete(vec![report]).await.unwrap()[0].verdict)
            }
            Event::Fail { worker, attempt, class, exit_code } => {
                Some(self.books.fail(self.job, attempt as i32, &failure(worker, class, exit_code)).await.unwrap().0)
            }
            Event::LeasePasses => {
                self.sql("update pipeline.job_live set lease_until = clock_timestamp() - interval '1 s' where state = 'running'").await;
                self.books.sweep(1000, 600).await.unwrap();
                None
            }
            Event::Wake => {
                self.sql("update pipeline.job_live set not_before = clock_timestamp() where state = 'retry_wait'").await;
                self.books.sweep(1000, 600).await.unwrap();
                None
            }
            Event::Retry => self.change("retry").await,
            Event::Skip => self.change("skip").await,
            Event::Cancel => self.change("cancel").await,
            Event::Admit => None,
        }
    }

    async fn sql(&self, sql: &str) {
        self.connection.batch_execute(sql).await.unwrap();
    }

    async fn change(&self, verb: &str) -> Option<Verdict> {
        let changed = self.books.change_jobs("test", verb, &[self.job], None).await.unwrap();
        Some(if changed.is_empty() { Verdict::Fenced } else { Verdict::Ok })
    }

    /// The job as the database has it, in the model's terms.
    async fn seen(&self) -> Job {
        let live = self
            .connection
            .query_one(
                "select state::text, budget_from from pipeline.job_live join pipeline.job using (job_id) where job_id = $1",
                &[&self.job],
            )
            .await
            .unwrap();
        let rows = self
            .connection
            .query("select worker_id, outcome from pipeline.attempt where job_id = $1 order by attempt", &[&self.job])
            .await
            .unwrap();
        let outcome = |name: &str| match name {
            "done" => Outcome::Done,
            "cancelled" => Outcome::Cancelled,
            class => Outcome::Failed(Class::from_name(class).expect("a class")),
        };
        let member: Option<i32> = self
            .connection
            .query_one("select satisfied_by from pipeline.barrier_member where job_id = $1", &[&self.job])
            .await
            .unwrap()
            .get(0);
        Job {
            state: State::from_name(live.get(0)).expect("a state"),
            attempts: rows.iter().map(|row| (row.get(0), row.get::<_, Option<&str>>(1).map(outcome))).collect(),
            budget_from: live.get::<_, i32>(1) as usize,
            satisfied_by: member.map(|n| n as u32),
        }
    }
}

fn event_of(name: &str) -> Told {
    event(name, "one", json!({}))
}

#[test]
fn the_sql_does_what_the_model_says_whatever_happens_in_whatever_order() {
    let runtime = runtime();
    let (mut connection, books, _) = runtime.block_on(books("pipeline_model"));
    let run = runtime.block_on(run(&mut connection, "model", ONE_TASK));
    let workers = runtime.block_on(async { [worker(&connection, &books, "a").await, worker(&connection, &books, "b").await] });
    let policy = Policy { retries: [2, 20, 1, 2, 0, 1, 1], backoff_s: [0, 0, 0, 30, 0, 0, 0], fatal_codes: vec![1, 2] };
    let case = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in proptest::collection::vec(step(), 1..25))| {
        case.set(case.get() + 1);
        runtime.block_on(async {
            // earlier cases' jobs are out of the way
            connection.batch_execute("update pipeline.job_live set state = 'skipped' where state not in ('done', 'skipped')").await.unwrap();
            assert_eq!(books.emit(run, &[event("go", case.get(), json!({}))]).await.unwrap().jobs, 1);
            let job: i64 = connection.query_one("select max(job_id) from pipeline.job", &[]).await.unwrap().get(0);
            let subject = Subject { connection: &connection, books: &books, workers, job };
            let mut model = Job::new(State::Ready);
            for step in steps {
                let event = match step {
                    Step::Do(Event::Claim { worker }) => Event::Claim { worker: subject.workers[worker as usize] },
                    Step::Do(event) => event,
                    Step::Report { worker, back, class, code } => {
                        let (worker, attempt) = (subject.workers[worker], (model.attempts.len() as u32 + 1).saturating_sub(back));
                        match class {
                            None => Event::Complete { worker, attempt },
                            Some(class) => Event::Fail { worker, attempt, class, exit_code: Some(code) },
                        }
                    }
                };
                let (next, wanted) = model.clone().next(event, &policy);
                let found = subject.act(event).await;
                if let Some(found) = found {
                    assert_eq!(found, wanted, "{event:?} on {model:?}");
                }
                assert_eq!(subject.seen().await, next, "after {event:?} on {model:?}");
                model = next;
            }
        });
    });
    // whatever the order, each job's event was told at most once, and a done job has exactly one done attempt
    let wrong: i64 = runtime.block_on(async {
        let sql = "select count(*) from pipeline.job_live l where l.state = 'done' and
            (select count(*) from pipeline.attempt a where a.job_id = l.job_id and a.outcome = 'done') <> 1";
        connection.query_one(sql, &[]).await.unwrap().get(0)
    });
    assert_eq!(wrong, 0);
}

const GRAPH: &str = r#"
group = ["field"]
events = ["start"]
[[task]]
name = "sort"
on = "start"
argv = ["sort"]
emits = ["image"]
[[task]]
name = "tag"
on = { event = "image", match = { kind = "science" } }
argv = ["tag"]
then = ["tagged"]
[[task]]
name = "look"
on = "image"
argv = ["look"]
[[task]]
name = "gather"
on = "all_tagged"
argv = ["gather", "{in:files}"]
inputs = [{ role = "files", of = "out" }]
mem = "1M + 2*in.files.bytes"
cpu = "min(4, in.files.count)"
[[task]]
name = "report"
on = "gather.completed"
argv = ["report"]
[[task]]
name = "weep"
on = "tag.failed"
argv = ["weep"]
[[barrier]]
name = "tags"
over = ["tag"]
opened_by = ["sort"]
key = ["field"]
emit = "all_tagged"
"#;

#[test]
fn events_fan_out_to_every_matching_task_and_barriers_fan_in_once() {
    runtime().block_on(async {
        let (mut connection, books, _) = books("pipeline_graph").await;
        let run = run(&mut connection, "graph", GRAPH).await;
        let w = worker(&connection, &books, "w").await;
        let start = [event("start", "b01", json!({"field": "b01"})), event("start", "b02", json!({"field": "b02"}))];
        assert_eq!(books.emit(run, &start).await.unwrap().jobs, 2);
        assert_eq!(books.emit(run, &start).await.unwrap().jobs, 0, "told again: nothing starts again");
        let sorts = books.claim(w, ALL_FREE, 60).await.unwrap();
        let images = |field: &str| -> Vec<Told> {
            (0..3).map(|i| event("image", format!("{field}.{i}"), json!({"kind": if i < 2 { "science" } else { "dark" }}))).collect()
        };
        // the first field's members come about with the opener's completion, and not before
        assert_eq!(books.check_barriers().await.unwrap().0, 0, "an opener that runs holds its barrier");
        let first = &sorts[0];
        let reported = books.complete(vec![done(w, first.job, 1, &images("b01"))]).await.unwrap();
        assert_eq!((reported[0].verdict, reported[0].jobs, reported[0].touched), (Verdict::Ok, 5, true), "2 tag, 3 look");
        let again = books.complete(vec![done(w, first.job, 1, &images("b01"))]).await.unwrap();
        assert_eq!((again[0].verdict, again[0].jobs), (Verdict::Already, 0));
        assert_eq!(books.check_barriers().await.unwrap().0, 0);
        let jobs = books.claim(w, ALL_FREE, 60).await.unwrap();
        assert_eq!(jobs.len(), 5);
        assert_eq!(jobs[0].event.payload["field"], "b01", "the group's field is inherited");
        let mut tags: Vec<_> = jobs.iter().filter(|j| j.task.name == "tag").collect();
        let artifact = |name: &str, bytes: i64| json!({"role": "out", "name": name, "key": format!("k/{name}"), "sha256": "00".repeat(32), "bytes": bytes});
        let report = |job: i64, name: &str| json!({"worker": w, "job": job, "attempt": 1, "artifacts": [artifact(name, 5 << 20)], "events": []});
        let last = tags.pop().expect("two tags");
        books.complete(vec![report(tags[0].job, "a.fits")]).await.unwrap();
        assert_eq!(books.check_barriers().await.unwrap().0, 0, "one member runs");
        books.complete(vec![report(last.job, "b.fits")]).await.unwrap();
        let (fired, made) = books.check_barriers().await.unwrap();
        assert_eq!((fired, made.jobs, made.blocked), (1, 1, 1));
        assert_eq!(books.check_barriers().await.unwrap().0, 0, "a barrier fires once");
        assert!(books.claim(w, ALL_FREE, 60).await.unwrap().is_empty(), "its resources are not told yet");
        assert_eq!(books.admit().await.unwrap(), 1);
        let gather = books.claim(w, ALL_FREE, 60).await.unwrap().pop().expect("gather is ready");
        assert_eq!((gather.mem_mb, gather.cpu, gather.inputs.len()), (21, 2, 2), "1 MB and twice the 10 MB of its inputs");
        assert_eq!(gather.event.payload, json!({"field": "b01", "members": 2, "done": 2, "not_done": []}));
        let reported = books.complete(vec![done(w, gather.job, 1, &[])]).await.unwrap();
        assert_eq!(reported[0].jobs, 1, "gather.completed starts report");
        // a failure for good is an event too
        let second = books.complete(vec![done(w, sorts[1].job, 1, &images("b02"))]).await.unwrap();
        assert_eq!(second[0].jobs, 5);
        let tag = books.claim(w, ALL_FREE, 60).await.unwrap().into_iter().find(|j| j.task.name == "tag").expect("a tag");
        let (verdict, state) = books.fail(tag.job, 1, &failure(w, Class::Exit, Some(1))).await.unwrap();
        assert_eq!((verdict, state), (Verdict::Ok, Some(State::Failed)), "exit code 1 is fatal");
        let weep = books.claim(w, ALL_FREE, 60).await.unwrap();
        assert!(weep.iter().any(|j| j.task.name == "weep"));
    });
}

#[test]
fn what_is_staged_becomes_real_with_the_completion_only() {
    runtime().block_on(async {
        let (mut connection, books, _) = books("pipeline_stage").await;
        let run = run(&mut connection, "stage", GRAPH).await;
        let w = worker(&connection, &books, "w").await;
        books.emit(run, &[event("start", "x", json!({"field": "f"}))]).await.unwrap();
        let job = books.claim(w, ALL_FREE, 60).await.unwrap()[0].job;
        let images: Vec<Told> = (0..10).map(|i| event("image", i, json!({"kind": "science"}))).collect();
        assert_eq!(books.stage(w, job, 1, 0, &images[..5]).await.unwrap(), Verdict::Ok);
        assert_eq!(books.stage(w, job, 1, 0, &images[..5]).await.unwrap(), Verdict::Ok, "the same piece again");
        assert_eq!(books.stage(w, job, 1, 1, &images[5..]).await.unwrap(), Verdict::Ok);
        assert_eq!(states(&connection).await, BTreeMap::from([("running".to_owned(), 1)]), "nothing is visible");
        books.fail(job, 1, &failure(w, Class::Preempted, None)).await.unwrap();
        assert_eq!(states(&connection).await, BTreeMap::from([("ready".to_owned(), 1)]), "and nothing is left of it");
        assert_eq!(books.stage(w, job, 1, 2, &images).await.unwrap(), Verdict::Fenced);
        books.claim(w, ALL_FREE, 60).await.unwrap();
        books.stage(w, job, 2, 0, &images[..4]).await.unwrap();
        let reported = books.complete(vec![done(w, job, 2, &images[4..6])]).await.unwrap();
        assert_eq!(reported[0].jobs, 12, "six images, tag and look each");
    });
}

#[test]
fn partial_barriers_pools_holds_and_priorities() {
    const TEXT: &str = r#"
events = ["a", "b"]
pools = { licences = 2 }
[[task]]
name = "few"
on = "a"
argv = ["x"]
pool = "licences"
retries = { exit = 0 }
[[task]]
name = "many"
on = "b"
argv = ["x"]
priority = 5
[[barrier]]
name = "most"
over = ["few"]
emit = "most_done"
policy = { fraction = 0.5 }
[[barrier]]
name = "three"
over = ["many"]
emit = "three_done"
policy = { k = 3 }
"#;
    runtime().block_on(async {
        let (mut connection, books, _) = books("pipeline_partial").await;
        let run = run(&mut connection, "partial", TEXT).await;
        let w = worker(&connection, &books, "w").await;
        let events: Vec<Told> = (0..4).flat_map(|i| [event("a", i, json!({})), event("b", i, json!({}))]).collect();
        books.emit(run, &events).await.unwrap();
        connection.batch_execute("update pipeline.task set held = true where name = 'many'").await.unwrap();
        let few = books.claim(w, ALL_FREE, 60).await.unwrap();
        assert_eq!(few.len(), 2, "the pool lets two run, and the other task is held");
        connection.batch_execute("update pipeline.task set held = false").await.unwrap();
        let many = books.claim(w, ALL_FREE, 60).await.unwrap();
        assert!(many.len() == 4 && many.iter().all(|j| j.task.name == "many"));
        for (i, job) in many.iter().enumerate() {
            assert_eq!(books.check_barriers().await.unwrap().0, i32::from(i == 3), "three are enough");
            books.complete(vec![done(w, job.job, 1, &[])]).await.unwrap();
        }
        // two of the pool's four fail, two are done: half is enough, once all have ended
        let mut ended = Vec::new();
        for batch in 0..2 {
            let jobs = if batch == 0 {
                few.iter().map(|j| j.job).collect()
            } else {
                books.claim(w, ALL_FREE, 60).await.unwrap().iter().map(|j| j.job).collect::<Vec<i64>>()
            };
            assert_eq!(jobs.len(), 2);
            books.complete(vec![done(w, jobs[0], 1, &[])]).await.unwrap();
            assert_eq!(books.check_barriers().await.unwrap().0, 0);
            books.fail(jobs[1], 1, &failure(w, Class::Exit, Some(7))).await.unwrap();
            ended.push(jobs[1]);
        }
        assert_eq!(books.check_barriers().await.unwrap().0, 1);
        let payload: Value = connection.query_one("select payload from pipeline.event where name = 'most_done'", &[]).await.unwrap().get(0);
        assert_eq!(payload, json!({"members": 4, "done": 2, "not_done": ended}));
        let row = connection.query_one("select count(*) from pipeline.event where name = 'three_done'", &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 1);
    });
}

#[test]
fn a_deadline_fires_with_what_there_is_and_memory_grows_after_oom() {
    let text = ONE_TASK.replace("emit = \"finished\"", "emit = \"finished\"\ndeadline = \"1s\"");
    runtime().block_on(async {
        let (mut connection, books, _) = books("pipeline_deadline").await;
        let run = run(&mut connection, "deadline", &text).await;
        let w = worker(&connection, &books, "w").await;
        books.emit(run, &[event("go", 1, json!({}))]).await.unwrap();
        let first = books.claim(w, ALL_FREE, 60).await.unwrap().remove(0);
        books.fail(first.job, 1, &failure(w, Class::Oom, None)).await.unwrap();
        let second = books.claim(w, ALL_FREE, 60).await.unwrap().remove(0);
        assert_eq!((first.mem_mb, second.mem_mb), (1024, 1536));
        assert!(books.claim(w, Free { mem_mb: 1, ..ALL_FREE }, 60).await.unwrap().is_empty());
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        assert_eq!(books.check_barriers().await.unwrap().0, 1);
        let payload: Value = connection.query_one("select payload from pipeline.event where name = 'finished'", &[]).await.unwrap().get(0);
        assert_eq!(payload, json!({"members": 1, "done": 0, "not_done": [first.job]}));
    });
}

#[test]
fn nodes_that_lose_jobs_are_put_into_quarantine_and_a_worker_that_starts_anew_gives_its_jobs_back() {
    runtime().block_on(async {
        let (mut connection, books, _) = books("pipeline_quarantine").await;
        let run = run(&mut connection, "quarantine", ONE_TASK).await;
        let w = worker(&connection, &books, "bad").await;
        let other = worker(&connection, &books, "good").await;
        let events: Vec<Told> = (0..10).map(|i| event("go", i, json!({}))).collect();
        books.emit(run, &events).await.unwrap();
        assert_eq!(books.claim(w, Free { jobs: 5, ..ALL_FREE }, 0).await.unwrap().len(), 5);
        let swept = books.sweep(5, 600).await.unwrap();
        assert_eq!((swept.lost, swept.quarantined), (5, 1));
        assert!(books.claim(w, ALL_FREE, 60).await.unwrap().is_empty(), "nothing for a node in quarantine");
        assert_eq!(books.claim(other, Free { jobs: 3, ..ALL_FREE }, 60).await.unwrap().len(), 3);
        let token: i32 = connection.query_one("select token_id from pipeline.worker where worker_id = $1", &[&other]).await.unwrap().get(0);
        let anew = register(&books, token, "good", "good").await;
        assert_eq!(states(&connection).await, BTreeMap::from([("ready".to_owned(), 10)]), "no lease need pass");
        assert!(books.claim(other, ALL_FREE, 60).await.unwrap().is_empty(), "the earlier one is gone");
        assert_eq!(books.claim(anew, ALL_FREE, 60).await.unwrap().len(), 10);
    });
}

/// The plans of what runs all the time, on a table that was filled since the statistics were taken: the worst case.
#[test]
fn no_transition_ever_scans_the_jobs_sequentially() {
    runtime().block_on(async {
        let (mut connection, books, _) = books("pipeline_plans").await;
        let run = run(&mut connection, "plans", ONE_TASK).await;
        let w = worker(&connection, &books, "w").await;
        connection.batch_execute("analyze").await.unwrap();
        let events: Vec<Told> = (0..20_000).map(|i| event("go", i, json!({}))).collect();
        books.emit(run, &events).await.unwrap();
        connection.batch_execute("select pg_stat_force_next_flush()").await.unwrap();
        let scans = "select coalesce(sum(seq_scan), 0)::bigint from pg_stat_user_tables where schemaname = 'pipeline'
            and relname in ('job_live', 'job', 'attempt', 'event', 'barrier_member', 'artifact')";
        // several sessions of a pool: each tells its statistics when it is idle for a while
        let settle = || tokio::time::sleep(std::time::Duration::from_millis(1500));
        settle().await;
        let before: i64 = connection.query_one(scans, &[]).await.unwrap().get(0);
        for _ in 0..8 {
            let jobs = books.claim(w, Free { jobs: 20, ..ALL_FREE }, 60).await.unwrap();
            assert_eq!(jobs.len(), 20);
            let (ids, attempts): (Vec<i64>, Vec<i32>) = jobs.iter().map(|j| (j.job, j.attempt)).unzip();
            assert_eq!(books.heartbeat(w, &ids, &attempts, 60).await.unwrap().len(), 20);
            books.complete(ids[..15].iter().map(|id| done(w, *id, 1, &[])).collect()).await.unwrap();
            books.fail(ids[15], 1, &failure(w, Class::Exit, Some(9))).await.unwrap();
            connection
                .execute("update pipeline.job_live set lease_until = now() - interval '1 h' where job_id = $1", &[&ids[16]])
                .await
                .unwrap();
            assert_eq!(books.sweep(100, 600).await.unwrap().lost, 1);
            books.change_jobs("test", "cancel", &ids[17..18], None).await.unwrap();
            books.change_jobs("test", "retry", &ids[17..18], None).await.unwrap();
            books.check_barriers().await.unwrap();
            books.admit().await.unwrap();
        }
        settle().await;
        let after: i64 = connection.query_one(scans, &[]).await.unwrap().get(0);
        assert_eq!(after - before, 0, "sequential scans of the big tables");
    });
}

/// A master and workers as processes of their own, on a database of a cluster of their own if it is to be hurt.
pub mod processes {
    use crate::harness::{brickyard, scratch};
    use std::io::{BufRead, BufReader};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};
    use tempfile::TempDir;

    /// Ends a process that this test started.
    pub struct Process(pub Child);

    impl Process {
        pub fn signal(&self, signal: rustix::process::Signal) {
            let pid = rustix::process::Pid::from_raw(self.0.id() as i32).expect("a pid");
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    impl Drop for Process {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Folders and addresses of one stage.
    pub struct Site {
        pub dir: TempDir,
        pub database: String,
        pub listen: String,
        pub lease_s: u32,
        /// More words for the master.
        pub master_words: Vec<String>,
        /// Variables that all of its commands see.
        pub env: Vec<(String, String)>,
        /// A program that runs the master, with its words: `faketime +1h`.
        pub master_under: Vec<String>,
    }

    impl Site {
        pub fn new(database: &str) -> Site {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            Site {
                dir: scratch(),
                database: database.into(),
                listen: format!("127.0.0.1:{port}"),
                lease_s: 4,
                master_words: Vec::new(),
                env: Vec::new(),
                master_under: Vec::new(),
            }
        }

        pub fn url(&self) -> String {
            format!("http://{}", self.listen)
        }

        pub fn command(&self, args: &[&str]) -> Command {
            let mut command = brickyard();
            command.arg("pipeline").args(args).args(["--database-url", &self.database]).arg("--data-dir").arg(self.dir.path());
            command.envs(self.env.iter().map(|(name, value)| (name, value)));
            command
        }

        pub fn say(&self, args: &[&str]) -> String {
            let output = self.command(args).output().expect("it runs");
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("text")
        }

        pub fn master(&self) -> Process {
            let lease = self.lease_s.to_string();
            let mut command = self.command(&["serve", "--listen", &self.listen, "--lease", &lease, "--grace", "2", "--losses", "1000000"]);
            command.args(&self.master_words);
            let mut command = under(&self.master_under, command);
            let mut child = command.stdout(Stdio::piped()).stderr(self.file("master.err")).spawn().expect("a master");
            let mut line = String::new();
            BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("it says where it is");
            assert!(line.starts_with("http://"), "{line:?}: {}", std::fs::read_to_string(self.dir.path().join("master.err")).unwrap());
            Process(child)
        }

        fn file(&self, name: &str) -> std::fs::File {
            std::fs::OpenOptions::new().create(true).append(true).open(self.dir.path().join(name)).expect("a file")
        }

        pub fn token(&self, name: &str) -> PathBuf {
            let path = self.dir.path().join(format!("{name}.token"));
            if !path.exists() {
                std::fs::write(&path, self.say(&["token", "create", name])).expect("a token file");
            }
            path
        }

        pub fn worker(&self, name: &str, slots: usize, more: &[&str]) -> Process {
            self.worker_under(&[], name, slots, more)
        }

        /// A worker that another program runs.
        pub fn worker_under(&self, runner: &[String], name: &str, slots: usize, more: &[&str]) -> Process {
            let token = self.token(name);
            let mut command = brickyard();
            command.args([
                "worker",
                "--url",
                &self.url(),
                "--name",
                name,
                "--node",
                name,
                "--slots",
                &slots.to_string(),
                "--memory",
                "100000",
            ]);
            command.args(["--cpu", "100", "--disk", "100000"]).arg("--token-file").arg(token);
            command.arg("--dir").arg(self.dir.path().join("workers").join(name)).args(more);
            let mut command = under(runner, command);
            Process(command.stderr(self.file(&format!("{name}.err"))).spawn().expect("a worker"))
        }

        pub fn manifest(&self, text: &str) -> PathBuf {
            let path = self.dir.path().join("pipeline.toml");
            std::fs::write(&path, text).expect("a manifest");
            path
        }
    }

    /// The same command, run by another program.
    fn under(runner: &[String], command: Command) -> Command {
        let Some((program, words)) = runner.split_first() else { return command };
        let mut around = Command::new(program);
        around.args(words).arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => around.env(name, value),
                None => around.env_remove(name),
            };
        }
        around
    }

    pub fn until(what: &str, patience: Duration, mut is: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is() {
            assert!(begun.elapsed() < patience, "{what}: not within {patience:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Number of files below a folder.
    pub fn count(dir: &Path) -> usize {
        let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
        entries.flatten().map(|e| if e.path().is_dir() { count(&e.path()) } else { 1 }).sum()
    }
}

use processes::{Process, Site, until};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// One runtime for sessions that are used from several places of a test: a session ends with the runtime it began in.
fn rt() -> &'static tokio::runtime::Runtime {
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(runtime)
}

/// Files in, files out, events from the program, a barrier, logs; then a stage that fails half-way.
#[test]
fn a_pipeline_runs_from_files_to_files() {
    const TEXT: &str = r#"
group = ["field"]
events = ["new_image"]
params = { word = "seen" }
[[task]]
name = "tag"
on = "new_image"
argv = ["sh", "-c", "cat \"$1\" > out.txt; echo $2 {event:filter} >> out.txt; echo tagging $1; echo '{{\"name\": \"tagged\", \"key\": \"{key}\"}}' > events.ndjson", "tag", "{in:raw}", "{param:word}"]
emits = ["tagged"]
inputs = [{ role = "raw", min = 1 }]
outputs = [{ role = "tagged", glob = "*.txt", min = 1, nonempty = true }]
mem = "100M + in.bytes"
[[task]]
name = "merge"
on = "field_tagged"
argv = ["sh", "-c", "cat \"$@\" | sort > all.txt", "merge", "{in:parts}"]
inputs = [{ role = "parts", of = "tagged" }]
outputs = [{ role = "all", glob = "all.txt" }]
then = ["merged"]
[[task]]
name = "break"
on = "merged"
argv = ["sh", "-c", "echo half > half.txt; echo '{{\"name\": \"never\", \"key\": \"1\"}}' > events.ndjson; exit 7"]
emits = ["never"]
retries = { exit = 0 }
outputs = [{ role = "half", glob = "*.txt" }]
[[barrier]]
name = "all_tagged"
over = ["tag"]
key = ["field"]
emit = "field_tagged"
"#;
    let (connection, url) = rt().block_on(server().database("pipeline_files"));
    let site = Site::new(&url);
    let path = site.manifest(TEXT);
    site.say(&["run", "create", "r1", path.to_str().unwrap()]);
    site.say(&["hold", "r1"]);
    for (i, text) in ["one\n", "two\n", "three\n"].iter().enumerate() {
        let file = site.dir.path().join(format!("raw{i}.txt"));
        std::fs::write(&file, text).unwrap();
        let payload = r#"{"field": "b01", "filter": "F475W"}"#;
        site.say(&["fire", "r1", "new_image", "--key", &i.to_string(), "--payload", payload, "--file", &format!("raw={}", file.display())]);
    }
    let _master = site.master();
    let _worker = site.worker("w", 2, &[]);
    std::thread::sleep(Duration::from_millis(500));
    site.say(&["release", "r1"]);
    let failed = || site.say(&["jobs", "r1", "--failed", "--json"]);
    until("the last stage fails", Duration::from_secs(60), || failed().contains("\"task\": \"break\""));
    let (events, artifacts, merged): (i64, i64, String) = rt().block_on(async {
        let one = async |sql: &str| connection.query_one(sql, &[]).await.unwrap();
        (
            one("select count(*) from pipeline.event where name = 'never'").await.get(0),
            one("select count(*) from pipeline.artifact where role = 'half'").await.get(0),
            one("select key from pipeline.artifact where name = 'all.txt'").await.get(0),
        )
    });
    assert_eq!((events, artifacts), (0, 0), "a stage that fails half-way leaves nothing visible");
    let text = std::fs::read_to_string(site.dir.path().join("pipeline/store").join(merged)).expect("the output is in the store");
    assert_eq!(text, "one\nseen F475W\nseen F475W\nseen F475W\nthree\ntwo\n");
    let job = serde_json::from_str::<Value>(&site.say(&["jobs", "r1", "--task", "tag", "--json"])).unwrap()[0]["job"].to_string();
    assert!(site.say(&["logs", &job]).starts_with("tagging /"));
    assert!(site.say(&["status", "r1"]).contains("merge"));
    assert!(site.say(&["tree", "r1"]).contains("field_tagged"));
    assert!(site.say(&["job", &job]).contains("out.txt"));
    assert!(site.say(&["gc", "--older", "0s"]).starts_with("0 files"), "nothing was uploaded that nobody names");
    assert!(processes::count(&site.dir.path().join("workers/w/jobs")) == 0, "scratch folders are gone");
}

/// A claim that waits while a job runs offers what was free then; what the job gives back is offered at once, not at its end.
#[test]
fn a_job_that_needs_all_of_a_worker_begins_when_the_job_before_it_ends() {
    const TEXT: &str = r#"
events = ["go", "on"]
[[task]]
name = "most"
on = "go"
argv = ["sleep", "2"]
cpu = 60
[[task]]
name = "all"
on = "on"
argv = ["true"]
cpu = 100
"#;
    let (connection, url) = rt().block_on(server().database("pipeline_recall"));
    let site = Site::new(&url);
    let path = site.manifest(TEXT);
    site.say(&["run", "create", "r1", path.to_str().unwrap()]);
    let _master = site.master();
    let _worker = site.worker("w", 2, &[]);
    let jobs = |task: &str, state: &str| {
        let said: Value = serde_json::from_str(&site.say(&["jobs", "r1", "--task", task, "--json"])).unwrap();
        said.as_array().is_some_and(|jobs| jobs.iter().any(|job| job["state"] == state))
    };
    site.say(&["fire", "r1", "go", "--key", "1"]);
    until("the first job runs", Duration::from_secs(60), || jobs("most", "running"));
    site.say(&["fire", "r1", "on", "--key", "1"]);
    until("the second job is done", Duration::from_secs(60), || jobs("all", "done"));
    let sql = "select extract(epoch from max(started) - min(ended))::float8 from pipeline.attempt";
    let waited_s: f64 = rt().block_on(connection.query_one(sql, &[])).unwrap().get(0);
    // a claim waits half a minute
    assert!((0.0..15.0).contains(&waited_s), "{waited_s} s between the end of one job and the beginning of the next");
}

/// Speaks to a master as workers and others might.
fn ask(site: &Site, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
    let mut command = std::process::Command::new("curl");
    command.args(["-s", "-o", "-", "-w", "\n%{http_code}", "-X", "POST", "--data-binary", body]);
    if let Some(token) = token {
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
    }
    let output = command.arg(format!("{}/{path}", site.url())).output().expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (answer, status) = text.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), answer.to_owned())
}

#[test]
fn the_master_refuses_what_it_should() {
    let (connection, url) = rt().block_on(server().database("pipeline_refusals"));
    let site = Site::new(&url);
    let path = site.manifest(ONE_TASK);
    site.say(&["run", "create", "r", path.to_str().unwrap()]);
    site.say(&["fire", "r", "go", "--key", "1"]);
    let _master = site.master();
    let read = |name: &str| std::fs::read_to_string(site.token(name)).unwrap().trim().to_owned();
    let (token, other) = (read("one"), read("two"));
    let register = r#"{"name":"w","node":"n","slots":1,"mem_mb":9000,"disk_mb":9000,"version":"1"}"#;
    for bad in [None, Some("x"), Some("brickyard_1_00"), Some("brickyard_99999_00"), Some(&format!("{token}0")[..])] {
        assert_eq!(ask(&site, "v1/register", bad, register).0, 401, "{bad:?}");
    }
    let (status, answer) = ask(&site, "v1/register", Some(&token), register);
    assert_eq!(status, 200, "{answer}");
    let worker = serde_json::from_str::<Value>(&answer).unwrap()["worker"].as_i64().unwrap();
    assert_eq!(ask(&site, "v1/register", Some(&token), &register.replace("\"w\"", "\"v\"")).0, 400, "one worker a token");
    assert_eq!(ask(&site, "v1/register", Some(&token), &register.replace("}", ",\"more\":1}")).0, 400, "unknown field");
    assert_eq!(ask(&site, "v1/register", Some(&token), &register.replace("\"n\"", "\"../n\"")).0, 400, "odd name");
    let claim = format!(r#"{{"worker":{worker},"jobs":5,"cpu":5,"mem_mb":9000,"disk_mb":9000}}"#);
    assert_eq!(ask(&site, "v1/claim", Some(&other), &claim).0, 401, "another's worker");
    let (status, answer) = ask(&site, "v1/claim?wait=1", Some(&token), &claim);
    assert_eq!(status, 200, "{answer}");
    let job = serde_json::from_str::<Value>(&answer).unwrap()["jobs"][0]["job"].as_i64().expect("a job");
    let report = |body: &str| format!(r#"{{"worker":{worker}{body}}}"#);
    let complete = format!("v1/jobs/{job}/1/complete");
    let undeclared = report(r#","events":[{"name":"evil","key":"1"}]"#);
    assert_eq!(ask(&site, &complete, Some(&token), &undeclared).0, 400, "an event that the task does not declare");
    let forged = report(&format!(r#","artifacts":[{{"role":"x","name":"../../y","sha256":"{}","bytes":1}}]"#, "0".repeat(64)));
    assert_eq!(ask(&site, &complete, Some(&token), &forged).0, 400, "a name with folders");
    let absent = report(&format!(r#","artifacts":[{{"role":"x","name":"y","sha256":"{}","bytes":1}}]"#, "0".repeat(64)));
    assert_eq!(ask(&site, &complete, Some(&token), &absent).0, 404, "an output that was never stored");
    let big = format!("{}{}", report(""), " ".repeat(5 << 20));
    std::fs::write(site.dir.path().join("big"), big).unwrap();
    assert_eq!(ask(&site, &complete, Some(&token), &format!("@{}", site.dir.path().join("big").display())).0, 413);
    assert_eq!(ask(&site, &format!("v1/jobs/{job}/7/complete"), Some(&token), &report("")).0, 404);
    let urls = ask(&site, &format!("v1/jobs/{job}/1/urls"), Some(&token), &report(r#","put":["out.txt"]"#)).1;
    let url = serde_json::from_str::<Value>(&urls).unwrap()["put"][0].as_str().expect("a URL").to_owned();
    let put = |url: &str| {
        let output = std::process::Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-T", "/etc/hostname", "--path-as-is", &format!("{}/{url}", site.url())])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(put(&url.replace("out.txt", "other.txt")), "401", "a URL is for one key");
    assert_eq!(put(&url.replace("signature=", "signature=00")), "401");
    assert_eq!(put(&url), "201");
    assert_eq!(put(&url), "409", "written once");
    assert_eq!(ask(&site, &complete, Some(&token), &report("")).0, 200);
    assert_eq!(ask(&site, &complete, Some(&token), &report("")).0, 200, "repeated");
    assert_eq!(ask(&site, &format!("v1/jobs/{job}/1/fail"), Some(&token), &report(r#","class":"exit""#)).0, 409);
    site.say(&["token", "revoke", "one"]);
    until("the token is refused", Duration::from_secs(10), || ask(&site, "v1/claim", Some(&token), &claim).0 == 401);
    let done: i64 = rt().block_on(async {
        connection.query_one("select count(*) from pipeline.attempt where outcome = 'done'", &[]).await.unwrap().get(0)
    });
    assert_eq!(done, 1);
}

#[test]
fn a_worker_drains_at_the_first_signal_and_gives_jobs_back_at_the_second() {
    let text = ONE_TASK.replace("[\"true\"]", "[\"sleep\", \"{event:s}\"]");
    let (connection, url) = rt().block_on(server().database("pipeline_drain"));
    let site = Site::new(&url);
    let path = site.manifest(&text);
    site.say(&["run", "create", "r", path.to_str().unwrap()]);
    for (key, seconds) in [("short", 2), ("long", 600)] {
        site.say(&["fire", "r", "go", "--key", key, "--payload", &format!("{{\"s\": {seconds}}}")]);
    }
    let _master = site.master();
    let mut worker = site.worker("w", 2, &[]);
    let running = || rt().block_on(states(&connection)).get("running").copied().unwrap_or(0);
    until("both run", Duration::from_secs(20), || running() == 2);
    site.say(&["fire", "r", "go", "--key", "third", "--payload", "{\"s\": 0}"]);
    worker.signal(Signal::TERM);
    until("the short one ends", Duration::from_secs(20), || running() == 1);
    std::thread::sleep(Duration::from_millis(500));
    assert!(worker.0.try_wait().unwrap().is_none(), "the long one may end");
    worker.signal(Signal::TERM);
    until("the worker ends", Duration::from_secs(20), || worker.0.try_wait().unwrap().is_some());
    let row = rt().block_on(async {
        let sql = "select (select count(*) from pipeline.attempt where outcome = 'preempted'), (select count(*) from pipeline.job_live where state = 'ready')";
        connection.query_one(sql, &[]).await.unwrap()
    });
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 2), "the long one and the third wait for another worker");
}

/// Random numbers without a crate's help: xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// A fan-out, a stage with outputs on each, a barrier a group, and a merge of all its outputs.
const CHAOS: &str = r#"
group = ["group"]
events = ["start"]
[[task]]
name = "split"
on = "start"
argv = ["sh", "-c", 'i=0; while [ $i -lt {event:n} ]; do echo "{{\"name\": \"piece\", \"key\": \"{event:group}.$i\", \"payload\": {{\"i\": $i}} }}"; i=$((i+1)); done > events.ndjson']
emits = ["piece"]
[[task]]
name = "work"
on = "piece"
argv = ["sh", "-c", "echo {event:group} {event:i} > {event:i}.txt"]
outputs = [{ role = "part", glob = "*.txt", nonempty = true }]
mem = "100M"
[[task]]
name = "merge"
on = "group_done"
argv = ["sh", "-c", "cat $BRICKYARD_INPUTS/parts/* | sort -n -k2 > all.txt"]
inputs = [{ role = "parts", of = "part" }]
outputs = [{ role = "all", glob = "all.txt" }]
[[barrier]]
name = "group"
over = ["work"]
opened_by = ["split"]
key = ["group"]
emit = "group_done"
"#;

/// What must hold after any run of [`CHAOS`] with so many groups of so many pieces.
fn check_chaos(connection: &Connection, site: &Site, groups: usize, pieces: usize) {
    let one = |sql: &str| -> i64 { rt().block_on(async { connection.query_one(sql, &[]).await.unwrap().get(0) }) };
    let jobs = (groups * (pieces + 2)) as i64;
    assert_eq!(one("select count(*) from pipeline.job"), jobs);
    assert_eq!(one("select count(*) from pipeline.job_live where state = 'done'"), jobs);
    assert_eq!(one("select count(*) from pipeline.attempt where outcome = 'done'"), jobs, "each job is done by exactly one attempt");
    assert_eq!(one("select count(distinct job_id) from pipeline.attempt where outcome = 'done'"), jobs);
    assert_eq!(one("select count(*) from pipeline.event where name = 'group_done'"), groups as i64, "each barrier fired once");
    assert_eq!(one("select count(*) from pipeline.barrier where fired is null"), 0);
    assert_eq!(one("select count(*) from pipeline.artifact where job_id is not null"), (groups * (pieces + 1)) as i64);
    assert_eq!(one("select count(*) from pipeline.attempt where ended is null"), 0);
    let keys: Vec<String> = rt().block_on(async {
        let rows = connection.query("select a.key from pipeline.artifact a where role = 'all' order by a.key", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    });
    assert_eq!(keys.len(), groups);
    let mut seen = std::collections::BTreeSet::new();
    for key in keys {
        let text = std::fs::read_to_string(site.dir.path().join("pipeline/store").join(&key)).expect("it is in the store");
        let group = text.split(' ').next().expect("a group").to_owned();
        let calm: String = (0..pieces).map(|i| format!("{group} {i}\n")).collect();
        assert_eq!(text, calm, "the bytes of a calm run");
        assert!(seen.insert(group), "one merge a group");
    }
}

/// Workers are killed, stopped past their lease and continued; the master is killed; PostgreSQL restarts at once.
/// BRICKYARD_CHAOS_JOBS=100000 makes it long.
#[test]
fn nothing_is_lost_or_done_twice_whatever_vanishes() {
    let wanted: usize = std::env::var("BRICKYARD_CHAOS_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(600);
    let (groups, pieces) = (wanted.div_ceil(5000).max(3), wanted / wanted.div_ceil(5000).max(3));
    let data = crate::harness::data_dir();
    crate::harness::watch(data.path());
    let options = db::Options { data_dir: data.path().to_owned(), ..db::Options::default() };
    let runtime = rt();
    let cluster = runtime.block_on(db::cluster::start(&options)).expect("a cluster of its own");
    let site = Site::new(&cluster.url(db::cluster::OWNER));
    let path = site.manifest(CHAOS);
    site.say(&["run", "create", "chaos", path.to_str().unwrap()]);
    for group in 0..groups {
        site.say(&[
            "fire",
            "chaos",
            "start",
            "--key",
            &group.to_string(),
            "--payload",
            &format!("{{\"group\": \"g{group}\", \"n\": {pieces}}}"),
        ]);
    }
    let mut master = site.master();
    let names = ["a", "b", "c", "d"];
    let mut workers: Vec<(Process, Option<Instant>)> = names.iter().map(|name| (site.worker(name, 4, &[]), None)).collect();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (begun, mut restarted) = (Instant::now(), false);
    let (mut kills, mut stops, mut masters) = (0, 0, 0);
    let patience = Duration::from_secs(240 + wanted as u64 / 10);
    let mut done = false;
    while !done {
        assert!(begun.elapsed() < patience, "not done within {patience:?}");
        std::thread::sleep(Duration::from_millis(150));
        let calm = begun.elapsed() > patience / 2;
        let which = dice.roll(names.len() as u64) as usize;
        match dice.roll(10) {
            0 | 1 if !calm && kills < 40 => {
                // kill -9; the next one may have its folder only when it is gone
                let old = &mut workers[which].0.0;
                old.kill().and_then(|()| old.wait()).expect("it is ours");
                workers[which] = (site.worker(names[which], 4, &[]), None);
                kills += 1;
            }
            2 if !calm && workers[which].1.is_none() && stops < 8 => {
                workers[which].0.signal(Signal::STOP);
                workers[which].1 = Some(Instant::now() + Duration::from_secs(u64::from(site.lease_s) + 3));
                stops += 1;
            }
            3 if !calm && masters < 3 && begun.elapsed() > Duration::from_secs(3) => {
                drop(master);
                std::thread::sleep(Duration::from_millis(300));
                master = site.master();
                masters += 1;
            }
            4 if !restarted && begun.elapsed() > Duration::from_secs(4) => {
                let pid = runtime.block_on(db::cluster::status(&options)).unwrap().server.expect("it runs").pid;
                // what pg_ctl stop -m immediate sends
                let pid = rustix::process::Pid::from_raw(pid as i32).expect("a pid");
                rustix::process::kill_process(pid, Signal::QUIT).expect("it is ours");
                runtime.block_on(db::cluster::start(&options)).expect("it comes back");
                restarted = true;
            }
            _ => {}
        }
        for (worker, wakes) in &mut workers {
            if wakes.is_some_and(|at| at < Instant::now()) {
                worker.signal(Signal::CONT);
                *wakes = None;
            }
        }
        done = runtime.block_on(async {
            let Ok(connection) = db::connect(&options).await else { return false };
            let sql = "select count(*) = $1 from pipeline.job_live where state = 'done'";
            connection.query_one(sql, &[&((groups * (pieces + 2)) as i64)]).await.is_ok_and(|row| row.get(0))
        });
    }
    drop(workers);
    drop(master);
    let connection = runtime.block_on(db::connect(&options)).unwrap();
    check_chaos(&connection, &site, groups, pieces);
    let ends = runtime.block_on(async {
        let rows = connection.query("select outcome, count(*) from pipeline.attempt group by 1 order by 1", &[]).await.unwrap();
        rows.iter().map(|row| format!("{} {}", row.get::<_, String>(0), row.get::<_, i64>(1))).collect::<Vec<_>>().join(", ")
    });
    println!(
        "{} jobs in {:.0} s: {kills} workers and {masters} masters killed, {stops} stopped past the lease, server restarted: {restarted}; attempts: {ends}",
        groups * (pieces + 2),
        begun.elapsed().as_secs_f64()
    );
}

/// What is claimed while it is being told comes with the claim: a job that no worker hears of waits for its lease to pass.
#[test]
fn jobs_that_are_claimed_as_they_are_told_reach_their_worker_with_their_inputs() {
    let text = ONE_TASK.replace("argv = [\"true\"]", "argv = [\"true\"]\ninputs = [{ role = \"raw\", min = 1 }]");
    rt().block_on(async {
        let (mut connection, books, _) = books("pipeline_claims").await;
        let run = run(&mut connection, "claims", &text).await;
        let books = std::sync::Arc::new(books);
        let told = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let mut claimers = Vec::new();
        for name in ["a", "b", "c"] {
            let (w, books, told) = (worker(&connection, &books, name).await, books.clone(), told.clone());
            claimers.push(tokio::spawn(async move {
                let mut heard = Vec::new();
                loop {
                    let is_last = told.load(std::sync::atomic::Ordering::Relaxed);
                    let claimed = books.claim(w, Free { jobs: 3, ..ALL_FREE }, 600).await.unwrap();
                    if claimed.is_empty() && is_last {
                        return heard;
                    }
                    assert!(claimed.iter().all(|job| job.inputs.len() == 1 && job.event.name == "go"), "{claimed:?}");
                    heard.extend(claimed.iter().map(|job| job.job));
                }
            }));
        }
        let jobs = 1500;
        let file = json!({"role": "raw", "name": "a.fits", "key": "external/a", "sha256": "0".repeat(64), "bytes": 1});
        for i in 0..jobs {
            books.emit(run, &[event("go", i, json!({"files": [file]}))]).await.unwrap();
        }
        told.store(true, std::sync::atomic::Ordering::Relaxed);
        let mut heard = Vec::new();
        for claimer in claimers {
            heard.extend(claimer.await.unwrap());
        }
        heard.sort_unstable();
        heard.dedup();
        assert_eq!(heard.len(), jobs as usize, "every job that runs is known to the worker that runs it");
        assert_eq!(states(&connection).await, BTreeMap::from([("running".to_owned(), jobs as i64)]));
    });
}

/// A job of more inputs than a worker asks for at once, from a worker that has none of them.
#[test]
fn a_job_of_many_inputs_gets_them_all() {
    const TEXT: &str = r#"
events = ["start"]
[[task]]
name = "split"
on = "start"
argv = ["sh", "-c", "for i in $(seq -w 1200); do echo $i > p$i.txt; done"]
outputs = [{ role = "piece", glob = "p*.txt", min = 1200 }]
then = ["split_done"]
class = "splits"
[[task]]
name = "merge"
on = "split_done"
argv = ["sh", "-c", "cat \"$@\" > all.txt", "merge", "{in:pieces}"]
inputs = [{ role = "pieces", of = "piece" }]
outputs = [{ role = "all", glob = "all.txt" }]
"#;
    let (connection, url) = rt().block_on(server().database("pipeline_many_inputs"));
    let site = Site::new(&url);
    let path = site.manifest(TEXT);
    site.say(&["run", "create", "many", path.to_str().unwrap()]);
    site.say(&["fire", "many", "start", "--key", "1"]);
    let token = site.say(&["token", "create", "a", "--class", "splits"]);
    std::fs::write(site.dir.path().join("a.token"), token).unwrap();
    let master = site.master();
    let workers = [site.worker("a", 1, &["--class", "splits"]), site.worker("b", 1, &["--class", "default"])];
    let sql = "select a.key from pipeline.artifact a where role = 'all'";
    let key = || rt().block_on(async { connection.query_opt(sql, &[]).await.unwrap().map(|row| row.get::<_, String>(0)) });
    until("the merge is done", Duration::from_secs(120), || key().is_some());
    let text = std::fs::read_to_string(site.dir.path().join("pipeline/store").join(key().unwrap())).expect("it is in the store");
    let wanted: String = (1..=1200).map(|i| format!("{i:04}\n")).collect();
    assert_eq!(text, wanted, "in the order of their names");
    drop(workers);
    drop(master);
}

/// Reports as a bad network makes them: twice, late, out of order, of attempts that were given up.
#[test]
fn duplicated_delayed_and_reordered_reports_change_nothing() {
    let text = ONE_TASK.replace("lost = 2", "lost = 1000").replace("exit = \"30s\"", "exit = \"0s\"").replace("exit = 2", "exit = 1000");
    rt().block_on(async {
        let (mut connection, books, _) = books("pipeline_reports").await;
        let run = run(&mut connection, "reports", &text).await;
        let mut workers = Vec::new();
        for name in ["a", "b", "c"] {
            workers.push(worker(&connection, &books, name).await);
        }
        let jobs = 1500;
        let events: Vec<Told> = (0..jobs).map(|i| event("go", i, json!({}))).collect();
        books.emit(run, &events).await.unwrap();
        let mut dice = Dice(42);
        // (worker, job, attempt): reports that are under way, and old ones that come again
        let [mut under_way, mut old] = [const { Vec::<(i64, i64, i32)>::new() }; 2];
        loop {
            let w = workers[dice.roll(3) as usize];
            let claimed = books.claim(w, Free { jobs: 1 + dice.roll(20) as i32, ..ALL_FREE }, 60).await.unwrap();
            under_way.extend(claimed.iter().map(|j| (w, j.job, j.attempt)));
            if dice.roll(4) == 0 {
                // some leases pass although their workers go on
                let lapse = "update pipeline.job_live set lease_until = now() - interval '1 s' where state = 'running' and job_id % 7 = $1";
                connection.execute(lapse, &[&(dice.roll(7) as i64)]).await.unwrap();
                books.sweep(1_000_000, 600).await.unwrap();
            }
            let mut batch = Vec::new();
            for _ in 0..dice.roll(40) {
                if under_way.is_empty() {
                    break;
                }
                let report = under_way.swap_remove(dice.roll(under_way.len() as u64) as usize);
                match dice.roll(10) {
                    0 => drop(books.fail(report.1, report.2, &failure(report.0, Class::Exit, Some(9))).await.unwrap()),
                    _ => batch.push(report),
                }
                old.push(report);
            }
            for _ in 0..dice.roll(10) {
                if !old.is_empty() {
                    batch.push(old[dice.roll(old.len() as u64) as usize]);
                }
            }
            let reports =
                batch.iter().map(|(w, job, attempt)| done(*w, *job, *attempt, &[event("worked", job, json!({"by": attempt}))])).collect();
            books.complete(reports).await.unwrap();
            books.check_barriers().await.unwrap();
            if states(&connection).await == BTreeMap::from([("done".to_owned(), jobs as i64)]) {
                break;
            }
        }
        let one = async |sql: &str| -> i64 { connection.query_one(sql, &[]).await.unwrap().get(0) };
        assert_eq!(one("select count(*) from pipeline.attempt where outcome = 'done'").await, jobs as i64);
        assert_eq!(one("select count(*) from pipeline.event where name = 'worked'").await, jobs as i64);
        assert_eq!(one("select count(*) from pipeline.event where name = 'finished'").await, 1);
        // each event is of the attempt that counts
        let sql = "select count(*) from pipeline.event e join pipeline.attempt a on a.job_id = e.parent_job and a.outcome = 'done'
            where e.name = 'worked' and (e.payload ->> 'by')::int <> a.attempt";
        assert_eq!(one(sql).await, 0);
    });
}
