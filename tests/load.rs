//! Files to tables through the built binary: equality with what astropy and the server read, the ledger, rejects and
//! duplicates, faults, kill -9, two loads at once, full disks.
//!
//! Each test has a database of its own. Tables are compared by [`Site::checksum`]: a sum of hashes over the text of
//! all rows, whatever their order.

use crate::harness::{self, brickyard, runtime, scratch, shared, skipped};
use brickyard::db::Connection;
use brickyard::ingest::{self, Indexing, Options, Progress, files, manifest, sort};
use expect_test::{Expect, expect};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const ST: &str = "hlsp_phat_hst_wfc3-uvis-acs-wfc-wfc3-ir_12056-m31-b15_f275w-f336w-f475w-f814w-f110w-f160w_v2_st.fits";
const PHOT: &str = "hlsp_phat_hst_wfc3-uvis-acs-wfc-wfc3-ir_12056-m31-b15-f10_f275w-f336w-f475w-f814w-f110w-f160w_v2_phot.fits";
const DOLPHOT: &str = "12056_M31-B15-F10.phot";

/// A database and a data directory.
struct Site {
    connection: Connection,
    url: String,
    home: PathBuf,
    runtime: tokio::runtime::Runtime,
    /// The loader finds the server by its data directory, and feeds it through a pipe instead of the socket.
    embedded: bool,
    _home: Option<TempDir>,
}

impl Site {
    fn new(name: &str) -> Site {
        let server = harness::server();
        let runtime = runtime();
        let (connection, url) = runtime.block_on(server.database(name));
        let home = scratch();
        Site { connection, url, home: home.path().to_owned(), runtime, embedded: false, _home: Some(home) }
    }

    /// The main database of the cluster in `home`, which is started.
    fn of_cluster(home: &Path) -> Site {
        let run = |what: &str| brickyard().args(["db", what, "--data-dir"]).arg(home).output().expect("the binary starts");
        finish(&run("start"), true);
        let url = String::from_utf8(run("url").stdout).expect("a URL").trim().to_owned();
        let runtime = runtime();
        let connection = runtime.block_on(brickyard::db::connect(&harness::options(&url))).expect("a connection");
        Site { connection, url, home: home.to_owned(), runtime, embedded: true, _home: None }
    }

    /// What the loader makes goes, for another try.
    fn empty(&self) {
        self.execute("DROP SCHEMA IF EXISTS phat_v2 CASCADE; DROP SCHEMA IF EXISTS brickyard CASCADE");
    }

    /// Pipes that were left.
    fn pipes(&self) -> usize {
        std::fs::read_dir(self.home.join("pg/feed")).map_or(0, |dir| dir.count())
    }

    /// `brickyard load` into this database.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = brickyard();
        command.args(["load", "--index-sessions", "1", "--data-dir"]).arg(&self.home).args(args);
        if !self.embedded {
            command.args(["--database-url", &self.url]);
        }
        command
    }

    /// A load that must succeed: what it printed.
    fn load(&self, args: &[&str]) -> String {
        finish(&self.command(args).output().expect("the binary starts"), true)
    }

    /// A load that must fail: what it printed.
    fn refused(&self, args: &[&str]) -> String {
        finish(&self.command(args).output().expect("the binary starts"), false)
    }

    fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
    }

    /// The first column of each row, as text.
    fn column(&self, sql: &str) -> Vec<String> {
        let messages = self.runtime.block_on(self.connection.simple_query(sql)).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        let rows = messages.iter().filter_map(|m| if let tokio_postgres::SimpleQueryMessage::Row(row) = m { Some(row) } else { None });
        rows.map(|row| row.get(0).unwrap_or("NULL").to_owned()).collect()
    }

    fn one(&self, sql: &str) -> String {
        self.column(sql).into_iter().next().unwrap_or_default()
    }

    fn count(&self, table: &str) -> i64 {
        self.one(&format!("select count(*) from {table}")).parse().expect("a number")
    }

    fn execute(&self, sql: &str) {
        self.runtime.block_on(self.connection.batch_execute(sql)).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    /// Rows and the sum of their hashes.
    fn checksum(&self, table: &str) -> String {
        self.one(&format!("select count(*) || ' rows, ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from {table} t"))
    }

    /// All that a load leaves behind, but for times.
    fn checksums(&self) -> String {
        let tables =
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('phat_v2', 'lmc', 'zoo') order by 1";
        let ledger = "(select table_name, loader, path, sha256, bytes, mtime_ns, scope, rows_read, rows_loaded, rows_rejected, rows_duplicate, loader_version, schema_version, cells from brickyard.ledger)";
        let mut lines: Vec<String> = self.column(tables).iter().map(|t| format!("{t}: {}", self.checksum(t))).collect();
        lines.extend(["brickyard.reject", ledger].map(|t| self.checksum(t)));
        lines
            .push(self.column("select indexname::text from pg_indexes where schemaname in ('phat_v2', 'lmc', 'zoo') order by 1").join(" "));
        lines.join("\n")
    }

    /// COPYs a CSV file (with a header line naming its columns) into `table`: the server parses the text.
    fn copy_csv(&self, table: &str, csv: &Path) {
        use futures_util::SinkExt;
        let text = std::fs::read(csv).expect("the CSV is there");
        let end = text.iter().position(|&b| b == b'\n').expect("a header line");
        let columns: Vec<String> = String::from_utf8_lossy(&text[..end]).trim().split(',').map(|c| format!("\"{c}\"")).collect();
        let sql = format!("copy {table} ({}) from stdin (format csv, header, null '\\N')", columns.join(", "));
        self.runtime.block_on(async {
            let sink = self.connection.copy_in::<_, bytes::Bytes>(&sql).await.expect("COPY begins");
            let mut sink = std::pin::pin!(sink);
            sink.send(text.into()).await.expect("the text is taken");
            sink.finish().await.unwrap_or_else(|e| panic!("{table}: {e:?}"));
        });
    }
}

fn finish(output: &Output, wanted: bool) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.success(), wanted, "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a name in UTF-8")
}

/// Runs a Python program with astropy; `None` where there is no such Python.
fn python(program: &str, args: &[&Path]) -> Option<String> {
    let output = Command::new(harness::python()?).arg("-c").arg(program).args(args).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// One small survey for all tests: bricks 4 (with V5343) and 15, two fields each, 3,000 objects, all products.
fn survey() -> &'static Path {
    static SURVEY: OnceLock<PathBuf> = OnceLock::new();
    SURVEY.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("load-surveys");
        std::fs::create_dir_all(&base).expect("target/tmp is writable");
        for old in std::fs::read_dir(&base).expect("a folder").flatten() {
            // those of ended test runs
            if !Path::new("/proc").join(old.file_name()).exists() {
                std::fs::remove_dir_all(old.path()).ok();
            }
        }
        let dir = base.join(std::process::id().to_string());
        let mut command = brickyard();
        command.args([
            "simulate",
            "--bricks",
            "4,15",
            "--fields",
            "10,15",
            "--objects",
            "3000",
            "--dolphot",
            "all",
            "--overlaps",
            "none",
            "--out",
        ]);
        finish(&command.arg(&dir).output().expect("the binary starts"), true);
        dir
    })
}

/// A folder with copies of some of the survey's files.
fn copies(names: &[&str]) -> TempDir {
    let dir = scratch();
    for name in names {
        std::fs::copy(survey().join("brick15").join(name), dir.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    dir
}

/// The survey without DOLPHOT's text, as symbolic links have no place in a ledger: hard links.
fn fits_only() -> TempDir {
    let dir = tempfile::Builder::new().prefix("fits-").tempdir_in(survey().parent().expect("a parent")).expect("a folder");
    for brick in ["brick04", "brick15"] {
        for file in std::fs::read_dir(survey().join(brick)).expect("a folder").flatten() {
            let name = file.file_name();
            if path(Path::new(&name)).contains(".fits") {
                std::fs::hard_link(file.path(), dir.path().join(name)).expect("a link");
            }
        }
    }
    dir
}

// ---------------------------------------------------------------------------------------------------- the real files

/// `file` as phot_mod rows, by astropy, numpy, healpy and C's printf; htm9 and random_id are left to the caller.
const PHOT_MOD_ORACLE: &str = r#"
import sys, csv, numpy as np, healpy
from astropy.io import fits
d = fits.getdata(sys.argv[1], 1)
n = len(d)
bands = ['f110w', 'f160w', 'f275w', 'f336w', 'f475w', 'f814w']
out = {c: d[c] for c in ['ra', 'dec', 'x', 'y', 'inside_ir', 'inside_brick', 'inside_chipgap', 'inside_other_chipgap', 'field']}
for b in bands:
    for q in ['rate', 'raterr', 'vega', 'err', 'chi', 'snr', 'sharp', 'round', 'crowd', 'flag', 'gst']:
        out[f'{b}_{q}'] = d[f'{b}_{q}']
none = np.float32(99.999)
for a, b in [('f814w', 'f475w'), ('f475w', 'f336w'), ('f336w', 'f275w'), ('f275w', 'f160w'), ('f160w', 'f110w')]:
    va, vb = d[f'{a}_vega'].astype('f4'), d[f'{b}_vega'].astype('f4')
    out[f'{a}_{b}'] = np.where((va == none) | (vb == none), none, va - vb).astype('f4')
out['pix256'] = healpy.ang2pix(256, d['ra'], d['dec'], lonlat=True)
out['pix4096'] = healpy.ang2pix(4096, d['ra'], d['dec'], lonlat=True, nest=True)
out['brick'] = np.full(n, 15)
out['objid'] = ['PHAT_%.7f%+.6f' % (a, b) for a, b in zip(d['ra'], d['dec'])]
def text(v):
    if isinstance(v, (bool, np.bool_)): return str(int(v))
    if isinstance(v, np.floating): return str(v)
    return str(v)
w = csv.writer(open(sys.argv[2], 'w'), lineterminator='\n')
w.writerow(list(out) + ['ir_x', 'ir_y', 'htm9', 'random_id'])
for i in range(n):
    w.writerow([text(out[c][i]) for c in out] + ['\\N', '\\N', '0', '0'])
"#;

const REMOVE_GST: &str = r#"
import sys
from astropy.table import Table
t = Table.read(sys.argv[1])
t.remove_columns([c for c in t.colnames if c.endswith('_gst')])
t.write(sys.argv[2])
"#;

#[test]
fn the_real_phat_file_loads_as_astropy_reads_it_and_its_gst_recomputes() {
    let Some(shared) = shared() else { return };
    let file = shared.join("data/real/phat_b15_f10_v2_st_269rows.fits");
    let dir = scratch();
    let (csv, bare) = (dir.path().join("oracle.csv"), dir.path().join("no_gst.fits"));
    if python(PHOT_MOD_ORACLE, &[&file, &csv]).is_none() {
        return;
    }
    python(REMOVE_GST, &[&file, &bare]);
    let site = Site::new("load_real");
    let told = site.load(&["--loader", "phot_mod", "--set", "brick=15", path(&file)]);
    assert!(told.contains("269 rows"), "{told}");
    site.execute("create table public.oracle (like phat_v2.phot_mod)");
    site.copy_csv("public.oracle", &csv);
    site.execute("update public.oracle o set htm9 = p.htm9, random_id = p.random_id from phat_v2.phot_mod p where p.objid = o.objid");
    let differing = "select p::text || chr(10) || o::text from phat_v2.phot_mod p full join public.oracle o using (objid) where p::text is distinct from o::text limit 3";
    assert_eq!(site.column(differing), Vec::<String>::new());
    assert_eq!(site.count("phat_v2.phot_mod"), 269);
    assert_eq!(
        site.one("select min(random_id) >= 0 and max(random_id) < 100 and count(distinct random_id) > 260 from phat_v2.phot_mod"),
        "t"
    );
    // the same file without its good-star columns: the transform makes all 6 x 269 of them
    let other = Site::new("load_real_gst");
    other.load(&["--loader", "phot_mod", "--set", "brick=15", path(&bare)]);
    assert_eq!(other.checksum("phat_v2.phot_mod"), site.checksum("phat_v2.phot_mod"));
    let gst = "select count(*) filter (where v = 1) || ' of ' || count(*) from phat_v2.phot_mod, unnest(array[f110w_gst, f160w_gst, f275w_gst, f336w_gst, f475w_gst, f814w_gst]) v";
    assert_eq!(other.one(gst), site.one(gst));
    assert!(other.one(gst).ends_with("of 1614"));
}

#[test]
fn the_ids_of_all_vectors_come_out_of_a_load() {
    let Some(shared) = shared() else { return };
    let dir = scratch();
    let vectors = shared.join("data/vectors");
    // a catalogue whose rows lie at the vectors' positions, and what STILTS' rule and healpy say of them
    let program = r#"
import sys, os, numpy as np
from astropy.table import Table, vstack
st, vectors, out = sys.argv[1:4]
h = Table.read(os.path.join(vectors, 'htm.csv.gz'), format='ascii.csv')
p = Table.read(os.path.join(vectors, 'healpix.csv.gz'), format='ascii.csv')
p = p[p['all_agree'] == 1]
fine = lambda v: v[(v['ra_deg'] >= 0) & (v['ra_deg'] <= 360)] # the others are rejects
h, p = fine(h), fine(p)
ra, dec = np.concatenate([h['ra_deg'], p['ra_deg']]), np.concatenate([h['dec_deg'], p['dec_deg']])
t = Table.read(st)
t = t[np.zeros(len(ra), dtype=int)]
t['ra'], t['dec'], t['x'] = ra, dec, np.arange(len(ra), dtype='f4')
t.write(os.path.join(out, os.path.basename(st)))
with open(os.path.join(out, 'wanted.csv'), 'w') as f:
    f.write('n,htm9,pix256,pix4096\n')
    for i, r in enumerate(h): f.write('%d,%d,\\N,\\N\n' % (i, r['htm9_stilts_rule']))
    for i, r in enumerate(p): f.write('%d,\\N,%d,%d\n' % (len(h) + i, r['ring256_healpy'], r['nest4096_healpy']))
"#;
    if python(program, &[&survey().join("brick15").join(ST), &vectors, dir.path()]).is_none() {
        return;
    }
    let site = Site::new("load_vectors");
    site.load(&["--loader", "phot_mod", path(&dir.path().join(ST))]);
    site.execute("create table public.wanted (n integer, htm9 integer, pix256 integer, pix4096 integer)");
    site.copy_csv("public.wanted", &dir.path().join("wanted.csv"));
    site.execute("create view public.found as select x::integer n, htm9, pix256, pix4096 from phat_v2.phot_mod union all select x::integer, htm9, pix256, pix4096 from phat_v2.phot_mod_duplicate");
    let equal = "select count(*) from public.found f join public.wanted w using (n) where f.htm9 = coalesce(w.htm9, f.htm9) and f.pix256 = coalesce(w.pix256, f.pix256) and f.pix4096 = coalesce(w.pix4096, f.pix4096)";
    assert_eq!(site.one(equal), site.one("select count(*) from public.wanted"));
    assert!(site.count("public.wanted") > 19_000);
}

#[test]
fn the_printed_ids_of_the_paper_come_out() {
    let dir = scratch();
    let file = dir.path().join(ST);
    // first rows of the notebooks' map query, and V5343's objid (facts/phat.md)
    let program = r#"
import sys
from astropy.table import Table
t = Table.read(sys.argv[1])[:6]
t['ra'] = [10.589976, 10.590045, 10.590913, 10.590441, 10.590257, 11.02203041]
t['dec'] = [41.239578, 41.239541, 41.239257, 41.239428, 41.239471, 41.2345151]
t.write(sys.argv[2])
"#;
    if python(program, &[&survey().join("brick15").join(ST), &file]).is_none() {
        return;
    }
    let site = Site::new("load_printed");
    site.load(&["--loader", "phot_mod", path(&file)]);
    assert_eq!(site.one("select count(*) from phat_v2.phot_mod where objid = 'PHAT_11.0220304+41.234515' and q3c_radial_query(ra, dec, 11.02203, 41.23451, 0.2/3600)"), "1");
    assert_eq!(site.one("select count(*) from phat_v2.phot_mod where objid in ('PHAT_10.5899760+41.239578', 'PHAT_10.5900450+41.239541', 'PHAT_10.5909130+41.239257', 'PHAT_10.5904410+41.239428', 'PHAT_10.5902570+41.239471')"), "5");
}

#[test]
fn the_lmc_file_loads_with_its_own_manifest_as_astropy_reads_it() {
    let Some(shared) = shared() else { return };
    let file = shared.join("data/real/lmc_14675_gst_500rows.fits");
    let dir = scratch();
    let csv = dir.path().join("lmc.csv");
    let program = r#"
import sys, csv, healpy
from astropy.io import fits
d = fits.getdata(sys.argv[1], 1)
names = d.columns.names
w = csv.writer(open(sys.argv[2], 'w'), lineterminator='\n')
w.writerow([n.lower() for n in names] + ['pix256', 'pix4096', 'objid', 'htm9', 'random_id'])
for r in d:
    ra, dec = r['RA'], r['DEC']
    ids = [healpy.ang2pix(256, ra, dec, lonlat=True), healpy.ang2pix(4096, ra, dec, lonlat=True, nest=True), 'LMC_%.7f%+.6f' % (ra, dec), 0, 0]
    w.writerow([str(r[n]) for n in names] + ids)
"#;
    if python(program, &[&file, &csv]).is_none() {
        return;
    }
    let site = Site::new("load_lmc");
    let told = site.load(&[path(&file)]);
    // the sample holds six objects twice; there is no table lmc.gst_duplicate
    assert!(told.contains("lmc.gst: 494 rows") && told.contains("6 rejected"), "{told}");
    site.execute("create table public.oracle (like lmc.gst)");
    site.copy_csv("public.oracle", &csv);
    site.execute("update public.oracle o set htm9 = p.htm9, random_id = p.random_id from lmc.gst p where p.objid = o.objid");
    assert_eq!(site.one("select count(*) from lmc.gst p where exists (select from public.oracle o where p::text = o::text)"), "494");
    assert_eq!(site.one("select count(distinct objid) from public.oracle"), "494");
    assert_eq!(site.one("select count(*) from brickyard.reject where reason like 'LMC\\_% was loaded before'"), "6");
}

// ------------------------------------------------------------------------------------------------- types and rejects

const ZOO_CATALOGUE: &str = "description = \"Every type of a FITS table\"\ntables = [\"things\"]\n";
const ZOO_TABLE: &str = r#"
description = "One column of each type"
position = ["ra", "dec"]
columns = [
  { name = "n", type = "integer", ucd = "meta.record", description = "Row" },
  { name = "ra", type = "double", unit = "deg", ucd = "pos.eq.ra;meta.main", description = "ra" },
  { name = "dec", type = "double", unit = "deg", ucd = "pos.eq.dec;meta.main", description = "dec" },
  { name = "l", type = "boolean", nullable = true, ucd = "meta.code", description = "L" },
  { name = "l_small", type = "smallint", nullable = true, ucd = "meta.code", description = "L to smallint" },
  { name = "l_many", type = "boolean[]", ucd = "meta.code", description = "3L" },
  { name = "x", type = "boolean", ucd = "meta.code", description = "X" },
  { name = "b", type = "smallint", ucd = "meta.code", description = "B" },
  { name = "sb", type = "smallint", ucd = "meta.code", description = "B, TZERO -128" },
  { name = "i", type = "smallint", nullable = true, ucd = "meta.code", description = "I, TNULL" },
  { name = "i_sentinel", type = "smallint", sentinel = -99, ucd = "meta.code", description = "I, TNULL, sentinel" },
  { name = "i_must", type = "smallint", ucd = "meta.code", description = "I, TNULL, NOT NULL" },
  { name = "i_wide", type = "bigint", ucd = "meta.code", description = "I to bigint" },
  { name = "ui", type = "integer", ucd = "meta.code", description = "unsigned 16" },
  { name = "j", type = "integer", nullable = true, ucd = "meta.code", description = "J, TNULL" },
  { name = "j_narrow", type = "smallint", ucd = "meta.code", description = "J to smallint" },
  { name = "j_double", type = "double", ucd = "meta.code", description = "J to double" },
  { name = "uj", type = "bigint", ucd = "meta.code", description = "unsigned 32" },
  { name = "k", type = "bigint", nullable = true, ucd = "meta.code", description = "K, TNULL" },
  { name = "uk", type = "bigint", ucd = "meta.code", description = "unsigned 64" },
  { name = "e", type = "real", ucd = "meta.code", description = "E" },
  { name = "e_wide", type = "double", ucd = "meta.code", description = "E to double" },
  { name = "d", type = "double", ucd = "meta.code", description = "D" },
  { name = "d_narrow", type = "real", ucd = "meta.code", description = "D to real" },
  { name = "d_null", type = "double", nullable = true, ucd = "meta.code", description = "D, 99.999 is NULL" },
  { name = "scaled", type = "double", ucd = "meta.code", description = "I, TSCAL 0.01, TZERO 5" },
  { name = "a", type = "text", nullable = true, ucd = "meta.id", description = "A" },
  { name = "e_many", type = "real[]", ucd = "meta.code", description = "4E" },
  { name = "e_many_null", type = "real[]", ucd = "meta.code", description = "2E, -9 is NULL" },
  { name = "i_many", type = "smallint[]", ucd = "meta.code", description = "3I, TNULL" },
  { name = "k_many", type = "bigint[]", ucd = "meta.code", description = "2K" },
  { name = "d_many", type = "double[]", ucd = "meta.code", description = "2D" },
]
indexes = [{ q3c = ["ra", "dec"] }]
"#;
const ZOO_LOADER: &str = r#"
table = "zoo.things"
description = "Every type"
files = ["*things*.fits"]
position = ["ra", "dec"]
[columns]
d_null = { file = "d_null", nulls = [99.999] }
e_many_null = { file = "e_many_null", nulls = [-9] }
"#;

/// Writes things.fits, THINGS2.fits (columns shuffled, upper case) and the oracle's CSV of the good rows.
const ZOO_FILES: &str = r#"
import sys, csv, os, numpy as np
from astropy.io import fits
out = sys.argv[1]
n = 40
r = np.random.default_rng(7)
F4, F8 = np.finfo('f4'), np.finfo('f8')
ra = r.uniform(0, 360, n); dec = np.degrees(np.arcsin(r.uniform(-1, 1, n)))
ra[0], dec[0] = 0, 90; ra[1], dec[1] = 360, -90; ra[2], dec[2] = 1e-9, -0.0
i = r.integers(-32768, 32767, n, dtype='i2'); i[3] = -5; i[4] = -32768; i[5] = 32767
j = r.integers(-2**31, 2**31 - 1, n, dtype='i4'); j[3] = 7
k = r.integers(-2**63, 2**63 - 1, n, dtype='i8'); k[3] = 7
e = r.normal(size=n).astype('f4'); e[:8] = [np.nan, np.inf, -np.inf, -0.0, F4.tiny, F4.max, 1e-45, 99.999]
d = r.normal(size=n); d[:8] = [np.nan, np.inf, -np.inf, -0.0, F8.tiny, F8.max, 5e-324, 99.999]
dn = r.normal(size=n); dn[:3] = [np.nan, np.inf, -0.0]
a = np.array(['star %d' % v for v in range(n)], dtype='S12'); a[0] = b''; a[1] = 'é ü'.encode(); a[2] = b'  lead'; a[3] = b'a,"b"\\N'
l = r.integers(0, 2, n).astype(bool)
ui = r.integers(0, 2**16, n).astype('u2'); ui[:2] = [0, 65535]
uj = r.integers(0, 2**32, n).astype('u4'); uj[:2] = [0, 2**32 - 1]
uk = r.integers(0, 2**63 - 1, n).astype('u8'); uk[:2] = [0, 2**63 - 1]
sb = r.integers(-128, 128, n).astype('i1'); sb[:2] = [-128, 127]
must = np.arange(n, dtype='i2'); jn = r.integers(-32768, 32768, n).astype('i4')
isent = np.arange(n, dtype='i2'); isent[6] = -1
em = r.normal(size=(n, 4)).astype('f4'); em[0] = [np.nan, np.inf, -0.0, 1]
emn = r.normal(size=(n, 2)).astype('f4'); emn[1, 1] = -9
im = r.integers(-100, 100, (n, 3)).astype('i2'); im[2, 1] = -999; im[5] = -999
bad = dict(ra_nan=30, dec_far=31, ra_negative=32, uk_over=33, must_null=34, bad_utf8=35, narrow_over=36, real_over=37, ra_far=38, dec_inf=39)
ra[30] = np.nan; dec[31] = 90.0001; ra[32] = -1e-9; uk[33] = 2**63; must[34] = -1; a[35] = b'\xff\xfe'; jn[36] = 32768; dn[37] = 1e39
ra[38] = 360.0000001; dec[39] = np.inf
dnull = r.normal(size=n); dnull[8] = 99.999
sc = r.integers(-3000, 3000, n, dtype='i2')
C = fits.Column
cols = [C('n', 'J', array=np.arange(n)), C('ra', 'D', array=ra), C('dec', 'D', array=dec), C('l', 'L', array=l), C('l_small', 'L', array=~l),
  C('l_many', '3L', array=r.integers(0, 2, (n, 3)).astype(bool)), C('x', 'X', array=l.reshape(n, 1)), C('b', 'B', array=r.integers(0, 256, n).astype('u1')),
  C('sb', 'B', bzero=-128, array=sb), C('i', 'I', null=-5, array=i), C('i_sentinel', 'I', null=-1, array=isent), C('i_must', 'I', null=-1, array=must),
  C('i_wide', 'I', array=i), C('ui', 'I', bzero=32768, array=ui), C('j', 'J', null=7, array=j), C('j_narrow', 'J', array=jn), C('j_double', 'J', array=j),
  C('uj', 'J', bzero=2**31, array=uj), C('k', 'K', null=7, array=k), C('uk', 'K', bzero=2**63, array=uk), C('e', 'E', array=e), C('e_wide', 'E', array=e),
  C('d', 'D', array=d), C('d_narrow', 'D', array=dn), C('d_null', 'D', array=dnull), C('scaled', 'I', array=sc), C('a', '12A', array=a),
  C('e_many', '4E', array=em), C('e_many_null', '2E', array=emn), C('i_many', '3I', null=-999, array=im), C('k_many', '2K', array=r.integers(-2**63, 2**63 - 1, (n, 2))),
  C('d_many', '2D', array=r.normal(size=(n, 2))), C('unused', 'PE()', array=[[1.0]] * n)]
def write(name, cols, upper):
    hdu = fits.BinTableHDU.from_columns(cols)
    s = hdu.columns.names.index('scaled') + 1
    if upper:
        for c in range(1, len(cols) + 1): hdu.header['TTYPE%d' % c] = hdu.header['TTYPE%d' % c].upper()
    path = os.path.join(out, name)
    hdu.writeto(path)
    # CFITSIO and astropy see a scaled column; L is made undefined (0) in row 4; text is undefined (NUL) in row 5
    with fits.open(path, mode='update', do_not_scale_image_data=True) as f:
        f[1].header['TSCAL%d' % s] = 0.01; f[1].header['TZERO%d' % s] = 5.0
    with fits.open(path) as f:
        loc, width = f[1].fileinfo()['datLoc'], f[1].header['NAXIS1']
        names = [x.lower() for x in f[1].columns.names]; formats = [f[1].columns[x].format for x in range(len(names))]
        dt = f[1].columns.dtype
        offsets = {x: dt.fields[y][1] for x, y in zip(names, f[1].columns.names)}
    with open(path, 'r+b') as f:
        f.seek(loc + 4 * width + offsets['l']); f.write(b'\0')
        f.seek(loc + 5 * width + offsets['a']); f.write(b'\0' * 12)
    return path
path = write('things.fits', cols, False)
order = r.permutation(len(cols))
write('THINGS2.fits', [cols[x] for x in order], True)
# the oracle: astropy reads the file back
with fits.open(path) as f:
    t = f[1].data
    nulls = {c.name: c.null for c in f[1].columns if c.null not in (None, '')}
    w = csv.writer(open(os.path.join(out, 'oracle.csv'), 'w'), lineterminator='\n')
    names = [x for x in f[1].columns.names if x != 'unused']
    w.writerow(names)
    def single(name, v):
        if name in nulls and v == nulls[name]: return '-99' if name == 'i_sentinel' else None
        if name == 'd_null' and v == 99.999 or name == 'e_many_null' and v == -9: return None
        if name == 'd_narrow': v = np.float32(v)
        if name == 'l_small': return str(int(v))
        if name == 'sb': return str(int(v))
        if isinstance(v, (float, np.floating)): return repr(float(v)) if not isinstance(v, np.float32) else str(v)
        return str(v)
    for row in range(n):
        if row in bad.values(): continue
        fields = []
        for name in names:
            v = t[name][row]
            if name == 'x': v = v[0]
            if name == 'e_wide': v = np.float64(v)
            if name == 'l' and row == 4 or name == 'a' and row == 5: fields.append('\\N'); continue
            if name == 'a': fields.append(v.decode() if isinstance(v, bytes) else v); continue
            if isinstance(v, np.ndarray) and v.ndim: fields.append('{' + ','.join('NULL' if single(name, q) is None else single(name, q) for q in v) + '}'); continue
            s = single(name, v)
            fields.append('\\N' if s is None else s)
        w.writerow(fields)
"#;

#[test]
fn every_fits_type_is_stored_as_the_server_parses_astropys_text() {
    let dir = scratch();
    if python(ZOO_FILES, &[dir.path()]).is_none() {
        return;
    }
    for (name, text) in
        [("schema/zoo/catalogue.toml", ZOO_CATALOGUE), ("schema/zoo/things.toml", ZOO_TABLE), ("loaders/zoo/things.toml", ZOO_LOADER)]
    {
        let file = dir.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder is made");
        std::fs::write(file, text).expect("it is written");
    }
    let folders = [format!("--schema-dir={}/schema", path(dir.path())), format!("--loader-dir={}/loaders", path(dir.path()))];
    let site = Site::new("load_types");
    let file = dir.path().join("things.fits");
    let told = site.load(&[&folders[0], &folders[1], path(&file)]);
    assert!(told.contains("30 rows in") && told.contains("10 rejected") && told.contains("not used: unused"), "{told}");
    site.execute("create table public.oracle (like zoo.things)");
    site.copy_csv("public.oracle", &dir.path().join("oracle.csv"));
    // an all-NUL first cell is FITS's undefined string too
    site.execute("update public.oracle set a = null where n = 0");
    let differing = "select coalesce(p::text, 'missing') || chr(10) || coalesce(o::text, 'extra') from zoo.things p full join public.oracle o using (n) where p::text is distinct from o::text order by n limit 3";
    assert_eq!(site.column(differing), Vec::<String>::new());
    assert_eq!(site.count("zoo.things"), 30);
    let rejects = site.column(&format!(
        "select \"row\" || ': ' || reason from brickyard.reject where table_name = 'zoo.things' and file = '{}' order by \"row\"",
        path(&file)
    ));
    expect![[r#"
        31: position: position ra NaN, dec 20.092107148266603 is not on the sky: ra runs from 0 to 360 and dec from -90 to 90 degrees
        32: position: position ra 89.1053719298391, dec 90.0001 is not on the sky: ra runs from 0 to 360 and dec from -90 to 90 degrees
        33: position: position ra -0.000000001, dec 48.430728221313856 is not on the sky: ra runs from 0 to 360 and dec from -90 to 90 degrees
        34: uk: the value does not fit the column's type
        35: i_must: undefined, and the column may not be NULL
        36: a: the text is not UTF-8 or holds a NUL
        37: j_narrow: the value does not fit the column's type
        38: d_narrow: the value does not fit the column's type
        39: position: position ra 360.0000001, dec 8.015344154800806 is not on the sky: ra runs from 0 to 360 and dec from -90 to 90 degrees
        40: position: position ra 55.60598918211835, dec inf is not on the sky: ra runs from 0 to 360 and dec from -90 to 90 degrees
    "#]].assert_eq(&(rejects.join("\n") + "\n"));
    let first = site.checksum("zoo.things");
    site.execute("drop schema zoo cascade; drop schema brickyard cascade");
    site.load(&[&folders[0], &folders[1], path(&dir.path().join("THINGS2.fits"))]);
    assert_eq!(site.checksum("zoo.things"), first, "columns in another order and case");
}

// ------------------------------------------------------------------------------------- three sources of one photometry

#[test]
fn gzipped_plain_tiled_fits_and_dolphot_text_give_equal_tables() {
    let gz = copies(&[&format!("{PHOT}.gz")]);
    let plain = scratch();
    let unzipped = plain.path().join(PHOT);
    let gunzip = Command::new("gzip").args(["-dc", path(&gz.path().join(format!("{PHOT}.gz")))]).output().expect("gzip runs");
    std::fs::write(&unzipped, gunzip.stdout).expect("it is written");
    let text = copies(&[DOLPHOT, &format!("{DOLPHOT}.columns"), &format!("{DOLPHOT}.info"), "12056_M31-B15-F10_F475W_drz.hdr"]);
    let sides = bare_with_side_files(&unzipped, text.path());
    let tables = ["phat_v2.phot_meas", "phat_v2.phot_v2", "phat_v2.exposure"];
    let load = |name: &str, file: &Path| {
        let site = Site::new(name);
        site.load(&["--indexes", "none", path(file)]);
        let objects: i64 = site.count("phat_v2.phot_v2");
        assert!(objects > 500, "{objects}");
        assert_eq!(site.count("phat_v2.phot_meas"), objects * site.count("phat_v2.exposure"));
        assert_eq!(site.count("phat_v2.exposure"), 31);
        tables.map(|t| site.checksum(t))
    };
    let wanted = load("load_gz", &gz.path().join(format!("{PHOT}.gz")));
    assert_eq!(load("load_plain", &unzipped), wanted, "plain FITS");
    assert_eq!(load("load_text", &text.path().join(DOLPHOT)), wanted, "DOLPHOT text");
    if let Some(sides) = sides {
        assert_eq!(load("load_sides", &sides.path().join(PHOT)), wanted, "exposures from .columns and .info");
    }
    match tiled(&unzipped) {
        Some(tiled) => assert_eq!(load("load_tiled", &tiled.path().join(PHOT)), wanted, "tile-compressed"),
        None => skipped("no fpack (package libcfitsio-bin)"),
    }
}

/// The file without its exposure cards, and the text's side files under its name.
fn bare_with_side_files(plain: &Path, text: &Path) -> Option<TempDir> {
    let dir = scratch();
    let program = r#"
import sys, re
from astropy.io import fits
with fits.open(sys.argv[1]) as f:
    for key in [k for k in f[1].header if re.fullmatch(r'(IMAGE|FILT|CHIP|EXPT|MJD|DOBS|TOBS)\d+', k) and not k.startswith('TFORM')]:
        if key not in f[1].columns.names: del f[1].header[key]
    f.writeto(sys.argv[2])
"#;
    python(program, &[plain, &dir.path().join(PHOT)])?;
    let stem = dir.path().join(PHOT.trim_end_matches(".fits"));
    for tail in [".columns", ".info"] {
        std::fs::copy(text.join(format!("{DOLPHOT}{tail}")), format!("{}{tail}", path(&stem))).expect("a copy");
    }
    Some(dir)
}

fn tiled(plain: &Path) -> Option<TempDir> {
    let dir = scratch();
    let copy = dir.path().join("t.fits");
    std::fs::copy(plain, &copy).expect("a copy");
    let done = Command::new("fpack").args(["-table", path(&copy)]).output().ok()?;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    std::fs::rename(dir.path().join("t.fits.fz"), dir.path().join(PHOT)).expect("fpack wrote it");
    std::fs::remove_file(copy).ok();
    Some(dir)
}

#[test]
fn a_filter_with_one_exposure_needs_no_combined_block() {
    // DOLPHOT writes a combined block only for filters with more than one image: take F110W's away
    let text = copies(&[&format!("{DOLPHOT}.columns"), DOLPHOT, &format!("{DOLPHOT}.info"), "12056_M31-B15-F10_F475W_drz.hdr"]);
    let columns = text.path().join(format!("{DOLPHOT}.columns"));
    let lines: Vec<String> = std::fs::read_to_string(&columns).expect("it is there").lines().map(str::to_owned).collect();
    let gone: Vec<bool> = lines.iter().map(|l| l.ends_with(", WFC3_F110W")).collect();
    assert_eq!(gone.iter().filter(|g| **g).count(), 13);
    let kept = lines.iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(l, _)| l.split_once(". ").expect("a number").1);
    std::fs::write(&columns, kept.enumerate().map(|(i, l)| format!("{}. {l}\n", i + 1)).collect::<String>()).expect("it is written");
    let rows = std::fs::read_to_string(text.path().join(DOLPHOT)).expect("it is there");
    let cut = |line: &str| {
        line.split_ascii_whitespace().zip(&gone).filter(|(_, gone)| !**gone).map(|(w, _)| w).collect::<Vec<_>>().join(" ") + "\n"
    };
    std::fs::write(text.path().join(DOLPHOT), rows.lines().map(cut).collect::<String>()).expect("it is written");
    let site = Site::new("load_single_exposure");
    site.load(&["--indexes", "none", path(&text.path().join(DOLPHOT))]);
    let block: i32 = site.one("select block from phat_v2.exposure where filter = 'F110W'").parse().expect("one exposure");
    let equal = format!(
        "select count(*) filter (where f110w_vega = exp_vega[{block}] and f110w_rate = exp_rate[{block}] and f110w_flag = exp_flag[{block}]) = count(*) from phat_v2.phot_v2"
    );
    assert_eq!(site.one(&equal), "t");
    assert!(site.count("phat_v2.phot_v2") > 500);
}

// -------------------------------------------------------------------------------------------------------------- faults

const FAULTY_FILES: &str = r#"
import sys, os, gzip
import numpy as np
from astropy.io import fits
from astropy.table import Table
st, phot, out = sys.argv[1:4]
name = os.path.basename(st)
def put(kind, table):
    os.makedirs(os.path.join(out, kind)); table.write(os.path.join(out, kind, name))
t = Table.read(st)
m = t.copy(); m.remove_column('f475w_vega'); m.rename_column('f110w_snr', 'f110w_snrr'); m['field'] = ['x'] * len(m); m['f275w_rate'] = np.zeros((len(m), 2), 'f4'); m['inside_ir'] = np.zeros(len(m), 'f8')
put('several', m)
m = t.copy(); m.remove_columns(['ra', 'dec']); put('nowhere', m)
os.makedirs(out + '/hdu')
fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((3, 3))), fits.BinTableHDU(t, name='STARS')]).writeto(out + '/hdu/' + name)
raw = open(st, 'rb').read()
def bytes_(kind, data, name=name):
    os.makedirs(os.path.join(out, kind), exist_ok=True); open(os.path.join(out, kind, name), 'wb').write(data)
with fits.open(st) as f: loc = f[1].fileinfo()['datLoc']
bytes_('cut', raw[:loc + 100 * 270 + 17])
bytes_('cut_header', raw[:loc - 3000])
z = bytearray(gzip.compress(raw, mtime=0)); z[len(z) // 2] ^= 0x55
bytes_('gzip_bad', bytes(z), name + '.gz')
bytes_('gzip_cut', gzip.compress(raw, mtime=0)[:-1000], name + '.gz')
bytes_('text', b'objid,ra,dec\n1,2,3\n')
bytes_('empty', b'')
bytes_('empty_gz', gzip.compress(b'', mtime=0), name + '.gz')
p = fits.open(phot)
p[1].header['MJD7'] = p[1].header['MJD7'] + 0.001
p[1].header['TOBS9'] = 'noon'
del p[1].header['IMAGE12']
os.makedirs(out + '/times'); p.writeto(out + '/times/' + os.path.basename(phot))
"#;

#[test]
fn the_faults_of_a_file_are_told_at_once_and_leave_nothing_behind() {
    let files = copies(&[ST, &format!("{PHOT}.gz")]);
    let dir = scratch();
    if python(FAULTY_FILES, &[&files.path().join(ST), &files.path().join(format!("{PHOT}.gz")), dir.path()]).is_none() {
        return;
    }
    let site = Site::new("load_faults");
    let check = |kind: &str, loader: &str, wanted: Expect| {
        let folder = dir.path().join(kind);
        let told = site.refused(&["--loader", loader, path(&folder)]);
        let told = told.replace(path(&folder.canonicalize().expect("a folder")), "DIR").replace(path(&site.home), "HOME");
        let told = told.replace(ST, "ST").replace(PHOT, "PHOT");
        wanted.assert_eq(&told);
    };
    check(
        "several",
        "phot_mod",
        expect![[r#"
        error: DIR/ST: 7 faults against loader phat_v2.phot_mod; nothing was loaded from it:
          HDU 1: column f110w_snr is missing (for table column f110w_snr); the nearest name is f110w_snrr
          HDU 1: column f275w_rate: type 2E, which does not fit the table column f275w_rate (real)
          HDU 1: column f475w_vega is missing (for table column f475w_vega); the nearest name is f275w_vega
          HDU 1: column f475w_vega is missing (for table column f814w_f475w); the nearest name is f275w_vega
          HDU 1: column f475w_vega is missing (for table column f475w_f336w); the nearest name is f275w_vega
          HDU 1: column inside_ir: type D, which does not fit the table column inside_ir (smallint)
          HDU 1: column field: type A, which does not fit the table column field (smallint)
    "#]],
    );
    check(
        "nowhere",
        "star_v2",
        expect![[r#"
        error: DIR/ST: 4 faults against loader phat_v2.star_v2; nothing was loaded from it:
          HDU 1: column ra is missing (for position)
          HDU 1: column dec is missing (for position)
          HDU 1: column ra is missing (for table column ra)
          HDU 1: column dec is missing (for table column dec)
    "#]],
    );
    check(
        "hdu",
        "phot_mod",
        expect![[r#"
        error: DIR/ST: no table in HDU 1: it is an image; binary tables are in HDU 2 (STARS)
    "#]],
    );
    check(
        "cut",
        "phot_mod",
        expect![[r#"
        error: DIR/ST: HDU 1: truncated: the header promises 1492 rows of 270 bytes up to byte 420120, the file ends at 44297 (after 100 whole rows); fetch it again
    "#]],
    );
    check(
        "cut_header",
        "phot_mod",
        expect![[r#"
        error: DIR/ST: HDU 1: truncated: the file ends within the header; fetch it again
    "#]],
    );
    check(
        "gzip_bad",
        "phot_mod",
        expect![[r#"
        error: DIR/ST.gz: corrupt gzip after 420479 inflated bytes: corrupt gzip stream does not have a matching checksum; fetch the file again
    "#]],
    );
    check(
        "gzip_cut",
        "phot_mod",
        expect![[r#"
        error: DIR/ST.gz: corrupt gzip after 418250 inflated bytes: incomplete deflate stream; fetch the file again
    "#]],
    );
    check(
        "text",
        "phot_mod",
        expect![[r#"
        error: DIR/ST: not a FITS file: it begins with "objid,ra,dec.1,2,3."
    "#]],
    );
    check(
        "empty",
        "phot_mod",
        expect![[r#"
        error: DIR/ST: not a FITS file: it begins with nothing (the file is empty)
    "#]],
    );
    check(
        "empty_gz",
        "phot_mod",
        expect![[r#"
        error: DIR/ST.gz: not a FITS file: it begins with nothing (the file is empty), inflated
    "#]],
    );
    check(
        "times",
        "phot_meas",
        expect![[r#"
        error: DIR/PHOT.gz: 3 faults against loader phat_v2.phot_meas; nothing was loaded from it:
          HDU 1: block 12: header card IMAGE12 is missing: which exposure is it?
          HDU 1: block 7: MJD 55729.331 is not 2011-06-17 07:55:12 (MJD 55729.330000)
          HDU 1: block 9: MJD "55729.33067130" or "2011-06-17" "noon" is not a time
    "#]],
    );
    for table in
        ["phat_v2.phot_mod", "phat_v2.phot_mod_duplicate", "phat_v2.star_v2", "phat_v2.phot_meas", "brickyard.ledger", "brickyard.reject"]
    {
        assert_eq!(site.count(table), 0, "{table}");
    }
    assert_eq!(std::fs::read_dir(site.home.join("scratch")).expect("the scratch folder").count(), 0, "scratch files left");
    let told = site.refused(&["/no/such/file.fits"]);
    assert!(told.contains("/no/such/file.fits: no such file"), "{told}");
}

#[test]
fn names_that_are_not_there_are_told() {
    let site = Site::new("load_names");
    let dir = copies(&[ST]);
    let file = dir.path().join(ST);
    let told = site.refused(&["--loader", "phot_mood", path(&file)]);
    assert!(told.contains("there is no loader \"phot_mood\"; there are lmc.gst, phat_v2.exposure"), "{told}");
    let odd = dir.path().join("stars.fits");
    std::fs::rename(&file, &odd).expect("a new name");
    let told = site.refused(&[path(&odd)]);
    assert!(told.contains("no loader takes a file of this name; name one with --loader"), "{told}");
    let told = site.refused(&["--loader", "phot_mod", path(&odd)]);
    assert!(told.contains("--set brick=N"), "{told}");
}

// ------------------------------------------------------------------------------------------------ ledger and duplicates

/// Four bricks from one: 15 whole; 16 with rows of 15 (other magnitudes), a row twice, and two bad positions; 17 with
/// rows of both; and `15/` again without every third row of those that others share.
const BRICKS: &str = r#"
import sys, os, numpy as np
from astropy.table import Table, vstack
st, out = sys.argv[1:3]
t = Table.read(st)[:600]
name = lambda b: os.path.basename(st).replace('b15', 'b%d' % b)
def put(table, folder, b):
    os.makedirs(os.path.join(out, folder), exist_ok=True)
    table.write(os.path.join(out, folder, name(b)))
def moved(rows, shift):
    u = t[rows].copy(); u['ra'] += shift; u['x'] += shift; return u
a = t.copy()
b = vstack([t[:200], moved(slice(0, 300), 0.01), moved(slice(5, 6), 0.01), t[10:11], moved(slice(300, 302), 0.01)])
b['f475w_vega'] = 20 + np.arange(len(b)) * 0.01
b['ra'][-1] = np.nan; b['dec'][-2] = -90.5
c = vstack([t[150:400], moved(slice(100, 350), 0.01), moved(slice(0, 100), 0.02)])
c['f475w_vega'] = 25 + np.arange(len(c)) * 0.01
put(a, 'in', 15); put(b, 'in', 16); put(c, 'in', 17)
again = t[np.arange(600) % 3 != 0]; again['f475w_vega'] = 22
put(again, 'again', 15)
"#;

/// Loads `order` (paths) one after another as the rules say: prints `main` and `duplicate` rows, and the rejects.
const BRICKS_ORACLE: &str = r#"
import sys, re, numpy as np
from astropy.io import fits
main, dup, rej = {}, [], 0
for step in sys.argv[1:]:
    replaced = step.startswith('replace:'); path = step.removeprefix('replace:')
    brick = int(re.search(r'-m31-b(\d+)_', path).group(1))
    if replaced:
        main = {k: v for k, v in main.items() if v[0] != brick}; dup = [d for d in dup if d[1] != brick]
    d = fits.getdata(path, 1)
    for i in range(len(d)):
        ra, dec = d['ra'][i], d['dec'][i]
        if not (0 <= ra <= 360 and -90 <= dec <= 90): rej += 1; continue
        objid = 'PHAT_%.7f%+.6f' % (ra, dec); row = (brick, '%.3f' % d['f475w_vega'][i])
        if objid in main: dup.append((objid, brick, row[1], i + 1))
        else: main[objid] = row
    if replaced:
        # the duplicate that was loaded first takes the place of a row that is gone
        for x in list(dup):
            if x[0] not in main: main[x[0]] = (x[1], x[2]); dup.remove(x)
for k, v in sorted(main.items()): print(k, *v)
print('--')
for x in sorted(dup): print(*x)
print('--', rej)
"#;

/// What the database holds, in the oracle's words.
fn bricks_found(site: &Site) -> String {
    let main = site.column(
        "select objid || ' ' || brick || ' ' || to_char(f475w_vega, 'FM990.000') from phat_v2.phot_mod order by objid collate \"C\"",
    );
    let mut duplicate = site.column("select objid || ' ' || brick || ' ' || to_char(f475w_vega, 'FM990.000') || ' ' || \"row\" from phat_v2.phot_mod_duplicate order by objid collate \"C\", brick, f475w_vega::text collate \"C\"");
    duplicate.sort();
    let rejects = site.one("select count(*) from brickyard.reject where table_name = 'phat_v2.phot_mod'");
    format!("{}\n--\n{}\n-- {rejects}\n", main.join("\n"), duplicate.join("\n"))
}

fn sorted_oracle(text: &str) -> String {
    let mut parts: Vec<Vec<&str>> = text.split("--").map(|part| part.trim().lines().collect()).collect();
    parts.iter_mut().for_each(|part| part.sort_unstable());
    format!("{}\n--\n{}\n-- {}\n", parts[0].join("\n"), parts[1].join("\n"), parts[2].join(""))
}

/// Fails with the first lines that differ.
fn assert_lines(found: &str, wanted: &str, what: &str) {
    if found != wanted {
        let pair = found.lines().zip(wanted.lines()).enumerate().find(|(_, (f, w))| f != w);
        panic!("{what}: {} lines found, {} wanted; the first that differ: {pair:?}", found.lines().count(), wanted.lines().count());
    }
}

/// The ledger's sums are the tables' rows.
fn check_books(site: &Site) {
    for (table, duplicates) in [("phot_mod", "phat_v2.phot_mod_duplicate"), ("star_v2", "(select where false)")] {
        if site.one(&format!("select to_regclass('phat_v2.{table}')")) == "NULL" {
            continue;
        }
        let wanted = format!(
            "{} {} {}",
            site.count(&format!("phat_v2.{table}")),
            site.one(&format!("select count(*) from {duplicates} d")),
            site.one(&format!("select count(*) from brickyard.reject where table_name = 'phat_v2.{table}'"))
        );
        let found = format!(
            "select coalesce(sum(rows_loaded), 0) || ' ' || coalesce(sum(rows_duplicate), 0) || ' ' || coalesce(sum(rows_rejected), 0) from brickyard.ledger where table_name = 'phat_v2.{table}'"
        );
        assert_eq!(site.one(&found), wanted, "{table}");
    }
    let lost = "select count(*) from brickyard.ledger where rows_read <> rows_loaded + rows_duplicate + rows_rejected and table_name in ('phat_v2.phot_mod', 'phat_v2.star_v2')";
    assert_eq!(site.one(lost), "0", "rows that are nowhere");
}

struct Bricks {
    dir: TempDir,
}

impl Bricks {
    fn make() -> Option<Bricks> {
        let dir = tempfile::Builder::new().prefix("bricks-").tempdir_in(survey().parent().expect("a parent")).expect("a folder");
        python(BRICKS, &[&survey().join("brick15").join(ST), dir.path()])?;
        Some(Bricks { dir })
    }

    fn file(&self, folder: &str, brick: u8) -> PathBuf {
        self.dir.path().join(folder).join(ST.replace("b15", &format!("b{brick}")))
    }
}

#[test]
fn overlapping_bricks_keep_the_first_row_and_set_the_others_aside() {
    let Some(bricks) = Bricks::make() else { return };
    let [a, b, c] = [15, 16, 17].map(|n| bricks.file("in", n));
    let site = Site::new("load_overlap");
    let told = site.load(&[path(&bricks.dir.path().join("in"))]);
    assert!(told.contains("2 rejected") && told.contains("202 duplicate"), "{told}");
    assert!(told.contains("Rejected rows, with reasons"), "{told}");
    let wanted = sorted_oracle(&python(BRICKS_ORACLE, &[&a, &b, &c]).expect("Python"));
    assert_lines(&bricks_found(&site), &wanted, "tables");
    check_books(&site);
    assert_eq!(
        site.column("select distinct \"row\" || ' ' || split_part(reason, ':', 1) from brickyard.reject order by 1"),
        ["503 position", "504 position"]
    );
    // the primary key holds, and star_v2 has every row with a position
    assert_eq!(site.one("select count(*) from pg_indexes where indexname = 'phot_mod_pkey'"), "1");
    assert_eq!(site.count("phat_v2.star_v2"), 600 + 502 + 600);

    // one by one in another order, the indices there already
    let site = Site::new("load_overlap_later");
    for file in [&c, &a, &b] {
        site.load(&[path(file)]);
    }
    let wanted = sorted_oracle(&python(BRICKS_ORACLE, &[&c, &a, &b]).expect("Python"));
    assert_lines(&bricks_found(&site), &wanted, "tables");
    check_books(&site);

    // and with no index at all until the end
    let site = Site::new("load_overlap_bare");
    for file in [&c, &a, &b] {
        site.load(&["--indexes", "none", path(file)]);
    }
    assert_lines(&bricks_found(&site), &wanted, "tables");
    site.load(&[path(&b)]);
    assert_eq!(site.one("select count(*) from pg_indexes where indexname like '%loading%'"), "0");
    assert_eq!(site.one("select count(*) from pg_indexes where indexname = 'phot_mod_pkey'"), "1");
}

#[test]
fn a_replaced_brick_gives_its_place_to_the_duplicate_that_came_first() {
    let Some(bricks) = Bricks::make() else { return };
    let [a, b, c] = [15, 16, 17].map(|n| bricks.file("in", n));
    for (database, order) in [("load_replace", [&a, &b, &c]), ("load_replace_cba", [&c, &b, &a])] {
        let site = Site::new(database);
        for file in order {
            site.load(&["--loader", "phot_mod", path(file)]);
        }
        let again = bricks.file("again", 15);
        let told = site.refused(&["--loader", "phot_mod", path(&again)]);
        assert!(told.contains("brick=15 of phat_v2.phot_mod was loaded from") && told.contains("--replace"), "{told}");
        let told = site.load(&["--loader", "phot_mod", "--replace", path(&again)]);
        assert!(told.contains("(replaced)"), "{told}");
        let step = PathBuf::from(format!("replace:{}", path(&again)));
        let wanted = sorted_oracle(&python(BRICKS_ORACLE, &[order[0], order[1], order[2], &step]).expect("Python"));
        assert_lines(&bricks_found(&site), &wanted, database);
        check_books(&site);
        assert_eq!(
            site.one("select string_agg(distinct scope, '; ' order by scope) from brickyard.ledger"),
            "brick=15; brick=16; brick=17"
        );
    }
}

#[test]
fn a_file_is_loaded_once_and_replaced_only_when_told() {
    let Some(bricks) = Bricks::make() else { return };
    let dir = scratch();
    let file = dir.path().join(ST);
    std::fs::copy(bricks.file("in", 15), &file).expect("a copy");
    let site = Site::new("load_once");
    site.load(&[path(&file)]);
    let first = site.checksums();
    let told = site.load(&[path(&file)]);
    assert!(told.contains("phat_v2.phot_mod: skipped, loaded before") && told.contains("phat_v2.star_v2: skipped"), "{told}");
    assert_eq!(site.checksums(), first);
    // the same bytes at another time
    let later = std::time::SystemTime::now() + Duration::from_secs(5);
    std::fs::File::options().write(true).open(&file).expect("it opens").set_modified(later).expect("a new time");
    let told = site.load(&[path(dir.path())]);
    assert!(told.contains("skipped, loaded before (same bytes)"), "{told}");
    // the same bytes under other names: of the same brick, and of another
    for name in [format!("copy_{ST}"), ST.replace("b15", "b19")] {
        let copy = dir.path().join(&name);
        std::fs::copy(&file, &copy).expect("a copy");
        let told = site.load(&[path(&copy)]);
        assert!(told.contains("phat_v2.phot_mod: skipped, the same bytes were loaded from"), "{name}: {told}");
        assert!(told.contains("phat_v2.star_v2: skipped, the same bytes were loaded from"), "{name}: {told}");
        std::fs::remove_file(copy).expect("it goes");
    }
    // another file of the same brick: refused when named, left out when found
    let second = dir.path().join(format!("second_{ST}"));
    std::fs::copy(bricks.file("again", 15), &second).expect("a copy");
    let told = site.refused(&[path(&second)]);
    assert!(told.contains("brick=15 of phat_v2.phot_mod was loaded from") && told.contains("--replace"), "{told}");
    let told = site.load(&["--loader", "phot_mod", path(dir.path())]);
    assert!(told.contains("skipped, brick=15 was loaded from"), "{told}");
    std::fs::remove_file(&second).expect("it goes");
    assert_eq!(site.count("phat_v2.phot_mod"), 600);
    // changed bytes
    std::fs::copy(bricks.file("again", 15), &file).expect("other bytes");
    let told = site.refused(&[path(dir.path())]);
    assert!(told.contains("has changed since it was loaded into phat_v2.phot_mod") && told.contains("--replace"), "{told}");
    assert_eq!((site.count("phat_v2.phot_mod"), site.count("phat_v2.star_v2")), (600, 600));
    let told = site.load(&["--replace", path(&file)]);
    assert_eq!(told.matches("(replaced)").count(), 2, "{told}");
    assert_eq!((site.count("phat_v2.phot_mod"), site.count("phat_v2.star_v2")), (400, 400));
    check_books(&site);
    // equal to a first load of it, but for the ledger's numbers
    let fresh = Site::new("load_once_fresh");
    fresh.load(&[path(&file)]);
    for table in ["phat_v2.phot_mod", "phat_v2.star_v2"] {
        assert_eq!(site.checksum(table), fresh.checksum(table));
    }
}

#[test]
fn a_file_loaded_as_the_wrong_brick_is_replaced_by_the_right_one() {
    let Some(bricks) = Bricks::make() else { return };
    let dir = scratch();
    let file = dir.path().join("stars.fits");
    std::fs::copy(bricks.file("in", 15), &file).expect("a copy");
    let site = Site::new("load_wrong_brick");
    site.load(&["--loader", "phot_mod", "--set", "brick=14", path(&file)]);
    std::fs::copy(bricks.file("again", 15), &file).expect("other bytes");
    site.load(&["--loader", "phot_mod", "--replace", "--set", "brick=15", path(&file)]);
    assert_eq!(site.column("select brick || ' ' || count(*) from phat_v2.phot_mod group by brick"), ["15 400"]);
    check_books(&site);
}

#[test]
fn a_table_without_a_duplicate_table_tells_its_duplicates_as_rejects() {
    let Some(shared) = shared() else { return };
    let dir = scratch();
    let file = dir.path().join("lmc_gst.fits");
    let program = "import sys\nfrom astropy.table import Table, vstack\nt = Table.read(sys.argv[1])\nvstack([t, t[:3]]).write(sys.argv[2])";
    if python(program, &[&shared.join("data/real/lmc_14675_gst_500rows.fits"), &file]).is_none() {
        return;
    }
    let site = Site::new("load_lmc_twice");
    site.load(&[path(&file)]);
    assert_eq!(site.count("lmc.gst"), 494);
    assert_eq!(site.one("select string_agg(\"row\"::text, ' ' order by \"row\") from brickyard.reject where \"row\" > 500"), "501 502 503");
    assert_eq!(site.count("brickyard.reject"), 9);
    assert!(site.one("select reason from brickyard.reject limit 1").contains("was loaded before"));
}

#[test]
fn a_replaced_field_leaves_no_row_behind() {
    let dir = copies(&[&format!("{PHOT}.gz")]);
    let file = dir.path().join(format!("{PHOT}.gz"));
    let site = Site::new("load_replace_field");
    site.load(&["--indexes", "none", path(&file)]);
    let first: Vec<String> = ["phat_v2.phot_meas", "phat_v2.phot_v2", "phat_v2.exposure"].iter().map(|t| site.checksum(t)).collect();
    // the same table in other bytes: a gzip file without the name inside
    let text = Command::new("gzip").args(["-dc", path(&file)]).output().expect("gzip runs").stdout;
    std::fs::write(dir.path().join(PHOT), text).expect("it is written");
    std::fs::remove_file(&file).expect("it goes");
    let told = site.refused(&[path(&dir.path().join(PHOT))]);
    assert!(told.contains("brick=15, field=10 of phat_v2.exposure was loaded from"), "{told}");
    site.load(&["--indexes", "none", "--replace", path(dir.path())]);
    let second: Vec<String> = ["phat_v2.phot_meas", "phat_v2.phot_v2", "phat_v2.exposure"].iter().map(|t| site.checksum(t)).collect();
    assert_eq!(first, second);
    assert_eq!(site.count("brickyard.ledger"), 3);
}

// ---------------------------------------------------------------------------------------------- kill -9 and the like

#[test]
fn a_load_killed_at_any_moment_ends_as_an_undisturbed_one_when_run_again() {
    const MOMENTS: u32 = 10;
    let files = fits_only();
    let args = [path(files.path())];
    let calm = Site::new("load_calm");
    let started = Instant::now();
    calm.load(&args);
    let mut whole = started.elapsed();
    let wanted = calm.checksums();
    let mut moment = 0;
    while moment < MOMENTS {
        let site = Site::new("load_killed");
        let started = Instant::now();
        let mut child = site.start(&args);
        let until = whole.mul_f64((f64::from(moment) + 0.5) / f64::from(MOMENTS));
        while started.elapsed() < until && child.try_wait().expect("its state").is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        if child.try_wait().expect("its state").is_some() {
            // the machine is less busy than it was: try this moment of a shorter load
            whole = started.elapsed().mul_f64(0.97);
            continue;
        }
        child.kill().expect("it is ours"); // SIGKILL
        child.wait().expect("it ends");
        site.load(&args);
        assert_eq!(site.checksums(), wanted, "killed at moment {moment} of {MOMENTS}");
        assert_eq!(site.one("select count(*) from pg_stats where tablename = 'phot_mod_q3c_idx'"), "1", "analysed");
        moment += 1;
    }
}

/// The same where rows go through a pipe: with the files of one brick, which are several COPYs.
#[test]
fn a_load_that_feeds_the_embedded_server_may_be_killed_at_any_moment() {
    const MOMENTS: u32 = 12;
    let files = fits_only();
    let args = ["--indexes", "none", path(files.path())];
    let home = harness::data_dir();
    let _stop = Stop(home.path());
    let site = Site::of_cluster(home.path());
    let started = Instant::now();
    site.load(&args);
    let whole = started.elapsed();
    let wanted = site.checksums();
    for moment in 0..MOMENTS {
        site.empty();
        let mut child = site.start(&args);
        std::thread::sleep(whole.mul_f64((f64::from(moment) + 0.5) / f64::from(MOMENTS)));
        child.kill().expect("it is ours"); // SIGKILL; it may have ended
        child.wait().expect("it ends");
        site.load(&args);
        assert_eq!(site.checksums(), wanted, "killed at moment {moment} of {MOMENTS}");
        assert_eq!(site.pipes(), 0);
    }
}

#[test]
fn a_session_that_waits_for_a_dead_loaders_pipe_is_let_go() {
    let home = harness::data_dir();
    let _stop = Stop(home.path());
    let site = Site::of_cluster(home.path());
    let file = survey().join("brick15").join(ST);
    let args = ["--loader", "phot_mod", "--indexes", "none", path(&file)];
    site.load(&args);
    let wanted = site.checksums();
    site.empty();
    // a loader that had taken its lock and sent its COPY, and died before the server opened the pipe
    let pipe = home.path().join("pg/feed").join(format!("{}-0", i32::MAX));
    let left = || {
        assert!(Command::new("mkfifo").args(["-m", "666"]).arg(&pipe).status().expect("mkfifo runs").success());
        let other = site.runtime.block_on(brickyard::db::connect(&harness::options(&site.url))).expect("a connection");
        let lock = "select pg_advisory_lock(hashtext('brickyard.load'), hashtext('phat_v2.phot_mod'))";
        let copy = format!("create temp table t (i int); copy t from '{}' (format binary)", path(&pipe));
        site.runtime.block_on(other.batch_execute(lock)).expect("the lock is free");
        let waiting = site.runtime.spawn(async move { other.batch_execute(&copy).await.expect_err("no COPY").to_string() });
        let until = Instant::now() + Duration::from_secs(20);
        while site.one("select count(*) from pg_stat_activity where query like 'create temp table t%' and state = 'active'") == "0" {
            assert!(Instant::now() < until, "no COPY seen");
        }
        std::thread::sleep(Duration::from_millis(300));
        waiting
    };
    let waiting = left();
    site.load(&args);
    assert_eq!(site.checksums(), wanted);
    assert_eq!(site.pipes(), 0);
    site.runtime.block_on(waiting).expect("it was let go");
    // nor does it keep the server from stopping
    site.runtime.block_on(site.connection.batch_execute("select pg_advisory_unlock_all()")).expect("nothing is held");
    let waiting = left();
    let started = Instant::now();
    finish(&brickyard().args(["db", "stop", "--data-dir"]).arg(home.path()).output().expect("it starts"), true);
    assert!(started.elapsed() < Duration::from_secs(60));
    site.runtime.block_on(waiting).expect("it was let go");
}

#[test]
fn a_server_killed_at_any_moment_ends_as_an_undisturbed_one_when_run_again() {
    let files = fits_only();
    let home = harness::data_dir();
    let stop = Stop(home.path());
    let args = [path(files.path())];
    let site = Site::of_cluster(home.path());
    let started = Instant::now();
    site.load(&args);
    let whole = started.elapsed();
    let wanted = site.checksums();
    for moment in [0.05, 0.15, 0.25, 0.45, 0.8] {
        let site = Site::of_cluster(home.path());
        site.empty();
        let pid = std::fs::read_to_string(home.path().join("pg/data/postmaster.pid")).expect("the server's pid file");
        let pid = pid.lines().next().expect("a line").to_owned();
        let child = site.start(&args);
        std::thread::sleep(whole.mul_f64(moment));
        assert!(Command::new("kill").args(["-9", &pid]).status().expect("kill runs").success());
        let output = child.wait_with_output().expect("it ends");
        if !output.status.success() {
            let told = finish(&output, false);
            // sessions that build indices may have been about to begin
            let is_told =
                ["the connection to the database was lost", "cannot connect to PostgreSQL"].iter().any(|words| told.contains(words));
            assert!(is_told, "{told}");
        }
        site.load(&args);
        let site = Site::of_cluster(home.path());
        assert_eq!(site.checksums(), wanted, "server killed at {moment} of the load");
        assert_eq!(site.pipes(), 0);
    }
    drop(stop);
}

/// A session's process killed while it reads: the server restarts all of them.
#[test]
fn a_session_killed_while_it_reads_a_pipe_is_told_and_the_next_run_goes_on() {
    let files = fits_only();
    let args = ["--indexes", "none", path(files.path())];
    let home = harness::data_dir();
    let _stop = Stop(home.path());
    let site = Site::of_cluster(home.path());
    site.load(&args);
    let wanted = site.checksums();
    site.empty();
    let child = site.start(&args);
    let reading = "select pid from pg_stat_activity where query like 'COPY%phot_meas%pg/feed%' and state = 'active'";
    let until = Instant::now() + Duration::from_secs(60);
    let pid = loop {
        match site.column(reading).pop() {
            Some(pid) => break pid,
            None => assert!(Instant::now() < until, "no COPY from a pipe seen"),
        }
    };
    assert!(Command::new("kill").args(["-9", &pid]).status().expect("kill runs").success());
    let told = finish(&child.wait_with_output().expect("it ends"), false);
    assert!(told.contains("the connection to the database was lost") && told.contains("run the same command again"), "{told}");
    site.load(&args);
    let site = Site::of_cluster(home.path());
    assert_eq!(site.checksums(), wanted);
    assert_eq!(site.pipes(), 0);
}

/// Stops the cluster of a data directory, whatever becomes of the test.
struct Stop<'a>(&'a Path);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        brickyard().args(["db", "stop", "--data-dir"]).arg(self.0).output().ok();
    }
}

#[test]
fn a_lost_connection_is_told_and_the_next_run_goes_on() {
    let calm = Site::new("load_calm_lost");
    lose_the_connection(&Site::new("load_lost"), &calm);
}

#[test]
fn a_lost_connection_is_told_where_rows_go_through_a_pipe_too() {
    let home = harness::data_dir();
    let _stop = Stop(home.path());
    let calm = Site::new("load_calm_lost_pipe");
    let site = Site::of_cluster(home.path());
    lose_the_connection(&site, &calm);
    assert_eq!(site.pipes(), 0);
}

fn lose_the_connection(site: &Site, calm: &Site) {
    let files = fits_only();
    let args = [path(files.path())];
    calm.load(&args);
    let child = site.start(&args);
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and query like 'COPY%phot_meas%' and state = 'active'";
    let until = Instant::now() + Duration::from_secs(60);
    while site.one(cut) == "0" {
        assert!(Instant::now() < until, "no COPY seen");
    }
    let told = finish(&child.wait_with_output().expect("it ends"), false);
    assert!(told.contains("the connection to the database was lost") && told.contains("run the same command again"), "{told}");
    assert_eq!(site.count("phat_v2.phot_meas"), 0, "half a file");
    site.load(&args);
    assert_eq!(site.checksums(), calm.checksums());
}

#[test]
fn two_loads_at_once_do_not_mix() {
    let files = fits_only();
    let args = [path(files.path())];
    let site = Site::new("load_two");
    let children = [site.start(&args), site.start(&args)];
    let outputs = children.map(|c| c.wait_with_output().expect("it ends"));
    let good = outputs.iter().filter(|o| o.status.success()).count();
    assert!(good >= 1);
    for output in outputs.iter().filter(|o| !o.status.success()) {
        let told = finish(output, false);
        assert!(told.contains("another load is writing") && told.contains("database session"), "{told}");
    }
    let calm = Site::new("load_two_calm");
    calm.load(&args);
    assert_eq!(site.checksums(), calm.checksums());
    // a session that holds the lock for longer than a loader waits
    site.execute("select pg_advisory_lock(hashtext('brickyard.load'), hashtext('phat_v2.phot_mod'))");
    let told = site.refused(&args);
    let pid = site.one("select pg_backend_pid()");
    assert!(
        told.contains("another load is writing phat_v2.phot_mod") && told.contains(&format!("database session {pid}, since ")),
        "{told}"
    );
}

#[test]
fn full_disks_are_told_and_the_load_goes_on_when_there_is_room() {
    let dir = harness::data_dir();
    let mount = |size: &str, at: &Path, again: bool| {
        let options = format!("size={size},mode=1777{}", if again { ",remount" } else { "" });
        Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output().is_ok_and(|o| o.status.success())
    };
    let (small, space) = (dir.path().join("scratch"), dir.path().join("space"));
    std::fs::create_dir_all(&small).expect("a folder");
    std::fs::create_dir_all(&space).expect("a folder");
    if !mount("1m", &small, false) {
        return skipped("no right to mount a small tmpfs");
    }
    let _small = Unmount(&small);
    assert!(mount("4m", &space, false));
    let _space = Unmount(&space);
    let file = survey().join("brick15").join(format!("{PHOT}.gz"));
    // the loader's scratch
    let site = Site::new("load_full_scratch");
    let with = |site: &Site| {
        finish_any(
            &brickyard()
                .args(["load", "--indexes", "none", "--database-url", &site.url, "--data-dir", path(&small), path(&file)])
                .output()
                .expect("it starts"),
        )
    };
    let (good, told) = with(&site);
    assert!(!good && told.contains("No space left on device") && told.contains("free some space or give another --data-dir"), "{told}");
    assert!(mount("64m", &small, true));
    assert!(with(&site).0);
    let wanted = site.checksums();
    // the server's disk: a cluster of its own, which nobody misses
    let _stop = Stop(dir.path());
    let site = Site::of_cluster(dir.path());
    assert!(Command::new("chown").arg("postgres").arg(&space).status().expect("chown runs").success());
    site.execute(&format!("create tablespace small location '{}'", path(&space)));
    site.execute("alter database brickyard set default_tablespace = small");
    let told = site.refused(&["--indexes", "none", path(&file)]);
    assert!(told.contains("the database server's disk is full") && told.contains("make room and run the same command again"), "{told}");
    assert_eq!(site.count("brickyard.ledger"), 0);
    assert!(mount("400m", &space, true));
    assert_eq!(site.pipes(), 0);
    site.load(&["--indexes", "none", path(&file)]);
    assert_eq!(site.checksums(), wanted);
}

fn finish_any(output: &Output) -> (bool, String) {
    (output.status.success(), finish(output, output.status.success()))
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).status().ok();
    }
}

#[test]
fn an_index_build_that_a_killed_loader_left_behind_is_waited_for() {
    let file = survey().join("brick15").join(ST);
    let args = ["--loader", "phot_mod", path(&file)];
    let site = Site::new("load_orphan");
    site.load(&["--indexes", "none", args[0], args[1], args[2]]);
    // an open transaction that writes makes CREATE INDEX wait
    site.execute("begin; lock table phat_v2.phot_mod in row exclusive mode");
    let mut child = site.start(&args);
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and wait_event_type = 'Lock' and wait_event = 'relation'";
    let look = |wanted: &str, sql: &str| {
        let until = Instant::now() + Duration::from_secs(20);
        while site.one(sql) != wanted {
            assert!(Instant::now() < until, "{sql} is not {wanted}");
            // the activity view stands still within a transaction
            site.one("select pg_stat_clear_snapshot()");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    look("1", waiting);
    child.kill().expect("it is ours");
    child.wait().expect("it ends");
    let second = site.start(&args);
    std::thread::sleep(Duration::from_millis(1500));
    site.one("select pg_stat_clear_snapshot()");
    look("1", waiting);
    site.execute("commit");
    finish(&second.wait_with_output().expect("it ends"), true);
    assert_eq!(site.one("select count(*) from pg_indexes where tablename = 'phot_mod'"), "45");
}

// -------------------------------------------------------------------------------------------------- order and queries

#[test]
fn tables_lie_on_disk_in_sky_order_after_a_whole_load_and_a_reclustering() {
    let site = Site::new("load_order");
    let correlation = |table: &str| -> f64 {
        let sql = format!("select correlation from pg_stats where schemaname = 'phat_v2' and tablename = '{table}_q3c_idx'");
        site.one(&sql).parse().unwrap_or_else(|_| panic!("{table} has no statistics"))
    };
    site.load(&[path(&survey().join("brick15").join(ST)), path(&survey().join("brick15").join(format!("{PHOT}.gz")))]);
    for table in ["phot_mod", "star_v2", "phot_meas", "phot_v2"] {
        assert!(correlation(table) > 0.99, "{table}: {}", correlation(table));
    }
    let before: Vec<String> = ["phat_v2.phot_mod", "phat_v2.phot_meas"].iter().map(|t| site.checksum(t)).collect();
    let brick4 = fits_only();
    let told = site.load(&["--recluster", path(brick4.path())]);
    assert!(told.contains("clustering phat_v2.phot_mod"), "{told}");
    for table in ["phot_mod", "star_v2", "phot_meas", "phot_v2"] {
        assert!(correlation(table) > 0.99, "{table}: {}", correlation(table));
    }
    let of_15 = ["(select * from phat_v2.phot_mod where brick = 15)", "(select * from phat_v2.phot_meas where brick = 15 and field = 10)"];
    let after: Vec<String> = of_15.iter().map(|t| site.checksum(t)).collect();
    assert_eq!(before, after);
}

#[test]
fn the_papers_queries_answer_from_a_loaded_survey() {
    let Some(shared) = shared() else { return };
    let site = Site::new("load_queries");
    let told = site.load(&[path(survey())]);
    assert!(told.contains("skipped, brick=15, field=10 was loaded from"), "the text beside the FITS file: {told}");
    let queries = std::fs::read_to_string(shared.join("facts/notebook_queries.sql")).expect("the queries");
    let queries: Vec<&str> = queries.lines().filter(|l| l.to_ascii_uppercase().starts_with("SELECT")).collect();
    assert!(queries.len() >= 10);
    for query in &queries {
        let query = query.split("; --").next().expect("a part").trim_end_matches(';');
        let rows = site.runtime.block_on(site.connection.query(query, &[])).unwrap_or_else(|e| panic!("{query}: {e:?}"));
        let total = site.count("phat_v2.phot_mod");
        if query.contains("LIMIT") {
            assert_eq!((rows.len(), rows[0].columns().len()), (if query.ends_with("100") { 100 } else { 10 }, 88));
        } else if query.contains("tbl_stat") {
            assert_eq!((rows.len(), rows[0].get::<_, i64>("nrows"), rows[0].get::<_, i32>("ncols")), (1, total, 88), "{query}");
        } else if query.contains("GROUP BY") && !query.contains("WHERE") {
            assert_eq!(rows.iter().map(|r| r.get::<_, i64>("nb")).sum::<i64>(), total);
        } else if query.contains("GROUP BY") {
            let sum: i64 = rows.iter().map(|r| r.get::<_, i64>("nb")).sum();
            assert!(sum > 0 && sum < total, "{query}: {sum}");
        } else if query.contains("phot_meas") {
            assert_eq!(rows.len(), 62, "V5343");
            assert!(rows.iter().all(|r| r.get::<_, &str>("objid") == "PHAT_11.0220304+41.234515"));
            let filters: std::collections::BTreeSet<&str> = rows.iter().map(|r| r.get("filter")).collect();
            assert_eq!(filters.into_iter().collect::<Vec<_>>(), ["F110W", "F160W", "F275W", "F336W", "F475W", "F814W"]);
        }
    }
    check_books(&site);
}

#[test]
fn many_small_runs_and_gathered_windows_make_the_same_table_in_the_same_order_as_one_run() {
    let files = [survey().join("brick15").join(ST), survey().join("brick15").join(format!("{PHOT}.gz"))];
    let words: Vec<String> = files.iter().map(|f| path(f).to_owned()).collect();
    let load = |name: &str, run_bytes: usize, gather_bytes: u64| {
        let site = Site::new(name);
        let catalogs: Vec<_> = brickyard::schema::Catalog::names(&[])
            .expect("names")
            .iter()
            .map(|n| brickyard::schema::Catalog::load(&[], n).expect("a catalogue"))
            .collect();
        let manifests = manifest::load_all(&[], &catalogs).expect("manifests");
        let set = BTreeMap::new();
        let tasks =
            files::tasks(&words, &files::Request { manifests: &manifests, catalogs: &catalogs, forced: false, set: &set }).expect("tasks");
        let options = Options {
            replace: false,
            recluster: false,
            indexing: Indexing::None,
            index_sessions: 1,
            scratch_dir: site.home.clone(),
            limits: sort::Limits { run_bytes, window_bytes: run_bytes / 3, gather_bytes },
        };
        let report =
            site.runtime.block_on(async { ingest::load(&site.connection, tasks, &options, &Progress::silent()).await }).expect("it loads");
        assert_eq!(report.files.len(), 5);
        assert_eq!(std::fs::read_dir(&site.home).expect("the scratch folder").count(), 0, "runs have no names");
        // in the order of the heap
        ["phot_mod", "star_v2", "phot_meas", "phot_v2"]
            .map(|t| site.one(&format!("select md5(string_agg(t::text, chr(10) order by ctid)) from phat_v2.{t} t")))
    };
    let wanted = load("load_one_run", sort::RUN_BYTES, 0);
    assert_eq!(load("load_small_runs", 200 << 10, 0), wanted);
    assert_eq!(load("load_tiny_runs", 20 << 10, 0), wanted);
    assert_eq!(load("load_gathered", 200 << 10, u64::MAX), wanted);
    assert_eq!(load("load_gathered_row_by_row", 20 << 10, u64::MAX), wanted);
}

// ----------------------------------------------------------------------------------------------------------- static SQL

/// Files of several statements, which cannot be prepared as one: they are run by other tests.
const SCRIPTS: [&str; 6] =
    ["bench/analyze_pipeline.sql", "demo/images.sql", "db/publish.sql", "db/q3c.sql", "db/reader.sql", "schema/tbl_stat.sql"];

#[test]
fn every_static_sql_file_is_understood_by_the_server() {
    let site = Site::new("load_sql");
    site.load(&["--indexes", "none", path(&survey().join("brick15").join(ST)), path(&survey().join("brick15").join(format!("{PHOT}.gz")))]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut seen = 0;
    // what these ask is made by the service, the archive and the stage runner, whose own tests run them
    let elsewhere = ["adql", "archive", "pipeline", "tap"];
    // of the benches, what asks these is understood when their tables are there
    site.runtime.block_on(site.connection.batch_execute(include_str!("../sql/pipeline/schema.sql"))).expect("the runner's tables");
    let here = |folder: &std::fs::DirEntry| folder.path().is_dir() && !elsewhere.contains(&folder.file_name().to_string_lossy().as_ref());
    for folder in std::fs::read_dir(&root).expect("sql/").flatten().filter(here) {
        for file in std::fs::read_dir(folder.path()).expect("a folder").flatten() {
            let name = path(file.path().strip_prefix(&root).expect("below sql/")).to_owned();
            if !name.ends_with(".sql") || SCRIPTS.contains(&name.as_str()) {
                continue;
            }
            let text = std::fs::read_to_string(file.path()).expect("it is there");
            let first = text.lines().next().unwrap_or_default();
            assert!(first.starts_with("-- ") && first.len() > 10, "{name}: no contract comment");
            // templates name their table in braces and are asked by the tests of their module
            if text.contains('{') {
                continue;
            }
            let prepared = site.runtime.block_on(site.connection.prepare(&text));
            let statement = prepared.unwrap_or_else(|e| panic!("sql/{name}: {e:?}"));
            let promised = (1..=20).take_while(|n| text.contains(&format!("${n}"))).count();
            assert!(statement.params().len() >= promised, "sql/{name}");
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
}
