//! The images of a field: when they were taken, what they are called, and which part of the sky each chip covers.
//!
//! A field has 31 image-chips of its own (facts 6.3). Neighbouring pointings add up to 31 more ([`Overlaps`]): one or two
//! ACS chips of the fields to the left and right, UVIS chips of the fields above and below, and one neighbour's IR images.
//! The two halves of a brick were observed 217.6 days apart with the telescope turned by 180 degrees: when WFC3 looked at
//! one half, ACS covered the other (facts 2.4 and 6.1); UVIS overlaps come from a visit some 205 days after that.
//!
//! `MJD` is exact to 1e-8 d of the whole second in `DATE-OBS`, `TIME-OBS`.

use super::cepheid;
use super::facts::{BANDS, Camera};
use super::footprint::{CENTRE_PX, Field, Survey};

/// How many images of neighbouring pointings are in a field's stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlaps {
    /// 31 image-chips: the field's own. (The Cepheid's field has all of its 62 in any case.)
    None,
    /// 32: one neighbour's F110W image more, so that every filter has at least two.
    Few,
    /// 62, about the survey's mean of 63.
    All,
}

/// One image-chip.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposure {
    /// `jbfb25ejq_F475W_flt.chip1`
    pub image: String,
    pub band: usize,
    pub chip: u8,
    pub exptime_s: f64,
    pub mjd: f64,
    /// `2011-05-28`
    pub date: String,
    /// `07:29:38`
    pub time: String,
    /// The number of the exposure among those of its filter and pointing.
    pub number: usize,
    pub pointing: Pointing,
    centre_px: [f64; 2],
    turned: bool,
}

/// Whose pointing an exposure belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pointing {
    Own,
    Neighbour,
}

/// Half sides of the detectors on the sky, in reference pixels.
const ACS_HALF_PX: f64 = 2024.0;
const ACS_HALF_GAP_PX: f64 = 25.0;
const UVIS_HALF_PX: f64 = 1620.0;
const UVIS_HALF_GAP_PX: f64 = 14.0;
const IR_HALF_ROW_PX: f64 = 1240.0;
const IR_HALF_COLUMN_PX: f64 = 1398.0;

impl Exposure {
    /// Distance in pixels from the nearest edge of the chip, negative outside.
    pub fn depth_px(&self, x: f64, y: f64) -> f64 {
        let sign = if self.turned { -1.0 } else { 1.0 };
        let (u, v) = ((x - self.centre_px[0]) * sign, (y - self.centre_px[1]) * sign);
        let across = |half_gap: f64, half: f64| {
            let v = if self.chip == 1 { v } else { -v };
            (v - half_gap).min(half - v).min(half - u.abs())
        };
        match BANDS[self.band].camera {
            Camera::Acs => across(ACS_HALF_GAP_PX, ACS_HALF_PX),
            Camera::Uvis => across(UVIS_HALF_GAP_PX, UVIS_HALF_PX),
            Camera::Ir => {
                let (p, q) = ((u - v) * std::f64::consts::FRAC_1_SQRT_2, (u + v) * std::f64::consts::FRAC_1_SQRT_2);
                (IR_HALF_ROW_PX - p.abs()).min(IR_HALF_COLUMN_PX - q.abs())
            }
        }
    }
}

/// All image-chips of a field's stack: by filter in DOLPHOT's order, own images first.
pub fn of_field(survey: &Survey, at: usize, overlaps: Overlaps) -> Vec<Exposure> {
    let field = &survey.fields[at];
    let overlaps = if cepheid::is_field(field) { Overlaps::All } else { overlaps };
    let stack = Stack { survey, field };
    let mut exposures = stack.own();
    match overlaps {
        Overlaps::None => {}
        Overlaps::Few => exposures.extend(stack.infrared().into_iter().filter(|image| BANDS[image.band].name == "F110W")),
        Overlaps::All => {
            exposures.extend(stack.acs());
            exposures.extend(stack.ultraviolet());
            exposures.extend(stack.infrared());
        }
    }
    exposures.sort_by_key(|image| (image.band, image.pointing));
    exposures
}

/// The first or the second time that the telescope looked at a brick, or the visit of the brick beside it.
#[derive(Clone, Copy, PartialEq)]
enum Epoch {
    First,
    Second,
    Third,
}

/// The pieces of one field's stack.
struct Stack<'a> {
    survey: &'a Survey,
    field: &'a Field,
}

impl Stack<'_> {
    fn own(&self) -> Vec<Exposure> {
        let mut images = Vec::new();
        for camera in [Camera::Acs, Camera::Uvis, Camera::Ir] {
            images.extend(take(self.field, camera, epoch(self.field, camera), Pointing::Own, CENTRE_PX, false, &[1, 2]));
        }
        images
    }

    /// The ACS chips of the fields to the left and right that face this one; both chips of one field at a brick's edge.
    fn acs(&self) -> Vec<Exposure> {
        let (left, right) = (self.neighbour(-1, 0), self.neighbour(1, 0));
        let both = left.is_some() && right.is_some();
        let mut images = Vec::new();
        for other in [left, right].into_iter().flatten() {
            let (centre_px, turned) = self.placed(other);
            let facing = if (CENTRE_PX[1] > centre_px[1]) != turned { 1 } else { 2 };
            let chips: &[u8] = if both { &[facing] } else { &[1, 2] };
            images.extend(take(other, Camera::Acs, epoch(other, Camera::Acs), Pointing::Neighbour, centre_px, turned, chips));
        }
        images
    }

    /// UVIS chips of the fields above and below, taken with the third visit.
    fn ultraviolet(&self) -> Vec<Exposure> {
        let (above, below) = (self.neighbour(0, -1), self.neighbour(0, 1));
        let both = above.is_some() && below.is_some();
        let mut images = Vec::new();
        for other in [above, below].into_iter().flatten() {
            let (mut centre_px, turned) = self.placed(other);
            if cepheid::is_field(self.field) {
                // The figure shows UVIS measurements of the second epoch, so that pointing covers the star.
                centre_px = [CENTRE_PX[0] + 300.0, CENTRE_PX[1] - 250.0];
            }
            let facing = if (CENTRE_PX[1] > centre_px[1]) != turned { 1 } else { 2 };
            let chips: &[u8] = if both { &[facing] } else { &[1, 2] };
            images.extend(take(other, Camera::Uvis, Epoch::Third, Pointing::Neighbour, centre_px, turned, chips));
        }
        images
    }

    /// The IR images of the field to the right, or to the left at the end of a row.
    fn infrared(&self) -> Vec<Exposure> {
        let Some(other) = self.neighbour(1, 0).or_else(|| self.neighbour(-1, 0)) else { return Vec::new() };
        let (centre_px, turned) = self.placed(other);
        take(other, Camera::Ir, epoch(other, Camera::Ir), Pointing::Neighbour, centre_px, turned, &[1])
    }

    fn neighbour(&self, columns: i16, rows: i16) -> Option<&Field> {
        let (column, row) = Field::column_and_row(self.field.field);
        let (column, row) = (i16::from(column) + columns, i16::from(row) + rows);
        if !(0..6).contains(&column) || !(0..3).contains(&row) {
            return None;
        }
        let number = (1 + row * 6 + column) as u8;
        self.survey.index(self.field.brick, number).map(|at| &self.survey.fields[at])
    }

    /// Where the centre of another field lies on this field's reference image, and whether it is turned against it.
    fn placed(&self, other: &Field) -> ([f64; 2], bool) {
        (self.field.wcs.pixel(other.wcs.crval_deg), other.is_east() != self.field.is_east())
    }
}

/// ACS saw the eastern halves first, WFC3 the western ones.
fn epoch(field: &Field, camera: Camera) -> Epoch {
    if field.is_east() == (camera == Camera::Acs) { Epoch::First } else { Epoch::Second }
}

/// When the telescope first looked at a brick; brick 4 as printed for V5343, the others spread over the programme's years.
fn brick_mjd(brick: u8) -> f64 {
    if brick == 4 { 55709.30 } else { 55391.25 + f64::from(u32::from(brick) * 53 % 18) * 40.3 }
}

/// Start of a field's visit: nine visits a half brick, the same order mirrored in the other half.
fn visit_mjd(field: &Field, epoch: Epoch) -> f64 {
    let (column, row) = Field::column_and_row(field.field);
    let place = if column < 3 { row * 3 + column } else { row * 3 + 5 - column };
    let days = match epoch {
        Epoch::First => 0.0,
        Epoch::Second => 217.6,
        Epoch::Third => 423.37,
    };
    brick_mjd(field.brick) + days + (f64::from(place) - 8.0) * 0.14
}

/// The exposures of one camera in one visit.
fn take(field: &Field, camera: Camera, epoch: Epoch, pointing: Pointing, centre_px: [f64; 2], turned: bool, chips: &[u8]) -> Vec<Exposure> {
    const DAY_S: f64 = 86400.0;
    const BETWEEN_S: f64 = 48.0;
    // UVIS comes first in the WFC3 orbits, IR in the second of them.
    let offset_d = match camera {
        Camera::Acs => 0.0,
        Camera::Uvis => 0.05,
        Camera::Ir => 0.19,
    };
    let chips = if camera == Camera::Ir { &[1][..] } else { chips };
    let mut start_s = (visit_mjd(field, epoch) + offset_d) * DAY_S;
    let mut images = Vec::new();
    for band in (0..BANDS.len()).filter(|&band| BANDS[band].camera == camera) {
        for (number, &exptime_s) in BANDS[band].exposures_s.iter().enumerate() {
            let second = start_s.round() as i64;
            let (date, time) = calendar(second);
            let root = rootname(field, camera, epoch, images.len() / chips.len());
            let dither = [7.0 * number as f64 - 10.0, 31.0 * (number as f64 - 1.0) * if camera == Camera::Ir { 0.1 } else { 1.0 }];
            images.extend(chips.iter().map(|&chip| Exposure {
                image: format!("{root}_{}_flt.chip{chip}", BANDS[band].name),
                band,
                chip,
                exptime_s,
                mjd: (second as f64 / DAY_S * 1e8).round() / 1e8,
                date: date.clone(),
                time: time.clone(),
                number,
                pointing,
                centre_px: [centre_px[0] + dither[0], centre_px[1] + dither[1]],
                turned,
            }));
            start_s += exptime_s + BETWEEN_S;
        }
    }
    images
}

/// HST rootname: instrument, programme (`bf` and a letter for the brick), visit, exposure, `q`.
fn rootname(field: &Field, camera: Camera, epoch: Epoch, exposure: usize) -> String {
    let instrument = if camera == Camera::Acs { 'j' } else { 'i' };
    let visit = field.field + if epoch == Epoch::Third { 50 } else { 0 };
    let group = match camera {
        Camera::Acs => 'e',
        Camera::Uvis => 'k',
        Camera::Ir => 's',
    };
    format!("{instrument}bf{}{visit:02}{group}{}q", (b'a' + field.brick) as char, (b'a' + exposure as u8) as char)
}

/// `DATE-OBS` and `TIME-OBS` of a second counted from MJD 0.
fn calendar(second: i64) -> (String, String) {
    let start = jiff::civil::date(1858, 11, 17).at(0, 0, 0, 0);
    let moment = start.saturating_add(jiff::SignedDuration::from_secs(second));
    (moment.strftime("%Y-%m-%d").to_string(), moment.strftime("%H:%M:%S").to_string())
}
