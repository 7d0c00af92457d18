//! Questions through the built binary: sql, cone, map, lightcurve, against plain SQL on the same rows.
#![allow(clippy::unwrap_used)] // a panic is how a test's helper fails

use crate::harness;
use brickyard::db::Connection;
use brickyard::explore::position::{dec_deg, ra_deg};
use brickyard::plot::colour::viridis;
use brickyard::plot::map::{Caption, Healpix, Scale, Scheme, Window};
use brickyard::sky::healpix::{nest4096, ring256};
use proptest::prelude::*;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A database of this test's own with 20,000 stars around V5343 and the seam at ra 0, and a light curve.
struct Sky {
    runtime: tokio::runtime::Runtime,
    connection: Connection,
    url: String,
}

const TABLES: &str = "
create schema phat_v2;
create table phat_v2.phot_mod(ra double precision, dec double precision, pix256 integer, pix4096 integer, brick smallint, f475w_vega real, objid text primary key);
create table phat_v2.phot_meas(mjd double precision, ra double precision, dec double precision, magvega real, magerr real, snr real, flag real,
  image text, exptime real, filter text, brick smallint, field smallint, chip smallint, objid text);
";

const INDICES: &str = "
create index on phat_v2.phot_mod (q3c_ang2ipix(ra, dec));
create index on phat_v2.phot_meas (q3c_ang2ipix(ra, dec));
analyze;
";

impl Sky {
    fn new(name: &str) -> Sky {
        let runtime = harness::runtime();
        let (connection, url) = runtime.block_on(harness::server().database(name));
        let sky = Sky { runtime, connection, url };
        sky.execute(TABLES);
        sky.execute(&format!("insert into phat_v2.phot_mod values {}", stars().join(",\n")));
        sky.execute(&format!("insert into phat_v2.phot_meas values {}", v5343().join(",\n")));
        sky.execute(INDICES);
        sky
    }

    fn execute(&self, sql: &str) {
        self.runtime
            .block_on(self.connection.batch_execute(sql))
            .unwrap_or_else(|error| panic!("{error:?}: {}", &sql[..sql.len().min(200)]));
    }

    /// The first column of the first row.
    fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.runtime.block_on(self.connection.query_one(sql, &[])).unwrap().get(0)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = harness::brickyard();
        command.args(args).args(["--database-url", &self.url]);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Standard output of a run that must succeed.
    fn answer(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard error of a run that must fail.
    fn refusal(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }
}

/// A sequence that fills the unit square evenly (Roberts 2018), so that the tests need no random numbers.
fn even(n: u32) -> (f64, f64) {
    ((0.5 + 0.754_877_666_246_692_7 * f64::from(n)).fract(), (0.5 + 0.569_840_290_998_053_2 * f64::from(n)).fract())
}

fn stars() -> Vec<String> {
    let star = |n: u32| {
        let (u, v) = even(n);
        let (ra, dec) = match n % 4 {
            0 => ((359.9 + 0.2 * u).rem_euclid(360.0), -5.0 + 0.2 * v),
            _ => (11.02203 + 0.2 * (u - 0.5), 41.23451 + 0.15 * (v - 0.5)),
        };
        let magnitude = if n.is_multiple_of(10) { 99.999 } else { 20.0 + 5.0 * u };
        format!("({ra:?}, {dec:?}, {}, {}, {}, {magnitude}, 'star {n}')", ring256(ra, dec), nest4096(ra, dec), n % 3)
    };
    (0..20_000).map(star).collect()
}

fn v5343() -> Vec<String> {
    let row = |filter: &str, mjd: f64, magnitude: f64| {
        format!(
            "({mjd:?}, 11.0220304, 41.234515, {magnitude}, 0.05, 20, 0, 'jbfb25ejq_{filter}_flt.chip1', 370, '{filter}', 4, 15, 1, 'PHAT_11.0220304+41.234515')"
        )
    };
    let mut rows = Vec::new();
    for (filter, magnitude) in [("F275W", 26.0), ("F336W", 23.5), ("F475W", 22.2), ("F814W", 20.3), ("F110W", 19.7), ("F160W", 19.1)] {
        rows.extend(
            [(55_926.95, magnitude), (55_709.3, magnitude + 0.2), (56_132.3, 99.999)].map(|(mjd, magnitude)| row(filter, mjd, magnitude)),
        );
    }
    rows
}

fn sorted_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().skip(1).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_cone_has_the_rows_of_q3c_radial_query() {
    let sky = Sky::new("explore_cone");
    let cones = [
        ("11.02203", "41.23451", "30"),
        ("00:44:05.2872", "+41:14:04.236", "1arcmin"),
        ("0", "-4.9", "0.05deg"),
        ("359.99", "-4.95", "2arcmin"),
        ("11", "41.2", "0.2"),
    ];
    for (ra, dec, radius) in cones {
        let degrees = match radius.split_at(radius.find(|c: char| c.is_alphabetic()).unwrap_or(radius.len())) {
            (number, "arcmin") => number.parse::<f64>().unwrap() / 60.0,
            (number, "deg") => number.parse::<f64>().unwrap(),
            (number, _) => number.parse::<f64>().unwrap() / 3600.0,
        };
        let (ra0, dec0) = (ra_deg(ra).unwrap(), dec_deg(dec).unwrap());
        let theirs = format!("select * from phat_v2.phot_mod where q3c_radial_query(ra, dec, {ra0}, {dec0}, {degrees})");
        let (ours, theirs) = (sky.answer(&["cone", ra, dec, radius]), sky.answer(&["sql", &theirs]));
        assert_eq!(sorted_lines(&ours), sorted_lines(&theirs), "{ra} {dec} {radius}");
        assert!(radius == "0.2" || ours.lines().count() > 10, "{ra} {dec} {radius}: {} rows", ours.lines().count() - 1);
    }
    assert_eq!(sky.answer(&["cone", "11", "41.2", "1", "--columns", "objid,dec"]).lines().next(), Some("objid,dec"));
    assert_eq!(sky.answer(&["cone", "11.02203", "41.23451", "0.2", "--table", "phat_v2.phot_meas"]).lines().count(), 19);
    let plan = sky.answer(&["sql", &format!("explain {}", cone_sql())]);
    assert!(plan.contains("Bitmap Index Scan") && !plan.contains("Seq Scan"), "{plan}");
}

fn cone_sql() -> String {
    let cone = brickyard::explore::Cone {
        table: "phat_v2.phot_mod".parse().unwrap(),
        position: ("ra".into(), "dec".into()),
        columns: vec![],
        ra_deg: 11.02203,
        dec_deg: 41.23451,
        radius_deg: 2.0 / 3600.0,
    };
    cone.sql().unwrap()
}

#[test]
fn a_map_has_the_values_of_its_sql() {
    let sky = Sky::new("explore_map");
    let pairs: [(&[&str], &str); 4] = [
        (&["map"], "select pix4096, count(*) from phat_v2.phot_mod group by 1 order by 1"),
        (
            &["map", "--nside", "256", "--where", "brick = 1 or brick = 2"],
            "select pix256, count(*) from phat_v2.phot_mod where brick in (1, 2) group by 1 order by 1",
        ),
        (
            &["map", "--value", "mean:f475w_vega", "--where", "f475w_vega < 50"],
            "select pix4096, count(*), avg(f475w_vega) as mean from phat_v2.phot_mod where f475w_vega < 50 group by 1 order by 1",
        ),
        (
            &["map", "--value", "mean:f475w_vega - brick -- the comment ends with the line", "--nside", "256"],
            "select pix256, count(*), avg(f475w_vega - brick) as mean from phat_v2.phot_mod group by 1 order by 1",
        ),
    ];
    for (args, sql) in pairs {
        let without_centres = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            [&cells[..1], &cells[3..]].concat().join(",")
        };
        let ours: Vec<String> = sky.answer(args).lines().map(without_centres).collect();
        let theirs = sky.answer(&["sql", sql]);
        assert_eq!(ours, theirs.lines().collect::<Vec<_>>(), "{args:?}");
        assert!(ours.len() > 4);
    }
    for line in sky.answer(&["map", "--where", "ra < 300"]).lines().skip(1) {
        let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        assert_eq!(nest4096(cells[1], cells[2]), cells[0] as i32, "{line}");
    }
}

#[test]
fn a_map_takes_one_expression_and_only_reads() {
    let sky = Sky::new("explore_map_refusals");
    assert!(sky.refusal(&["map", "--where", "true; drop table phat_v2.phot_mod"]).contains("semicolon"));
    assert!(sky.refusal(&["map", "--value", "mean:1; delete from phat_v2.phot_mod"]).contains("semicolon"));
    assert!(sky.refusal(&["map", "--value", "mean:no_such_column"]).contains("no_such_column"));
    let writes = "create function phat_v2.sneak() returns boolean language sql volatile as 'delete from phat_v2.phot_mod; select true'";
    sky.execute(writes);
    assert!(sky.refusal(&["map", "--where", "phat_v2.sneak()"]).contains("read-only"));
    assert_eq!(sky.value::<i64>("select count(*) from phat_v2.phot_mod"), 20_000);
    let output = sky.run(&["map", "--nside", "512"]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("4096 and 256"));
    let warned = sky.run(&["map", "--value", "mean:f475w_vega"]);
    assert!(String::from_utf8_lossy(&warned.stderr).contains("99.999"), "{warned:?}");
}

/// Width, height and the pixels of a PNG.
fn read_png(path: &Path) -> (usize, usize, Vec<u8>) {
    let decoder = png::Decoder::new(BufReader::new(std::fs::File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (info.width as usize, info.height as usize, pixels)
}

fn pixel((width, _, pixels): &(usize, usize, Vec<u8>), x: f64, y: f64) -> [u8; 3] {
    let at = 3 * (y as usize * width + x as usize);
    [pixels[at], pixels[at + 1], pixels[at + 2]]
}

fn brightness(rgb: [u8; 3]) -> f64 {
    0.2126 * f64::from(rgb[0]) + 0.7152 * f64::from(rgb[1]) + 0.0722 * f64::from(rgb[2])
}

/// The picture has each cell's colour at the cell's centre, brighter for greater values.
#[test]
fn a_map_picture_has_the_colours_at_the_cells() {
    let healpix = Healpix { nside: 256, scheme: Scheme::Ring };
    let mut cells: Vec<u64> = (0..64_u32)
        .map(|n| (10.0 + 0.3 * f64::from(n % 8), 40.0 + 0.3 * f64::from(n / 8)))
        .map(|(ra, dec)| ring256(ra, dec) as u64)
        .collect();
    cells.sort_unstable();
    cells.dedup();
    let folder = harness::scratch();
    for scale in [Scale::Linear, Scale::Log] {
        let values: Vec<(u64, f64)> = cells.iter().enumerate().map(|(n, cell)| (*cell, 10.0 * (n + 1) as f64)).collect();
        let caption = Caption { title: "test".into(), subtitle: String::new(), value: "n".into(), scale };
        let file = folder.path().join("map.png");
        std::fs::write(&file, brickyard::plot::map(&values, healpix, &caption).unwrap()).unwrap();
        let picture = read_png(&file);
        let window = Window::around(&values, healpix).unwrap();
        let at = |cell: u64| {
            let (ra, dec) = healpix.centre_deg(cell).unwrap();
            window.px(ra, dec).unwrap()
        };
        // A grid line may cross a centre: the middle one of some pixels around it is of the cell.
        let middle = |cell: u64| {
            let (x, y) = at(cell);
            let mut around: Vec<f64> =
                (0..9).map(|n| brightness(pixel(&picture, x + f64::from(n % 3 * 5 - 5), y + f64::from(n / 3 * 5 - 5)))).collect();
            around.sort_by(f64::total_cmp);
            around[4]
        };
        let shades: Vec<f64> = values.iter().map(|(cell, _)| middle(*cell)).collect();
        assert!(shades.is_sorted(), "{scale:?}: {shades:?}");
        assert!(shades[shades.len() - 1] > shades[0] + 100.0);
        assert!(
            (shades[0] - brightness(viridis(0.0).0)).abs() < 1.0 && (shades[shades.len() - 1] - brightness(viridis(1.0).0)).abs() < 1.0
        );
    }
}

#[test]
fn pictures_are_written_whole_and_rows_beside_them_when_asked() {
    let sky = Sky::new("explore_png");
    let folder = harness::scratch();
    let (map, curve, rows) = (folder.path().join("map.png"), folder.path().join("curve.png"), folder.path().join("rows.json"));
    let silent = sky.answer(&["map", "--where", "ra between 5 and 300", "--png", map.to_str().unwrap()]);
    assert_eq!(silent, "");
    let (width, height, pixels) = read_png(&map);
    let coloured = pixels.chunks(3).filter(|rgb| rgb.iter().max().unwrap() - rgb.iter().min().unwrap() > 60).count();
    assert!(width > 500 && height > 500 && coloured > width * height / 10, "{width} x {height}, {coloured} coloured");
    sky.answer(&[
        "lightcurve",
        "11.02203",
        "41.23451",
        "--period",
        "10.29",
        "--png",
        curve.to_str().unwrap(),
        "--output",
        rows.to_str().unwrap(),
    ]);
    assert!(read_png(&curve).0 > 1000);
    let rows: serde_json::Value = serde_json::from_reader(std::fs::File::open(&rows).unwrap()).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 12);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "no temporary file is left");
}

#[test]
fn a_light_curve_has_the_real_magnitudes_by_filter_and_time() {
    let sky = Sky::new("explore_lightcurve");
    let by_position = sky.answer(&["lightcurve", "11.02203", "41.23451"]);
    let by_objid = sky.answer(&["lightcurve", "--objid", "PHAT_11.0220304+41.234515"]);
    assert_eq!(by_position, by_objid);
    let rows: Vec<Vec<&str>> = by_position.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 12);
    let order: Vec<(&str, f64)> = rows.iter().map(|row| (row[1], row[2].parse().unwrap())).collect();
    let mut expected = order.clone();
    expected.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!(order, expected);
    assert!(!by_position.contains("99.999"));

    let folded = sky.answer(&["lightcurve", "11.02203", "41.23451", "--period", "10.29"]);
    assert_eq!(folded.lines().next().unwrap().split(',').nth(3), Some("phase"));
    for line in folded.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let (mjd, phase): (f64, f64) = (cells[2].parse().unwrap(), cells[3].parse().unwrap());
        assert!((phase - (mjd / 10.29).fract()).abs() < 1e-9, "{line}");
    }
    assert!(sky.refusal(&["lightcurve", "11.5", "41.5"]).contains("no measurement"));
    assert!(sky.refusal(&["lightcurve", "11.5", "41.5", "--radius", "2arcmin"]).contains("30"));
    assert!(sky.refusal(&["lightcurve", "11.5", "41.5", "--period", "0"]).contains("period"));
}

#[test]
fn sql_answers_in_every_format() {
    let sky = Sky::new("explore_sql");
    let sql = "select objid, brick from phat_v2.phot_mod where objid = 'star 7'";
    assert_eq!(sky.answer(&["sql", sql]), "objid,brick\nstar 7,1\n");
    assert_eq!(sky.answer(&["sql", sql, "--format", "json"]), "[\n{\"objid\":\"star 7\",\"brick\":1}\n]\n");
    assert!(sky.answer(&["sql", sql, "--format", "table"]).contains("│ star 7 ┆     1 │"));
    let folder = harness::scratch();
    let file = folder.path().join("all.parquet");
    sky.answer(&["sql", "select * from phat_v2.phot_mod", "--output", file.to_str().unwrap()]);
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).unwrap()).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 20_000);
    let query = folder.path().join("query.sql");
    std::fs::write(&query, "select 5 as five;\n").unwrap();
    assert_eq!(sky.answer(&["sql", "--file", query.to_str().unwrap()]), "five\n5\n");
    let piped = sky.command(&["sql", "-"]).stdin(std::fs::File::open(&query).unwrap()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&piped.stdout), "five\n5\n");
}

#[test]
fn sql_reads_unless_told_to_write() {
    let sky = Sky::new("explore_write");
    for sql in ["delete from phat_v2.phot_mod", "create table t(a integer)", "truncate phat_v2.phot_mod"] {
        assert!(sky.refusal(&["sql", sql]).contains("--write"), "{sql}");
    }
    assert!(sky.refusal(&["sql", "select 1; drop table phat_v2.phot_mod"]).contains("one statement at a time"));
    assert!(sky.refusal(&["sql", "select ra,\n  decl from phat_v2.phot_mod"]).contains("line 2:   decl from"));
    sky.answer(&["sql", "--write", "delete from phat_v2.phot_mod where brick = 0"]);
    assert_eq!(sky.value::<i64>("select count(*) from phat_v2.phot_mod where brick = 0"), 0);
}

#[test]
fn ctrl_c_ends_the_query_on_the_server() {
    let sky = Sky::new("explore_cancel");
    for args in [&["sql", "select pg_sleep(60) /* mine */"][..], &["map", "--where", "pg_sleep(0.01) is not null /* mine */"]] {
        let running =
            "select count(*) from pg_stat_activity where state = 'active' and query like '%/* mine */%' and pid <> pg_backend_pid()";
        let mut child = sky.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until(|| sky.value::<i64>(running) == 1);
        let started = Instant::now();
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        wait_until(|| sky.value::<i64>(running) == 0);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "cancelled\n");
    }
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sky = Sky::new("explore_pipe");
    let mut child =
        sky.command(&["sql", "select * from generate_series(1, 100000000)"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "generate_series");
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_failed_answer_leaves_no_file() {
    let sky = Sky::new("explore_no_file");
    let folder = harness::scratch();
    let file = folder.path().join("answer.csv");
    std::fs::write(&file, "the old answer").unwrap();
    sky.refusal(&["sql", "select 1 / (g - 100000) from generate_series(1, 200000) g", "--output", file.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the old answer");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn help_shows_examples() {
    for command in ["sql", "cone", "map", "lightcurve"] {
        let output = harness::brickyard().args([command, "--help"]).output().unwrap();
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(help.contains(&format!("brickyard {command} ")) && help.contains("Examples"), "{help}");
    }
}

proptest! {
    /// Sexagesimal positions are read back to the position that was written, whatever the separators.
    #[test]
    fn positions_survive_sexagesimal_writing(ra in 0.0..360.0_f64, dec in -90.0..90.0_f64, style in 0..3_usize) {
        let split = |units: f64| {
            let ticks = (units * 3600.0 * 1e6).floor() as u64;
            (ticks / 3_600_000_000, ticks / 60_000_000 % 60, (ticks % 60_000_000) as f64 / 1e6)
        };
        let write = |(whole, minutes, seconds): (u64, u64, f64), letters: [&str; 3]| match style {
            0 => format!("{whole:02}:{minutes:02}:{seconds:09.6}"),
            1 => format!("{whole} {minutes} {seconds:.6}"),
            _ => format!("{whole}{}{minutes}{}{seconds:.6}{}", letters[0], letters[1], letters[2]),
        };
        let sign = if dec < 0.0 { "-" } else { "+" };
        let ra_back = ra_deg(&write(split(ra / 15.0), ["h", "m", "s"])).unwrap();
        let dec_back = dec_deg(&format!("{sign}{}", write(split(dec.abs()), ["d", "m", "s"]))).unwrap();
        prop_assert!((ra_back - ra).abs() < 1e-8, "{ra} {ra_back}");
        prop_assert!((dec_back - dec).abs() < 1e-9, "{dec} {dec_back}");
    }
}
