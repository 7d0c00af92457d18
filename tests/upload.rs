//! Uploaded tables through the real binary: every format there and back, limits, attacks, real clients, speed.

use crate::harness::{self, Serving};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Response, StatusCode};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().expect("a client")
}

async fn serving(name: &str, settings: &[(&str, &str)]) -> Serving {
    let (_connection, url) = harness::server().database(name).await;
    Serving::start(&url, settings)
}

/// A query with one uploaded file, answered as CSV.
async fn ask(serving: &Serving, query: &str, file: Vec<u8>, file_name: &str, mime: &str) -> Response {
    let part = Part::bytes(file).file_name(file_name.to_owned()).mime_str(mime).expect("a type");
    let form = Form::new().text("LANG", "ADQL").text("QUERY", query.to_owned()).text("RESPONSEFORMAT", "csv");
    let form = form.text("UPLOAD", "t,param:file").part("file", part);
    client().post(serving.url("/tap/sync")).multipart(form).send().await.expect("an answer")
}

async fn text(answer: Response) -> String {
    answer.text().await.expect("a text")
}

const CSV: &str = "id,name,ra,dec,x\n1,one,10.5,41.2,1.5\n2,\"two, \"\"2\"\"\",10.6,41.3,\n3,,359.99,-89.5,-1e-300\n";

fn votable(rows: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><VOTABLE version=\"1.3\" xmlns=\"http://www.ivoa.net/xml/VOTable/v1.3\"><RESOURCE><TABLE>\
         <FIELD name=\"id\" datatype=\"int\"/><FIELD name=\"name\" datatype=\"char\" arraysize=\"*\"/><DATA><TABLEDATA>{rows}\
         </TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csv_goes_in_and_comes_back() {
    let serving = serving("upload_csv", &[]).await;
    for (file_name, mime) in [("t.csv", "text/csv"), ("t", "application/octet-stream"), ("../../x.csv", "text/plain; charset=utf-8")] {
        let answer = ask(&serving, "SELECT * FROM TAP_UPLOAD.t ORDER BY id", CSV.into(), file_name, mime).await;
        assert_eq!((answer.status(), text(answer).await.replace('\r', "")), (StatusCode::OK, CSV.to_owned()), "{file_name}");
    }
    let again = ask(&serving, "SELECT COUNT(*) AS n FROM TAP_UPLOAD.t", "a\n1\n".into(), "t.csv", "text/csv").await;
    assert_eq!(text(again).await.replace('\r', ""), "n\n1\n", "nothing of an earlier upload is left in a session");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_upload_is_said() {
    let serving = serving("upload_wrong", &[("BRICKYARD_UPLOAD_BYTES", "20000"), ("BRICKYARD_UPLOAD_ROWS", "5")]).await;
    let lines = |count: usize| (0..count).fold("a\n".to_owned(), |text, i| text + &format!("{i}\n"));
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE v [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>".to_owned()
        + &votable("<TR><TD>1</TD><TD>&b;</TD></TR>");
    let outside = "<?xml version=\"1.0\"?><!DOCTYPE v [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>".to_owned()
        + &votable("<TR><TD>1</TD><TD>&a;</TD></TR>");
    let entity = votable("<TR><TD>1</TD><TD>&unknown;</TD></TR>");
    for (file, status, wanted) in [
        (lines(6), 413, "more than 5"),
        ("x".repeat(30_000), 413, "20000 bytes"),
        (String::new(), 400, "no columns"),
        (bomb, 400, ""),
        (outside, 400, ""),
        (entity, 400, ""),
        (votable("<TR><TD>x</TD><TD>y</TD></TR>"), 400, "id"),
        (votable("<TR><TD>1</TD>"), 400, ""),
        ("ctid\n1\n".to_owned(), 400, "ctid"),
    ] {
        let answer = ask(&serving, "SELECT * FROM TAP_UPLOAD.t", file.into_bytes(), "t", "application/octet-stream").await;
        let (got, said) = (answer.status().as_u16(), text(answer).await);
        assert!(got == status && said.contains(wanted) && !said.contains("root:"), "{got} {said} (wanted {status} {wanted})");
    }
    for (upload, status) in [("t,param:gone", 400), ("t", 400), ("t,file:///etc/passwd", 400), ("t,http://127.0.0.1:1/x", 400)] {
        let form = Form::new().text("LANG", "ADQL").text("QUERY", "SELECT * FROM TAP_UPLOAD.t").text("UPLOAD", upload);
        let answer = client().post(serving.url("/tap/sync")).multipart(form).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{upload}: {}", text(answer).await);
    }
    assert_eq!(serving.job_files(), 0);
}

/// A client that is still writing when the answer is there finds the answer, and not a reset connection.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_refused_early_is_read_on() {
    use std::io::{Read, Write};
    let serving = serving("upload_early", &[("BRICKYARD_UPLOAD_BYTES", "20000")]).await;
    let address = serving.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let said = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(&address).expect("a connection");
        let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"t.csv\"\r\n\r\n";
        let (chunk, chunks) = ("a\n".repeat(5_000), 60);
        let length = head.len() + chunk.len() * chunks;
        write!(
            stream,
            "POST /tap/sync HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=b\r\n\
             Content-Length: {length}\r\n\r\n{head}"
        )
        .expect("a head");
        for n in 0..chunks {
            stream.write_all(chunk.as_bytes()).unwrap_or_else(|error| panic!("chunk {n}: {error}"));
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("the answer");
        said
    });
    let said = said.await.expect("a thread");
    assert!(said.starts_with("HTTP/1.1 413") && said.contains("20000 bytes"), "{said}");
}

/// A query cannot write, whatever an upload needed.
#[tokio::test(flavor = "multi_thread")]
async fn names_in_an_upload_are_only_names() {
    let serving = serving("upload_names", &[]).await;
    let evil = "\"a\"\"; drop schema tap_schema cascade; --\",b\n1,2\n";
    let answer = ask(&serving, "SELECT * FROM TAP_UPLOAD.t", evil.into(), "t.csv", "text/csv").await;
    let said = text(answer).await;
    assert!(said.contains("drop schema") && said.contains('2'), "{said}");
    let answer = ask(&serving, "SELECT COUNT(*) FROM TAP_SCHEMA.tables", evil.into(), "t.csv", "text/csv").await;
    assert_eq!(answer.status(), StatusCode::OK);
}

/// A tiny web server for one answer; its address.
fn answering(body: &'static str, status: &'static str) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten().take(4) {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: text/csv\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_are_fetched_from_allowed_hosts_only() {
    let (good, moved, other) = (
        answering("a,b\n1,2\n", "200 OK"),
        answering("", "302 Found\r\nLocation: http://127.0.0.1:1/"),
        answering("secret\n1\n", "200 OK"),
    );
    let hosts = format!("[\"{good}\", \"{moved}\", \"localhost:80\"]");
    let serving = serving("upload_url", &[("BRICKYARD_UPLOAD_HOSTS", &hosts)]).await;
    let ask = async |url: String| {
        let pairs = [("LANG", "ADQL"), ("RESPONSEFORMAT", "csv"), ("QUERY", "SELECT * FROM TAP_UPLOAD.t"), ("UPLOAD", &format!("t,{url}"))];
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let request = client().post(serving.url("/tap/sync")).header("Content-Type", "application/x-www-form-urlencoded");
        let answer = request.body(body).send().await.expect("an answer");
        (answer.status().as_u16(), text(answer).await)
    };
    let (status, said) = ask(format!("http://{good}/t.csv")).await;
    assert_eq!((status, said.replace('\r', "").as_str()), (200, "a,b\n1,2\n"));
    for url in [
        format!("http://{moved}/t.csv"),
        format!("http://{other}/t.csv"),
        "http://localhost:80/x".into(),
        "http://169.254.169.254/latest/meta-data".into(),
        "http://[::1]:80/x".into(),
        format!("http://{good}@{other}/"),
    ] {
        let (status, said) = ask(url.clone()).await;
        assert!(status == 400 && !said.contains("secret"), "{url}: {status} {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_forms_are_refused_and_leave_nothing() {
    let serving = serving("upload_hostile", &[]).await;
    let post = async |kind: &str, body: Vec<u8>| {
        let request = client().post(serving.url("/tap/sync")).header("Content-Type", kind).body(body);
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(post("multipart/form-data", b"x".to_vec()).await, 400);
    assert_eq!(post("multipart/form-data; boundary=b", b"x".to_vec()).await, 400);
    assert_eq!(post("multipart/form-data; boundary=b", vec![b'\n'; 1 << 20]).await, 400);
    let part = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n";
    assert_eq!(post("multipart/form-data; boundary=b", part.repeat(1000).into_bytes()).await, 413);
    let head = format!("--b\r\nContent-Disposition: form-data; name={}\r\n\r\nx\r\n--b--", "n".repeat(100_000));
    assert_eq!(post("multipart/form-data; boundary=b", head.into_bytes()).await, 400);
    assert_eq!(post("multipart/form-data; boundary=b", part.as_bytes().to_vec()).await, 400, "cut off");
    let big = format!("--b\r\nContent-Disposition: form-data; name=a\r\n\r\n{}\r\n--b--", "x".repeat(17 << 20));
    assert_eq!(post("multipart/form-data; boundary=b", big.into_bytes()).await, 413);
}

fn run(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}\n{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn python_clients_ask_and_upload() {
    let Some(python) = harness::python() else { return };
    let serving = serving("upload_python", &[]).await;
    let scratch = harness::scratch();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/uws_clients.py");
    let said = run(&python, &[&script.to_string_lossy(), &serving.url("/tap"), &scratch.path().to_string_lossy()]);
    harness::note(&said);
}

/// A running job; its URL.
async fn new_job(tap: &str, query: &str) -> String {
    let pairs = [("LANG", "ADQL"), ("PHASE", "RUN"), ("QUERY", query)];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let request = client().post(format!("{tap}/async")).header("Content-Type", "application/x-www-form-urlencoded");
    request.body(body).send().await.expect("an answer").url().to_string()
}

/// TOPCAT's "TAP sky match": blocks of positions go up, the survey's stars near them come back.
#[tokio::test(flavor = "multi_thread")]
async fn tapskymatch_finds_the_stars_that_it_sends() {
    let Some(stilts) = harness::stilts() else { return };
    let serving = Serving::start(tokio::task::spawn_blocking(crate::tap::sample).await.expect("the sample is there"), &[]);
    let (tapurl, scratch) = (format!("tapurl={}", serving.url("/tap")), harness::scratch());
    let path = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let (stars, matched) = (path("stars.vot"), path("matched.csv"));
    let adql = "adql=SELECT TOP 700 objid, ra, dec FROM phat_v2.phot_mod";
    run(&stilts, &["tapquery", &tapurl, adql, &format!("out={stars}")]);
    let words = ["tapskymatch", &format!("in={stars}"), "inlon=ra", "inlat=dec", &tapurl, "taptable=phat_v2.phot_mod", "taplon=ra"];
    let more = ["taplat=dec", "sr=0.2/3600", "find=best", "blocksize=300", &format!("out={matched}"), "ofmt=csv"];
    run(&stilts, &[&words[..], &more[..]].concat());
    let lines = std::fs::read_to_string(&matched).expect("a file");
    assert_eq!(lines.lines().count(), 701, "{}", lines.lines().next().unwrap_or_default());
}

/// Positions as a CSV file, spread over the sky.
fn positions(rows: u32) -> String {
    let mut text = String::from("id,ra,dec\n");
    for i in 0..rows {
        let (ra, dec) = (f64::from(i) * 137.507_764 % 360.0, (f64::from(i) * 2.0 / f64::from(rows) - 1.0).asin().to_degrees());
        text += &format!("{i},{ra:.8},{dec:.8}\n");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn stilts_asks_uploads_and_resumes() {
    let Some(stilts) = harness::stilts() else { return };
    let serving = serving("upload_stilts", &[]).await;
    let (tap, scratch) = (serving.url("/tap"), harness::scratch());
    let path = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    std::fs::write(path("in.csv"), positions(500)).expect("a file");
    let tapurl = format!("tapurl={tap}");
    let upload = format!("upload1={}", path("in.csv"));
    for sync in ["sync=true", "sync=false"] {
        for format in ["TABLEDATA", "BINARY", "BINARY2"] {
            let out = format!("out={}", path("out.csv"));
            let adql = "adql=SELECT * FROM TAP_UPLOAD.up1 ORDER BY id";
            let upload_format = format!("upvotformat={format}");
            run(&stilts, &["tapquery", &tapurl, adql, "nupload=1", &upload, "ufmt1=csv", &upload_format, sync, &out, "ofmt=csv"]);
            let back = std::fs::read_to_string(path("out.csv")).expect("a file");
            assert_eq!((back.lines().count(), back.lines().next()), (501, Some("id,ra,dec")), "{sync} {format}");
        }
    }
    // a job started by one client is picked up by another
    let job = new_job(&tap, "SELECT TOP 3 table_name FROM TAP_SCHEMA.tables").await;
    let out = format!("out={}", path("resumed.csv"));
    run(&stilts, &["tapresume", &format!("joburl={job}"), &out, "ofmt=csv", "delete=now"]);
    assert_eq!(std::fs::read_to_string(path("resumed.csv")).expect("a file").lines().count(), 4);
}

/// The goal: 100,000 positions against 2 million rows within 1 arcsec in 3 s. Here with fewer rows, to see that it is not a scan.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_matched_by_the_index() {
    let serving = serving("upload_match", &[]).await;
    let query = "SELECT COUNT(*) AS n FROM TAP_UPLOAD.t AS a JOIN TAP_UPLOAD.t AS b ON 1=CONTAINS(POINT(a.ra, a.dec), CIRCLE(b.ra, b.dec, 1./3600))";
    let begun = Instant::now();
    let answer = ask(&serving, query, positions(20_000).into(), "t.csv", "text/csv").await;
    let (status, said) = (answer.status(), text(answer).await);
    assert_eq!((status, said.replace('\r', "").as_str()), (StatusCode::OK, "n\n20000\n"));
    harness::note(&format!("20,000 positions matched with themselves within 1 arcsec: {:?}", begun.elapsed()));
    assert!(begun.elapsed() < Duration::from_secs(20));
}
