//! `bench tap`: the query service over HTTP, against psql's COPY and against Q3C's own cone on an open connection.
//!
//! The service runs as a process of its own (`brickyard serve`) on the bench's cluster; the client is [`http`](super::http), on the same
//! machine, and its share of the two cores is part of every time. Streams are measured in turn with `psql -c "COPY (same query) TO
//! STDOUT"` into /dev/null, cones in turn with the same cone by `q3c_radial_query` as a simple query on an open session.
//!
//! The 2 million stars lie over all bricks, one in sixty of the survey's; a match within 5 arcsec has as many rows as one
//! within some 0.6 arcsec of the whole survey.

use super::http::{Answer, Request};
use super::measure::{Figure, Goal, Sheet, median, quantile, ratios};
use super::service::{Service, program};
use super::{Error, machine};
use crate::db::{self, Connection};
use crate::{adql, simulate};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub struct Options {
    /// The bench's own cluster.
    pub db: db::Options,
    pub quick: bool,
    pub runs: usize,
    /// Groups to run, all if empty: stream, memory, cone, async, upload, adql.
    pub only: Vec<String>,
    /// ADQL queries, one JSON object with a `query` a line; without it the service's examples are translated.
    pub queries: Option<PathBuf>,
}

/// The 35 columns of the streams, every kind among them.
const COLUMNS: &str = "objid, ra, dec, htm9, pix256, pix4096, random_id, x, y, f275w_rate, f275w_raterr, f275w_vega, f275w_err, \
    f336w_rate, f336w_raterr, f336w_vega, f336w_err, f475w_rate, f475w_raterr, f475w_vega, f475w_err, f475w_chi, f475w_snr, f475w_sharp, \
    f814w_rate, f814w_raterr, f814w_vega, f814w_err, f814w_chi, f814w_snr, f814w_sharp, f475w_gst, f814w_gst, field, brick";
/// Rows that a cone should find.
const CONE_ROWS: f64 = 13.0;

struct Bench<'a> {
    options: &'a Options,
    connection: Connection,
    service: Service,
    stars: u64,
    sheet: Sheet<'a>,
}

/// Runs the groups asked for.
pub async fn run(options: &Options, say: &(dyn Fn(String) + Sync)) -> Result<Vec<Figure>, Error> {
    say(format!("machine: {}", machine::describe()));
    db::cluster::start(&options.db).await?;
    let connection = db::connect(&options.db).await?;
    let stars = if options.quick { 200_000 } else { 2_000_000 };
    load(options, &connection, stars, say).await?;
    let service = Service::start(&options.db, &[])?;
    let mut bench = Bench { options, connection, service, stars, sheet: Sheet { only: &options.only, say, figures: Vec::new() } };
    let done = bench.groups().await;
    let figures = std::mem::take(&mut bench.sheet.figures);
    drop(bench);
    db::cluster::stop(&options.db).await?;
    done.map(|()| figures)
}

/// Makes phot_mod of all bricks with its indices, unless it is there with as many rows.
async fn load(options: &Options, connection: &Connection, stars: u64, say: &(dyn Fn(String) + Sync)) -> Result<(), Error> {
    let bricks: Vec<u8> = (1..=23).collect();
    let counted = connection.query_one("SELECT count(*), count(DISTINCT brick) FROM phat_v2.phot_mod", &[]).await;
    match counted.map(|row| (row.get::<_, i64>(0).unsigned_abs(), row.get::<_, i64>(1).unsigned_abs())) {
        // a twentieth are duplicates where bricks overlap
        Ok((rows, spread)) if rows * 20 >= stars * 19 && spread == bricks.len() as u64 => return Ok(()),
        // of another bench
        Ok(_) => connection
            .batch_execute("DROP TABLE IF EXISTS phat_v2.phot_mod, phat_v2.phot_mod_duplicate; DELETE FROM brickyard.ledger")
            .await
            .map_err(db::Error::from)?,
        // there is no table yet, which the loader makes
        Err(_) => {}
    }
    let out = options.db.data_dir.join("files").join(format!("tap-survey-{stars}"));
    say(format!("loading {stars} stars (kept for the next time)"));
    let mut sample = simulate::Options::new(&out);
    sample.objects = stars;
    sample.bricks = bricks;
    sample.products = simulate::Products { st: true, phot: false, truth: false };
    sample.dolphot = simulate::Dolphot::None;
    sample.gzip = false;
    sample.force = true;
    simulate::run(&sample)?;
    let output = program()?
        .arg("--data-dir")
        .arg(&options.db.data_dir)
        .args(["load", "--replace", "--loader", "phat_v2.phot_mod"])
        .arg(&out)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Io { doing: "running the loader".into(), source })?;
    if !output.status.success() {
        return Err(Error::Child { command: "brickyard load".into(), output: String::from_utf8_lossy(&output.stderr).into_owned() });
    }
    Ok(())
}

/// The form of a synchronous query.
fn form(query: &str, format: &str, maxrec: u64) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("REQUEST", "doQuery").append_pair("LANG", "ADQL").append_pair("QUERY", query);
    form.append_pair("RESPONSEFORMAT", format).append_pair("MAXREC", &maxrec.to_string());
    form.finish()
}

impl Bench<'_> {
    async fn groups(&mut self) -> Result<(), Error> {
        if self.sheet.wanted("stream") {
            self.streams()?;
        }
        if self.sheet.wanted("memory") {
            self.memory()?;
        }
        if self.sheet.wanted("cone") {
            self.cones().await?;
        }
        if self.sheet.wanted("async") {
            self.jobs()?;
        }
        if self.sheet.wanted("upload") {
            self.upload().await?;
        }
        if self.sheet.wanted("adql") {
            self.translation()?;
        }
        Ok(())
    }

    /// Rows of a stream.
    fn rows(&self) -> u64 {
        if self.options.quick { 100_000 } else { 1_000_000 }
    }

    /// One synchronous query on a connection of its own, as a client does it.
    fn sync(&self, query: &str, format: &str, maxrec: u64) -> Result<Answer, Error> {
        self.service.client()?.ask(Request::form("/tap/sync", &form(query, format, maxrec)))
    }

    fn streams(&mut self) -> Result<(), Error> {
        let rows = self.rows();
        let adql = format!("SELECT TOP {rows} {COLUMNS} FROM phat_v2.phot_mod");
        let sql = format!("SELECT {COLUMNS} FROM phat_v2.phot_mod LIMIT {rows}");
        let formats = [
            ("BINARY2", "application/x-votable+xml;serialization=BINARY2", "binary", 1.25),
            ("CSV", "text/csv", "csv", 1.25),
            ("FITS", "application/fits", "binary", 2.0),
            ("Parquet", "application/vnd.apache.parquet", "binary", 2.0),
        ];
        self.sync(&adql, "text/csv", rows)?; // warm
        for (name, mime, copied, goal) in formats {
            let (mut ours, mut theirs, mut firsts, mut mib_per_s) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for _ in 0..self.options.runs {
                let answer = self.sync(&adql, mime, rows)?;
                ours.push(answer.total_s);
                firsts.push(answer.first_s * 1e3);
                mib_per_s.push(answer.bytes as f64 / 1048576.0 / answer.total_s);
                theirs.push(self.psql_copy(&sql, copied)?);
            }
            let copy = copied.to_uppercase();
            self.sheet.add(Figure::of(
                format!("{rows} rows x 35 columns, sync {name}: wall over psql COPY {copy}"),
                &ratios(&ours, &theirs),
                "",
                Goal::AtMost(goal),
            ));
            self.sheet.add(Figure::of(format!("{name}: first byte"), &firsts, "ms", Goal::AtMost(50.0)));
            self.sheet.add(Figure::of(format!("{name}: wall"), &ours, "s", Goal::Shown));
            self.sheet.add(Figure::of(format!("{name}: rate"), &mib_per_s, "MiB/s", Goal::Shown));
        }
        Ok(())
    }

    /// Wall seconds of `psql` copying the query's rows to /dev/null.
    fn psql_copy(&self, sql: &str, format: &str) -> Result<f64, Error> {
        let started = Instant::now();
        let status = Command::new("psql")
            .args(["-X", "-q", "-d", self.connection.url(), "-c", &format!("COPY ({sql}) TO STDOUT (FORMAT {format})")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .map_err(|source| Error::Io { doing: "running psql".into(), source })?;
        if !status.success() {
            return Err(Error::Child { command: "psql COPY".into(), output: status.to_string() });
        }
        Ok(started.elapsed().as_secs_f64())
    }

    fn memory(&mut self) -> Result<(), Error> {
        let rows = self.rows();
        let adql = format!("SELECT TOP {rows} {COLUMNS} FROM phat_v2.phot_mod");
        self.sync(&adql, "votable", rows)?; // what a first answer takes is not growth
        let (before, _) = self.service.memory_mib();
        let formats = ["votable", "text/csv", "application/fits", "application/vnd.apache.parquet", "votable/td"];
        let peak = std::thread::scope(|scope| -> Result<f64, Error> {
            let bench = &*self;
            let adql = &adql;
            let streams: Vec<_> = (0..10).map(|i| scope.spawn(move || bench.sync(adql, formats[i % formats.len()], rows))).collect();
            let mut peak = before;
            while streams.iter().any(|stream| !stream.is_finished()) {
                peak = peak.max(self.service.memory_mib().0);
                std::thread::sleep(Duration::from_millis(20));
            }
            for stream in streams {
                stream.join().map_err(|_| Error::Setup("a client thread fell".into()))??;
            }
            Ok(peak)
        })?;
        self.sheet.add(Figure::of(
            "ten such queries at once (all formats): growth of the service",
            &[peak - before],
            "MiB",
            Goal::AtMost(200.0),
        ));
        let many = rows * 10;
        let (before, _) = self.service.memory_mib();
        let columns = COLUMNS.split(", ").map(|column| format!("m.{}", column.trim())).collect::<Vec<_>>().join(", ");
        let adql = format!(
            "SELECT TOP {many} {columns} FROM phat_v2.phot_mod AS m CROSS JOIN (SELECT TOP 10 objid AS other FROM phat_v2.phot_mod) AS ten"
        );
        let bench = &*self;
        let (answer, peak) = std::thread::scope(|scope| {
            let stream = scope.spawn(move || bench.sync(&adql, "votable", many));
            let mut peak = before;
            while !stream.is_finished() {
                peak = peak.max(bench.service.memory_mib().0);
                std::thread::sleep(Duration::from_millis(20));
            }
            (stream.join(), peak)
        });
        answer.map_err(|_| Error::Setup("a client thread fell".into()))??;
        self.sheet.add(Figure::of(format!("{many} rows: growth of the service"), &[peak - before], "MiB", Goal::AtMost(200.0)));
        Ok(())
    }

    async fn cones(&mut self) -> Result<(), Error> {
        let n = if self.options.quick { 50 } else { 300 };
        let positions = self.positions(n).await?;
        let radius_deg = self.radius(&positions[..40.min(n)]).await?;
        let (mut theirs, mut tap, mut scs) = (Vec::new(), Vec::new(), Vec::new());
        let mut client = self.service.client()?;
        for (i, (ra, dec)) in positions.iter().enumerate() {
            let sql = format!("SELECT * FROM phat_v2.phot_mod WHERE q3c_radial_query(ra, dec, {ra}, {dec}, {radius_deg})");
            let started = Instant::now();
            self.connection.simple_query(&sql).await.map_err(db::Error::from)?;
            let plain = started.elapsed().as_secs_f64();
            let by_tap = client.ask(Request::form("/tap/sync", &cone_form(*ra, *dec, radius_deg)))?;
            let by_scs = client.ask(Request::get(&format!("/scs/phat_v2.phot_mod?RA={ra}&DEC={dec}&SR={radius_deg}")))?;
            if i >= n / 10 {
                theirs.push(plain * 1e3);
                tap.push(by_tap.total_s * 1e3);
                scs.push(by_scs.total_s * 1e3);
            }
        }
        let p50 = median(&theirs);
        self.sheet.add(Figure::of(
            format!("cone of ~{CONE_ROWS} rows by q3c_radial_query on an open session, p50"),
            &[p50],
            "ms",
            Goal::Shown,
        ));
        for (name, times) in [("TAP sync", &tap), ("SCS", &scs)] {
            self.sheet.add(Figure::of(
                format!("the same by {name}, whole request: p50 over that"),
                &[median(times) / p50],
                "",
                Goal::AtMost(0.5),
            ));
            self.sheet.add(Figure::of(format!("{name}: p50"), &[median(times)], "ms", Goal::AtMost(3.0)));
            self.sheet.add(Figure::of(format!("{name}: p99"), &[quantile(times, 0.99)], "ms", Goal::Shown));
        }
        let (times, wall_s) = self.crowd(&positions, radius_deg, 8)?;
        self.sheet.add(Figure::of("TAP sync, 8 clients: p50", &[median(&times)], "ms", Goal::Shown));
        self.sheet.add(Figure::of("TAP sync, 8 clients: p99", &[quantile(&times, 0.99)], "ms", Goal::Shown));
        self.sheet.add(Figure::of("TAP sync, 8 clients: requests/s", &[times.len() as f64 / wall_s], "/s", Goal::Shown));
        Ok(())
    }

    /// Positions of stars, spread over the table.
    async fn positions(&self, n: usize) -> Result<Vec<(f64, f64)>, Error> {
        let most = 100.0 * n as f32 * 2.0 / self.stars as f32;
        let sql = "SELECT ra, dec FROM phat_v2.phot_mod WHERE random_id < $1 ORDER BY random_id LIMIT $2";
        let rows = self.connection.query(sql, &[&most, &(n as i64)]).await.map_err(db::Error::from)?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// The radius in degrees at which these cones have [`CONE_ROWS`] rows in the mean.
    async fn radius(&self, positions: &[(f64, f64)]) -> Result<f64, Error> {
        let mut radius_deg = 2.0 / 3600.0;
        for _ in 0..3 {
            radius_deg *= (CONE_ROWS / self.rows_within(positions, radius_deg).await?).sqrt();
        }
        Ok(radius_deg)
    }

    /// Rows within a radius of these stars in the mean, themselves among them.
    async fn rows_within(&self, positions: &[(f64, f64)], radius_deg: f64) -> Result<f64, Error> {
        let mut rows = 0;
        for (ra, dec) in positions {
            let sql = "SELECT count(*) FROM phat_v2.phot_mod WHERE q3c_radial_query(ra, dec, $1, $2, $3)";
            let row = self.connection.query_one(sql, &[ra, dec, &radius_deg]).await.map_err(db::Error::from)?;
            rows += row.get::<_, i64>(0);
        }
        Ok(rows.max(1) as f64 / positions.len() as f64)
    }

    /// Times in ms of cones by several clients at once, and the wall seconds of it all.
    fn crowd(&self, positions: &[(f64, f64)], radius_deg: f64, clients: usize) -> Result<(Vec<f64>, f64), Error> {
        let each = if self.options.quick { 50 } else { 500 };
        let started = Instant::now();
        let times = std::thread::scope(|scope| -> Result<Vec<f64>, Error> {
            let ask = move |seed: usize| -> Result<Vec<f64>, Error> {
                let mut client = self.service.client()?;
                let mut times = Vec::with_capacity(each);
                for i in 0..each {
                    let (ra, dec) = positions[(seed * 37 + i) % positions.len()];
                    times.push(client.ask(Request::form("/tap/sync", &cone_form(ra, dec, radius_deg)))?.total_s * 1e3);
                }
                Ok(times)
            };
            let threads: Vec<_> = (0..clients).map(|seed| scope.spawn(move || ask(seed))).collect();
            let mut all = Vec::new();
            for thread in threads {
                all.extend(thread.join().map_err(|_| Error::Setup("a client thread fell".into()))??);
            }
            Ok(all)
        })?;
        Ok((times, started.elapsed().as_secs_f64()))
    }

    /// Create, run and fetch a small job, as a client with WAIT does.
    fn jobs(&mut self) -> Result<(), Error> {
        let mut client = self.service.client()?;
        let body = form("SELECT TOP 10 * FROM phat_v2.phot_mod", "votable", 100) + "&PHASE=RUN";
        let mut times = Vec::new();
        for _ in 0..self.options.runs.max(5) * 4 {
            let started = Instant::now();
            let created = client.ask(Request::form("/tap/async", &body))?;
            let job = path_of(&created.location);
            let mut phase = String::new();
            while phase != "COMPLETED" {
                let waited = client.ask(Request::get(&format!("{job}?WAIT=-1")).kept())?;
                if waited.status >= 300 {
                    return Err(Error::Setup(format!("{job} answered {}", waited.status)));
                }
                phase = String::from_utf8_lossy(&client.ask(Request::get(&format!("{job}/phase")).kept())?.body).into_owned();
                if phase == "ERROR" || phase == "ABORTED" {
                    return Err(Error::Setup(format!("{job} ended as {phase}")));
                }
            }
            client.ask(Request::get(&format!("{job}/results/result")))?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
            client.ask(Request::form(&job, "ACTION=DELETE"))?;
        }
        self.sheet.add(Figure::of("async TOP 10: create, run, result", &times, "ms", Goal::AtMost(50.0)));
        Ok(())
    }

    /// The match that TOPCAT's "TAP sky match" asks for, all positions at once.
    async fn upload(&mut self) -> Result<(), Error> {
        let n = if self.options.quick { 10_000 } else { 100_000 };
        let positions = self.positions(n).await?;
        let mut table = String::from(
            "<?xml version=\"1.0\"?>\n<VOTABLE version=\"1.4\" xmlns=\"http://www.ivoa.net/xml/VOTable/v1.3\"><RESOURCE><TABLE>\
             <FIELD name=\"tapupload_id\" datatype=\"int\"/><FIELD name=\"lon\" datatype=\"double\" unit=\"deg\"/>\
             <FIELD name=\"lat\" datatype=\"double\" unit=\"deg\"/><DATA><TABLEDATA>\n",
        );
        for (i, (ra, dec)) in positions.iter().enumerate() {
            // a tenth of an arcsecond aside, as another catalogue's positions are
            writeln!(table, "<TR><TD>{i}</TD><TD>{ra}</TD><TD>{}</TD></TR>", dec + 0.1 / 3600.0).expect("a String takes everything");
        }
        table += "</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>\n";
        for (radius_arcsec, goal) in [(1.0, Goal::AtMost(3.0)), (5.0, Goal::Shown)] {
            let body = upload_form(radius_arcsec, &table);
            let mut times = Vec::new();
            for _ in 0..self.options.runs {
                let request = Request { path: "/tap/sync", post: Some((UPLOAD_KIND, body.as_bytes())), keep: false };
                times.push(self.service.client()?.ask(request)?.total_s);
            }
            let name = format!("upload of {n} positions, matched within {radius_arcsec} arcsec against {} rows", self.stars);
            self.sheet.add(Figure::of(name, &times, "s", goal));
            let pairs = self.rows_within(&positions[..n.min(1000)], radius_arcsec / 3600.0).await?;
            self.sheet.add(Figure::of(format!("matches of a position within {radius_arcsec} arcsec"), &[pairs], "", Goal::Shown));
        }
        Ok(())
    }

    /// Parsing and translating, without any server. A query that names unknown tables is translated as far as that goes.
    fn translation(&mut self) -> Result<(), Error> {
        let catalog = crate::schema::Catalog::load(&[], "phat_v2").map_err(|error| Error::Setup(error.to_string()))?;
        let queries = match &self.options.queries {
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|source| Error::Io { doing: format!("reading {}", path.display()), source })?;
                let query = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["query"].as_str().map(str::to_owned);
                text.lines().filter_map(query).collect()
            }
            None => catalog.examples.iter().map(|example| example.query.clone()).collect::<Vec<_>>(),
        };
        let relations = catalog.tables.into_iter().map(|table| adql::Relation::new(table.into(), Some(self.stars)));
        let catalogue = adql::Catalogue::new(relations.collect());
        let options = adql::Options::default();
        let rounds = self.options.runs.max(3) * 4;
        let mut means = Vec::new();
        for _ in 0..rounds {
            let started = Instant::now();
            for query in &queries {
                std::hint::black_box(adql::translate(query, &catalogue, &options).is_ok());
            }
            means.push(started.elapsed().as_secs_f64() * 1e3 / queries.len().max(1) as f64);
        }
        let whose = if self.options.queries.is_some() { "the gold sample's" } else { "the examples'" };
        self.sheet.add(Figure::of(
            format!("parse + translate, mean of {whose} {} queries", queries.len()),
            &means,
            "ms",
            Goal::AtMost(0.1),
        ));
        for (n, goal) in [(5_000, Goal::AtMost(20.0)), (100_000, Goal::Shown)] {
            let list = (0..n).map(|i| format!("'PHAT_{i}'")).collect::<Vec<_>>().join(", ");
            let query = format!("SELECT objid, ra, dec FROM phat_v2.phot_mod WHERE objid IN ({list})");
            let mut times = Vec::new();
            for _ in 0..self.options.runs.max(3) {
                let started = Instant::now();
                adql::translate(&query, &catalogue, &options).map_err(|error| Error::Setup(error.message))?;
                times.push(started.elapsed().as_secs_f64() * 1e3);
            }
            self.sheet.add(Figure::of(format!("parse + translate, IN list of {n}"), &times, "ms", goal));
        }
        Ok(())
    }
}

const UPLOAD_KIND: &str = "multipart/form-data; boundary=bench-boundary";

/// The form that matches a table of positions, as TOPCAT writes it.
fn upload_form(radius_arcsec: f64, table: &str) -> String {
    let query = format!(
        "SELECT r.objid, r.ra, r.dec, r.f475w_vega, r.f814w_vega, u.tapupload_id AS tapupload_id_a, \
         DISTANCE(POINT('ICRS', u.lon, u.lat), POINT('ICRS', r.ra, r.dec)) * 3600.0 AS sep_arcsec \
         FROM phat_v2.phot_mod AS r JOIN TAP_UPLOAD.up AS u \
         ON 1 = CONTAINS(POINT('ICRS', r.ra, r.dec), CIRCLE('ICRS', u.lon, u.lat, {radius_arcsec}/3600.0)) ORDER BY tapupload_id_a ASC"
    );
    let texts = [("REQUEST", "doQuery"), ("LANG", "ADQL"), ("QUERY", &query), ("UPLOAD", "up,param:up"), ("MAXREC", "50000000")];
    let texts: String = texts
        .iter()
        .map(|(name, value)| format!("--bench-boundary\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"))
        .collect();
    format!(
        "{texts}--bench-boundary\r\nContent-Disposition: form-data; name=\"up\"; filename=\"up.vot\"\r\n\
         Content-Type: application/x-votable+xml\r\n\r\n{table}\r\n--bench-boundary--\r\n"
    )
}

fn cone_form(ra: f64, dec: f64, radius_deg: f64) -> String {
    form(
        &format!("SELECT * FROM phat_v2.phot_mod WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', {ra}, {dec}, {radius_deg}))"),
        "votable",
        10_000,
    )
}

/// The path of an absolute URL.
fn path_of(url: &str) -> String {
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    after.find('/').map_or_else(String::new, |slash| after[slash..].to_owned())
}
