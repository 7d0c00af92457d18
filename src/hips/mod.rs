//! HiPS 1.0: the images of a filter as tiles of HEALPix cells, at all orders, that Aladin and others show and zoom.
//!
//! ```text
//! Frames (files) -> Sights (where they look) -> tiles of the deepest order -> means of four, order by order -> pictures
//!                                            -> Moc.fits, Allsky, properties, index.html
//! ```
//!
//! A tile is whole or absent, and a parent is written after its children: where a tile is, all below it is done, so that a run that broke
//! off goes on where it stopped. `images.json` tells which files the tiles were made of; when one has changed, come or gone, the tiles that
//! it touched or touches are made anew, with those above them. The same images give the same bytes, however often it was interrupted.
//!
//! Memory: of the images, what a tile needs (some 4 MiB a thread); of tiles, the four children of each order on the way down (at most
//! 4 MiB an order and thread, so 60 MiB a thread); 64 MiB for an Allsky; some 100 bytes for each deepest tile.

mod describe;
mod sample;
mod tile;

pub use describe::About;

use crate::image::{Curve, Cuts, FitsFile};
use rayon::prelude::*;
use sample::Sight;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use tile::{Greys, Tile};

/// The deepest order: its pixels are those of HEALPix's order 29.
const DEEPEST: u8 = 29 - tile::SIDE_ORDER;
/// What each folder of ours holds, and no other's.
const STATE: &str = "images.json";
/// Tiles that are sampled for black and white, and values of each.
const SAMPLED_TILES: usize = 64;
const SAMPLED_VALUES: usize = 4096;

/// Why there is no HiPS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Image(#[from] crate::image::Error),
    #[error("{name}: {source}")]
    Open { name: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not empty and holds no HiPS of ours: choose another folder", folder.display())]
    Foreign { folder: PathBuf },
    #[error("{} is being made by another run; wait for it, or choose another folder", folder.display())]
    Busy { folder: PathBuf },
    #[error("there are images in {a} and in {b}: one HiPS has one unit; choose images by --collection")]
    Units { a: String, b: String },
    #[error("no image has a value anywhere")]
    Empty,
    #[error("{what}")]
    Wish { what: String },
}

fn at<T>(action: &'static str, path: &Path, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::File { action, path: path.into(), source })
}

/// An image that a HiPS is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// What it is called for ever, wherever its folder is mounted.
    pub name: String,
    pub hdu: usize,
    /// Size and time: another of these is another file.
    pub bytes: i64,
    pub mtime_ns: i64,
}

/// Opens the file of an image.
pub type Open<'a> = dyn Fn(&Frame) -> Result<FitsFile, Box<dyn std::error::Error + Send + Sync>> + Sync + 'a;

/// How it is made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Black and white of pictures, as [`Cuts`] reads them; what was chosen before stays unless it is named.
    pub cuts: Option<String>,
    pub curve: Option<Curve>,
    /// Floats that are exactly 0 are values; else there is nothing, as drizzling writes it.
    pub zero_is_data: bool,
}

/// What happens, for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// So many of the deepest tiles are done.
    Tiles {
        done: u64,
        all: u64,
    },
    Pictures {
        done: u64,
        all: u64,
    },
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    pub order: u8,
    /// Tiles of all orders that are there.
    pub tiles: u64,
    /// Those that this run made.
    pub made: u64,
    /// Tiles that were removed because an image had changed.
    pub stale: u64,
}

/// What the tiles were made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    order: u8,
    zero_is_data: bool,
    images: BTreeMap<String, Known>,
    look: Option<Look>,
    /// False from the first change on until all is described.
    finished: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    bytes: i64,
    mtime_ns: i64,
    outline_deg: Vec<(f64, f64)>,
}

/// What pictures look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Look {
    cuts: String,
    curve: String,
    black: f64,
    white: f64,
    /// The least and the largest of the values looked at.
    range: [f64; 2],
}

/// Makes or brings up to date the HiPS in `out`.
pub fn make(
    out: &Path,
    frames: &[Frame],
    about: &About,
    options: &Options,
    open: &Open<'_>,
    progress: &(dyn Fn(Event) + Sync),
) -> Result<Report, Error> {
    let _lock = claim(out)?;
    let sights: Vec<Sight<'_>> = frames.par_iter().map(|frame| Sight::of(frame, open)).collect::<Result<_, _>>()?;
    let unit = unit(&sights)?;
    let finest_deg = sights.iter().map(|sight| sight.scale_deg).fold(f64::INFINITY, f64::min);
    let order = sample::order(finest_deg);
    let (state, stale) = up_to_date(out, order, &sights, options)?;
    let cells = cells(order, &sights)?;
    let mut work = Work {
        out,
        order,
        sights,
        cells,
        unit,
        zero_is_data: options.zero_is_data,
        open,
        progress,
        done: 0.into(),
        made: 0.into(),
        look: state.look.clone(),
    };
    (0..12_u64).into_par_iter().try_for_each(|pix| work.tile(0, pix, false).map(drop))?;
    let deepest = work.deepest();
    if deepest.is_empty() {
        return Err(Error::Empty);
    }
    let look = work.look(&deepest, options)?;
    if state.look.as_ref().is_some_and(|earlier| *earlier != look) {
        work.forget_pictures(&deepest)?;
    }
    let mut state = State { look: Some(look.clone()), ..state };
    work.look = Some(look);
    let drawn = work.pictures(&deepest)?;
    let made = work.made.load(Ordering::Relaxed);
    if !state.finished || made + drawn > 0 {
        state.finished = false;
        write_state(out, &state)?;
        work.describe(&deepest, about)?;
        state.finished = true;
        write_state(out, &state)?;
    }
    Ok(Report { order, tiles: work.all(&deepest).len() as u64, made, stale })
}

/// Makes the folder ours, for this run alone.
fn claim(out: &Path) -> Result<fs::File, Error> {
    at("make", out, fs::create_dir_all(out))?;
    let lock = out.join(".lock");
    let is_ours = out.join(STATE).exists() || lock.exists();
    if !is_ours && at("read", out, fs::read_dir(out))?.next().is_some() {
        return Err(Error::Foreign { folder: out.into() });
    }
    let file = at("make", &lock, fs::File::options().create(true).append(true).open(&lock))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Busy { folder: out.into() }),
        Err(fs::TryLockError::Error(source)) => Err(Error::File { action: "lock", path: lock, source }),
    }
}

/// The unit of all images that tell one.
fn unit(sights: &[Sight<'_>]) -> Result<Option<String>, Error> {
    let units: BTreeSet<&str> = sights.iter().filter_map(|sight| sight.unit.as_deref()).collect();
    let mut units = units.into_iter();
    match (units.next(), units.next()) {
        (Some(a), Some(b)) => Err(Error::Units { a: a.into(), b: b.into() }),
        (first, _) => Ok(first.map(str::to_owned)),
    }
}

/// The numbers of the images that touch each cell of the deepest order.
fn cells(order: u8, sights: &[Sight<'_>]) -> Result<BTreeMap<u64, Vec<u32>>, Error> {
    let mut cells = BTreeMap::<u64, Vec<u32>>::new();
    for (number, sight) in (0..).zip(sights) {
        for pix in sample::cells(order, &sight.outline_deg)?.into_iter().flatten() {
            cells.entry(pix).or_default().push(number);
        }
    }
    Ok(cells)
}

/// Removes what was made of other images than these, and writes down of which the tiles are now. Tells how many tiles were removed.
fn up_to_date(out: &Path, order: u8, sights: &[Sight<'_>], options: &Options) -> Result<(State, u64), Error> {
    let images = sights.iter().map(|sight| {
        let Frame { name, hdu, bytes, mtime_ns, .. } = sight.frame;
        (format!("{name}/{hdu}"), Known { bytes: *bytes, mtime_ns: *mtime_ns, outline_deg: sight.outline_deg.clone() })
    });
    let images: BTreeMap<String, Known> = images.collect();
    let Some(earlier) = read_state(out)? else {
        let state = State { order, zero_is_data: options.zero_is_data, images, look: None, finished: false };
        write_state(out, &state)?;
        return Ok((state, 0));
    };
    if (earlier.order, earlier.zero_is_data) == (order, options.zero_is_data) && is_same(&earlier.images, &images) {
        return Ok((earlier, 0));
    }
    // until the tiles are gone the list stays as it was: who is interrupted here begins here again
    write_state(out, &State { finished: false, ..earlier.clone() })?;
    let removed = if (earlier.order, earlier.zero_is_data) == (order, options.zero_is_data) {
        let changed = |(name, known): &(&String, &Known), other: &BTreeMap<String, Known>| other.get(*name).is_none_or(|o| !o.is(known));
        let gone = earlier.images.iter().filter(|image| changed(image, &images));
        let come = images.iter().filter(|image| changed(image, &earlier.images));
        let mut stale = BTreeSet::new();
        for (_, known) in gone.chain(come) {
            stale.extend(sample::cells(order, &known.outline_deg)?.into_iter().flatten());
        }
        remove_tiles(out, order, stale)?
    } else {
        remove_orders(out)?
    };
    let state = State { order, zero_is_data: options.zero_is_data, images, look: earlier.look, finished: false };
    write_state(out, &state)?;
    Ok((state, removed))
}

impl Known {
    /// The same file? Its outline is computed, and may differ in the last digit that JSON keeps.
    fn is(&self, other: &Known) -> bool {
        (self.bytes, self.mtime_ns) == (other.bytes, other.mtime_ns)
    }
}

fn is_same(a: &BTreeMap<String, Known>, b: &BTreeMap<String, Known>) -> bool {
    a.len() == b.len() && a.iter().all(|(name, known)| b.get(name).is_some_and(|other| other.is(known)))
}

/// Removes these tiles of the deepest order and all above them, from the top down: a parent is never there without its children.
fn remove_tiles(out: &Path, order: u8, stale: BTreeSet<u64>) -> Result<u64, Error> {
    let mut removed = 0;
    for above in 0..=order {
        let pixels: BTreeSet<u64> = stale.iter().map(|pix| pix >> (2 * (order - above))).collect();
        for pix in pixels {
            let path = tile::path(out, above, pix);
            remove(&path.with_extension("png"))?;
            removed += u64::from(remove(&path.with_extension("fits"))?);
        }
    }
    Ok(removed)
}

fn remove_orders(out: &Path) -> Result<u64, Error> {
    let pattern = format!("{}/Norder*/Dir*/Npix*.fits", glob::Pattern::escape(&out.display().to_string()));
    let removed = glob::glob(&pattern).map_err(|error| Error::Wish { what: error.to_string() })?.count() as u64;
    for order in 0..=DEEPEST {
        let folder = out.join(format!("Norder{order}"));
        if folder.is_dir() {
            at("remove", &folder, fs::remove_dir_all(&folder))?;
        }
    }
    Ok(removed)
}

/// Removes a file; was it there?
fn remove(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => at("remove", path, other).map(|()| true),
    }
}

fn read_state(out: &Path) -> Result<Option<State>, Error> {
    let path = out.join(STATE);
    match fs::read(&path) {
        Ok(text) => at("understand", &path, serde_json::from_slice(&text).map(Some).map_err(io::Error::other)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => at("read", &path, Err(error)),
    }
}

fn write_state(out: &Path, state: &State) -> Result<(), Error> {
    let path = out.join(STATE);
    let text = at("write", &path, serde_json::to_vec(state).map_err(io::Error::other))?;
    tile::whole(&path, &text)
}

/// A run at work.
struct Work<'a> {
    out: &'a Path,
    order: u8,
    sights: Vec<Sight<'a>>,
    cells: BTreeMap<u64, Vec<u32>>,
    unit: Option<String>,
    zero_is_data: bool,
    open: &'a Open<'a>,
    progress: &'a (dyn Fn(Event) + Sync),
    done: AtomicU64,
    made: AtomicU64,
    look: Option<Look>,
}

impl Work<'_> {
    /// Sees to it that a tile is there, and all below it; gives it if it is wanted and has values.
    fn tile(&self, order: u8, pix: u64, is_wanted: bool) -> Result<Option<Tile>, Error> {
        let below = 2 * (self.order - order);
        let mut range = self.cells.range(pix << below..(pix + 1) << below);
        let Some((_, numbers)) = range.next() else { return Ok(None) };
        let file = tile::path(self.out, order, pix).with_extension("fits");
        if file.exists() {
            self.tell(1 + range.count() as u64);
            return if is_wanted { Tile::read(&file).map(Some) } else { Ok(None) };
        }
        let tile = if order == self.order {
            let sights: Vec<&Sight<'_>> = numbers.iter().map(|number| &self.sights[*number as usize]).collect();
            let tile = sample::tile(order, pix, &sights, self.zero_is_data, self.open)?;
            self.tell(1);
            tile
        } else {
            self.parent(order, pix)?
        };
        if let Some(tile) = &tile {
            // a picture of what was there before
            remove(&file.with_extension("png"))?;
            tile.write(&file, order, pix, self.unit.as_deref())?;
            self.made.fetch_add(1, Ordering::Relaxed);
        }
        Ok(tile)
    }

    fn parent(&self, order: u8, pix: u64) -> Result<Option<Tile>, Error> {
        let children: Vec<Option<Tile>> =
            (0..4_u64).into_par_iter().map(|number| self.tile(order + 1, 4 * pix + number, true)).collect::<Result<_, _>>()?;
        if children.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut parent = Tile::empty();
        for (number, child) in (0..).zip(&children) {
            if let Some(child) = child {
                parent.take_child(number, child);
            }
        }
        Ok(Some(parent))
    }

    fn tell(&self, more: u64) {
        let done = more + self.done.fetch_add(more, Ordering::Relaxed);
        (self.progress)(Event::Tiles { done, all: self.cells.len() as u64 });
    }

    fn file(&self, order: u8, pix: u64, ending: &str) -> PathBuf {
        tile::path(self.out, order, pix).with_extension(ending)
    }

    /// The deepest tiles that have values.
    fn deepest(&self) -> Vec<u64> {
        self.cells.keys().copied().filter(|pix| self.file(self.order, *pix, "fits").exists()).collect()
    }

    /// The tiles of an order.
    fn of_order(&self, order: u8, deepest: &[u64]) -> BTreeSet<u64> {
        deepest.iter().map(|pix| pix >> (2 * (self.order - order))).collect()
    }

    /// The tiles of all orders.
    fn all(&self, deepest: &[u64]) -> Vec<(u8, u64)> {
        (0..=self.order).flat_map(|order| self.of_order(order, deepest).into_iter().map(move |pix| (order, pix))).collect()
    }

    /// Black and white: as they were, unless other ones are asked for.
    fn look(&self, deepest: &[u64], options: &Options) -> Result<Look, Error> {
        let earlier = self.look.as_ref();
        let cuts = options.cuts.clone().or_else(|| earlier.map(|look| look.cuts.clone())).unwrap_or_else(|| "99.5%".into());
        let curve = options.curve.map(name_of).or_else(|| earlier.map(|look| look.curve.clone())).unwrap_or_else(|| name_of(Curve::Asinh));
        if let Some(earlier) = earlier.filter(|earlier| earlier.cuts == cuts) {
            return Ok(Look { curve, ..earlier.clone() });
        }
        let parsed = Cuts::from_str(&cuts).map_err(|what| Error::Wish { what })?;
        let every = deepest.len().div_ceil(SAMPLED_TILES);
        let mut values = Vec::new();
        for pix in deepest.iter().step_by(every) {
            let tile = Tile::read(&self.file(self.order, *pix, "fits"))?;
            let there: Vec<f32> = tile.0.into_iter().filter(|value| value.is_finite()).collect();
            values.extend(there.iter().step_by(there.len().div_ceil(SAMPLED_VALUES).max(1)));
        }
        let (black, white) = parsed.of(&values).ok_or(Error::Empty)?;
        let (low, high) = Cuts::MinMax.of(&values).ok_or(Error::Empty)?;
        Ok(Look { cuts, curve, black, white, range: [low, high] })
    }

    fn forget_pictures(&self, deepest: &[u64]) -> Result<(), Error> {
        self.all(deepest).par_iter().try_for_each(|(order, pix)| remove(&self.file(*order, *pix, "png")).map(drop))
    }

    fn greys(&self) -> Result<Greys, Error> {
        let look = self.look.as_ref().ok_or(Error::Empty)?;
        let curve = <Curve as clap::ValueEnum>::from_str(&look.curve, true);
        let curve = curve.map_err(|_| Error::Wish { what: format!("{STATE}: {} is no curve; remove the folder", look.curve) })?;
        Ok(Greys { black: look.black, white: look.white, curve })
    }

    /// Draws what is not drawn; tells how many that were.
    fn pictures(&self, deepest: &[u64]) -> Result<u64, Error> {
        let (greys, all) = (self.greys()?, self.all(deepest));
        let (done, drawn) = (AtomicU64::new(0), AtomicU64::new(0));
        all.par_iter().try_for_each(|&(order, pix)| {
            let file = self.file(order, pix, "png");
            if !file.exists() {
                let tile = Tile::read(&self.file(order, pix, "fits"))?;
                tile::whole(&file, &greys.png(&tile.0, tile::SIDE)?)?;
                drawn.fetch_add(1, Ordering::Relaxed);
            }
            let done = 1 + done.fetch_add(1, Ordering::Relaxed);
            (self.progress)(Event::Pictures { done, all: all.len() as u64 });
            Ok::<(), Error>(())
        })?;
        Ok(drawn.into_inner())
    }
}

fn name_of(curve: Curve) -> String {
    format!("{curve:?}").to_lowercase()
}
