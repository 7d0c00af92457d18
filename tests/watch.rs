//! The pages of the stage runner inside `brickyard serve`: what they show, that looking changes nothing, who may press what.

use crate::harness::{self, Serving, runtime, scratch, server};
use crate::pipeline::processes::{Site, until};
use crate::tap::{Reply, curl};
use brickyard::db::Connection;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// Three parts of which one fails, a barrier that two suffice for, and a key that is HTML.
const TEXT: &str = r#"
events = ["go", "later"]
params = { word = "<b>loud</b>" }
[[task]]
name = "split"
on = "go"
argv = ["sh", "-c", "for i in 1 2 3; do echo \"{{\\\"name\\\": \\\"part\\\", \\\"key\\\": \\\"p$i\\\", \\\"payload\\\": {{\\\"i\\\": $i}}}}\"; done > events.ndjson; echo text > out.txt"]
emits = ["part"]
outputs = [{ role = "text", glob = "out.txt", min = 1 }]
[[task]]
name = "work"
on = "part"
argv = ["sh", "-c", "echo 'working <i>{event:i}</i> it''s'; test $1 != 2", "work", "{event:i}", "{param:word}"]
inputs = [{ role = "text" }]
retries = { exit = 0 }
[[task]]
name = "wait"
on = "later"
argv = ["true"]
class = "nobody"
[[barrier]]
name = "enough"
over = ["work"]
emit = "worked"
policy = { k = 2 }
"#;
const HOSTILE: &str = "<script>alert(1)</script>";

/// One runtime for the session that the tests share.
fn rt() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(runtime)
}

/// A service with a run whose jobs have ended, and a token that may change things.
struct Watched {
    serving: Serving,
    site: Site,
    connection: Connection,
    operator: String,
}

/// For tests that only look.
fn watched() -> &'static Watched {
    static WATCHED: OnceLock<Watched> = OnceLock::new();
    WATCHED.get_or_init(|| watch("watch"))
}

fn watch(database: &str) -> Watched {
    let (connection, url) = rt().block_on(server().database(database));
    let serving = Serving::start(&url, &[]);
    let empty = curl(&[&serving.url("/pipeline")]);
    assert!(empty.status == 200 && empty.text().contains("no run yet"), "{}", empty.text());
    assert_eq!(curl(&["-X", "POST", "-d", "{}", "-H", "Authorization: Bearer brickyard_1_00", &serving.url("/v1/register")]).status, 503);

    let mut site = Site::new(&url);
    site.listen = serving.url("").trim_start_matches("http://").to_owned();
    let path = site.manifest(TEXT);
    site.say(&["run", "create", "r1", path.to_str().unwrap()]);
    site.say(&["fire", "r1", "go", "--key", HOSTILE]);
    site.say(&["fire", "r1", "later", "--key", "first"]);
    let operator = site.say(&["token", "create", "ann", "--class", "operator"]).trim().to_owned();
    let worker = site.worker("w", 2, &[]);
    let failed = || site.say(&["jobs", "r1", "--failed", "--json"]).contains("\"state\": \"failed\"");
    let done = || site.say(&["status", "r1", "--json"]).matches("\"done\": 2").count() == 1;
    let begun = std::time::Instant::now();
    while !(failed() && done()) {
        let log = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "two parts are not done, or none has failed:\n{}\n{}\n{}",
            site.say(&["status", "r1"]),
            log(site.dir.path().join("w.err")),
            log(serving.data_dir().join("serve.log"))
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let lost = rt().block_on(connection.query_one("select count(*) from pipeline.attempt where outcome = 'lost'", &[])).unwrap();
    if lost.get::<_, i64>(0) > 0 {
        let log = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        harness::note(&format!(
            "an attempt was lost:\n{}\n{}",
            log(site.dir.path().join("w.err")),
            log(serving.data_dir().join("serve.log"))
        ));
    }
    until("the barrier fires", Duration::from_secs(20), || site.say(&["tree", "r1"]).contains("fired"));
    drop(worker);
    Watched { serving, site, connection, operator }
}

impl Watched {
    fn get(&self, path: &str) -> String {
        let reply = curl(&[&self.serving.url(path)]);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.text()
    }

    /// As the operator sees it.
    fn see(&self, path: &str) -> String {
        curl(&["-b", &self.cookie(), &self.serving.url(path)]).text()
    }

    fn cookie(&self) -> String {
        format!("brickyard_operator={}", self.operator)
    }

    fn act(&self, fields: &str, more: &[&str]) -> Reply {
        let url = self.serving.url("/pipeline/act");
        curl(&[&["-d", fields], more, &[url.as_str()]].concat())
    }

    fn job(&self, task: &str, state: &str) -> i64 {
        let sql =
            "select max(j.job_id) from pipeline.job j join pipeline.job_live l using (job_id) join pipeline.task t on t.task_id = j.task_id
            where t.name = $1 and l.state::text = $2";
        rt().block_on(self.connection.query_one(sql, &[&task, &state])).unwrap().get(0)
    }

    fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        rt().block_on(self.connection.query_one(sql, &[])).unwrap().get(0)
    }
}

#[test]
fn pages_show_the_run_its_failures_first_and_escape_what_strangers_wrote() {
    let watched = watched();
    let runs = watched.get("/pipeline");
    assert!(runs.contains(">r1</a>") && runs.contains("1 worker</a> at work"), "{runs}");
    let run = watched.get("/pipeline/runs/r1");
    let (failed, tasks) = (run.find("<h2>Failed</h2>").expect("failures"), run.find("<h2>Tasks</h2>").expect("tasks"));
    assert!(failed < tasks, "failures come first");
    for column in ["Ready", "Running", "Done", "Failed", "Blocked", "Lost/h", "p50", "p95", "Cost"] {
        assert!(run.contains(&format!("{column}</th>")), "{column}");
    }
    assert!(run.contains("3 of 5 jobs done") && run.contains("1 failed</b>"), "{run}");
    assert!(!run.contains("/pipeline/act"), "who may not press sees no buttons");

    let tree = watched.get("/pipeline/runs/r1/tree");
    assert!(tree.contains("1 failed below") && tree.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{tree}");
    assert!(tree.contains(">fired<") && tree.contains("3 members done"), "{tree}");
    let split = watched.job("split", "done");
    let open = watched.get(&format!("/pipeline/runs/r1/tree?open={split}"));
    let places: Vec<usize> = ["p2", "p1", "p3"].iter().map(|key| open.find(&format!("<code>{key}</code>")).expect(key)).collect();
    assert!(places.is_sorted(), "the failed child comes first: {open}");
    assert!(open.contains("aria-expanded=\"true\""));

    let job = watched.job("work", "failed");
    let page = watched.get(&format!("/pipeline/jobs/{job}"));
    for text in ["exit 1", "working &lt;i&gt;2&lt;/i&gt;", "&lt;b&gt;loud&lt;/b&gt;", "out.txt", &format!("split {split}</a>"), "w on w"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let log = watched.get(&format!("/pipeline/jobs/{job}/log?attempt=1"));
    assert!(log.starts_with("working <i>2</i>"), "{log}");
    let found = watched.get("/pipeline/runs/r1/jobs?key=p2&state=failed");
    assert!(found.contains(&format!("/pipeline/jobs/{job}\"")), "{found}");
    let number = curl(&[&watched.serving.url(&format!("/pipeline/runs/r1/jobs?key={job}"))]);
    assert!(number.status == 303 && number.header("location").unwrap().ends_with(&format!("/pipeline/jobs/{job}")));
    assert!(watched.get("/pipeline/workers").contains("w"));
    for page in ["/pipeline", "/pipeline/runs/r1", "/pipeline/runs/r1/tree", "/pipeline/runs/r1/jobs"] {
        assert!(!watched.get(page).contains(HOSTILE), "{page}");
    }
    for (path, status) in [
        ("/pipeline/runs/none", 404),
        ("/pipeline/jobs/999999", 404),
        ("/pipeline/jobs/x", 400),
        ("/pipeline/runs/r1/tree?at=x", 400),
        ("/pipeline/runs/r1/tree?after=1", 400),
        ("/pipeline/runs/r1/jobs?state=odd", 400),
        ("/pipeline/jobs/1/log?attempt=99", 400),
    ] {
        assert_eq!(curl(&[&watched.serving.url(path)]).status, status, "{path}");
    }
}

#[test]
fn looking_changes_nothing_and_other_sites_read_nothing() {
    let watched = watched();
    let books = "select md5(concat((select string_agg(l::text, ',' order by job_id) from pipeline.job_live l),
        (select count(*) from pipeline.event), (select count(*) from pipeline.attempt), (select count(*) from pipeline.audit)))";
    let (split, before) = (watched.job("split", "done"), watched.one::<String>(books));
    let paths = ["", "/workers", "/runs/r1", "/runs/r1/tree", "/runs/r1/jobs", "/login", "/watch.js"].map(str::to_owned);
    for path in paths.into_iter().chain([format!("/jobs/{split}"), format!("/runs/r1/tree?at={split}")]) {
        let reply =
            curl(&["-b", &watched.cookie(), "-H", "Origin: https://evil.example", &watched.serving.url(&format!("/pipeline{path}"))]);
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), None, "{path}");
        assert_eq!(reply.header("cross-origin-resource-policy").as_deref(), Some("same-origin"), "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("script-src 'unsafe"), "{policy}");
    }
    for path in ["act", "logout"] {
        assert_eq!(curl(&["-b", &watched.cookie(), &watched.serving.url(&format!("/pipeline/{path}"))]).status, 405, "GET {path}");
    }
    assert_eq!(watched.one::<String>(books), before);
    // the rest of the service is for everybody, as it was
    assert_eq!(curl(&[&watched.serving.url("/")]).header("access-control-allow-origin").as_deref(), Some("*"));
}

#[test]
fn only_an_operator_from_our_own_pages_presses_buttons() {
    let watched = watch("watch_press");
    let job = watched.job("wait", "ready");
    let fields = format!("verb=cancel&job={job}&back=/pipeline/jobs/{job}");
    let cookie = watched.cookie();
    let with = |more: &[&str]| watched.act(&fields, &[&["-b", cookie.as_str()], more].concat());
    assert_eq!(watched.act(&fields, &[]).status, 401, "nobody");
    let worker = std::fs::read_to_string(watched.site.token("w")).unwrap();
    assert_eq!(watched.act(&fields, &["-b", &format!("brickyard_operator={}", worker.trim())]).status, 401, "a worker's token");
    assert_eq!(watched.act(&fields, &["-b", &format!("{cookie}0")]).status, 401, "a wrong token");
    assert_eq!(with(&["-H", "Origin: https://evil.example"]).status, 403);
    assert_eq!(with(&["-H", "Origin: null"]).status, 403);
    assert_eq!(with(&["-H", "Sec-Fetch-Site: cross-site"]).status, 403);
    assert_eq!(with(&["-H", "Host: evil.example"]).status, 421);
    for bad in [
        "verb=drop&job=1&back=/pipeline",
        "verb=cancel&back=/pipeline",
        "verb=hold&job=1&back=/pipeline",
        "verb=cancel&job=1&back=https://evil.example/",
        "verb=cancel&job=1&back=//evil.example/",
        "verb=cancel&job=1&back=/pipeline%0d%0aX: y",
        "verb=cancel&job=1&back=/pipeline&more=1",
        "verb=skip&run=r1&back=/pipeline",
    ] {
        assert_eq!(watched.act(bad, &["-b", &cookie]).status, 400, "{bad}");
    }
    assert_eq!(watched.one::<i64>("select count(*) from pipeline.job_live where state = 'cancelled'"), 0);

    let done = with(&["-H", &format!("Origin: {}", watched.serving.url(""))]);
    assert_eq!(done.status, 303, "{}", done.text());
    let back = done.header("location").unwrap();
    assert!(back.ends_with(&format!("/pipeline/jobs/{job}?did=cancel&changed=1")), "{back}");
    assert!(watched.see(back.trim_start_matches(&watched.serving.url(""))).contains("cancel: 1 changed"));
    assert_eq!(watched.one::<String>("select actor from pipeline.audit where action = 'cancel'"), "ann");
    assert!(watched.see(&format!("/pipeline/jobs/{job}")).contains("retry with twice the memory"));
    let mem_mb = format!("select mem_mb from pipeline.job_live where job_id = {job}");
    let before: i32 = watched.one(&mem_mb);
    assert_eq!(watched.act(&format!("verb=memory&job={job}&back=/pipeline"), &["-b", &cookie]).status, 303);
    assert_eq!(watched.one::<i32>(&mem_mb), 2 * before);
    for (verb, held) in [("hold", true), ("release", false)] {
        let fields = format!("verb={verb}&run=r1&task=wait&back=/pipeline/runs/r1");
        assert_eq!(watched.act(&fields, &["-b", &cookie]).status, 303);
        assert_eq!(watched.one::<bool>("select held from pipeline.task where name = 'wait'"), held);
    }
}

#[test]
fn readers_are_the_addresses_that_are_named_and_operators() {
    let watched = watched();
    let url = watched.serving.url("/pipeline");
    assert_eq!(curl(&["-H", "X-Forwarded-For: 198.51.100.7", &url]).status, 401, "a proxy that is not named hands on strangers");
    assert_eq!(curl(&["-H", "Host: evil.example", &url]).status, 421, "another name leads here");
    let shut = Serving::start(&server().cluster().url("watch"), &[("BRICKYARD_PIPELINE_READERS", "[]")]);
    for path in ["/pipeline", "/pipeline/workers", "/pipeline/runs/r1", "/pipeline/jobs/1", "/pipeline/jobs/1/log?attempt=1"] {
        assert_eq!(curl(&[&shut.url(path)]).status, 401, "{path}");
    }
    let browser = curl(&["-H", "Accept: text/html", &shut.url("/pipeline")]);
    assert!(browser.status == 303 && browser.header("location").unwrap().ends_with("/pipeline/login"));
    assert_eq!(curl(&["-d", "token=wrong", &shut.url("/pipeline/login")]).status, 401);
    let entered = curl(&["-d", &format!("token={}", watched.operator), &shut.url("/pipeline/login")]);
    assert_eq!(entered.status, 303);
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/pipeline;"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(curl(&["-b", pair, &shut.url("/pipeline")]).status, 200);
    let left = curl(&["-b", pair, "-X", "POST", &shut.url("/pipeline/logout")]);
    assert!(left.header("set-cookie").unwrap().contains("Max-Age=0"));
    let without = Serving::start(&server().cluster().url("watch"), &[("BRICKYARD_PIPELINE_SERVE", "false")]);
    assert_eq!(curl(&[&without.url("/pipeline")]).status, 404);
}

fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).flat_map(|dir| ["chromium", "chromium-browser", "google-chrome"].map(|n| dir.join(n)));
    let found = found.into_iter().find(|program| program.exists());
    if found.is_none() {
        harness::skipped("no Chromium");
    }
    found
}

fn browse(chromium: &Path, words: &[&str]) -> Vec<u8> {
    let profile = scratch();
    let mut command = Command::new(chromium);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=6000"]);
    command.arg(format!("--user-data-dir={}", profile.path().display())).args(words);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A page as a browser makes it: its script runs under its own policy, and without it the page says the same.
#[test]
fn pages_live_in_a_browser_and_stand_without_script() {
    let Some(chromium) = chromium() else { return };
    let watched = watched();
    let url = watched.serving.url("/pipeline/runs/r1");
    let dom = String::from_utf8(browse(&chromium, &["--dump-dom", &url])).expect("text");
    let live = dom.split("id=\"live\"").nth(1).expect("a place that says whether it is live");
    assert!(live.split('<').next().unwrap().ends_with(">live"), "{dom}");
    assert!(dom.contains("3 of 5 jobs done"));
    let folder = scratch();
    // the same page without its script
    let still = folder.path().join("still.html");
    let (before, after) = dom.split_once("<script").expect("a script");
    std::fs::write(&still, format!("{before}{}", after.split_once("</script>").expect("its end").1)).expect("a file");
    for (name, url) in [
        ("run", url),
        ("still", format!("file://{}", still.display())),
        ("tree", watched.serving.url("/pipeline/runs/r1/tree")),
        ("workers", watched.serving.url("/pipeline/workers")),
    ] {
        let file = folder.path().join(format!("{name}.png"));
        let shot = format!("--screenshot={}", file.display());
        browse(&chromium, &[&shot, "--window-size=1200,900", &url]);
        let image = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&file).expect("a picture")));
        let mut reader = image.read_info().expect("a PNG");
        let mut bytes = vec![0; reader.output_buffer_size().expect("a size")];
        reader.next_frame(&mut bytes).expect("pixels");
        let dark = bytes.iter().filter(|value| **value < 100).count();
        assert!(dark > 2000, "{name}: the page is not empty ({dark} dark values)");
    }
}
