//! The embedded PostgreSQL through the real binary: start, share, crash, refuse.
//!
//! Each test has a cluster of its own in a temporary data directory; what needs root (dropping the account, mounting
//! a small disk) says SKIPPED without it.

use crate::harness;
use brickyard::db::{self, Error, Options, cluster};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A data directory whose server is stopped at the end of the test, or by the watchdog if the test dies.
struct Own {
    data_dir: PathBuf,
}

impl Own {
    fn new() -> Own {
        Own::at(harness::data_dir().keep())
    }

    fn at(data_dir: PathBuf) -> Own {
        harness::watch(&data_dir);
        Own { data_dir }
    }

    fn started() -> Own {
        let own = Own::new();
        assert_good(&own.db(&["start"]));
        own
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = harness::brickyard();
        command.arg("db").args(args).env("BRICKYARD_DATA_DIR", &self.data_dir);
        command
    }

    fn db(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("brickyard runs")
    }

    /// One value from psql, which `brickyard db psql` becomes.
    fn psql(&self, sql: &str) -> String {
        let output = self.db(&["psql", "--", "-XAtqc", sql]);
        assert_good(&output);
        text(&output.stdout)
    }

    fn data(&self) -> PathBuf {
        self.data_dir.canonicalize().expect("it exists").join("pg/data")
    }

    fn pid(&self) -> u32 {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).expect("a pid file");
        file.lines().next().and_then(|line| line.parse().ok()).expect("a pid")
    }

    fn options(&self) -> Options {
        Options { data_dir: self.data_dir.clone(), ..Options::default() }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.db(&["stop"]);
        // The watchdog removes it too; a test that went well leaves nothing even for a moment.
        std::fs::remove_dir_all(&self.data_dir).ok();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

fn assert_good(output: &Output) {
    assert!(output.status.success(), "{:?}: {} {}", output.status, text(&output.stdout), text(&output.stderr));
}

/// The command fails, and its one message has every one of `parts`.
fn assert_refused(output: &Output, parts: &[&str]) {
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.starts_with("error: "), "{message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

fn kill_9(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill runs").success());
}

/// Gone, or a zombie that this container's first process never waits for.
fn gone(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_err()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not happen in 30 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn start_status_url_psql_stop() {
    let own = Own::new();
    let before = own.db(&["status"]);
    assert_eq!(before.status.code(), Some(3));
    assert!(text(&before.stdout).contains("stopped"), "{}", text(&before.stdout));

    let begun = Instant::now();
    assert_good(&own.db(&["start"]));
    assert!(begun.elapsed() < Duration::from_secs(60));
    let status = own.db(&["status"]);
    assert_good(&status);
    for part in ["running", "PostgreSQL 1", "port      127.0.0.1:", "socket    /", "brickyard,", " MB"] {
        assert!(text(&status.stdout).contains(part), "{part} in {}", text(&status.stdout));
    }
    let url = text(&own.db(&["url"]).stdout);
    let tcp = text(&own.db(&["url", "--tcp"]).stdout);
    for url in [&url, &tcp] {
        let output =
            Command::new("psql").args(["-XAtqc", "select current_user || ' ' || current_database()", url]).output().expect("psql runs");
        assert_eq!(text(&output.stdout), "brickyard brickyard", "{}", text(&output.stderr));
    }
    let settings = own.psql(
        "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings where name in
         ('data_checksums', 'fsync', 'jit', 'listen_addresses', 'password_encryption', 'server_encoding', 'wal_level')",
    );
    assert_eq!(
        settings,
        "data_checksums=on fsync=on jit=off listen_addresses=127.0.0.1 password_encryption=scram-sha-256 server_encoding=UTF8 wal_level=minimal"
    );
    assert_eq!(
        own.psql("select datcollate || extname from pg_database, pg_extension where datname = 'brickyard' and extname = 'q3c'"),
        "Cq3c"
    );

    assert_eq!(text(&own.db(&["stop"]).stdout), "stopped");
    assert_eq!(own.db(&["status"]).status.code(), Some(3));
    assert_eq!(text(&own.db(&["stop"]).stdout), "was not running");
}

#[test]
fn the_server_is_not_root_and_outlives_the_command_that_started_it() {
    let own = Own::started();
    let process = std::fs::metadata(format!("/proc/{}", own.pid())).expect("the server still runs");
    assert_ne!(process.uid(), 0);
    let pg = std::fs::metadata(own.data_dir.join("pg")).expect("pg/");
    assert_eq!((pg.uid(), pg.mode() & 0o777), (process.uid(), 0o700));
    let pass = std::fs::metadata(own.data_dir.join("pg/pgpass")).expect("pgpass");
    assert_eq!((pass.uid(), pass.mode() & 0o777), (process.uid(), 0o600));
}

#[test]
fn nobody_is_trusted() {
    let own = Own::started();
    let server = harness::runtime().block_on(cluster::running(&own.options())).expect("a state").expect("it runs");
    let port = server.port.to_string();
    for host in [server.socket_dir.to_str().expect("a plain path"), "127.0.0.1"] {
        for (password, refusal) in [("", "no password supplied"), ("wrong", "password authentication failed")] {
            let mut psql = Command::new("psql");
            psql.args(["-XAtwqc", "select 1", "-h", host, "-p", &port, "-U", "brickyard", "brickyard"]);
            // Also as the very account that runs the server: there is no peer entry.
            if root() {
                psql.uid(std::fs::metadata(own.data_dir.join("pg")).expect("pg/").uid());
            }
            let output = psql.env("PGPASSWORD", password).env("PGPASSFILE", "/dev/null").current_dir("/").output().expect("psql runs");
            assert!(text(&output.stderr).contains(refusal), "{host}: {}", text(&output.stderr));
        }
    }
}

#[test]
fn many_starts_at_once_make_one_cluster() {
    let own = Own::new();
    let starts: Vec<_> = (0..6)
        .map(|_| {
            own.command(&["psql", "--", "-XAtqc", "select pg_postmaster_start_time()"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
        })
        .collect();
    let answers: Vec<String> = starts
        .into_iter()
        .map(|child| {
            let output = child.expect("it starts").wait_with_output().expect("it ends");
            assert_good(&output);
            text(&output.stdout)
        })
        .collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[test]
fn a_killed_server_is_started_again_with_what_was_committed() {
    let own = Own::started();
    own.psql("create table kept as select generate_series(1, 1000) as i");
    let pid = own.pid();
    kill_9(pid);
    wait_until("death", || gone(pid));
    assert_eq!(own.db(&["status"]).status.code(), Some(3));
    assert_eq!(own.psql("select count(*) from kept"), "1000");
    assert_ne!(own.pid(), pid);
}

#[test]
fn a_killed_server_with_a_busy_session_is_started_again() {
    let own = Own::started();
    let mut busy = own.command(&["psql", "--", "-XAtqc", "select count(*) from generate_series(1, 6000000) a where md5(a::text) = ''"]);
    let mut busy = busy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("psql runs");
    wait_until("the query", || {
        own.psql("select count(*) from pg_stat_activity where query like '%md5(a%' and state = 'active' and pid <> pg_backend_pid()") == "1"
    });
    let pid = own.pid();
    kill_9(pid);
    assert_eq!(own.psql("select 1"), "1");
    assert_ne!(own.pid(), pid);
    busy.wait().expect("it ends");
}

#[test]
fn a_stale_pid_file_of_another_living_process_is_seen_through() {
    let own = Own::started();
    let whole = std::fs::read_to_string(own.data().join("postmaster.pid")).expect("a pid file");
    assert_good(&own.db(&["stop"]));
    // A process of the server's own account: PostgreSQL by itself would take it for a postmaster.
    let mut sleeper = Command::new("sleep");
    if root() {
        let meta = std::fs::metadata(own.data()).expect("data/");
        sleeper.uid(meta.uid()).gid(meta.gid());
    }
    let mut sleeper = sleeper.arg("60").current_dir("/").spawn().expect("sleep runs");
    let stale = whole.replacen(whole.lines().next().expect("a pid"), &sleeper.id().to_string(), 1);
    std::fs::write(own.data().join("postmaster.pid"), stale).expect("written");
    assert_eq!(own.db(&["status"]).status.code(), Some(3));
    assert_eq!(text(&own.db(&["stop"]).stdout), "was not running");
    assert_eq!(own.psql("select 1"), "1");
    assert!(sleeper.try_wait().expect("a state").is_none(), "it was not ours to end");
    sleeper.kill().expect("ended");
    sleeper.wait().expect("ended");
}

#[test]
fn a_start_killed_during_initdb_is_begun_anew() {
    let own = Own::new();
    let mut start = own.command(&["start"]).stdout(Stdio::null()).process_group(0).spawn().expect("it starts");
    wait_until("initdb", || own.data_dir.join("pg/new/base").exists());
    start.kill().expect("killed");
    start.wait().expect("ended");
    assert!(!own.data().exists());
    assert_eq!(own.psql("select 1"), "1");
    assert!(!own.data_dir.join("pg/new").exists());
}

#[test]
fn a_lost_password_file_is_made_anew() {
    let own = Own::started();
    own.psql("create table kept as select 1");
    std::fs::remove_file(own.data_dir.join("pg/pgpass")).expect("removed");
    assert_refused(&own.db(&["start"]), &["pgpass is gone", "stop it and start it again"]);
    assert_good(&own.db(&["stop"]));
    assert_eq!(own.psql("select count(*) from kept"), "1");
}

#[test]
fn the_port_is_kept_while_it_is_free() {
    let own = Own::started();
    let port = own.psql("show port");
    assert_good(&own.db(&["stop"]));
    assert_eq!(own.psql("show port"), port);
    assert_good(&own.db(&["stop"]));
    let _taken = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).expect("free");
    assert_ne!(own.psql("show port"), port);
}

#[test]
fn a_cluster_of_another_version_is_refused_with_the_package_to_install() {
    let own = Own::started();
    assert_good(&own.db(&["stop"]));
    let file = own.data().join("PG_VERSION");
    let version = std::fs::read_to_string(&file).expect("a version");
    std::fs::write(&file, "12\n").expect("written");
    assert_refused(&own.db(&["start"]), &["was made by PostgreSQL 12", "postgresql-12-q3c", "pg_upgrade", "--data-dir"]);
    std::fs::write(&file, version).expect("written");
    assert_eq!(own.psql("select 1"), "1");
}

#[test]
fn a_folder_that_is_no_cluster_is_left_alone() {
    let own = Own::started();
    assert_good(&own.db(&["stop"]));
    std::fs::remove_file(own.data().join("PG_VERSION")).expect("removed");
    assert_refused(&own.db(&["start"]), &["is not a whole PostgreSQL cluster", "no PG_VERSION", "begin anew"]);
    assert!(own.data().join("base").exists());
}

#[test]
fn a_long_or_odd_data_directory_gets_a_socket_elsewhere() {
    let base = harness::data_dir();
    let long = base.path().join("x".repeat(100)).join("it's $HOME, \"quoted\" äöü");
    let own = Own::at(long);
    assert_eq!(own.psql("select 1"), "1");
    let dir = PathBuf::from(own.psql("show unix_socket_directories"));
    assert!(dir.as_os_str().len() < 80, "{}", dir.display());
    assert_eq!(std::fs::metadata(&dir).expect("a folder").mode() & 0o777, 0o700);
    assert_good(&own.db(&["stop"]));
    // Somebody else's folder in its place is not used.
    std::fs::remove_dir(&dir).expect("empty");
    std::fs::create_dir(&dir).expect("made");
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).expect("set");
    assert_refused(&own.db(&["start"]), &["longer than 107 bytes", dir.to_str().expect("plain"), "shorter --data-dir"]);
    std::fs::remove_dir(&dir).expect("removed");
}

/// PostgreSQL finds its files relative to its programs, so a copy of both without Q3C is an installation without Q3C.
#[test]
fn an_installation_without_q3c_is_refused_with_the_package_to_install() {
    let own = Own::new();
    let bin = pg_config(&own, "--bindir");
    let share = pg_config(&own, "--sharedir");
    let root = harness::data_dir();
    let (new_bin, new_share) = (under(root.path(), &bin), under(root.path(), &share));
    std::fs::create_dir_all(&new_bin).expect("made");
    std::fs::create_dir_all(new_share.join("extension")).expect("made");
    for program in ["postgres", "initdb", "pg_ctl", "pg_config"] {
        std::fs::copy(bin.join(program), new_bin.join(program)).expect("copied");
    }
    let output = own.command(&["start"]).arg("--pg-bin").arg(&new_bin).output().expect("it runs");
    assert_refused(&output, &["has no Q3C extension", "apt install postgresql-1", "-q3c", new_bin.to_str().expect("plain")]);
    assert!(!own.data_dir.join("pg/new").exists());
}

fn pg_config(own: &Own, flag: &str) -> PathBuf {
    let output = harness::runtime().block_on(cluster::program(&own.options(), "pg_config")).expect("an installation");
    PathBuf::from(text(&Command::new(output).arg(flag).output().expect("pg_config runs").stdout))
}

fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/usr").expect("a distribution's path"))
}

#[test]
fn a_folder_without_programs_is_refused() {
    let (own, empty) = (Own::new(), harness::scratch());
    let output = own.command(&["start"]).arg("--pg-bin").arg(empty.path()).output().expect("it runs");
    assert_refused(&output, &["no PostgreSQL 15 or newer found", empty.path().to_str().expect("plain"), "apt install", "--pg-bin"]);
}

#[test]
fn root_needs_an_account_that_exists_and_that_reaches_the_data() {
    if !root() {
        return harness::skipped("only root drops to another account");
    }
    let own = Own::new();
    let output = own.command(&["start"]).args(["--pg-user", "nobody-of-this-name"]).output().expect("it runs");
    assert_refused(&output, &["no account \"nobody-of-this-name\"", "--pg-user", "BRICKYARD_PG_USER"]);
    let output = own.command(&["start"]).args(["--pg-user", "root"]).output().expect("it runs");
    assert_refused(&output, &["PostgreSQL does not run as root"]);

    let closed = harness::data_dir();
    std::fs::set_permissions(closed.path(), PermissionsExt::from_mode(0o700)).expect("set");
    let inside = Own::at(closed.path().join("deep/data"));
    assert_refused(&inside.db(&["start"]), &["account postgres cannot enter", closed.path().to_str().expect("plain"), "chmod o+x"]);
}

#[test]
fn another_account_is_refused() {
    if !root() {
        return harness::skipped("only root can be another account");
    }
    let own = Own::started();
    let binary = env!("CARGO_BIN_EXE_brickyard");
    if !Command::new(binary).arg("--version").uid(65_534).output().is_ok_and(|o| o.status.success()) {
        return harness::skipped("other accounts cannot run the built binary where it lies");
    }
    let output = own.command(&["start"]).uid(65_534).gid(65_534).output().expect("it runs");
    assert_refused(&output, &["belongs to postgres", "Run as postgres or root"]);
    let elsewhere = harness::data_dir();
    let output = own.command(&["start", "--data-dir"]).arg(elsewhere.path()).uid(54_321).gid(54_321).output().expect("it runs");
    assert_refused(&output, &["an account with a name", "uid 54321"]);
}

/// A disk of a few megabytes, gone at the end of the test.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(size_mb: u32) -> Option<SmallDisk> {
        let dir = harness::data_dir();
        let options = format!("size={size_mb}m,mode=0755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path()).stderr(Stdio::null()).status();
        if root() && mounted.is_ok_and(|status| status.success()) {
            return Some(SmallDisk { dir });
        }
        harness::skipped("a small disk can only be mounted by root");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.dir.path()).status().ok();
    }
}

#[test]
fn a_disk_too_small_for_a_cluster_is_refused_before_anything_is_made() {
    let Some(disk) = SmallDisk::mount(100) else { return };
    let own = Own::at(disk.dir.path().join("data"));
    assert_refused(&own.db(&["start"]), &["the disk of", "is full", "at least 256 MB", "--data-dir"]);
    assert!(!own.data_dir.join("pg/new").exists());
}

#[test]
fn a_disk_that_fills_up_is_said_and_nothing_of_the_transaction_is_kept() {
    let Some(disk) = SmallDisk::mount(320) else { return };
    let own = Own::at(disk.dir.path().join("data"));
    assert_good(&own.db(&["start"]));
    harness::runtime().block_on(async {
        let client = db::connect(&own.options()).await.expect("it runs");
        client.batch_execute("create table kept as select 1 as x").await.expect("there is room for this");
        // One transaction that makes the table and fills it: with wal_level minimal only the heap is written.
        let sql = "begin; create table filler (t text); alter table filler alter t set storage external;
                   insert into filler select repeat('x', 8000) from generate_series(1, 60000); commit";
        let error = Error::from(client.batch_execute(sql).await.expect_err("480 MB do not fit"));
        assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
        assert!(error.to_string().contains("Nothing of this transaction is kept"), "{error}");
        client.batch_execute("rollback").await.expect("the session lives on");
        client.query_one("select x from kept", &[]).await.expect("and so does what was there");
    });
    own.db(&["stop"]);
    let free = 16 << 20;
    let room = rustix::fs::statvfs(disk.dir.path()).expect("a disk");
    let fill = (room.f_bavail * room.f_frsize).saturating_sub(free);
    std::fs::write(disk.dir.path().join("fill"), vec![0; usize::try_from(fill).expect("small")]).expect("filled");
    assert_refused(&own.db(&["start"]), &["is full", "at least 32 MB wanted", "Make room"]);
    std::fs::remove_file(disk.dir.path().join("fill")).expect("removed");
    assert_eq!(own.psql("select count(*) || ' ' || coalesce(to_regclass('filler')::text, 'gone') from kept"), "1 gone");
}

#[test]
fn a_filesystem_without_modes_is_refused() {
    let scratch = harness::scratch();
    let (image, at) = (scratch.path().join("fat"), harness::data_dir());
    std::fs::File::create(&image).and_then(|file| file.set_len(400 << 20)).expect("made");
    let made = Command::new("mkfs.vfat").arg(&image).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    if !made
        || !Command::new("mount").args(["-o", "loop"]).arg(&image).arg(at.path()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    {
        return harness::skipped("no FAT filesystem can be made and mounted here");
    }
    let disk = SmallDisk { dir: at };
    let own = Own::at(disk.dir.path().join("data"));
    assert_refused(&own.db(&["start"]), &["FAT", "local disk", "--data-dir"]);
}

#[test]
fn a_server_of_the_user_is_used_and_never_started_or_stopped() {
    let url = harness::server().url();
    let with_url = |args: &[&str]| harness::brickyard().arg("db").args(args).env("BRICKYARD_DATABASE_URL", &url).output().expect("it runs");
    assert_good(&with_url(&["status"]));
    assert_eq!(text(&with_url(&["url"]).stdout), url);
    assert_eq!(text(&with_url(&["psql", "--", "-XAtqc", "select 7"]).stdout), "7");
    assert_refused(&with_url(&["stop"]), &["a server that you run", "does not stop it"]);
    assert_refused(&with_url(&["start"]), &["does not start it"]);
}

#[tokio::test]
async fn a_url_that_does_not_work_says_why() {
    let server = harness::server().cluster();
    let port = server.port;
    for (url, parts) in [
        ("postgresql//x", &["cannot be read", "postgresql://user:password@host"][..]),
        (
            &format!("postgresql://brickyard:wrong@127.0.0.1:{port}/brickyard"),
            &["password authentication failed", "check user and password"],
        ),
        (&format!("postgresql://brickyard:{}@127.0.0.1:{port}/no_such", server.password), &["\"no_such\" does not exist", "createdb"]),
        ("postgresql://brickyard@127.0.0.1:1/brickyard", &["brickyard@127.0.0.1:1/brickyard", "refused", "is the server running"]),
    ] {
        let Err(error) = db::connect(&harness::options(url)).await else { panic!("{url} connects") };
        let message = error.to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(!message.contains(&server.password), "{message}");
    }
}

#[tokio::test]
async fn an_ordinary_role_is_told_who_may_create_q3c() {
    let (admin, url) = harness::server().database("cluster_no_q3c").await;
    admin
        .batch_execute("drop extension q3c; drop role if exists cluster_plain; create role cluster_plain login password 'p'")
        .await
        .expect("set up");
    let plain = url.replace(&format!("brickyard:{}", harness::server().cluster().password), "cluster_plain:p");
    let Err(error) = db::connect(&harness::options(&plain)).await else { panic!("it has no q3c") };
    let message = error.to_string();
    assert!(message.contains("may not create it") && message.contains("CREATE EXTENSION q3c"), "{message}");
    // With the extension there, the same role works.
    db::connect(&harness::options(&url)).await.expect("the superuser creates it");
    db::connect(&harness::options(&plain)).await.expect("it is there now");
}

#[tokio::test]
async fn every_test_gets_a_database_with_q3c_marked_parallel_safe() {
    let (client, url) = harness::server().database("cluster_fresh").await;
    let ipix: i64 = client.query_one("select q3c_ang2ipix(11.02203::float8, 41.23451::float8)", &[]).await.expect("q3c answers").get(0);
    assert!(ipix > 0);
    let sql = "select count(*) from pg_proc where proname like 'q3c%' and proparallel <> 's'";
    let unsafe_ones: i64 = client.query_one(sql, &[]).await.expect("a count").get(0);
    assert_eq!(unsafe_ones, 0);
    let again = db::connect(&harness::options(&url)).await.expect("the URL works");
    assert_eq!(again.another().await.expect("one more").target(), client.target());
}

#[tokio::test]
async fn the_reader_reads_published_schemas_and_nothing_else() {
    let server = harness::server();
    let owner = db::connect(&harness::options(&server.url())).await.expect("the owner connects");
    owner
        .batch_execute("drop schema if exists open_s, shut_s cascade; create schema open_s; create schema shut_s; create table open_s.a as select 1 as x; create table shut_s.a as select 1 as x")
        .await
        .expect("set up");
    db::connect::publish(&owner, "open_s").await.expect("published");
    owner.batch_execute("create table open_s.later as select 2 as x").await.expect("made");
    let cluster = server.cluster();
    let url = server.url().replace(&format!("brickyard:{}", cluster.password), &format!("{}:{}", cluster::READER, cluster.reader_password));
    let reader = db::connect(&harness::options(&url)).await.expect("the reader connects");
    for sql in ["select x from open_s.a", "select x from open_s.later"] {
        reader.query_one(sql, &[]).await.expect("published");
    }
    for (sql, code) in [
        ("select x from shut_s.a", "42501"),
        ("create table open_s.mine (x int)", "25006"),
        ("begin read write; create table open_s.mine (x int)", "42501"),
        ("rollback; begin read write; create table public.mine (x int)", "42501"),
        ("rollback; copy open_s.a to '/tmp/x'", "42501"),
    ] {
        let error = Error::from(reader.batch_execute(sql).await.expect_err(sql));
        assert_eq!(error.code().map(|code| code.code()), Some(code), "{sql}: {error}");
    }
    // uploads are temporary tables of the reader's own session
    reader.batch_execute("rollback; begin read write; create temporary table mine (x int); rollback").await.expect("allowed");
    owner.batch_execute("drop schema open_s, shut_s cascade").await.expect("cleared");
}

#[tokio::test]
async fn a_server_error_is_shown_with_its_code_and_place() {
    let (client, _) = harness::server().database("cluster_errors").await;
    let sql = "select ra,\n       decl\nfrom (select 1 as ra) star";
    let error = Error::from(client.batch_execute(sql).await.expect_err("no such column")).in_sql(sql);
    let expected = "column \"decl\" does not exist (SQLSTATE 42703)\n  line 2:        decl\n                 ^";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_lost_connection_is_said_and_leaves_the_pool() {
    let (client, url) = harness::server().database("cluster_lost").await;
    let pool = db::pool::pool(db::connect(&harness::options(&url)).await.expect("connects"), 2).await.expect("a pool");
    let session = pool.get().await.expect("a session");
    let pid: i32 = session.query_one("select pg_backend_pid()", &[]).await.expect("a pid").get(0);
    client.execute("select pg_terminate_backend($1)", &[&pid]).await.expect("ended");
    let error = Error::from(session.batch_execute("select pg_sleep(5)").await.expect_err("it is gone"));
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
    for _ in 0..200 {
        // the end of the connection comes after the server's last words
        if session.is_closed() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(session);
    let session = pool.get().await.expect("a new session");
    let other: i32 = session.query_one("select pg_backend_pid()", &[]).await.expect("a pid").get(0);
    assert_ne!(pid, other);
}
