//! What DOLPHOT would print for a star: one measurement per image-chip, and their combination per filter.
//!
//! Every value is rounded where it is made, as DOLPHOT's `printf` would (facts 3.2): `.phot`, `_phot.fits` and `_st.fits`
//! then agree to the last digit. Magnitudes are taken from the rate before it is rounded to three digits, as in the real
//! files. Combined values use 1/sigma^2 weights over the images with flag below 8 (facts 3.2). Where the rate is not
//! positive the magnitude is 99.999 and the uncertainty is that of the last star of the block that had one: DOLPHOT does
//! not reset it, and the real files show it (facts 0.3).

use super::cepheid;
use super::exposures::Exposure;
use super::facts::{BANDS, Band, Camera};
use super::population::{Kind, Star};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// The magnitude that stands for none.
pub const NO_MAG: f32 = 99.999;
/// The uncertainty of a star that has none.
pub const NO_ERR: f32 = 9.999;
/// The largest uncertainty, sharpness, roundness or crowding that is printed.
const LARGEST: f64 = 9.999;
/// Flag of an image-chip that does not show the star: 1 (off the chip) and 8.
pub const OFF_CHIP: i16 = 9;
/// Density of the field where the noise was measured (brick 15, field 10).
const NOISE_DENSITY_ARCMIN2: f64 = 70_000.0;

/// One block of DOLPHOT's output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Block {
    pub counts: f32,
    pub background: f32,
    pub rate: f32,
    pub raterr: f32,
    pub vega: f32,
    pub standard: f32,
    pub err: f32,
    pub chi: f32,
    pub snr: f32,
    pub sharp: f32,
    pub round: f32,
    pub crowd: f32,
    pub flag: i16,
}

impl Block {
    /// A star that no image shows.
    pub const fn absent(flag: i16) -> Block {
        Block {
            counts: 0.0,
            background: 0.0,
            rate: 0.0,
            raterr: 9999.0,
            vega: NO_MAG,
            standard: NO_MAG,
            err: NO_ERR,
            chi: 0.0,
            snr: 0.0,
            sharp: 0.0,
            round: 0.0,
            crowd: 0.0,
            flag,
        }
    }

    /// The good-star rule of the v2 files, with its quirk: a star without a magnitude is a good star.
    pub fn is_good_star(&self, camera: Camera) -> bool {
        let (sharp2, crowd) = camera.good_star_cuts();
        let sharp = f64::from(self.sharp);
        self.vega == NO_MAG || (self.snr >= 4.0 && sharp * sharp < sharp2 && f64::from(self.crowd) < crowd)
    }
}

/// Everything DOLPHOT says about an object, apart from its place.
#[derive(Debug, Clone)]
pub struct Object {
    pub chi: f32,
    pub snr: f32,
    pub sharp: f32,
    pub round: f32,
    pub major_axis: i16,
    pub crowd: f32,
    pub kind: i16,
    /// Six combined blocks.
    pub combined: [Block; 6],
    /// One block per image-chip, in the stack's order.
    pub single: Vec<Block>,
}

/// The values of one image before rounding.
struct Raw {
    counts: f64,
    background: f64,
    rate: f64,
    sigma: f64,
    chi: f64,
    sharp: f64,
    round: f64,
    crowd: f64,
    flag: i16,
}

/// Measures one field's stars, one after another.
pub struct Camp<'a> {
    exposures: &'a [Exposure],
    /// The uncertainty last printed in each single and each combined block.
    last_err: Vec<f32>,
    last_combined_err: [f32; 6],
}

impl<'a> Camp<'a> {
    pub fn new(exposures: &'a [Exposure]) -> Self {
        Camp { exposures, last_err: vec![NO_ERR; exposures.len()], last_combined_err: [NO_ERR; 6] }
    }

    /// Measures a star at a place of the reference image, where the real survey has this many objects per square arcminute.
    pub fn measure(&mut self, star: &Star, x: f64, y: f64, density_arcmin2: f64, rng: &mut impl Rng) -> Object {
        let mut single = Vec::with_capacity(self.exposures.len());
        let mut combined = [Block::absent(0); 6];
        let mut at = 0;
        for (number, band) in BANDS.iter().enumerate() {
            let scene = Scene::draw(star, number, band, density_arcmin2, rng);
            let mut sum = Sum::default();
            while let Some(image) = self.exposures.get(at).filter(|image| image.band == number) {
                let block = match scene.observe(star, image, image.depth_px(x, y), rng) {
                    Some(raw) => {
                        sum.add(&raw);
                        raw.print(band, &mut self.last_err[at])
                    }
                    None => Block::absent(OFF_CHIP),
                };
                single.push(block);
                at += 1;
            }
            if let Some(raw) = sum.mean() {
                combined[number] = raw.print(band, &mut self.last_combined_err[number]);
            }
        }
        object(combined, single, rng)
    }
}

/// The globals of an object from its combined blocks.
fn object(combined: [Block; 6], single: Vec<Block>, rng: &mut impl Rng) -> Object {
    let seen = || combined.iter().filter(|block| block.raterr < 9999.0);
    let snr = seen().map(|block| f64::from(block.snr.max(0.0)).powi(2)).sum::<f64>().sqrt();
    let weights = seen().map(|block| f64::from(block.snr.max(0.1))).sum::<f64>().max(0.1);
    let mean =
        |value: fn(&Block) -> f32| seen().map(|block| f64::from(value(block)) * f64::from(block.snr.max(0.1))).sum::<f64>() / weights;
    Object {
        chi: decimals(mean(|block| block.chi), 2),
        snr: decimals(snr, 1),
        sharp: decimals(mean(|block| block.sharp), 3),
        round: decimals(mean(|block| block.round), 3),
        major_axis: (rng.random::<f64>() * 181.0) as i16 - 90,
        crowd: decimals(mean(|block| block.crowd), 3),
        kind: if snr < 8.0 { 2 } else { 1 },
        combined,
        single,
    }
}

/// What the images of one filter have in common for a star: its blend, its shape, its neighbours.
struct Scene<'a> {
    band: &'a Band,
    number: usize,
    /// Rate that neighbours add or take away.
    blend: f64,
    lost: bool,
    /// Uncertainty of a faint star in all of the field's own exposures together.
    sigma: f64,
    total_s: f64,
    chi: f64,
    sharp: f64,
    round: f64,
    crowd: f64,
    sky: f64,
}

impl<'a> Scene<'a> {
    fn draw(star: &Star, number: usize, band: &'a Band, density_arcmin2: f64, rng: &mut impl Rng) -> Scene<'a> {
        let density = density_arcmin2 / NOISE_DENSITY_ARCMIN2;
        // Unresolved light grows faster than the number of detected objects towards the bulge.
        let sigma = band.rate_sigma * density.powf(if density > 1.0 { 1.5 } else { 0.3 });
        let mag = star.mags[number];
        let rate = 10f64.powf(-0.4 * mag);
        let special = star.kind != Kind::Constant;
        let limit_mag = -2.5 * (4.0 * sigma).log10();
        let lost_part = 0.02 + 0.4 / (1.0 + ((limit_mag - mag) / 0.3).exp());
        let lost = rng.random::<f64>() < lost_part && !special;
        let blend = 0.5 * sigma * density * normal(rng);
        // A neighbour matters more the fainter the star: crowding falls to a tenth of the median for bright stars.
        let faint = (sigma * 40.0 / (rate + sigma * 40.0)).powf(0.7);
        let crowd = band.crowd_median * density * (0.08 + 1.3 * faint) * (0.75 * normal(rng)).exp();
        let shape = 0.03 + 0.25 * sigma * 4.0 / (rate + sigma * 4.0);
        let scale = if special { 0.05 } else { 1.0 };
        Scene {
            band,
            number,
            blend: blend * if special { 0.0 } else { 1.0 },
            lost,
            sigma,
            total_s: band.exposures_s.iter().sum(),
            chi: (0.18 * normal(rng)).exp() * (1.0 + 0.5 * rate / (rate + 2e3 * sigma)),
            sharp: shape * normal(rng) * scale,
            round: 0.15 + 2.0 * shape * normal(rng) * scale,
            crowd: crowd * scale,
            sky: band.sky_per_s * density,
        }
    }

    /// One image's measurement; `None` where the chip does not show the star.
    fn observe(&self, star: &Star, image: &Exposure, depth_px: f64, rng: &mut impl Rng) -> Option<Raw> {
        if depth_px < 0.0 {
            return None;
        }
        let flux_to_counts = 10f64.powf(0.4 * self.band.zeropoint) * image.exptime_s;
        let (rate, sigma) = match star.kind {
            Kind::Cepheid => self.cepheid(image, flux_to_counts),
            _ => {
                let mag = star.mags[self.number] + star.variation.offset_mag(image.mjd);
                let rate = if self.lost { 0.0 } else { 10f64.powf(-0.4 * mag) } + self.blend;
                let sigma = self.uncertainty(rate, image, flux_to_counts);
                (rate + sigma * normal(rng), sigma)
            }
        };
        let snr = (rate / sigma).max(0.3);
        let positive = rate > 0.0;
        let sharp = self.sharp + (0.02 + 0.3 / snr) * normal(rng);
        let round = self.round + (0.05 + 0.8 / snr) * normal(rng);
        Some(Raw {
            counts: rate * flux_to_counts,
            background: self.sky * image.exptime_s * (1.0 + 0.03 * normal(rng)),
            rate,
            sigma,
            chi: self.chi * (1.0 + 0.1 * normal(rng)).abs(),
            // DOLPHOT leaves the shape of a star without flux at zero.
            sharp: if positive { sharp.clamp(-LARGEST, LARGEST) } else { 0.0 },
            round: if positive { round.clamp(-LARGEST, LARGEST) } else { 0.0 },
            crowd: if positive { (self.crowd * (1.0 + 0.1 * normal(rng))).abs().min(LARGEST) } else { 0.0 },
            flag: flag(depth_px, star, rng),
        })
    }

    /// Sky and crowding noise scaled to the exposure, and the photon noise of the star itself.
    fn uncertainty(&self, rate: f64, image: &Exposure, flux_to_counts: f64) -> f64 {
        (self.sigma * self.sigma * self.total_s / image.exptime_s + rate.max(0.0) / flux_to_counts).sqrt()
    }

    /// The Cepheid has the magnitudes of its light curve, without noise.
    fn cepheid(&self, image: &Exposure, flux_to_counts: f64) -> (f64, f64) {
        match cepheid::magnitude(image) {
            Some((mag, err)) => {
                let rate = 10f64.powf(-0.4 * mag);
                (rate, err.map_or_else(|| self.uncertainty(rate, image, flux_to_counts), |err| rate * err / MAG_PER_PART))
            }
            None => {
                let sigma = self.uncertainty(0.0, image, flux_to_counts);
                (-0.4 * sigma, sigma)
            }
        }
    }
}

/// 2.5 / ln 10: magnitudes per relative error.
const MAG_PER_PART: f64 = 1.085_736_204_758_13;

fn normal(rng: &mut (impl Rng + ?Sized)) -> f64 {
    rng.sample(StandardNormal)
}

/// 0 mostly; 2 for bad pixels in one image of twenty; 1 where the aperture hangs over the edge.
fn flag(depth_px: f64, star: &Star, rng: &mut impl Rng) -> i16 {
    let bad_pixels = rng.random::<f64>() < 0.04 && star.kind == Kind::Constant;
    i16::from(depth_px < 4.0) | if bad_pixels { 2 } else { 0 }
}

/// Weighted sums over the images of one filter.
#[derive(Default)]
struct Sum {
    weight: f64,
    rate: f64,
    counts: f64,
    background: f64,
    chi2: f64,
    flux: f64,
    sharp: f64,
    round: f64,
    crowd: f64,
    flag: i16,
}

impl Sum {
    fn add(&mut self, raw: &Raw) {
        if raw.flag >= 8 {
            return;
        }
        let weight = 1.0 / (raw.sigma * raw.sigma);
        let flux = raw.rate.max(0.0) * weight;
        self.weight += weight;
        self.rate += weight * raw.rate;
        self.counts += raw.counts;
        self.background += raw.background;
        self.chi2 += weight * raw.chi * raw.chi;
        self.flux += flux;
        self.sharp += flux * raw.sharp;
        self.round += flux * raw.round;
        self.crowd += weight * raw.crowd;
        self.flag |= raw.flag;
    }

    fn mean(&self) -> Option<Raw> {
        if self.weight == 0.0 {
            return None;
        }
        let shape = |sum: f64| if self.flux > 0.0 && self.rate > 0.0 { sum / self.flux } else { 0.0 };
        Some(Raw {
            counts: self.counts,
            background: self.background,
            rate: self.rate / self.weight,
            sigma: self.weight.sqrt().recip(),
            chi: (self.chi2 / self.weight).sqrt(),
            sharp: shape(self.sharp),
            round: shape(self.round),
            crowd: self.crowd / self.weight,
            flag: self.flag,
        })
    }
}

impl Raw {
    /// Rounds to the printed digits.
    fn print(&self, band: &Band, last_err: &mut f32) -> Block {
        let snr = decimals(self.rate / self.sigma, 1);
        let (vega, standard) = if self.rate > 0.0 {
            let mag = -2.5 * self.rate.log10();
            *last_err = decimals((MAG_PER_PART * self.sigma / self.rate).min(LARGEST), 3);
            (decimals(mag, 3), decimals(mag + band.standard_offset, 3))
        } else {
            (NO_MAG, NO_MAG)
        };
        Block {
            counts: if self.counts >= 999_999.5 { digits(self.counts, 3) } else { decimals(self.counts, 1) },
            background: background(self.background),
            rate: rate(self.rate),
            raterr: rate(self.sigma),
            vega,
            standard,
            err: *last_err,
            chi: decimals(self.chi, 2),
            snr,
            sharp: decimals(self.sharp, 3),
            round: decimals(self.round, 3),
            crowd: off_the_cut(decimals(self.crowd, 3)),
            flag: self.flag,
        }
    }
}

/// 1.300 as a 32-bit float is below 1.3: whether such a star is a good one would depend on who compares. None is printed.
fn off_the_cut(crowd: f32) -> f32 {
    if crowd == 1.3 { 1.301 } else { crowd }
}

fn background(value: f64) -> f32 {
    match value {
        value if value < 9999.995 => decimals(value, 2),
        value if value < 999_999.95 => decimals(value, 1),
        value => digits(value, 2),
    }
}

/// Rates: two digits if negative, three if below 0.99; all that occur are.
fn rate(value: f64) -> f32 {
    digits(value, if value < 0.0 { 2 } else { 3 })
}

fn decimals(value: f64, places: usize) -> f32 {
    const TENS: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];
    // Adding zero turns -0 into 0.
    ((value * TENS[places]).round() / TENS[places] + 0.0) as f32
}

/// Powers of ten from 0 to 22: all exact, so that mantissa / power is the correctly rounded decimal.
const POWERS: [f64; 23] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];

/// Rounds to a number of significant digits.
fn digits(value: f64, count: i32) -> f32 {
    if value == 0.0 {
        return 0.0;
    }
    let exponent = value.abs().log10().floor() as i32;
    let shift = count - 1 - exponent;
    if shift >= 0 {
        let power = POWERS.get(shift as usize).copied().unwrap_or_else(|| 10f64.powi(shift));
        ((value * power).round() / power) as f32
    } else {
        let power = 10f64.powi(-shift);
        ((value / power).round() * power) as f32
    }
}
