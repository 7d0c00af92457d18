//! Artificial-star tests, first step: which stars are put into the images, cut into lists that are tested side by side.
//!
//! A star lies near a measured object, so that the tests are as crowded as the stars are, and has the colours of another one, so that they
//! fill the colour-magnitude diagrams; its brightness is drawn evenly from that of the brightest objects to [`BEYOND_MAG`] below the
//! faintest. A filter in which the object has no magnitude takes the field's median colour. A line is what DOLPHOT's `FakeStars` reads
//! (User's Guide, Artificial Star Tests): extension, chip, x, y, and a magnitude for each filter in the order of the photometry's blocks.
//!
//! Memory: [`SAMPLE`] objects, whatever the length of the photometry. The same seed draws the same stars.

use super::catalogue::{blocks, filters};
use super::{Error, bad, tell, write_whole};
use crate::format::dolphot::{Guide, Reader};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Objects that stars are drawn after.
pub const SAMPLE: usize = 50_000;
/// How far below the faintest objects tests go.
pub const BEYOND_MAG: f64 = 1.5;
/// Scatter of a star's place around its object, pixels.
const AROUND_PX: f64 = 20.0;
const ROWS: usize = 4096;
/// Magnitudes from here on say that there is none.
const NO_MAG: f32 = 90.0;

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Options {
    /// DOLPHOT's text, with its side files beside it.
    pub phot: PathBuf,
    pub target: String,
    /// Stars in all; 0 makes no list.
    pub stars: usize,
    /// Stars of a list.
    pub list: usize,
    pub seed: u64,
    pub dir: PathBuf,
}

/// An object that stars are drawn after.
struct Object {
    x: f64,
    y: f64,
    mags: Vec<f32>,
}

/// Writes the lists and tells an event `ast` for each; gives their number.
pub fn run(options: &Options) -> Result<usize, Error> {
    if options.stars == 0 {
        tell(&options.dir, &[])?;
        return Ok(0);
    }
    if options.list == 0 {
        return Err(Error::Asked("a list has at least one star".into()));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let objects = sample(&options.phot, &mut rng)?;
    let draw = Draw::of(&objects).ok_or_else(|| bad(&options.phot, "no object in it has a magnitude"))?;
    let mut events = Vec::new();
    for first in (0..options.stars).step_by(options.list) {
        let mut text = String::new();
        for _ in first..(first + options.list).min(options.stars) {
            draw.star(&objects, &mut rng, &mut text);
        }
        let chunk = events.len() + 1;
        let name = format!("{}.ast{chunk:05}.list", options.target);
        write_whole(&options.dir.join(&name), text.as_bytes())?;
        events.push(json!({
            "name": "ast", "key": format!("{}.ast{chunk:05}", options.target), "payload": { "chunk": chunk, "files": [name] },
        }));
    }
    tell(&options.dir, &events)?;
    Ok(events.len())
}

/// Every object with the same chance (reservoir sampling).
fn sample(path: &Path, rng: &mut ChaCha8Rng) -> Result<Vec<Object>, Error> {
    let guide = Guide::read(path)?;
    let blocks = blocks(&guide)?;
    let mut reader = Reader::open(path)?;
    let offset =
        |name: &str| reader.layout.find(name).map(|column| column.offset).ok_or_else(|| bad(path, format!("it has no column {name}")));
    let (x, y) = (offset("X")?, offset("Y")?);
    let standing = filters(&guide, &blocks)?;
    let mags = standing.iter().map(|block| offset(&format!("MAG{}_VEGA", block.number))).collect::<Result<Vec<_>, _>>()?;
    let width = reader.layout.row_bytes;
    let (mut objects, mut rows, mut seen) = (Vec::new(), Vec::new(), 0_u64);
    loop {
        rows.clear();
        if reader.read(ROWS, &mut rows)? == 0 {
            break;
        }
        for row in rows.chunks_exact(width) {
            let double = |at: usize| f64::from_be_bytes(row[at..at + 8].try_into().expect("eight bytes"));
            let float = |at: usize| f32::from_be_bytes(row[at..at + 4].try_into().expect("four bytes"));
            let object = || Object { x: double(x), y: double(y), mags: mags.iter().map(|at| float(*at)).collect() };
            seen += 1;
            if objects.len() < SAMPLE {
                objects.push(object());
            } else if let Ok(place @ 0..SAMPLE) = usize::try_from(rng.random_range(0..seen)) {
                objects[place] = object();
            }
        }
    }
    match objects.is_empty() {
        true => Err(bad(path, "there is no object in it: tests are drawn after what was measured")),
        false => Ok(objects),
    }
}

/// What brightness and colours are drawn from.
struct Draw {
    /// The filter in which most objects have a magnitude.
    reference: usize,
    bright: f64,
    faint: f64,
    /// Median colour of each filter against the reference.
    colours: Vec<f64>,
    corner: [f64; 2],
    /// Objects with a magnitude in the reference.
    known: Vec<usize>,
}

impl Draw {
    fn of(objects: &[Object]) -> Option<Draw> {
        let filters = objects.first()?.mags.len();
        let has = |object: &Object, filter: usize| object.mags[filter] < NO_MAG;
        let reference =
            (0..filters).max_by_key(|&filter| (objects.iter().filter(|object| has(object, filter)).count(), filters - filter))?;
        let known: Vec<usize> = (0..objects.len()).filter(|&i| has(&objects[i], reference)).collect();
        let mut mags: Vec<f32> = known.iter().map(|&i| objects[i].mags[reference]).collect();
        mags.sort_by(f32::total_cmp);
        let at = |part: f64| mags.get(((mags.len() as f64 - 1.0) * part) as usize).copied();
        let (bright, faint) = (f64::from(at(0.005)?), f64::from(at(0.995)?) + BEYOND_MAG);
        let colour = |filter: usize| {
            let both = objects.iter().filter(|object| has(object, filter) && has(object, reference));
            let mut colours: Vec<f32> = both.map(|object| object.mags[filter] - object.mags[reference]).collect();
            colours.sort_by(f32::total_cmp);
            colours.get(colours.len() / 2).map_or(0.0, |colour| f64::from(*colour))
        };
        let corner = objects.iter().fold([0.0_f64; 2], |[x, y], object| [x.max(object.x), y.max(object.y)]);
        Some(Draw { reference, bright, faint, colours: (0..filters).map(colour).collect(), corner, known })
    }

    /// Appends the line of a star.
    fn star(&self, objects: &[Object], rng: &mut ChaCha8Rng, text: &mut String) {
        let near = &objects[rng.random_range(0..objects.len())];
        let mut place = |value: f64, most: f64| (value + AROUND_PX * rng.sample::<f64, _>(StandardNormal)).clamp(0.0, most);
        let (x, y) = (place(near.x, self.corner[0]), place(near.y, self.corner[1]));
        let like = &objects[self.known[rng.random_range(0..self.known.len())]];
        let mag = self.bright + (self.faint - self.bright) * rng.random::<f64>();
        let _ = write!(text, "0 1 {x:.2} {y:.2}"); // to a String: cannot fail
        for (filter, usual) in self.colours.iter().enumerate() {
            let colour = match like.mags[filter] < NO_MAG {
                true => f64::from(like.mags[filter] - like.mags[self.reference]),
                false => *usual,
            };
            let _ = write!(text, " {:.3}", mag + colour); // as above
        }
        text.push('\n');
    }
}
