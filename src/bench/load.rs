//! `bench load`: the loader against the server's own COPY, the usual recipes, and Q3C's own cones.
//!
//! All of it runs in an embedded cluster of its own (`<data dir>/bench`) on synthetic files kept there. The loader runs
//! as a process of its own, so that its CPU time and memory are what the system says; the server's CPU time is that
//! of all its processes. Every pair is measured in turn, A B A B, after a CHECKPOINT, and quoted run by run. There is no
//! autovacuum, which would clean up after A while B is measured.
//!
//! Measured on 2026-11-22 (AMD EPYC, 2 cores, 23.5 GiB, PostgreSQL 15.18; `./run bench load --only GROUP`, 2.0 million
//! rows of phot_mod, 9.9 million of phot_meas; the goal in brackets): wall over COPY 1.14 and 1.15 (1.15); loader over
//! server CPU 0.32 and 0.21 (0.25); both over the CPU of COPY 1.39 and 1.28 (1.3); CPU over COPY, index, CLUSTER 0.65
//! (0.60) and 0.37 (0.45); indices over one session 0.50 and 0.57 (0.72); astropy and psycopg over ours 4.1 (3.5); rate
//! at 20 million rows over 2 million 1.06 (0.95); loader memory 115 MiB (600); cones of 0.2, 2, 10, 60 arcsec over
//! q3c_radial_query 0.08, 0.09, 0.06, 0.72 at 2 million rows, 0.06, 0.16, 0.66, 0.75 at 20 million, which lie 3.6 times
//! denser than the survey's (0.1, 0.1, 0.4, 1.05).
//!
//! That was before rows went to the server through a pipe and were gathered from their file, and with all 20 million in
//! one brick. Since then, on the same machine, quiet (2026-11-26), for phot_mod: wall over COPY 1.06; loader over server
//! CPU 0.275; both over the CPU of COPY 1.42; CPU over COPY, index, CLUSTER 0.61 and 0.77 in two sessions; rate at 20
//! million rows over 2 million 0.88; loader memory 377 to 475 MiB; cones 0.075, 0.082, 0.24, 0.76 at 2 million rows, 0.064,
//! 0.090, 0.39, 0.76 at 20 million. So CPU times and the rate at 20 million rows miss their goals.

use super::Error;
use super::machine;
use super::measure::{Figure, Goal, Sheet, median, ratios};
use crate::db::{self, Connection};
use crate::explore::{Cone, TableName};
use crate::schema::{Catalog, IndexKey, Table, ddl};
use crate::{ingest, simulate, sky};
use std::path::{Path, PathBuf};
use std::time::Instant;

pub struct Options {
    /// The bench's own cluster.
    pub db: db::Options,
    pub quick: bool,
    pub runs: usize,
    /// Groups to run, all if empty.
    pub only: Vec<String>,
    /// A Python with astropy and psycopg 3.
    pub python: Option<PathBuf>,
}

/// Rows of the samples.
struct Sizes {
    stars: u64,
    measured: u64,
    many: u64,
}

struct Bench<'a> {
    options: &'a Options,
    connection: Connection,
    postmaster: u32,
    phot_mod: Table,
    phot_meas: Table,
    sizes: Sizes,
    sheet: Sheet<'a>,
}

/// One run of the loader.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    wall_s: f64,
    loader_cpu_s: f64,
    server_cpu_s: f64,
    peak_mib: f64,
    rows: f64,
}

/// Wall and server CPU seconds of some SQL.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall_s: f64,
    cpu_s: f64,
}

/// Runs the groups asked for.
pub async fn run(options: &Options, say: &(dyn Fn(String) + Sync)) -> Result<Vec<Figure>, Error> {
    say(format!("machine: {}", machine::describe()));
    let server = db::cluster::start(&options.db).await?;
    let connection = db::connect(&options.db).await?;
    let catalog = Catalog::load(&[], "phat_v2").map_err(|e| Error::Setup(e.to_string()))?;
    let table = |name: &str| catalog.table(name).cloned().ok_or_else(|| Error::Setup(format!("no table {name}")));
    let sizes = if options.quick {
        Sizes { stars: 200_000, measured: 20_000, many: 1_000_000 }
    } else {
        Sizes { stars: 2_000_000, measured: 160_000, many: 20_000_000 }
    };
    let mut bench = Bench {
        phot_mod: table("phot_mod")?,
        phot_meas: table("phot_meas")?,
        options,
        connection,
        postmaster: server.pid as u32,
        sizes,
        sheet: Sheet { only: &options.only, say, figures: Vec::new() },
    };
    // it would clean up after one side of a pair while the other is measured
    bench.sql("ALTER SYSTEM SET autovacuum = off").await?;
    bench.sql("SELECT pg_reload_conf()").await?;
    let done = bench.groups().await;
    let figures = std::mem::take(&mut bench.sheet.figures);
    drop(bench);
    db::cluster::stop(&options.db).await?;
    done.map(|()| figures)
}

impl Bench<'_> {
    async fn groups(&mut self) -> Result<(), Error> {
        if self.sheet.wanted("ids") {
            self.ids();
        }
        if self.sheet.wanted("mod") {
            self.against_copy("phot_mod").await?;
        }
        if self.sheet.wanted("meas") {
            self.against_copy("phot_meas").await?;
        }
        if self.sheet.wanted("recipe") {
            self.against_recipe("phot_mod", 0.60).await?;
            self.against_recipe("phot_meas", 0.45).await?;
        }
        if self.sheet.wanted("python") {
            self.against_python().await?;
        }
        if self.sheet.wanted("index") {
            self.indices("phot_mod").await?;
            self.indices("phot_meas").await?;
        }
        if self.sheet.wanted("cones") {
            let stars = self.sizes.stars;
            self.reload(stars).await?;
            self.cones(stars).await?;
        }
        if self.sheet.wanted("map") {
            self.map().await?;
        }
        if self.sheet.wanted("scale") {
            self.scale().await?;
        }
        if self.sheet.wanted("cones") {
            let many = self.sizes.many;
            self.reload(many).await?;
            self.cones(many).await?;
        }
        Ok(())
    }

    fn table(&self, name: &str) -> &Table {
        if name == "phot_mod" { &self.phot_mod } else { &self.phot_meas }
    }

    fn dir(&self) -> PathBuf {
        self.options.db.data_dir.join("files")
    }

    async fn sql(&self, sql: &str) -> Result<(), Error> {
        Ok(self.connection.batch_execute(sql).await.map_err(db::Error::from)?)
    }

    /// Wall and server CPU time of a statement, after a checkpoint.
    async fn cost(&self, sql: &str) -> Result<Cost, Error> {
        self.sql("CHECKPOINT").await?;
        self.cost_of(&[sql]).await
    }

    /// Wall and server CPU time of statements, each a transaction of its own as from psql.
    async fn cost_of(&self, statements: &[&str]) -> Result<Cost, Error> {
        let (cpu, started) = (db::usage::server_cpu_s(self.postmaster), Instant::now());
        for statement in statements {
            self.sql(statement).await?;
        }
        let wall_s = started.elapsed().as_secs_f64();
        Ok(Cost { wall_s, cpu_s: db::usage::server_cpu_s(self.postmaster) - cpu })
    }

    fn ids(&mut self) {
        let n = if self.options.quick { 300_000 } else { 3_000_000 };
        let runs: Vec<f64> = (0..self.options.runs).map(|_| sky::index::measure(n) / 1e6).collect();
        self.sheet.add(Figure::of("htm9 + pix256 + pix4096 + ipix, random positions, one core", &runs, "million/s", Goal::AtLeast(3.0)));
    }

    /// The FITS files that feed a table, written once and kept.
    ///
    /// The large sample is four bricks, which gives it the density of the survey (5.3 million objects a brick); one brick
    /// of them all would have 3.6 times as many stars in a cone.
    fn files(&self, table: &str, objects: u64) -> Result<Vec<PathBuf>, Error> {
        let stars = table == "phot_mod";
        let bricks: Vec<u8> = if stars && objects == self.sizes.many { (15..=18).collect() } else { vec![15] };
        let out = self.dir().join(format!("{table}-{objects}-{}", bricks.len()));
        let done = out.join("done");
        if !done.exists() {
            (self.sheet.say)(format!("  writing a synthetic file of {objects} objects for {table}"));
            let mut options = simulate::Options::new(&out);
            options.objects = objects;
            options.bricks = bricks;
            options.products = simulate::Products { st: stars, phot: !stars, truth: false };
            options.dolphot = simulate::Dolphot::None;
            options.overlaps = simulate::Overlaps::All;
            options.gzip = false;
            options.force = true;
            if !stars {
                options.fields = vec![10];
            }
            simulate::run(&options)?;
            write(&done, b"")?;
        }
        let tail = if stars { "_st.fits" } else { "_phot.fits" };
        let mut files = Vec::new();
        find(&out, tail, &mut files);
        files.sort();
        if files.is_empty() { Err(Error::Setup(format!("no {tail} below {}", out.display()))) } else { Ok(files) }
    }

    /// Empties a table and forgets what was loaded.
    async fn empty(&self, table: &Table) -> Result<(), Error> {
        let exists = self.connection.query("SELECT 1 FROM pg_tables WHERE schemaname = 'brickyard' AND tablename = 'ledger'", &[]).await;
        if exists.map_err(db::Error::from)?.is_empty() {
            return Ok(());
        }
        // the server's COPY finds its table made too
        let catalog = Catalog::load(&[], &table.schema).map_err(|e| Error::Setup(e.to_string()))?;
        let duplicates = format!("{}_duplicate", table.name);
        for table in catalog.tables.iter().filter(|t| t.name == table.name || t.name == duplicates) {
            self.sql(&format!("DROP TABLE IF EXISTS {}; {}", ddl::qualified(table), ddl::create_table(table))).await?;
        }
        self.sql(&format!("DELETE FROM brickyard.ledger WHERE table_name = {}; CHECKPOINT", ddl::literal(&table.full_name()))).await
    }

    /// One run of `brickyard load` into an empty table.
    async fn load(&self, table: &str, files: &[PathBuf], indexes: &str) -> Result<Load, Error> {
        self.empty(self.table(table)).await?;
        let program = std::env::current_exe().map_err(|source| Error::Io { doing: "finding this program".into(), source })?;
        let mut command = tokio::process::Command::new(program);
        command.arg("--data-dir").arg(&self.options.db.data_dir);
        command.args(["load", "--json", "--indexes", indexes, "--loader", &format!("phat_v2.{table}")]).args(files);
        let before = db::usage::server_cpu_s(self.postmaster);
        let output = command.output().await.map_err(|source| Error::Io { doing: "running the loader".into(), source })?;
        let server_cpu_s = db::usage::server_cpu_s(self.postmaster) - before;
        if !output.status.success() {
            return Err(Error::Child { command: format!("{command:?}"), output: String::from_utf8_lossy(&output.stderr).into_owned() });
        }
        let report: serde_json::Value =
            serde_json::from_slice(&output.stdout).map_err(|e| Error::Setup(format!("the loader's report: {e}")))?;
        let number = |key: &str| report[key].as_f64().unwrap_or(f64::NAN);
        let rows = report["files"].as_array().into_iter().flatten().filter_map(|f| f["rows_loaded"].as_f64()).sum();
        Ok(Load {
            wall_s: number("load_seconds"),
            loader_cpu_s: number("cpu_seconds"),
            server_cpu_s,
            peak_mib: number("peak_memory_bytes") / 1048576.0,
            rows,
        })
    }

    fn objects(&self, table: &str) -> u64 {
        if table == "phot_mod" { self.sizes.stars } else { self.sizes.measured }
    }

    /// Loading against the server's COPY of the same sorted rows from a file of its own.
    async fn against_copy(&mut self, name: &str) -> Result<(), Error> {
        let files = self.files(name, self.objects(name))?;
        let table = ddl::qualified(self.table(name));
        self.load(name, &files, "none").await?;
        let binary = self.server_file(&format!("{name}.copy"))?;
        self.sql(&format!("COPY {table} TO '{binary}' (FORMAT binary); DROP TABLE IF EXISTS public.bench_copy; CREATE TABLE public.bench_copy (LIKE {table})")).await?;
        let (mut loads, mut copies) = (Vec::new(), Vec::new());
        for _ in 0..self.options.runs {
            loads.push(self.load(name, &files, "none").await?);
            self.sql("TRUNCATE public.bench_copy").await?;
            copies.push(self.cost(&format!("COPY public.bench_copy FROM '{binary}' (FORMAT binary)")).await?);
        }
        self.sql("DROP TABLE public.bench_copy").await?;
        let of = |f: fn(&Load) -> f64| loads.iter().map(f).collect::<Vec<f64>>();
        let (walls, copy_walls): (Vec<f64>, Vec<f64>) = (of(|l| l.wall_s), copies.iter().map(|c| c.wall_s).collect());
        let copy_cpu: Vec<f64> = copies.iter().map(|c| c.cpu_s).collect();
        let (loader, server) = (of(|l| l.loader_cpu_s), of(|l| l.server_cpu_s));
        let both = of(|l| l.loader_cpu_s + l.server_cpu_s);
        self.sheet.add(Figure::of(
            format!("{name}: FITS to clustered table, wall over server-side COPY"),
            &ratios(&walls, &copy_walls),
            "",
            Goal::AtMost(1.15),
        ));
        self.sheet.add(Figure::of(format!("{name}: loader CPU over server CPU"), &ratios(&loader, &server), "", Goal::AtMost(0.25)));
        self.sheet.add(Figure::of(
            format!("{name}: loader + server CPU over server CPU of COPY"),
            &ratios(&both, &copy_cpu),
            "",
            Goal::AtMost(1.3),
        ));
        self.sheet.add(Figure::of(format!("{name}: loader memory"), &of(|l| l.peak_mib), "MiB", Goal::AtMost(600.0)));
        self.sheet.add(Figure::of(format!("{name}: loading rate"), &of(|l| l.rows / l.wall_s / 1e3), "k rows/s", Goal::Shown));
        self.sheet.add(Figure::of(format!("{name}: server-side COPY"), &copy_walls, "s", Goal::Shown));
        Ok(())
    }

    /// A path that the server can write and read.
    fn server_file(&self, name: &str) -> Result<String, Error> {
        let dir = self.options.db.data_dir.join("pg");
        Ok(dir.join(name).display().to_string())
    }

    /// Clustered table with its Q3C index against COPY unsorted, index, CLUSTER, by CPU.
    async fn against_recipe(&mut self, name: &str, goal: f64) -> Result<(), Error> {
        let files = self.files(name, self.objects(name))?;
        let table = self.table(name).clone();
        let (quoted, Some((ra, dec))) = (ddl::qualified(&table), table.position.clone()) else { return Ok(()) };
        self.load(name, &files, "none").await?;
        let binary = self.server_file(&format!("{name}.unsorted"))?;
        // the order of the file is that of the fields; a random one is what the worst file has
        self.sql(&format!("COPY (SELECT * FROM {quoted} ORDER BY md5(ctid::text)) TO '{binary}' (FORMAT binary)")).await?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.options.runs.min(3) {
            let load = self.load(name, &files, "none").await?;
            // no checkpoint in between, as none comes between a load and its indices
            let (index, analyze) = (format!("CREATE INDEX ON {quoted} (q3c_ang2ipix({ra}, {dec}))"), format!("ANALYZE {quoted}"));
            let index = self.cost_of(&[&index, &analyze]).await?;
            ours.push(load.loader_cpu_s + load.server_cpu_s + index.cpu_s);
            self.sql(&format!("DROP TABLE IF EXISTS public.bench_recipe; CREATE TABLE public.bench_recipe (LIKE {quoted}); CHECKPOINT"))
                .await?;
            let copy = format!("COPY public.bench_recipe FROM '{binary}' (FORMAT binary)");
            let index = format!("CREATE INDEX bench_recipe_q3c ON public.bench_recipe (q3c_ang2ipix({ra}, {dec}))");
            let recipe = [&copy, &index, "CLUSTER public.bench_recipe USING bench_recipe_q3c", "ANALYZE public.bench_recipe"];
            theirs.push(self.cost_of(&recipe).await?.cpu_s);
        }
        self.sql("DROP TABLE public.bench_recipe").await?;
        self.sheet.add(Figure::of(
            format!("{name}: clustered with Q3C index, CPU over COPY, index, CLUSTER"),
            &ratios(&ours, &theirs),
            "",
            Goal::AtMost(goal),
        ));
        self.sheet.add(Figure::of(format!("{name}: that recipe's CPU"), &theirs, "s", Goal::Shown));
        Ok(())
    }

    /// astropy and psycopg 3, row by row.
    async fn against_python(&mut self) -> Result<(), Error> {
        let Some(python) = self.options.python.clone() else {
            (self.sheet.say)("  SKIPPED: no Python with astropy and psycopg (./run bench makes one; or set BRICKYARD_TEST_PYTHON)".into());
            return Ok(());
        };
        let files = self.files("phot_mod", self.sizes.stars)?;
        let table = self.phot_mod.clone();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.options.runs.min(3) {
            ours.push(self.load("phot_mod", &files, "none").await?.wall_s);
            self.sql(&format!("TRUNCATE {}; CHECKPOINT", ddl::qualified(&table))).await?;
            let mut command = tokio::process::Command::new(&python);
            command
                .arg("-c")
                .arg(include_str!("astropy_psycopg.py"))
                .args(&files)
                .arg(table.full_name())
                .arg("15")
                .arg(self.connection.url());
            let started = Instant::now();
            let output = command.output().await.map_err(|source| Error::Io { doing: "running Python".into(), source })?;
            theirs.push(started.elapsed().as_secs_f64());
            if !output.status.success() {
                return Err(Error::Child { command: "python".into(), output: String::from_utf8_lossy(&output.stderr).into_owned() });
            }
        }
        self.sheet.add(Figure::of(
            "phot_mod: astropy + psycopg 3 binary COPY, wall over ours",
            &ratios(&theirs, &ours),
            "",
            Goal::AtLeast(3.5),
        ));
        self.sheet.add(Figure::of("phot_mod: astropy + psycopg 3 binary COPY", &theirs, "s", Goal::Shown));
        Ok(())
    }

    /// All indices side by side, against the same statements one after another.
    async fn indices(&mut self, name: &str) -> Result<(), Error> {
        let files = self.files(name, self.objects(name))?;
        let table = self.table(name).clone();
        self.load(name, &files, "none").await?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        let builds = ingest::index::all(&table);
        let (mut ours, mut alone, mut parallel) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.options.runs.min(3) {
            for (workers, walls) in [(0, &mut alone), (2, &mut parallel)] {
                self.drop_indices(&table).await?;
                let statements: Vec<&str> = builds.iter().map(|b| b.sql.as_str()).collect();
                let sql = statements.iter().map(|s| format!("{};", s.trim_end_matches(';'))).collect::<String>();
                self.sql(&format!("SET max_parallel_maintenance_workers = {workers}; CHECKPOINT")).await?;
                let started = Instant::now();
                // one statement, one transaction, as psql would send them
                for statement in sql.split_inclusive(';').filter(|s| s.len() > 1) {
                    self.sql(statement).await?;
                }
                walls.push(started.elapsed().as_secs_f64());
            }
            self.drop_indices(&table).await?;
            self.sql("CHECKPOINT").await?;
            let started = Instant::now();
            let missing = ingest::index::missing(&self.connection, &table).await?;
            ingest::index::run(&self.connection, missing, cores, &ingest::Progress::silent()).await?;
            ours.push(started.elapsed().as_secs_f64());
        }
        let count = builds.len();
        self.sheet.add(Figure::of(
            format!("{name}: all {count} indices, wall over one after another in one session"),
            &ratios(&ours, &alone),
            "",
            Goal::AtMost(0.72),
        ));
        self.sheet.add(Figure::of(
            format!("{name}: the same over one session with 2 parallel workers per build"),
            &ratios(&ours, &parallel),
            "",
            Goal::Shown,
        ));
        self.sheet.add(Figure::of(format!("{name}: all {count} indices"), &ours, "s", Goal::Shown));
        Ok(())
    }

    async fn drop_indices(&self, table: &Table) -> Result<(), Error> {
        let key = ddl::quote(&ddl::primary_key_name(table));
        let mut sql = format!("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {key};", ddl::qualified(table));
        for index in &table.indexes {
            sql.push_str(&format!("DROP INDEX IF EXISTS {}.{};", ddl::quote(&table.schema), ddl::quote(&index.name)));
        }
        self.sql(&sql).await
    }

    /// phot_mod anew with `objects` rows and its Q3C index.
    async fn reload(&mut self, objects: u64) -> Result<Load, Error> {
        let files = self.files("phot_mod", objects)?;
        let table = self.phot_mod.clone();
        let rows = self.connection.query("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass('phat_v2.phot_mod')", &[]).await;
        let there = rows.map_err(db::Error::from)?.first().map_or(0, |r| r.get::<_, i64>(0)) as u64;
        let mut load = Load::default();
        // it stands from the measurement before, to a thousandth
        if there.abs_diff(objects) > objects / 100 {
            load = self.load("phot_mod", &files, "none").await?;
        }
        let q3c = table.indexes.iter().find(|i| matches!(i.key, IndexKey::Q3c { .. }));
        if let Some(index) = q3c {
            self.sql(&ddl::create_index(&table, index)).await?;
        }
        self.sql(&format!("ANALYZE {}", ddl::qualified(&table))).await?;
        Ok(load)
    }

    /// Rows per second of a load ten times larger.
    async fn scale(&mut self) -> Result<(), Error> {
        let (few, many) = (self.sizes.many / 10, self.sizes.many);
        let (small_files, large_files) = (self.files("phot_mod", few)?, self.files("phot_mod", many)?);
        let mut rates = Vec::new();
        let mut small = Vec::new();
        for _ in 0..self.options.runs.min(3) {
            small.push(self.load("phot_mod", &small_files, "none").await?);
        }
        let large = self.load("phot_mod", &large_files, "none").await?;
        let rate = |l: &Load| l.rows / l.wall_s;
        rates.extend(small.iter().map(|l| rate(&large) / rate(l)));
        let rates = [median(&rates)];
        self.sheet.add(Figure::of(format!("rows/s at {many} rows over rows/s at {few}"), &rates, "", Goal::AtLeast(0.95)));
        self.sheet.add(Figure::of(format!("loader memory at {many} rows"), &[large.peak_mib], "MiB", Goal::AtMost(600.0)));
        self.sheet.add(Figure::of(format!("loading rate at {many} rows"), &[rate(&large) / 1e3], "k rows/s", Goal::Shown));
        Ok(())
    }

    /// Cones around random objects, planning and execution, warm.
    async fn cones(&mut self, rows: u64) -> Result<(), Error> {
        let radii = [(0.2, 0.1, 60), (2.0, 0.1, 60), (10.0, 0.4, 40), (60.0, 1.05, 8)];
        let centres =
            self.connection.query("SELECT ra, dec FROM phat_v2.phot_mod TABLESAMPLE SYSTEM (1) ORDER BY random_id LIMIT 60", &[]).await;
        let centres: Vec<(f64, f64)> = centres.map_err(db::Error::from)?.iter().map(|r| (r.get(0), r.get(1))).collect();
        for (radius_arcsec, goal, count) in radii {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for &(ra, dec) in centres.iter().take(count) {
                let radius_deg = radius_arcsec / 3600.0;
                let table = TableName { schema: "phat_v2".into(), table: "phot_mod".into() };
                let cone = Cone { table, position: ("ra".into(), "dec".into()), columns: Vec::new(), ra_deg: ra, dec_deg: dec, radius_deg };
                let usual = format!("SELECT * FROM phat_v2.phot_mod WHERE q3c_radial_query(ra, dec, {ra}, {dec}, {radius_deg})");
                let merged = cone.sql()?;
                // once to warm, then in turn
                self.explain_ms(&usual).await?;
                ours.push(self.explain_ms(&merged).await?);
                theirs.push(self.explain_ms(&usual).await?);
            }
            let name = format!("cone of {radius_arcsec} arcsec at {rows} rows: merged ranges over q3c_radial_query");
            self.sheet.add(Figure::of(name, &ratios(&ours, &theirs), "", Goal::AtMost(goal)));
            self.sheet.add(Figure::of(format!("cone of {radius_arcsec} arcsec at {rows} rows"), &ours, "ms", Goal::Shown));
        }
        Ok(())
    }

    /// Planning and execution time by the server's own clock.
    async fn explain_ms(&self, sql: &str) -> Result<f64, Error> {
        let rows =
            self.connection.query(&format!("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}"), &[]).await.map_err(db::Error::from)?;
        let plan: serde_json::Value = rows.first().map_or(serde_json::Value::Null, |r| r.get(0));
        let ms = |key: &str| plan[0][key].as_f64().unwrap_or(f64::NAN);
        Ok(ms("Planning Time") + ms("Execution Time"))
    }

    /// The HEALPix count map beside a bare scan.
    async fn map(&mut self) -> Result<(), Error> {
        let stars = self.sizes.stars;
        self.reload(stars).await?;
        let (mut maps, mut scans) = (Vec::new(), Vec::new());
        let bytes = self.connection.query("SELECT pg_table_size('phat_v2.phot_mod')", &[]).await.map_err(db::Error::from)?;
        let mib = bytes.first().map_or(0, |r| r.get::<_, i64>(0)) as f64 / 1048576.0;
        for _ in 0..self.options.runs + 1 {
            maps.push(self.cost("SELECT pix4096, count(*), avg(ra), avg(dec) FROM phat_v2.phot_mod GROUP BY pix4096").await?.wall_s);
            scans.push(self.cost("SELECT count(*) FROM phat_v2.phot_mod").await?.wall_s);
        }
        // the first of each warms
        let rate = |walls: &[f64]| walls[1..].iter().map(|w| mib / w).collect::<Vec<f64>>();
        self.sheet.add(Figure::of(format!("HEALPix count map over {stars} rows"), &rate(&maps), "MiB/s", Goal::Shown));
        self.sheet.add(Figure::of("sequential scan", &rate(&scans), "MiB/s", Goal::Shown));
        Ok(())
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    std::fs::write(path, bytes).map_err(|source| Error::Io { doing: format!("writing {}", path.display()), source })
}

/// The files below `dir` whose names end so.
fn find(dir: &Path, tail: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, tail, found);
        } else if path.to_string_lossy().ends_with(tail) {
            found.push(path);
        }
    }
}
