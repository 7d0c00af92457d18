//! How services of this kind are attacked, each way once: what must be refused is, with a clear answer and nothing told.

use crate::harness::Serving;
use crate::tap::{ask_at, curl, sample};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

fn service() -> &'static Serving {
    static SERVICE: OnceLock<Serving> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let settings = [
            ("BRICKYARD_WEB_HEADER_TIMEOUT_S", "2"),
            ("BRICKYARD_WEB_FORM_BYTES", "300000"),
            ("BRICKYARD_TAP_QUERIES_PER_CLIENT", "4"),
            ("BRICKYARD_TAP_SYNC_LIMIT_S", "5"),
            ("BRICKYARD_WEB_METRICS_CLIENTS", "[]"),
        ];
        Serving::start(sample(), &settings)
    })
}

#[test]
fn only_published_tables_and_listed_functions_can_be_asked() {
    for query in [
        "SELECT * FROM pg_catalog.pg_authid",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM brickyard.ledger",
        "SELECT * FROM uws.job",
        "SELECT * FROM public.tbl_stat",
        "SELECT pg_sleep(100) FROM phat_v2.phot_mod",
        "SELECT pg_read_file('/etc/passwd') FROM phat_v2.phot_mod",
        "SELECT lo_import('/etc/passwd') FROM phat_v2.phot_mod",
        "SELECT current_setting('data_directory') FROM phat_v2.phot_mod",
        "SELECT set_config('transaction_read_only', 'off', false) FROM phat_v2.phot_mod",
        "SELECT query_to_xml('select 1', true, true, '') FROM phat_v2.phot_mod",
        "SELECT * FROM dblink('x', 'y')",
        "SELECT ra FROM phat_v2.phot_mod; DROP TABLE phat_v2.phot_mod",
        "SELECT ra FROM phat_v2.\"phot_mod\"\"; DROP TABLE x --\"",
        "SELECT \"ra\"\" FROM phat_v2.phot_mod --\" FROM phat_v2.phot_mod",
        "SELECT ra FROM phat_v2.phot_mod WHERE objid = $$x$$",
        "SELECT ra FROM phat_v2.phot_mod WHERE objid = U&'\\0061' UESCAPE '!'",
        "SELECT ra FROM phat_v2.phot_mod /* */ */ WHERE 1=1",
        "INSERT INTO phat_v2.phot_mod VALUES (1)",
        "COPY phat_v2.phot_mod TO PROGRAM 'id'",
        "SELECT * INTO x FROM phat_v2.phot_mod",
        "SELECT ra FROM phat_v2.phot_mod FOR UPDATE",
        "SELECT CAST(objid AS regclass) FROM phat_v2.phot_mod",
    ] {
        let reply = ask_at(service(), query, &[]);
        assert_eq!(reply.status, 400, "{query}: {}", reply.text());
        assert!(reply.text().contains("QUERY_STATUS"), "{query}");
    }
    // a text is a text, whatever it holds
    for text in ["'' OR 1=1 --", "\\'' ; select 1", "%s%n{}$1", "\u{202e}\u{0}x"] {
        let reply = ask_at(
            service(),
            &format!("SELECT COUNT(*) FROM phat_v2.phot_mod WHERE objid = '{}'", text.replace('\u{0}', "")),
            &["FORMAT=csv"],
        );
        assert_eq!(reply.rows(), ["0"], "{text}");
    }
    assert_eq!(ask_at(service(), "SELECT COUNT(*) FROM phat_v2.phot_mod", &["FORMAT=csv"]).status, 200, "the table is still there");
}

#[test]
fn absurd_numbers_and_sizes_are_refused_or_clamped_quickly() {
    service();
    let begun = Instant::now();
    for (query, more) in [
        ("SELECT TOP 99999999999999999999999 ra FROM phat_v2.phot_mod", &[][..]),
        ("SELECT TOP 1e30 ra FROM phat_v2.phot_mod", &[]),
        ("SELECT ra FROM phat_v2.phot_mod OFFSET -1", &[]),
        ("SELECT ra FROM phat_v2.phot_mod", &["MAXREC=1e99"]),
        ("SELECT ra FROM phat_v2.phot_mod", &["MAXREC=-9223372036854775808"]),
        ("SELECT ra FROM phat_v2.phot_mod", &["RESPONSEFORMAT=text/csv\r\nX-Evil: 1"]),
    ] {
        let reply = ask_at(service(), query, more);
        assert!(reply.status == 400 || reply.status == 200, "{query} {more:?}: {}", reply.text());
        assert!(reply.header("x-evil").is_none());
    }
    assert_eq!(
        ask_at(service(), "SELECT TOP 1 ra FROM phat_v2.phot_mod", &["MAXREC=99999999999999999999999999", "FORMAT=csv"]).rows().len(),
        1
    );
    let deep = format!("SELECT {}1{} FROM phat_v2.phot_mod", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(ask_at(service(), &deep, &[]).header("x-error-code").as_deref(), Some("limit-depth"));
    let long = format!("QUERY=SELECT 1 AS {} FROM phat_v2.phot_mod", "x".repeat(400_000));
    let file = crate::harness::scratch();
    let path = file.path().join("long");
    std::fs::write(&path, long).expect("written");
    let data = format!("@{}", path.display());
    let reply = curl(&["-d", "LANG=ADQL", "--data-binary", &data, &service().url("/tap/sync")]);
    assert_eq!((reply.status, reply.header("x-error-code").as_deref()), (413, Some("limit-form")), "{}", reply.text());
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// What no text of a database can hold is refused by the reader of the query or of the form, never by the server.
#[test]
fn odd_bytes_are_refused_and_odd_characters_are_characters() {
    for bytes in ["%00", "%C0%AF", "%E6%98", "%ED%A0%80"] {
        let form = format!("LANG=ADQL&FORMAT=csv&QUERY=SELECT+COUNT(*)+FROM+phat_v2.phot_mod+WHERE+objid='a{bytes}b'");
        let reply = curl(&["-d", &form, &service().url("/tap/sync")]);
        assert_eq!(reply.status, 400, "{bytes}: {}", reply.text());
        assert!(!reply.text().contains("0x00") && !reply.text().contains("encoding \"UTF8\""), "the server's words: {}", reply.text());
    }
    for query in [
        "SELECT '\u{202e}a\u{2066}' AS x FROM phat_v2.phot_mod",
        "SELECT 'a' AS x /* /* */ */ FROM phat_v2.phot_mod",
        "SELECT '/* -- */ $$' AS x FROM phat_v2.phot_mod -- '",
    ] {
        assert_eq!(ask_at(service(), query, &["MAXREC=1", "FORMAT=csv"]).status, 200, "{query}");
    }
    for query in [
        "SELECT E'\\x00' AS x FROM phat_v2.phot_mod",
        "SELECT 'a' AS x /* /* */ FROM phat_v2.phot_mod",
        "SELECT \u{202e}ra FROM phat_v2.phot_mod",
    ] {
        assert_eq!(ask_at(service(), query, &[]).status, 400, "{query}");
    }
}

#[test]
fn joins_without_end_are_refused_before_the_planner_sees_them() {
    let joined = |count: usize| {
        let tables: Vec<String> = (0..count).map(|i| format!("phat_v2.phot_mod AS t{i}")).collect();
        format!("SELECT TOP 1 t0.ra FROM {} WHERE t0.ra < -1", tables.join(", "))
    };
    let begun = Instant::now();
    let reply = ask_at(service(), &joined(33), &[]);
    assert_eq!((reply.status, reply.header("x-error-code").as_deref()), (400, Some("limit-tables")), "{}", reply.text());
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn what_users_write_comes_back_only_escaped() {
    let reply = curl(&[&service().url("/tap/tables/%3Cscript%3Ealert(1)%3C%2Fscript%3E")]);
    assert!(reply.status == 404 && reply.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{}", reply.head);
    let reply = ask_at(service(), "SELECT \"<script>alert(1)</script>\" FROM phat_v2.phot_mod", &[]);
    assert!(!reply.text().contains("<script>"), "{}", reply.text());
    let reply = ask_at(service(), "SELECT TOP 1 '<script>alert(1)</script>' AS x FROM phat_v2.phot_mod", &["FORMAT=html"]);
    assert!(reply.status == 200 && !reply.text().contains("<script>"), "{}", reply.text());
    let reply = ask_at(
        service(),
        "SELECT TOP 1 ra FROM phat_v2.phot_mod WHERE objid <> ']]><x>&\u{1}'",
        &["FORMAT=votable/td", "RUNID=a\r\nSet-Cookie: x"],
    );
    assert_eq!(reply.status, 200);
    assert!(!reply.text().contains("<x>") && !reply.text().contains('\u{1}') && reply.header("set-cookie").is_none(), "{}", reply.text());
    assert_eq!(curl(&["--path-as-is", &service().url("/tap/tables/../../../etc/passwd")]).status, 404);
    assert_eq!(curl(&[&service().url("/metrics")]).status, 403);
}

#[test]
fn one_client_has_its_share_of_queries_and_no_more() {
    // a service of its own: the others must not meet the limit
    let serving = Serving::start(sample(), &[("BRICKYARD_TAP_QUERIES_PER_CLIENT", "2"), ("BRICKYARD_TAP_SYNC_LIMIT_S", "4")]);
    let slow = "SELECT COUNT(*) FROM phat_v2.phot_meas AS a, phat_v2.phot_meas AS b, phat_v2.phot_meas AS c WHERE a.ra + b.ra + c.ra < 0";
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..2).map(|_| scope.spawn(|| ask_at(&serving, slow, &[]).status)).collect();
        // a quick query in between would take one of the places
        std::thread::sleep(Duration::from_secs(1));
        let begun = Instant::now();
        loop {
            let reply = ask_at(&serving, "SELECT TOP 1 ra FROM phat_v2.phot_mod", &[]);
            if reply.status == 429 {
                assert!(
                    reply.header("retry-after").is_some() && reply.text().contains("/tap/async") || reply.text().contains("asynchronous")
                );
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(4), "never refused");
        }
        assert!(running.into_iter().all(|thread| thread.join().expect("it ends") == 408));
    });
    assert_eq!(ask_at(&serving, "SELECT TOP 1 ra FROM phat_v2.phot_mod", &["FORMAT=csv"]).status, 200, "the places are free again");
}

/// What the service sends until it closes, having been sent `text`.
fn talk(text: &[u8], patience: Duration) -> (Vec<u8>, Duration) {
    let address = service().url("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).expect("it takes connections");
    stream.set_read_timeout(Some(patience)).expect("set");
    stream.write_all(text).expect("sent");
    let begun = Instant::now();
    let mut said = Vec::new();
    drop(stream.read_to_end(&mut said));
    (said, begun.elapsed())
}

#[test]
fn slow_and_broken_requests_do_not_hold_a_connection() {
    let (_, waited) = talk(b"GET /tap/capabilities HTTP/1.1\r\nHost: x\r\nX-Slow: ", Duration::from_secs(15));
    assert!(waited < Duration::from_secs(10), "{waited:?}: a head that does not come ends the connection");
    let (_, waited) = talk(b"", Duration::from_secs(15));
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    let huge = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Huge: {}\r\n\r\n", "a".repeat(200_000));
    let (said, _) = talk(huge.as_bytes(), Duration::from_secs(10));
    assert!(said.is_empty() || String::from_utf8_lossy(&said).contains(" 431 ") || String::from_utf8_lossy(&said).contains(" 400 "));
    for smuggled in [
        &b"POST /tap/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"POST /tap/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let (said, _) = talk(smuggled, Duration::from_secs(10));
        assert!(!String::from_utf8_lossy(&said).contains("HTTP/1.1 200"), "{}", String::from_utf8_lossy(&said));
    }
    assert_eq!(curl(&[&service().url("/tap/availability")]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reader_may_read_and_nothing_else() {
    let url = sample_url().await;
    let (owner, driver) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("the database");
    tokio::spawn(driver);
    let session: String = owner
        .query_one("select string_agg(distinct usename, ',') from pg_stat_activity where application_name = 'brickyard reader'", &[])
        .await
        .expect("asked")
        .get::<_, Option<String>>(0)
        .unwrap_or_default();
    assert!(!session.is_empty(), "readers are there");
    owner.batch_execute("begin; set local role brickyard_read").await.expect("the role is there");
    for refused in [
        "create table x (i int)",
        "delete from phat_v2.phot_mod",
        "select * from pg_authid",
        "select * from brickyard.ledger",
        "select pg_read_file('/etc/passwd')",
    ] {
        owner.batch_execute("savepoint s").await.expect("a savepoint");
        assert!(owner.batch_execute(refused).await.is_err(), "{refused}");
        owner.batch_execute("rollback to s").await.expect("back");
    }
    owner
        .batch_execute("select count(*) from phat_v2.phot_mod; select count(*) from tap_schema.columns; rollback")
        .await
        .expect("it reads");
}

async fn sample_url() -> String {
    tokio::task::spawn_blocking(|| {
        curl(&[&service().url("/tap/availability")]);
        sample().to_owned()
    })
    .await
    .expect("a service")
}
