//! `bench image`: pieces of a large mosaic over HTTP against astropy's `Cutout2D` and `section`, searches, pictures, memory, HiPS.
//!
//! The mosaic is 20,000 x 20,000 floats of noise (1.6 GB), the same by `fpack` beside it, and 8,000 small images over the survey's sky to
//! search in; all are made once and kept in `bench/images` of the data directory. The service is a process of its own, and so is Python,
//! which opens the file once and is told positions; the two are asked in turn for the same pieces, and must agree in the sum of the pixels.

use super::http::{Client, Request};
use super::measure::{Figure, Goal, Sheet, median, quantile, ratios};
use super::service::{Service, program};
use super::{Error, machine};
use crate::db;
use crate::image::header::Value;
use crate::image::{FitsFile, Header, Wcs, gzip};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Options {
    /// The bench's own cluster.
    pub db: db::Options,
    pub quick: bool,
    pub runs: usize,
    /// Groups to run, all if empty: cutout, rice, rate, memory, hips, sia2, sia1.
    pub only: Vec<String>,
    /// A Python with astropy; without it there is nothing to compare with.
    pub python: Option<PathBuf>,
}

/// Where the large mosaic looks, and its pixels.
const CENTRE_DEG: [f64; 2] = [11.0, 41.2];
const PIXEL_ARCSEC: f64 = 0.05;
/// The sides of a small piece.
const PIECE_PX: usize = 200;
/// Pieces of a run, each elsewhere.
const PIECES: usize = 40;

const WIDE: &str = "wide.fits";
const PACKED: &str = "wide.fits.fz";
const SKY: &str = "sky";
const LAYERS: &str = "layers";

struct Bench<'a> {
    options: &'a Options,
    folder: PathBuf,
    service: Service,
    /// Of the large mosaic.
    side_px: u64,
    wcs: Wcs,
    sheet: Sheet<'a>,
}

/// Runs the groups asked for.
pub async fn run(options: &Options, say: &(dyn Fn(String) + Sync)) -> Result<Vec<Figure>, Error> {
    say(format!("machine: {}", machine::describe()));
    db::cluster::start(&options.db).await?;
    let sizes = if options.quick { Sizes::QUICK } else { Sizes::FULL };
    let folder = options.db.data_dir.join("images").join(format!("{}", sizes.side_px));
    let files = tokio::task::block_in_place(|| make(options, &folder, sizes, say));
    let settings = settings(&folder);
    let done = match files.and_then(|()| Service::start(&options.db, &settings)) {
        Ok(service) => {
            let sheet = Sheet { only: &options.only, say, figures: Vec::new() };
            let mut bench = Bench { options, folder, service, side_px: sizes.side_px, wcs: wcs(sizes.side_px)?, sheet };
            tokio::task::block_in_place(|| bench.groups()).map(|()| bench.sheet.figures)
        }
        Err(error) => Err(error),
    };
    db::cluster::stop(&options.db).await?;
    done
}

/// How large the sample is.
#[derive(Clone, Copy)]
struct Sizes {
    side_px: u64,
    images: usize,
}

impl Sizes {
    const FULL: Sizes = Sizes { side_px: 20_000, images: 8_000 };
    const QUICK: Sizes = Sizes { side_px: 4_000, images: 500 };
}

/// 32 clients of one address, who wait for their turns.
fn settings(folder: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("BRICKYARD_IMAGES_ROOTS", format!("[{:?}]", folder.display().to_string())),
        ("BRICKYARD_IMAGES_WAIT_S", "600".into()),
        ("BRICKYARD_TAP_QUERIES_PER_CLIENT", "64".into()),
    ]
}

fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let doing = doing.into();
    move |source| Error::Io { doing, source }
}

fn wcs(side_px: u64) -> Result<Wcs, Error> {
    let middle = (side_px as f64 + 1.0) / 2.0;
    Wcs::north_up(CENTRE_DEG[0], CENTRE_DEG[1], PIXEL_ARCSEC / 3600.0, [middle, middle]).map_err(Error::Setup)
}

/// Makes what is not there yet, and registers it.
fn make(options: &Options, folder: &Path, sizes: Sizes, say: &(dyn Fn(String) + Sync)) -> Result<(), Error> {
    let (sky, layers) = (folder.join(SKY), folder.join(LAYERS));
    for folder in [&sky, &layers] {
        std::fs::create_dir_all(folder).map_err(io(format!("making {}", folder.display())))?;
    }
    let wide = folder.join(WIDE);
    if !wide.exists() {
        say(format!("writing a mosaic of {0} x {0} pixels, and {1} small images (kept for the next time)", sizes.side_px, sizes.images));
        let middle = (sizes.side_px as f64 + 1.0) / 2.0;
        write(&wide, &Picture { side_px: sizes.side_px, centre_deg: CENTRE_DEG, crpix: middle, arcsec: PIXEL_ARCSEC, filter: "F475W" }, 1)?;
        write(
            &layers.join("layer.fits"),
            &Picture { side_px: sizes.side_px / 5, crpix: middle / 5.0, centre_deg: CENTRE_DEG, arcsec: PIXEL_ARCSEC, filter: "F814W" },
            2,
        )?;
    }
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for number in 0..sizes.images {
        // as the survey's exposures lie: 3 arcmin wide, many over each other
        let centre_deg = [10.5 + 1.5 * random.random::<f64>(), 41.0 + 1.3 * random.random::<f64>()];
        let path = sky.join(format!("hlsp_phat_hst_acs-wfc_12056-m31-b15-f10_f475w_v1_{number:05}_drz.fits"));
        if !path.exists() {
            write(&path, &Picture { side_px: 8, centre_deg, crpix: 4.5, arcsec: 25.0, filter: "F475W" }, 4 + number as u64)?;
        }
    }
    let packed = folder.join(PACKED);
    if !packed.exists() {
        pack(&wide, &packed, say)?;
    }
    let output = program()?
        .arg("--data-dir")
        .arg(&options.db.data_dir)
        .args(["images", "add"])
        .arg(folder)
        .envs(settings(folder))
        .stdin(Stdio::null())
        .output()
        .map_err(io("registering the images"))?;
    succeeded("brickyard images add", &output)
}

fn succeeded(command: &str, output: &std::process::Output) -> Result<(), Error> {
    if output.status.success() {
        return Ok(());
    }
    let output = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(Error::Child { command: command.into(), output })
}

/// Tile-compresses by Rice's method, a row a tile, as archives do it.
fn pack(wide: &Path, packed: &Path, say: &(dyn Fn(String) + Sync)) -> Result<(), Error> {
    let part = packed.with_extension("part");
    let file = File::create(&part).map_err(io(format!("making {}", part.display())))?;
    match Command::new("fpack").args(["-r", "-S"]).arg(wide).stdin(Stdio::null()).stdout(file).output() {
        Ok(output) => succeeded("fpack", &output)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            say("there is no fpack (package libcfitsio-bin): compressed images are not measured".into());
            return std::fs::remove_file(&part).map_err(io("removing a part of a file"));
        }
        Err(error) => return Err(io("running fpack")(error)),
    }
    std::fs::rename(&part, packed).map_err(io(format!("writing {}", packed.display())))
}

/// An image of noise.
struct Picture {
    side_px: u64,
    centre_deg: [f64; 2],
    crpix: f64,
    arcsec: f64,
    filter: &'static str,
}

/// Writes it row by row; it is there whole or not at all.
fn write(path: &Path, picture: &Picture, seed: u64) -> Result<(), Error> {
    let side = picture.side_px as i64;
    let scale_deg = picture.arcsec / 3600.0;
    let mut header = Header::default();
    for (key, value) in [
        ("SIMPLE", Value::Logical(true)),
        ("BITPIX", Value::Integer(-32)),
        ("NAXIS", Value::Integer(2)),
        ("NAXIS1", Value::Integer(side)),
        ("NAXIS2", Value::Integer(side)),
        ("TELESCOP", "HST".into()),
        ("INSTRUME", "ACS".into()),
        ("FILTER", picture.filter.into()),
        ("EXPTIME", Value::Float(1900.0)),
        ("EXPSTART", Value::Float(55_400.0)),
        ("EXPEND", Value::Float(55_400.1)),
        ("BUNIT", "ELECTRONS/S".into()),
        ("CTYPE1", "RA---TAN".into()),
        ("CTYPE2", "DEC--TAN".into()),
        ("CRVAL1", Value::Float(picture.centre_deg[0])),
        ("CRVAL2", Value::Float(picture.centre_deg[1])),
        ("CRPIX1", Value::Float(picture.crpix)),
        ("CRPIX2", Value::Float(picture.crpix)),
        ("CD1_1", Value::Float(-scale_deg)),
        ("CD1_2", Value::Float(0.0)),
        ("CD2_1", Value::Float(0.0)),
        ("CD2_2", Value::Float(scale_deg)),
    ] {
        header.set(key, value, "");
    }
    let part = path.with_extension("part");
    let written = || -> std::io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&part)?);
        out.write_all(&header.bytes())?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut row = vec![0; picture.side_px as usize * 4];
        for _ in 0..picture.side_px {
            for pixel in row.chunks_exact_mut(4) {
                // two uniform numbers make a triangle, which is noise enough
                let bits: u32 = random.random();
                let noise = f32::from((bits >> 16) as u16) - f32::from(bits as u16);
                pixel.copy_from_slice(&(0.02 + noise * 1e-6).to_be_bytes());
            }
            out.write_all(&row)?;
        }
        let bytes = picture.side_px.pow(2) * 4;
        out.write_all(&vec![0; (bytes.next_multiple_of(2880) - bytes) as usize])?;
        out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        std::fs::rename(&part, path)
    };
    written().map_err(io(format!("writing {}", path.display())))
}

/// Python with the file open.
struct Astropy {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Astropy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Astropy {
    fn open(python: &Path, file: &Path, hdu: usize, how: &str) -> Result<Astropy, Error> {
        let mut child = Command::new(python)
            .args(["-c", include_str!("astropy_cutout.py")])
            .arg(file)
            .args([&hdu.to_string(), &PIECE_PX.to_string(), how])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(io("starting Python"))?;
        let gone = || Error::Setup("Python has no pipes".into());
        let (ask, answers) = (child.stdin.take().ok_or_else(gone)?, child.stdout.take().ok_or_else(gone)?);
        Ok(Astropy { child, ask, answers: BufReader::new(answers) })
    }

    /// Seconds of a piece and the sum of its pixels.
    fn cut(&mut self, [ra_deg, dec_deg]: [f64; 2]) -> Result<(f64, f64), Error> {
        writeln!(self.ask, "{ra_deg} {dec_deg}").and_then(|()| self.ask.flush()).map_err(io("telling Python a position"))?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(io("reading Python's answer"))?;
        let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [seconds, sum] => Ok((seconds, sum)),
            _ => Err(Error::Child { command: "Python with astropy".into(), output: format!("it answered {line:?}") }),
        }
    }
}

impl Bench<'_> {
    fn groups(&mut self) -> Result<(), Error> {
        if self.sheet.wanted("cutout") {
            self.against_astropy(WIDE, 0, "memmap", "Cutout2D of an opened memmap")?;
        }
        if self.folder.join(PACKED).exists() && self.sheet.wanted("rice") {
            self.against_astropy(PACKED, 1, "section", "a section of the opened file")?;
        }
        if self.sheet.wanted("rate") {
            self.rates()?;
        }
        if self.sheet.wanted("memory") {
            self.memory()?;
        }
        if self.sheet.wanted("hips") {
            self.layers()?;
        }
        let searches: [(&str, &str); 2] = [("sia2", "SIA 2"), ("sia1", "SIA 1")];
        for (group, name) in searches {
            if self.sheet.wanted(group) {
                self.search(group, name)?;
            }
        }
        Ok(())
    }

    /// Positions of pieces of this side that lie wholly on the mosaic.
    fn positions(&self, seed: u64, count: usize, side_px: u64) -> Result<Vec<[f64; 2]>, Error> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let half = side_px as f64 / 2.0 + 2.0;
        let mut place = || half + (self.side_px as f64 - 2.0 * half) * random.random::<f64>();
        let off = || Error::Setup("a position is not on the sky".into());
        (0..count).map(|_| self.wcs.pixel_to_sky(place(), place()).ok_or_else(off)).collect()
    }

    /// Asks for a piece in pixels about a position. SIZE along the right ascension is counted in it.
    fn piece(&self, file: &str, hdu: usize, [ra_deg, dec_deg]: [f64; 2], side_px: u64, more: &str) -> String {
        let height_deg = side_px as f64 * PIXEL_ARCSEC / 3600.0;
        let width_deg = height_deg / dec_deg.to_radians().cos();
        format!("/svc/cutout?siaRef={file}&extn={hdu}&POS={ra_deg},{dec_deg}&SIZE={width_deg},{height_deg}{more}")
    }

    /// Times a piece over HTTP and by astropy in turn, each warm: both have read it before.
    fn against_astropy(&mut self, file: &str, hdu: usize, how: &str, theirs: &str) -> Result<(), Error> {
        let wanted = || Error::Setup("BRICKYARD_TEST_PYTHON must name a Python with astropy, to compare with".into());
        let python = self.options.python.clone().ok_or_else(wanted)?;
        let mut astropy = Astropy::open(&python, &self.folder.join(file), hdu, how)?;
        let mut client = self.service.client()?;
        let positions = self.positions(7, PIECES, PIECE_PX as u64)?;
        for position in &positions {
            let answer = client.ask(Request::get(&self.piece(file, hdu, *position, PIECE_PX as u64, "")).kept())?;
            let (_, sum) = astropy.cut(*position)?;
            let ours = self.sum(&answer.body)?;
            if (ours - sum).abs() > 1e-6 * sum.abs() {
                return Err(Error::Setup(format!("the piece about {position:?} is not astropy's: its pixels add up to {ours}, not {sum}")));
            }
        }
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..self.options.runs {
            let (mut times, mut others) = (Vec::new(), Vec::new());
            for position in &positions {
                times.push(client.ask(Request::get(&self.piece(file, hdu, *position, PIECE_PX as u64, "")))?.total_s * 1e3);
                others.push(astropy.cut(*position)?.0 * 1e3);
            }
            ours.push(median(&times));
            peers.push(median(&others));
        }
        let before = self.service.bytes_read();
        for position in &positions {
            client.ask(Request::get(&self.piece(file, hdu, *position, PIECE_PX as u64, "")))?;
        }
        let read = (self.service.bytes_read() - before) / positions.len() as f64;
        let side = self.side_px;
        let name = format!("{PIECE_PX} x {PIECE_PX} of {side} x {side}{}", if hdu == 0 { "" } else { ", Rice" });
        self.sheet.add(Figure::of(format!("{name}: wall over HTTP over {theirs}"), &ratios(&ours, &peers), "", Goal::AtMost(0.5)));
        self.sheet.add(Figure::of(format!("{name}: over HTTP"), &ours, "ms", Goal::Shown));
        self.sheet.add(Figure::of(format!("{name}: astropy"), &peers, "ms", Goal::Shown));
        let rows = (PIECE_PX * PIECE_PX * 4) as f64;
        match hdu {
            0 => self.sheet.add(Figure::of(format!("{name}: bytes read over those of its rows"), &[read / rows], "", Goal::AtMost(4.0))),
            // a tile is a row of the whole image
            _ => self.sheet.add(Figure::of(format!("{name}: bytes read"), &[read / 1024.0], "KiB", Goal::Shown)),
        }
        Ok(())
    }

    /// The sum of the pixels of an answer, which must be a piece of the size asked for.
    fn sum(&self, body: &[u8]) -> Result<f64, Error> {
        let setup = |error: crate::image::Error| Error::Setup(error.to_string());
        let path = self.folder.join("answer.fits");
        std::fs::write(&path, body).map_err(io("keeping an answer"))?;
        let cache = gzip::Cache::new(&self.folder, 0);
        let mut file = FitsFile::open(&path, &cache).map_err(setup)?;
        let image = file.image(&crate::image::Select::First).map_err(setup)?;
        if image.axes != [PIECE_PX as u64; 2] {
            return Err(Error::Setup(format!("a piece has {:?} pixels, not {PIECE_PX} x {PIECE_PX}", image.axes)));
        }
        let whole = crate::image::Rect { x: 0, y: 0, width: image.axes[0], height: image.axes[1] };
        let pixels = image.read(file.source(), whole).map_err(setup)?;
        Ok(pixels.values(&image.header).iter().map(|value| f64::from(*value)).sum())
    }

    /// Requests a second by several clients at once.
    fn rates(&mut self) -> Result<(), Error> {
        const CLIENTS: usize = 8;
        let each = if self.options.quick { 25 } else { 250 };
        let positions = self.positions(11, 1000, PIECE_PX as u64)?;
        for (name, more) in [("FITS", ""), ("PNG", "&FORMAT=png")] {
            let mut rates = Vec::new();
            for _ in 0..self.options.runs {
                let paths: Vec<String> = positions.iter().map(|at| self.piece(WIDE, 0, *at, PIECE_PX as u64, more)).collect();
                let (bench, paths) = (&*self, &paths);
                let begun = Instant::now();
                crowd(CLIENTS, |number| {
                    let mut client = bench.service.client()?;
                    (0..each).try_for_each(|k| client.ask(Request::get(&paths[(number * 131 + k) % paths.len()])).map(drop))
                })?;
                rates.push((CLIENTS * each) as f64 / begun.elapsed().as_secs_f64());
            }
            let name = format!("{PIECE_PX} x {PIECE_PX} as {name}, {CLIENTS} clients");
            self.sheet.add(Figure::of(name, &rates, "requests/s", Goal::Shown));
        }
        Ok(())
    }

    /// How far the service grows when many ask for large pieces at the same moment.
    fn memory(&mut self) -> Result<(), Error> {
        const CLIENTS: usize = 32;
        let side_px = if self.options.quick { 1000 } else { 4000 };
        let piece_mib = (side_px * side_px * 4) as f64 / 1048576.0;
        let positions = self.positions(13, CLIENTS, side_px)?;
        let paths: Vec<String> = positions.iter().map(|at| self.piece(WIDE, 0, *at, side_px, "")).collect();
        self.service.client()?.ask(Request::get(&self.piece(WIDE, 0, positions[0], PIECE_PX as u64, "")))?; // a first answer is not growth
        let (before, _) = self.service.memory_mib();
        let bench = &*self;
        let paths = &paths;
        let peak = std::thread::scope(|scope| -> Result<f64, Error> {
            let asking = scope.spawn(move || crowd(CLIENTS, |number| bench.service.client()?.ask(Request::get(&paths[number])).map(drop)));
            let mut peak = before;
            while !asking.is_finished() {
                peak = peak.max(bench.service.memory_mib().0);
                std::thread::sleep(Duration::from_millis(5));
            }
            asking.join().map_err(|_| Error::Setup("a client thread fell".into()))??;
            Ok(peak)
        })?;
        let name = format!("{CLIENTS} clients ask for {side_px} x {side_px}: growth of the service");
        self.sheet.add(Figure::of(name, &[peak - before], "MiB", Goal::AtMost((CLIENTS as f64 * piece_mib + 200.0).round())));
        Ok(())
    }

    /// How fast the tiles of a HiPS are made.
    fn layers(&mut self) -> Result<(), Error> {
        let mut rates = Vec::new();
        for _ in 0..self.options.runs.min(3) {
            let out = self.folder.join("hips");
            if out.exists() {
                std::fs::remove_dir_all(&out).map_err(io("removing an earlier HiPS"))?;
            }
            let begun = Instant::now();
            let output = program()?
                .arg("--data-dir")
                .arg(&self.options.db.data_dir)
                .args(["images", "hips", "--filter", "F814W", "--out"])
                .arg(&out)
                .envs(settings(&self.folder))
                .stdin(Stdio::null())
                .output()
                .map_err(io("making a HiPS"))?;
            let seconds = begun.elapsed().as_secs_f64();
            succeeded("brickyard images hips", &output)?;
            let tiles = glob::glob(&format!("{}/*/Norder*/Dir*/Npix*.fits", glob::Pattern::escape(&out.display().to_string())));
            let tiles = tiles.map_err(|error| Error::Setup(error.to_string()))?.count();
            rates.push(tiles as f64 / seconds);
        }
        let side = self.side_px / 5;
        self.sheet.add(Figure::of(format!("HiPS of {side} x {side} pixels, all orders, with pictures"), &rates, "tiles/s", Goal::Shown));
        Ok(())
    }

    /// Searches by position.
    fn search(&mut self, group: &str, name: &str) -> Result<(), Error> {
        let count = if self.options.quick { 50 } else { 400 };
        let mut random = ChaCha8Rng::seed_from_u64(17);
        let mut client: Client = self.service.client()?;
        let (mut times, mut rows) = (Vec::new(), Vec::new());
        for number in 0..count {
            let (ra, dec) = (10.5 + 1.5 * random.random::<f64>(), 41.0 + 1.3 * random.random::<f64>());
            let path = match group {
                "sia2" => format!("/sia2/query?POS=CIRCLE+{ra}+{dec}+0.001&RESPONSEFORMAT=votable/td"),
                _ => format!("/sia/PHAT?POS={ra},{dec}&SIZE=0.002&FORMAT=ALL"),
            };
            let answer = client.ask(Request::get(&path).kept())?;
            let body = String::from_utf8_lossy(&answer.body);
            if !body.contains("QUERY_STATUS\" value=\"OK\"") {
                return Err(Error::Setup(format!("{path} answered {}", body.chars().take(600).collect::<String>())));
            }
            if number >= count / 10 {
                times.push(answer.total_s * 1e3);
                rows.push(body.matches("<TR>").count() as f64);
            }
        }
        let images = if self.options.quick { Sizes::QUICK.images } else { Sizes::FULL.images };
        self.sheet.add(Figure::of(format!("{name} over {images} images: p50"), &[median(&times)], "ms", Goal::AtMost(10.0)));
        self.sheet.add(Figure::of(format!("{name}: p99"), &[quantile(&times, 0.99)], "ms", Goal::Shown));
        self.sheet.add(Figure::of(format!("{name}: images found"), &[median(&rows)], "", Goal::Shown));
        Ok(())
    }
}

/// Does the same as several clients at once.
fn crowd(clients: usize, act: impl Fn(usize) -> Result<(), Error> + Sync) -> Result<(), Error> {
    std::thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> = (0..clients).map(|number| scope.spawn(move || act(number))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| Error::Setup("a client thread fell".into()))?)
    })
}
