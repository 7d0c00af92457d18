//! The query service: the real binary over the real server, asked as clients ask; judged by pyvo, astropy and STILTS.

use crate::harness::{self, Serving};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A service over a sample of the survey (one field), for all tests that only ask.
fn service() -> &'static Serving {
    static SERVICE: OnceLock<Serving> = OnceLock::new();
    SERVICE.get_or_init(|| Serving::start(sample(), &[("BRICKYARD_TAP_REFRESH_S", "1")]))
}

/// The database of the sample.
pub fn sample() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let (_, url) = harness::runtime().block_on(harness::server().database("tap"));
        let dir = harness::scratch();
        let files = dir.path().join("survey").to_string_lossy().into_owned();
        run(&url, &["simulate", "--out", &files, "--bricks", "15", "--fields", "10", "--objects", "1500", "--products", "st,phot"]);
        run(&url, &["load", &files]);
        url
    })
}

fn run(url: &str, words: &[&str]) {
    let dir = harness::scratch();
    let mut command = harness::brickyard();
    command.env("BRICKYARD_DATA_DIR", dir.path()).env("BRICKYARD_DATABASE_URL", url).args(words);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a request came to.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header, its name without regard to case.
    pub fn header(&self, name: &str) -> Option<String> {
        let of = |line: &str| line.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned());
        self.head.lines().find_map(of)
    }

    /// Data lines of a CSV answer.
    pub fn rows(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.text());
        self.text().lines().skip(1).map(str::to_owned).collect()
    }
}

/// curl, which shows the head too.
pub fn curl(words: &[&str]) -> Reply {
    let output = Command::new("curl").args(["-sS", "-i", "--max-time", "60"]).args(words).output().expect("curl runs");
    assert!(output.status.success(), "curl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let mut bytes = output.stdout;
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head ends");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let body = bytes.split_off(end + 4);
        let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a status");
        if status != 100 {
            return Reply { status, head, body };
        }
        bytes = body;
    }
}

fn get(path: &str) -> Reply {
    curl(&[&service().url(path)])
}

/// A synchronous query as most clients send it.
pub fn ask_at(serving: &Serving, query: &str, more: &[&str]) -> Reply {
    let query = format!("QUERY={query}");
    let url = serving.url("/tap/sync");
    let mut words = vec!["-d", "LANG=ADQL", "-d", "REQUEST=doQuery", "--data-urlencode", query.as_str()];
    for word in more {
        words.extend(["--data-urlencode", word]);
    }
    words.push(&url);
    curl(&words)
}

fn ask(query: &str, more: &[&str]) -> Reply {
    ask_at(service(), query, more)
}

/// The cells of a CSV answer of one row.
fn one_row(query: &str) -> Vec<String> {
    let rows = ask(query, &["FORMAT=csv"]).rows();
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0].split(',').map(str::to_owned).collect()
}

#[test]
fn queries_are_answered_by_get_and_post_whatever_the_case_of_the_parameters() {
    let posted = ask("SELECT TOP 3 objid, ra, dec FROM phat_v2.phot_mod", &["FORMAT=csv"]);
    assert_eq!(posted.rows().len(), 3);
    assert!(posted.text().starts_with("objid,ra,dec\n") || posted.text().starts_with("objid,ra,dec\r\n"), "{}", posted.text());
    let url = service()
        .url("/tap/sync?lang=ADQL&qUeRy=SELECT+COUNT(*)+AS+n+FROM+phat_v2.phot_mod&responseformat=text/csv&DUMMY=ignore-me&RunId=a");
    let got = curl(&[&url]);
    let rows: u64 = got.rows()[0].parse().expect("a number");
    assert!((1400..1600).contains(&rows), "{rows}");
    for language in ["ADQL", "ADQL-2.0", "ADQL-2.1", "adql"] {
        let url = service().url(&format!("/tap/sync?LANG={language}&QUERY=SELECT+TOP+1+ra+FROM+phat_v2.phot_mod&FORMAT=csv"));
        assert_eq!(curl(&[&url]).rows().len(), 1, "{language}");
    }
}

#[test]
fn an_answer_says_overflow_only_if_a_row_was_cut_off() {
    let count: usize = one_row("SELECT COUNT(*) FROM phat_v2.phot_mod")[0].parse().expect("a number");
    for (maxrec, overflows) in [(count - 1, true), (count, false), (count + 1, false), (0, true)] {
        let maxrec = format!("MAXREC={maxrec}");
        let text = ask("SELECT objid FROM phat_v2.phot_mod", &[&maxrec, "FORMAT=votable/td"]).text();
        assert_eq!(text.contains("value=\"OVERFLOW\""), overflows, "{maxrec}");
        assert!(text.trim_end().ends_with("</VOTABLE>"));
    }
    let text = ask("SELECT TOP 5 objid FROM phat_v2.phot_mod", &["MAXREC=5", "FORMAT=votable/td"]).text();
    assert!(!text.contains("OVERFLOW") && text.matches("<TR>").count() == 5, "{text}");
}

#[test]
fn errors_have_a_status_a_code_a_place_and_a_remedy() {
    for (query, more, status, code, word) in [
        ("SELECT raa FROM phat_v2.phot_mod", &[][..], 400, "unknown-column", "ra"),
        ("SELECT ra FROM phat_v2.phot_mood", &[], 400, "unknown-table", "phot_mod"),
        ("SELEC 1", &[], 400, "syntax", "SELECT"),
        ("SELECT ra FROM phat_v2.phot_mod", &["LANG=SQL"], 400, "usage", "ADQL"),
        ("SELECT ra FROM phat_v2.phot_mod", &["RESPONSEFORMAT=image/gif"], 400, "usage", "votable"),
        ("SELECT ra FROM phat_v2.phot_mod", &["MAXREC=-1"], 400, "usage", "MAXREC"),
        ("SELECT 1/(brick-brick) FROM phat_v2.phot_mod", &[], 400, "division-by-zero", "NULLIF"),
    ] {
        let reply = ask(query, more);
        assert_eq!(reply.status, status, "{query} {more:?}: {}", reply.text());
        assert_eq!(reply.header("x-error-code").as_deref(), Some(code), "{query}");
        let text = reply.text();
        assert!(
            text.contains("QUERY_STATUS") && text.contains("ERROR") && text.contains(word) && !text.contains("<TABLE"),
            "{query}: {text}"
        );
        assert!(!text.to_lowercase().contains("sqlstate") && !text.contains("$1"), "{text}");
        let plain = ask(query, &[more, &["FORMAT=csv"]].concat());
        if !more.iter().any(|word| word.starts_with("RESPONSEFORMAT")) {
            assert!(plain.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{query}: {:?}", plain.head);
        }
    }
    assert_eq!(curl(&[&service().url("/tap/sync")]).status, 400);
    assert_eq!(get("/nowhere").status, 404);
    assert_eq!(curl(&["-X", "DELETE", &service().url("/tap/sync")]).status, 405);
}

#[test]
fn a_query_that_takes_too_long_is_stopped_and_says_so() {
    let serving = Serving::start(sample(), &[("BRICKYARD_TAP_SYNC_LIMIT_S", "1")]);
    let begun = Instant::now();
    let slow = "SELECT COUNT(*) FROM phat_v2.phot_meas AS a, phat_v2.phot_meas AS b, phat_v2.phot_meas AS c WHERE a.ra + b.ra + c.ra < 0";
    let reply = ask_at(&serving, slow, &[]);
    assert_eq!((reply.status, reply.header("x-error-code").as_deref()), (408, Some("timeout")), "{}", reply.text());
    assert!(reply.text().contains("/tap/async") && begun.elapsed() < Duration::from_secs(20));
}

/// Queries that readers run on the server now.
async fn running(client: &tokio_postgres::Client) -> i64 {
    let sql =
        "select count(*) from pg_stat_activity where application_name = 'brickyard reader' and state = 'active' and query like '%987654%'";
    client.query_one(sql, &[]).await.expect("it is asked").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_takes_its_query_with_it() {
    let url = tokio::task::spawn_blocking(|| service().url("/tap/sync")).await.expect("a service");
    let (client, driver) = tokio_postgres::connect(sample(), tokio_postgres::NoTls).await.expect("the database");
    tokio::spawn(driver);
    let slow = "QUERY=SELECT COUNT(*) FROM phat_v2.phot_meas AS a, phat_v2.phot_meas AS b, phat_v2.phot_meas AS c WHERE a.ra + b.ra + c.ra < 987654 AND a.brick < 0 + b.brick - b.brick";
    let mut child =
        Command::new("curl").args(["-s", "-d", "LANG=ADQL", "--data-urlencode", slow, &url]).stdout(Stdio::null()).spawn().expect("curl");
    let begun = Instant::now();
    let wait = async |wanted: i64| {
        while (client
            .query_one("select count(*) from pg_stat_activity where application_name = 'brickyard reader' and state = 'active'", &[])
            .await
            .expect("asked")
            .get::<_, i64>(0)
            > 0)
            != (wanted > 0)
        {
            assert!(begun.elapsed() < Duration::from_secs(20), "waiting for {wanted}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    wait(1).await;
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    let killed = Instant::now();
    wait(0).await;
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
    assert_eq!(running(&client).await, 0);
}

#[test]
fn tap_schema_describes_the_tables_and_itself_with_exact_counts() {
    let counted: u64 = one_row("SELECT COUNT(*) FROM phat_v2.phot_meas")[0].parse().expect("a number");
    assert_eq!(one_row("SELECT nrows FROM TAP_SCHEMA.tables WHERE table_name = 'phat_v2.phot_meas'"), [counted.to_string()]);
    for table in ["schemas", "tables", "columns", "keys", "key_columns"] {
        let listed = one_row(&format!("SELECT nrows FROM tap_schema.tables WHERE table_name = 'tap_schema.{table}'"));
        assert_eq!(listed, one_row(&format!("SELECT COUNT(*) FROM tap_schema.{table}")), "{table}");
    }
    let columns = one_row("SELECT COUNT(*) FROM tap_schema.columns WHERE table_name = 'phat_v2.phot_mod'");
    assert_eq!(columns, ["88"]);
    let ra = one_row(
        "SELECT datatype, unit, ucd, indexed, principal, std, column_index FROM tap_schema.columns WHERE table_name = 'phat_v2.phot_mod' AND column_name = 'ra'",
    );
    assert_eq!(ra, ["double", "deg", "pos.eq.ra;meta.main", "1", "1", "0", "1"]);
    assert_eq!(
        one_row(
            "SELECT column_name, arraysize, std FROM tap_schema.columns WHERE table_name = 'tap_schema.columns' AND column_name LIKE '%size%' AND column_name <> 'arraysize'"
        ),
        ["\"\"\"size\"\"\"", "", "1"]
    );
    let key = one_row(
        "SELECT from_table, target_table, from_column, target_column FROM tap_schema.keys NATURAL JOIN tap_schema.key_columns WHERE from_table = 'phat_v2.phot_meas'",
    );
    assert_eq!(key, ["phat_v2.phot_meas", "phat_v2.phot_mod", "objid", "objid"]);
}

#[test]
fn the_documents_about_the_service_are_there_and_agree() {
    let all = get("/tap/tables").text();
    assert!(
        all.contains("<name>phat_v2.phot_mod</name>") && all.contains("<name>tap_schema.key_columns</name>") && all.contains("foreignKey"),
        "{all}"
    );
    let least = get("/tap/tables?detail=min").text();
    assert!(least.contains("<name>phat_v2.phot_mod</name>") && !least.contains("<column"));
    let one = get("/tap/tables/phat_v2.phot_mod").text();
    assert_eq!(one.matches("<column ").count(), 88);
    assert_eq!(get("/tap/tables/phat_v2.nothing").status, 404);
    assert_eq!(get("/tap/tables?detail=most").status, 400);
    let capabilities = get("/tap/capabilities").text();
    for piece in [
        "ivo://ivoa.net/std/TAP\"",
        "ADQL#v2.1",
        "ADQL#v2.0",
        "features-udf",
        "features-adqlgeo",
        "<outputLimit><default unit=\"row\">1000000<",
        "<uploadLimit>",
    ] {
        assert!(capabilities.contains(piece), "{piece}: {capabilities}");
    }
    let availability = get("/tap/availability").text();
    assert!(availability.contains("<vosi:available>true<") && availability.contains("upSince"), "{availability}");
    let registry = get("/registry").text();
    assert!(
        registry.contains("vs:CatalogService") && registry.contains("<spatial>") && registry.contains("/scs/phat_v2.phot_mod"),
        "{registry}"
    );
}

#[test]
fn every_example_runs() {
    let page = get("/tap/examples").text();
    let unescape =
        |text: &str| text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&");
    let queries: Vec<String> = page
        .split("property=\"query\"")
        .skip(1)
        .map(|rest| unescape(&rest[rest.find('>').expect("a tag") + 1..rest.find("</pre>").expect("its end")]))
        .collect();
    assert!(queries.len() >= 10, "{}", queries.len());
    for query in queries {
        let reply = ask(&query, &["FORMAT=csv"]);
        assert_eq!(reply.status, 200, "{query}\n{}", reply.text());
        assert!(
            !reply.rows().is_empty() || ["11.2719", "11.02203", "POLYGON"].iter().any(|place| query.contains(place)),
            "no rows: {query}"
        );
    }
}

#[test]
fn cone_search_follows_its_standard() {
    let star = one_row("SELECT TOP 1 ra, dec, objid FROM phat_v2.phot_mod ORDER BY objid");
    let cone = |more: &str| get(&format!("/scs/phat_v2.phot_mod?RA={}&DEC={}{more}", star[0], star[1]));
    let found = cone("&SR=0.0003&VERB=1");
    assert_eq!(found.header("content-type").as_deref(), Some("text/xml;content=x-votable"));
    let text = found.text();
    assert!(
        text.contains("ID_MAIN") && text.contains("POS_EQ_RA_MAIN") && text.contains("POS_EQ_DEC_MAIN") && text.contains(&star[2]),
        "{text}"
    );
    assert_eq!(text.matches("<FIELD").count(), 3);
    let all = cone("&SR=0.0003&VERB=3&RESPONSEFORMAT=csv");
    assert_eq!(all.text().lines().next().expect("a line").split(',').count(), 88);
    // the same as the server's own cone
    let radius = 0.01;
    let own = one_row(&format!("SELECT COUNT(*) FROM phat_v2.phot_mod WHERE DISTANCE(ra, dec, {}, {}) < {radius}", star[0], star[1]));
    assert_eq!(cone(&format!("&SR={radius}&RESPONSEFORMAT=csv")).rows().len().to_string(), own[0]);
    let nothing = cone("&SR=0").text();
    assert!(nothing.contains("<FIELD") && !nothing.contains("<TR>"), "{nothing}");
    assert_eq!(cone("&SR=0.01&MAXREC=1&RESPONSEFORMAT=csv").rows().len(), 1);
    for wrong in [
        "/scs/phat_v2.phot_mod?RA=10&DEC=41",
        "/scs/phat_v2.phot_mod?RA=10&DEC=91&SR=1",
        "/scs/phat_v2.phot_mod?RA=a&DEC=41&SR=1",
        "/scs/phat_v2.phot_mod?RA=1&DEC=1&SR=NaN",
    ] {
        let reply = get(wrong);
        assert_eq!(reply.status, 400, "{wrong}");
        assert!(reply.text().contains("name=\"Error\"") && reply.text().contains("<VOTABLE"), "{}", reply.text());
    }
    assert_eq!(get("/scs/tap_schema.tables?RA=1&DEC=1&SR=1").status, 404);
}

#[test]
fn the_coverage_holds_every_row_and_little_else() {
    let Some(python) = harness::python() else { return };
    let text = get("/moc/phat_v2.phot_mod?RESPONSEFORMAT=ascii").text();
    let json = get("/moc/phat_v2.phot_mod?RESPONSEFORMAT=json").text();
    let fits = get("/moc/phat_v2.phot_mod");
    assert_eq!((fits.header("content-type").as_deref(), fits.body.len() % 2880), (Some("application/fits"), 0));
    let rows = ask("SELECT ra, dec FROM phat_v2.phot_mod", &["FORMAT=csv"]).text();
    let script = r#"
import sys, json, re
import numpy as np, healpy
text, cells, rows = sys.argv[1:4]
cells = json.loads(cells)
radec = np.array([list(map(float, l.split(","))) for l in rows.split()[1:]])
inside = np.zeros(len(radec), bool)
area = 0.0
for order, pix in cells.items():
    n = 2 ** int(order)
    inside |= np.isin(healpy.ang2pix(n, radec[:, 0], radec[:, 1], lonlat=True, nest=True), pix)
    area += len(pix) * healpy.nside2pixarea(n, degrees=True)
assert inside.all(), (~inside).sum()
box = np.ptp(radec[:, 0]) * np.cos(np.radians(41.2)) * np.ptp(radec[:, 1])
assert area < 2 * box + 0.01, (area, box)
assert re.match(r"\d+/", text), text
"#;
    let output = Command::new(python).args(["-c", script, &text, &json, &rows]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_answer_carries_the_headers_of_a_careful_server() {
    let reply = get("/");
    assert!(reply.text().contains("/tap/sync") && reply.text().contains("pyvo"), "{}", reply.text());
    for (name, piece) in [
        ("server", "brickyard/"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'"),
        ("access-control-allow-origin", "*"),
        ("x-request-id", "-"),
    ] {
        assert!(reply.header(name).is_some_and(|value| value.contains(piece)), "{name}: {}", reply.head);
    }
    assert!(reply.header("content-encoding").is_none(), "gzip only when asked");
    assert_eq!(curl(&["-H", "Accept-Encoding: gzip", &service().url("/tap/tables")]).header("content-encoding").as_deref(), Some("gzip"));
    let head = curl(&["-I", &service().url("/tap/capabilities")]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    let options =
        curl(&["-X", "OPTIONS", "-H", "Origin: http://x", "-H", "Access-Control-Request-Method: POST", &service().url("/tap/sync")]);
    assert!(
        options.status < 300 && options.header("access-control-allow-methods").is_some_and(|methods| methods.contains("POST")),
        "{}",
        options.head
    );
    let metrics = get("/metrics").text();
    assert!(metrics.contains("brickyard_http_requests_total"), "{metrics}");
}

#[test]
fn pyvo_reads_the_service() {
    let Some(python) = harness::python() else { return };
    let script = r#"
import sys, warnings
warnings.simplefilter("ignore")
import pyvo
tap = pyvo.dal.TAPService(sys.argv[1])
assert tap.available and tap.maxrec == 1000000 and tap.hardlimit == 100000000, (tap.maxrec, tap.hardlimit)
assert "phat_v2.phot_mod" in tap.tables
assert len(tap.tables["phat_v2.phot_mod"].columns) == 88
assert len(tap.examples) >= 10
rows = tap.search("SELECT TOP 7 objid, ra, dec, brick FROM phat_v2.phot_mod").to_table()
assert len(rows) == 7 and str(rows["ra"].unit) == "deg", rows
try:
    tap.search("SELECT nonsense FROM phat_v2.phot_mod")
    raise SystemExit("no error")
except pyvo.dal.DALQueryError as error:
    assert "nonsense" in str(error), error
cone = pyvo.dal.SCSService(sys.argv[2])
found = cone.search(pos=(rows["ra"][0], rows["dec"][0]), radius=0.001)
assert len(found) >= 1
"#;
    let (tap, scs) = (service().url("/tap"), service().url("/scs/phat_v2.phot_mod?"));
    let output = Command::new(python).args(["-c", script, &tap, &scs]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The lines of errors, warnings and failures of a run of taplint: of some stages, or of all where none is named.
pub fn taplint(stilts: &Path, url: &str, stages: &str) -> Vec<String> {
    let mut words = vec![format!("tapurl={url}"), "report=EWF".to_owned(), "maxrepeat=20".to_owned()];
    words.extend((!stages.is_empty()).then(|| format!("stages={stages}")));
    let output = Command::new(stilts).arg("taplint").args(words).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("Totals:"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let is_finding = |line: &&str| line.len() > 2 && ["E-", "W-", "F-"].iter().any(|level| line.starts_with(level));
    text.lines().filter(is_finding).map(str::to_owned).collect()
}

#[test]
fn taplint_finds_nothing() {
    let Some(stilts) = harness::stilts() else { return };
    // there are no planned observations to look at (ObsLocTAP), which it calls a failure of its own
    let findings: Vec<String> =
        taplint(&stilts, &service().url("/tap"), "").into_iter().filter(|line| !line.starts_with("F-LOC-NOTP")).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn a_service_says_its_settings_and_refuses_unknown_ones() {
    let dir = harness::scratch();
    let file = dir.path().join("brickyard.toml");
    let config = |more: &[&str]| harness::brickyard().env("BRICKYARD_DATA_DIR", dir.path()).args(more).output().expect("it runs");
    std::fs::write(&file, "database_url = \"postgresql://me:secret@host/db\"\n[web]\nport = 81\n[tap]\nsync_limit_s = 5\n")
        .expect("written");
    let output = config(&["config"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("port = 81") && text.contains("sync_limit_s = 5") && text.contains("# The port to listen on"), "{text}");
    assert!(!text.contains("secret") && text.contains("postgresql://me@host/db"), "{text}");
    // what is printed is a configuration file
    std::fs::write(&file, &text).expect("written");
    assert_eq!(String::from_utf8_lossy(&config(&["config"]).stdout), text);
    std::fs::write(&file, "[web]\nport = 81\nprot = 82\n").expect("written");
    let error = String::from_utf8_lossy(&config(&["config"]).stderr).into_owned();
    assert!(error.contains("brickyard.toml") && error.contains("line 3") && error.contains("prot"), "{error}");
}

#[test]
fn stopping_lets_running_answers_finish() {
    let mut serving = Serving::start(sample(), &[]);
    let url = serving.url("/tap/sync");
    let query = "QUERY=SELECT a.objid, b.objid AS other FROM phat_v2.phot_mod AS a, phat_v2.phot_mod AS b";
    let child = Command::new("curl")
        .args([
            "-sS",
            "--limit-rate",
            "20M",
            "-d",
            "LANG=ADQL",
            "-d",
            "FORMAT=csv",
            "-d",
            "MAXREC=1000000",
            "--data-urlencode",
            query,
            &url,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl");
    std::thread::sleep(Duration::from_millis(700));
    let reader = std::thread::spawn(move || child.wait_with_output().expect("it ends"));
    serving.stop();
    let output = reader.join().expect("read");
    assert!(output.status.success());
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1_000_001);
}

/// The reader's role is of all databases of a server: services that start at the same time set its limits in turn.
#[test]
fn services_that_start_at_once_do_not_trip_over_the_readers_role() {
    use brickyard::db;
    let runtime = harness::runtime();
    runtime.block_on(async {
        let sessions = (0..6).map(|number| {
            tokio::spawn(async move {
                let connection = db::connect(&harness::options(&harness::server().url())).await.expect("a session");
                for turn in 0..25 {
                    let limit = format!("{}GB", 20 + (number + turn) % 2);
                    connection.query_one(include_str!("../sql/tap/temp_file_limit.sql"), &[&limit]).await.expect("a setting");
                    connection.batch_execute(include_str!("../sql/tap/reader_settings.sql")).await.expect("it is set in turn");
                }
            })
        });
        for session in sessions.collect::<Vec<_>>() {
            session.await.expect("it ends well");
        }
        let sql = "select count(*) from pg_roles where rolname = 'brickyard_read' and array_to_string(rolconfig, ',') ~ 'temp_file_limit=2[01]GB'";
        let connection = db::connect(&harness::options(&harness::server().url())).await.expect("a session");
        assert_eq!(connection.query_one(sql, &[]).await.expect("a row").get::<_, i64>(0), 1);
    });
}
