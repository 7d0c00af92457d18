//! The stage runner when things go wrong around it: a scratch disk that is full, a store that fails, clocks that are an hour off. Every job is
//! done once, and its bytes are those of a calm run. (What happens when workers, masters and the server vanish: `pipeline.rs`.)

use crate::harness::{runtime, server, skipped};
use crate::pipeline::processes::{Site, until};
use crate::store::Moto;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A file is split into parts, each is worked on, and all are merged.
const TEXT: &str = r#"
group = ["group"]
events = ["start"]
[[task]]
name = "split"
on = "start"
argv = ["sh", "-c", 'for i in 1 2 3 4 5 6 7 8; do echo "{{\"name\": \"part\", \"key\": \"{event:group}.$i\", \"payload\": {{\"i\": $i}} }}"; done > events.ndjson; cp "$1" whole.txt', "split", "{in:raw}"]
inputs = [{ role = "raw", min = 1 }]
emits = ["part"]
outputs = [{ role = "whole", glob = "whole.txt", nonempty = true }]
retries = { staging = 1000, exit = 1000, lost = 1000 }
backoff = { staging = "0s", exit = "0s", lost = "0s" }
mem = "10M"
disk = "3M"
[[task]]
name = "work"
on = "part"
argv = ["sh", "-c", "sed \"s/^/{event:i} /\" \"$1\" > {event:i}.txt", "work", "{in:whole}"]
inputs = [{ role = "whole", min = 1 }]
outputs = [{ role = "part", glob = "*.txt", nonempty = true }]
retries = { staging = 1000, exit = 1000, lost = 1000 }
backoff = { staging = "0s", exit = "0s", lost = "0s" }
mem = "10M"
disk = "3M"
[[task]]
name = "merge"
on = "all_worked"
argv = ["sh", "-c", "cat $BRICKYARD_INPUTS/parts/* > all.txt"]
inputs = [{ role = "parts", of = "part", min = 8 }]
outputs = [{ role = "all", glob = "all.txt", nonempty = true }]
retries = { staging = 1000, exit = 1000, lost = 1000 }
backoff = { staging = "0s", exit = "0s", lost = "0s" }
mem = "10M"
disk = "40M"
[[barrier]]
name = "worked"
over = ["work"]
opened_by = ["split"]
key = ["group"]
emit = "all_worked"
"#;
/// Jobs of one group.
const JOBS: i64 = 10;

/// Lines that fill about so many bytes.
fn lines(bytes: usize) -> String {
    (0..bytes / 20).map(|i| format!("line {i:014}\n")).collect()
}

struct Trial {
    site: Site,
    connection: brickyard::db::Connection,
    runtime: tokio::runtime::Runtime,
}

impl Trial {
    /// A run on a database of its own; `with` sets the site up.
    fn new(database: &str, with: impl FnOnce(&mut Site)) -> Trial {
        let runtime = runtime();
        let (connection, url) = runtime.block_on(server().database(database));
        let mut site = Site::new(&url);
        with(&mut site);
        let path = site.manifest(TEXT);
        site.say(&["run", "create", "r", path.to_str().unwrap()]);
        Trial { site, connection, runtime }
    }

    fn fire(&self, groups: usize, text: &str) {
        let raw = self.site.dir.path().join("raw.txt");
        std::fs::write(&raw, text).unwrap();
        for group in 0..groups {
            let payload = format!("{{\"group\": \"g{group}\"}}");
            let file = format!("raw={}", raw.display());
            self.site.say(&["fire", "r", "start", "--key", &group.to_string(), "--payload", &payload, "--file", &file]);
        }
    }

    fn one(&self, sql: &str) -> i64 {
        self.runtime.block_on(self.connection.query_one(sql, &[])).unwrap().get(0)
    }

    fn is_done(&self, groups: usize) -> bool {
        self.one("select count(*) from pipeline.job_live where state = 'done'") == groups as i64 * JOBS
    }

    /// Each job done once, each barrier fired once, and the bytes of a calm run.
    fn check(&self, groups: usize, text: &str, read: impl Fn(&str) -> Vec<u8>) {
        let jobs = groups as i64 * JOBS;
        assert_eq!(self.one("select count(*) from pipeline.job"), jobs);
        assert_eq!(self.one("select count(*) from pipeline.attempt where outcome = 'done'"), jobs);
        assert_eq!(self.one("select count(*) from pipeline.event where name = 'all_worked'"), groups as i64);
        assert_eq!(self.one("select count(*) from pipeline.artifact where job_id is not null"), jobs);
        let calm: String = (1..=8).flat_map(|i| text.lines().map(move |line| format!("{i} {line}\n"))).collect();
        let rows = self.runtime.block_on(self.connection.query("select key from pipeline.artifact where role = 'all'", &[])).unwrap();
        assert_eq!(rows.len(), groups);
        for row in rows {
            let found = read(row.get(0));
            assert!(
                found == calm.as_bytes(),
                "{} bytes of {}, wanted the {} of a calm run",
                found.len(),
                row.get::<_, &str>(0),
                calm.len()
            );
        }
    }
}

/// A small file system in memory, gone with this value.
struct Small<'a>(&'a Path);

impl Small<'_> {
    fn mount(place: &Path, megabytes: usize) -> Option<Small<'_>> {
        std::fs::create_dir_all(place).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(place).output();
        match mounted.is_ok_and(|output| output.status.success()) {
            true => Some(Small(place)),
            false => {
                skipped("no file system can be mounted here");
                None
            }
        }
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// What does not fit in is given back, and done where there is room.
#[test]
fn a_full_scratch_disk_fails_the_attempt_and_not_the_job() {
    let trial = Trial::new("chaos_disk", |_| {});
    let place = trial.site.dir.path().join("workers/small");
    let Some(_small) = Small::mount(&place, 3) else { return };
    let text = lines(2_000_000);
    trial.fire(1, &text);
    let _master = trial.site.master();
    let staging = "select count(*) from pipeline.attempt where outcome = 'staging'";
    let small = trial.site.worker("small", 1, &[]);
    until("the disk is full", Duration::from_secs(60), || trial.one(staging) > 0);
    assert_eq!(trial.one("select count(*) from pipeline.artifact where job_id is not null"), 0, "half of an output is none");
    let _large = trial.site.worker("large", 1, &[]);
    let log = |name: &str| std::fs::read_to_string(trial.site.dir.path().join(name)).unwrap_or_default();
    let begun = std::time::Instant::now();
    while !trial.is_done(1) {
        let late = begun.elapsed() > Duration::from_secs(100);
        assert!(!late, "{}\n{}\n{}\n{}", trial.site.say(&["jobs", "r"]), log("small.err"), log("large.err"), log("master.err"));
        std::thread::sleep(Duration::from_millis(100));
    }
    let store = trial.site.dir.path().join("pipeline/store");
    trial.check(1, &text, |key| std::fs::read(store.join(key)).unwrap());
    drop(small);
}

/// Stands between everybody and the bucket, and lets them down in every way.
fn unreliable(bucket: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let bucket = bucket.strip_prefix("http://").expect("HTTP").to_owned();
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().flatten().enumerate() {
            let bucket = bucket.clone();
            std::thread::spawn(move || drop(let_down(number, client, &bucket)));
        }
    });
    endpoint
}

fn let_down(number: usize, mut client: TcpStream, bucket: &str) -> std::io::Result<()> {
    let refuse = |client: &mut TcpStream, status: &str| {
        let mut head = [0; 4096];
        let _ = client.read(&mut head)?;
        client.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())?;
        client.shutdown(Shutdown::Write)
    };
    // bytes of an answer after which the connection breaks
    let breaks_after = match number % 11 {
        2 => return refuse(&mut client, "503 Slow Down"),
        4 => return refuse(&mut client, "500 Internal Server Error"),
        6 => {
            std::thread::sleep(Duration::from_millis(700));
            usize::MAX
        }
        8 => 50,
        9 => 30_000,
        10 => return Ok(()),
        _ => usize::MAX,
    };
    let mut server = TcpStream::connect(bucket)?;
    let (mut client_in, mut server_out) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut client_in, &mut server_out);
        let _ = server_out.shutdown(Shutdown::Write);
    });
    // a connection serves for a moment: clients come back for the next fault
    server.set_read_timeout(Some(Duration::from_millis(1500)))?;
    let (mut buffer, mut left) = (vec![0; 1 << 14], breaks_after);
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        let whole = count.min(left);
        client.write_all(&buffer[..whole])?;
        left -= whole;
        if left == 0 {
            break;
        }
    }
    client.shutdown(Shutdown::Both)
}

#[test]
fn a_store_that_fails_is_slow_and_breaks_off_costs_attempts_and_no_job() {
    let Some(moto) = Moto::start() else { return };
    let trial = Trial::new("chaos_store", |site| {
        for (name, value) in [
            ("BRICKYARD_STORE", "s3://bricks/runs"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", &moto.endpoint),
        ] {
            site.env.push((name.into(), value.into()));
        }
    });
    let text = lines(100_000);
    // what comes from outside is put there while all is well
    trial.fire(3, &text);
    let mut trial = trial;
    trial.site.env.push(("AWS_ENDPOINT_URL".into(), unreliable(&moto.endpoint)));
    let _master = trial.site.master();
    let _workers = ["a", "b"].map(|name| trial.site.worker(name, 2, &[]));
    until("all is done", Duration::from_secs(240), || trial.is_done(3));
    let store = brickyard::store::Store::open("s3://bricks/runs", &moto.credentials()).expect("a store");
    trial.check(3, &text, |key| {
        let read = async {
            let (_, bytes) = store.get(key).await.expect("it is there");
            let pieces: Vec<bytes::Bytes> = futures_util::TryStreamExt::try_collect(bytes).await.expect("its bytes");
            pieces.concat()
        };
        trial.runtime.block_on(read)
    });
}

/// Leases run on the database's clock: those of workers and masters may tell what they like.
#[test]
fn clocks_that_are_an_hour_off_change_nothing() {
    // the library itself: the program `faketime` would stand between us and what we end
    let libraries =
        std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    let Some(library) = libraries.into_iter().find(|path| path.exists()) else {
        return skipped("no libfaketime (./run test installs it)");
    };
    let off = |by: &str| {
        let words = [format!("LD_PRELOAD={}", library.display()), format!("FAKETIME={by}"), "FAKETIME_DONT_FAKE_MONOTONIC=1".into()];
        [vec!["env".to_owned()], words.to_vec()].concat()
    };
    let trial = Trial::new("chaos_clocks", |site| site.master_under = off("+1h"));
    let text = lines(10_000);
    trial.fire(3, &text);
    let _master = trial.site.master();
    let _workers = [
        trial.site.worker_under(&off("-1h"), "early", 2, &[]),
        trial.site.worker_under(&off("+1h"), "late", 2, &[]),
        trial.site.worker("right", 1, &[]),
    ];
    until("all is done", Duration::from_secs(120), || trial.is_done(3));
    let store = trial.site.dir.path().join("pipeline/store");
    trial.check(3, &text, |key| std::fs::read(store.join(key)).unwrap());
    assert_eq!(trial.one("select count(*) from pipeline.attempt where outcome <> 'done'"), 0, "nobody was thought to be lost");
}
