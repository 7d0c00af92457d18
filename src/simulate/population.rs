//! True stars: where they are and how bright, drawn from the density map and the colour-magnitude maps.
//!
//! A star belongs to the first field that has its position ([`Survey::owns`]) and is drawn from that field's own random
//! stream alone. A later field with the same piece of sky draws the owner's stars again and keeps those in its footprint:
//! so the stars of a field do not depend on threads or on which other bricks are asked for.
//!
//! Six-band magnitudes join the three planes of the nearest of bricks 1, 15 and 23 (by galactocentric radius): the optical
//! plane gives F475W and F814W; F160W and F336W follow from them by the slope of the stellar locus (red clump: F814W - F160W
//! = 1.0 at F475W - F814W = 1.9; tip of the giants: 2.5 at 4.5); F110W - F160W and F275W - F336W are then taken
//! from the row of the IR or UV plane at that magnitude, at the rank that the star's colour has in its optical row. The
//! planes hold stars that pass all six good-star cuts, the infrared ones too, and so lack the faint blue ones: two fifths of
//! the stars are drawn fainter and bluer ([`FAINT_PART`]), which brings means and colours to those of the survey's bricks.

use super::cepheid;
use super::facts::{BrickCmds, Cmd, F110W, F160W, F275W, F336W, F475W, F814W, Facts};
use super::footprint::{CENTRE_PX, Field, HALF_BOX_PX, Survey};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Part of the stars that is fainter and bluer than the colour-magnitude maps say.
const FAINT_PART: f64 = 0.4;

/// What a star is in the truth table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum Kind {
    Constant = 0,
    /// A hot main-sequence star, measured well in all six bands; every field has one.
    SixBand = 1,
    /// A giant that varies as a sine; every field with two stars has one.
    Sinusoid = 2,
    /// V5343.
    Cepheid = 3,
}

/// How a sinusoid varies: magnitude = mean + amplitude * sin(2 pi (mjd / period + phase)), the same in all bands.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Variation {
    pub period_d: f64,
    pub amplitude_mag: f64,
    pub phase: f64,
}

impl Variation {
    pub fn offset_mag(&self, mjd: f64) -> f64 {
        if self.amplitude_mag == 0.0 {
            return 0.0;
        }
        self.amplitude_mag * (std::f64::consts::TAU * (mjd / self.period_d + self.phase)).sin()
    }
}

/// A true star.
#[derive(Debug, Clone)]
pub struct Star {
    /// Unique in the whole survey: brick, field and place in the owner's list.
    pub id: i64,
    pub kind: Kind,
    pub sky_deg: [f64; 2],
    /// Mean Vega magnitudes in the order of the combined blocks.
    pub mags: [f64; 6],
    pub variation: Variation,
    /// Whether an earlier field owns it.
    pub shared: bool,
}

/// A place and the dice for everything else about the star, drawn at once so that brightness can be skipped.
struct Draw {
    sky_deg: [f64; 2],
    dice: [f64; 7],
}

/// The random stream of one field for one purpose.
pub fn stream(seed: u64, field: &Field, purpose: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(purpose << 32 | u64::from(field.brick) << 8 | u64::from(field.field));
    rng
}

const PURPOSE_STARS: u64 = 1;
pub const PURPOSE_NOISE: u64 = 2;
pub const PURPOSE_ARTIFICIAL: u64 = 3;

/// The stars of the whole survey, thinned to a fraction of the real density.
pub struct Population {
    survey: Survey,
    cmds: BTreeMap<u8, Planes>,
    seed: u64,
    fraction: f64,
    /// Stars that each field owns.
    owned: Vec<u64>,
}

impl Population {
    /// `asked` are the fields whose footprints shall have about `objects` objects in all.
    pub fn new(facts: &Facts, seed: u64, objects: u64, asked: &[(u8, u8)]) -> Population {
        use rayon::prelude::*;
        let survey = Survey::new(facts);
        let wanted: Vec<bool> = survey.fields.iter().map(|f| asked.contains(&(f.brick, f.field))).collect();
        let needed: Vec<bool> = (0..survey.fields.len())
            .map(|at| wanted[at] || (0..survey.fields.len()).any(|k| wanted[k] && survey.fields[k].earlier.contains(&at)))
            .collect();
        let counts: Vec<(f64, f64)> =
            (0..survey.fields.len()).into_par_iter().map(|at| if needed[at] { survey.real_counts(at) } else { (0.0, 0.0) }).collect();
        let real: f64 = counts.iter().zip(&wanted).filter(|(_, wanted)| **wanted).map(|(count, _)| count.1).sum();
        let fraction = if real > 0.0 { objects as f64 / real } else { 0.0 };
        // A field that earlier ones cover wholly owns nothing; any other owns at least its six-band star.
        let owned = counts.iter().map(|count| if count.0 > 0.0 { ((count.0 * fraction).round() as u64).max(1) } else { 0 }).collect();
        let cmds = facts.cmds.iter().map(|(&brick, maps)| (brick, Planes::new(maps))).collect();
        Population { survey, cmds, seed, fraction, owned }
    }

    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Simulated over real number of objects.
    pub fn fraction(&self) -> f64 {
        self.fraction
    }

    /// Stars of a field that earlier fields own, in the owners' order.
    pub fn shared(&self, at: usize) -> Vec<Star> {
        let field = &self.survey.fields[at];
        let mut shared = Vec::new();
        for &owner in &field.earlier {
            if !self.meet(owner, at) {
                continue;
            }
            let mut places = self.places(owner);
            for n in 0..self.owned[owner] {
                let draw = places.next(n);
                if field.has(draw.sky_deg) {
                    shared.push(Star { shared: true, ..self.star(owner, n, &draw) });
                }
            }
        }
        shared
    }

    /// Cheap test whether two footprints meet: a coarse grid of one lies in the other.
    fn meet(&self, owner: usize, at: usize) -> bool {
        const STEPS: usize = 64;
        let (owner, field) = (&self.survey.fields[owner], &self.survey.fields[at]);
        let place = |k: usize, centre: f64| centre - HALF_BOX_PX + (k as f64 + 0.5) * 2.0 * HALF_BOX_PX / STEPS as f64;
        (0..STEPS * STEPS).any(|k| {
            let point = owner.wcs.sky_deg(place(k % STEPS, CENTRE_PX[0]), place(k / STEPS, CENTRE_PX[1]));
            field.has(point) && owner.has(point)
        })
    }

    /// How many stars a field owns, the Cepheid not counted.
    pub fn owned(&self, at: usize) -> u64 {
        self.owned[at]
    }

    /// The stars that a field owns, one after another; the Cepheid comes last in its field.
    pub fn own(&self, at: usize) -> impl Iterator<Item = Star> + '_ {
        let mut places = self.places(at);
        let stars = (0..self.owned[at]).map(move |n| {
            let draw = places.next(n);
            self.star(at, n, &draw)
        });
        let cepheid = cepheid::is_field(&self.survey.fields[at]).then(|| self.cepheid(at));
        stars.chain(cepheid)
    }

    fn cepheid(&self, at: usize) -> Star {
        Star {
            id: self.id(at, self.owned[at]),
            kind: Kind::Cepheid,
            sky_deg: [cepheid::RA_DEG, cepheid::DEC_DEG],
            mags: cepheid::MEAN_MAG,
            variation: Variation { period_d: cepheid::PERIOD_D, ..Variation::default() },
            shared: false,
        }
    }

    fn id(&self, at: usize, n: u64) -> i64 {
        let field = &self.survey.fields[at];
        (i64::from(field.brick) * 100 + i64::from(field.field)) * 1_000_000_000 + n as i64
    }

    fn places(&self, at: usize) -> Places<'_> {
        Places { survey: &self.survey, at, rng: stream(self.seed, &self.survey.fields[at], PURPOSE_STARS) }
    }

    fn star(&self, at: usize, n: u64, draw: &Draw) -> Star {
        let planes = self.planes(self.survey.fields[at].radius_kpc);
        let dice = &draw.dice;
        let (kind, mags, variation) = match n {
            0 => (Kind::SixBand, hot_star(dice), Variation::default()),
            1 => {
                let period_d = 3.0 * 20f64.powf(dice[4]);
                let variation = Variation { period_d, amplitude_mag: 0.3 + 0.4 * dice[5], phase: dice[6] };
                (Kind::Sinusoid, giant(dice), variation)
            }
            _ => (Kind::Constant, planes.six_bands(dice), Variation::default()),
        };
        Star { id: self.id(at, n), kind, sky_deg: draw.sky_deg, mags, variation, shared: false }
    }

    fn planes(&self, radius_kpc: f64) -> &Planes {
        // Mean radii of bricks 1, 15 and 23 (facts 6.2).
        let nearest = [(1, 3.49), (15, 11.12), (23, 17.70)]
            .into_iter()
            .min_by(|a: &(u8, f64), b: &(u8, f64)| (a.1 - radius_kpc).abs().total_cmp(&(b.1 - radius_kpc).abs()));
        let brick = nearest.map_or(15, |(brick, _)| brick);
        &self.cmds[&brick]
    }
}

/// Draws after which one of the first two stars need not be in the middle of its field.
const MIDDLE_ATTEMPTS: u64 = 2000;

/// Draws the places of a field's own stars, in order.
struct Places<'a> {
    survey: &'a Survey,
    at: usize,
    rng: ChaCha8Rng,
}

impl Places<'_> {
    fn next(&mut self, n: u64) -> Draw {
        let field = &self.survey.fields[self.at];
        for attempt in 0u64.. {
            let x = CENTRE_PX[0] + HALF_BOX_PX * (2.0 * self.rng.random::<f64>() - 1.0);
            let y = CENTRE_PX[1] + HALF_BOX_PX * (2.0 * self.rng.random::<f64>() - 1.0);
            let keep = self.rng.random::<f64>() * field.peak_density_arcmin2 < field.density_arcmin2(x, y);
            // Where earlier fields own the middle, the first two stars lie where they can.
            if !keep || (n < 2 && attempt < MIDDLE_ATTEMPTS && !well_placed(x, y)) {
                continue;
            }
            let sky_deg = field.wcs.sky_deg(x, y);
            if self.survey.owns(self.at, sky_deg) && !(cepheid::is_field(field) && cepheid::is_near(sky_deg)) {
                return Draw { sky_deg, dice: std::array::from_fn(|_| self.rng.random()) };
            }
        }
        unreachable!("a field with stars of its own has a place for them")
    }
}

/// Whether every camera covers the place, away from edges and gaps.
fn well_placed(x: f64, y: f64) -> bool {
    let (x, y) = ((x - CENTRE_PX[0]).abs(), (y - CENTRE_PX[1]).abs());
    x < 700.0 && (200.0..700.0).contains(&y)
}

fn hot_star(dice: &[f64; 7]) -> [f64; 6] {
    let f475w = 19.5 + 1.5 * dice[0];
    let colour = -0.15 + 0.15 * dice[1];
    let mut mags = [f475w; 6];
    mags[F814W] = f475w - colour;
    mags[F336W] = f475w - 1.0 + colour;
    mags[F275W] = mags[F336W] - 0.25 + 0.1 * dice[2];
    mags[F110W] = mags[F814W] - 0.5 * colour;
    mags[F160W] = mags[F110W] - 0.4 * colour;
    mags
}

fn giant(dice: &[f64; 7]) -> [f64; 6] {
    let f814w = 20.3 + 0.8 * dice[0];
    let colour = 1.2 + 1.2 * dice[1];
    let mut mags = [f814w + colour; 6];
    mags[F814W] = f814w;
    mags[F336W] = mags[F475W] + ultraviolet_offset(colour);
    mags[F275W] = mags[F336W] + 1.0;
    mags[F160W] = f814w - infrared_offset(colour);
    mags[F110W] = mags[F160W] + 0.5 + 0.1 * dice[2];
    mags
}

/// F336W - F475W from F475W - F814W: hot stars are bright in the ultraviolet, giants are lost there.
fn ultraviolet_offset(colour: f64) -> f64 {
    if colour < 0.8 { -0.4 + 2.1 * colour } else { 1.28 + 1.3 * (colour - 0.8) }
}

/// F814W - F160W from F475W - F814W.
fn infrared_offset(colour: f64) -> f64 {
    0.54 * colour
}

/// The three planes of one brick, ready to draw from.
struct Planes {
    optical: Plane,
    infrared: Plane,
    ultraviolet: Plane,
}

impl Planes {
    fn new(maps: &BrickCmds) -> Planes {
        Planes { optical: Plane::new(&maps.optical), infrared: Plane::new(&maps.infrared), ultraviolet: Plane::new(&maps.uv) }
    }

    fn six_bands(&self, dice: &[f64; 7]) -> [f64; 6] {
        let rank = dice[1];
        let (mut colour, mut f814w) = self.optical.draw(dice[0], rank, dice[2]);
        if dice[3] < FAINT_PART {
            colour = (colour - 0.6).max(-0.2);
            f814w += 0.7 - (1.0 - dice[3] / FAINT_PART).ln() * 0.5;
        }
        let mut mags = [0.0; 6];
        mags[F814W] = f814w;
        mags[F475W] = f814w + colour;
        mags[F160W] = f814w - infrared_offset(colour) + 0.3 * (dice[4] - 0.5);
        mags[F110W] = mags[F160W] + self.infrared.colour(mags[F160W], rank);
        mags[F336W] = mags[F475W] + ultraviolet_offset(colour) + 0.2 * (dice[5] - 0.5);
        let hot = colour < 0.8;
        mags[F275W] = mags[F336W] + if hot { self.ultraviolet.colour(mags[F336W], rank) } else { 0.5 + 0.8 * (colour - 0.4) };
        mags
    }
}

/// About the size of a cell of the optical map, magnitudes: stars are spread over their cell.
const COLOUR_STEP: f64 = 0.035;
const ROW_STEP: f64 = 0.075;

/// A colour-magnitude map as rows of equal magnitude.
struct Plane {
    rows: Vec<PlaneRow>,
    /// Running sum of the rows' counts.
    cumulative: Vec<f64>,
}

struct PlaneRow {
    mag: f64,
    colours: Vec<f64>,
    /// Running sum of the cells' counts.
    cumulative: Vec<f64>,
}

impl PlaneRow {
    /// The colour at a rank from 0 to 1, and the cell's number.
    fn at_rank(&self, rank: f64) -> f64 {
        self.colours[pick(&self.cumulative, rank)]
    }
}

/// Index of the first running sum above a part of the whole.
fn pick(cumulative: &[f64], part: f64) -> usize {
    let target = part * cumulative.last().copied().unwrap_or(0.0);
    cumulative.partition_point(|&sum| sum <= target).min(cumulative.len() - 1)
}

impl Plane {
    fn new(map: &Cmd) -> Plane {
        let mut by_mag: BTreeMap<i64, Vec<(f64, f64)>> = BTreeMap::new();
        for &[colour, mag, count] in &map.cells {
            by_mag.entry((mag * 1e4).round() as i64).or_default().push((colour, count));
        }
        let mut total = 0.0;
        let mut plane = Plane { rows: Vec::new(), cumulative: Vec::new() };
        for (mag, mut cells) in by_mag {
            cells.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut sum = 0.0;
            let cumulative: Vec<f64> = cells
                .iter()
                .map(|cell| {
                    sum += cell.1;
                    sum
                })
                .collect();
            total += sum;
            plane.cumulative.push(total);
            plane.rows.push(PlaneRow { mag: mag as f64 / 1e4, colours: cells.iter().map(|cell| cell.0).collect(), cumulative });
        }
        plane
    }

    /// The colour and magnitude of a star from three random numbers: which row, which rank in it, where in the cell.
    fn draw(&self, row: f64, rank: f64, within: f64) -> (f64, f64) {
        let row = &self.rows[pick(&self.cumulative, row)];
        let jitter = within - 0.5;
        (row.at_rank(rank) + jitter * COLOUR_STEP, row.mag + jitter * ROW_STEP)
    }

    /// The colour at a rank in the row nearest to a magnitude.
    fn colour(&self, mag: f64, rank: f64) -> f64 {
        let after = self.rows.partition_point(|row| row.mag < mag).min(self.rows.len() - 1);
        let before = after.saturating_sub(1);
        let nearer = if (self.rows[before].mag - mag).abs() < (self.rows[after].mag - mag).abs() { before } else { after };
        self.rows[nearer].at_rank(rank)
    }
}
