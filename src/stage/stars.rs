//! Star and good-star cuts of a filter: signal to noise, sharpness, crowding.
//!
//! A star has signal to noise of at least `snr_min` and sharpness squared below `sharp2_max`; a good star has crowding below `crowd_max`
//! too. As in the survey's files an object without a magnitude counts as good: only its magnitude of 99.999 tells it apart.

use std::str::FromStr;

/// The magnitude that stands for none.
pub const NO_MAG: f32 = 99.999;

/// The cuts of one filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    pub filter: String,
    pub sharp2_max: f64,
    pub crowd_max: f64,
}

impl FromStr for Cut {
    type Err = String;

    /// `F475W=0.20,2.25`
    fn from_str(text: &str) -> Result<Cut, String> {
        let wanted = || format!("{text:?}: wanted FILTER=SHARP2,CROWD such as F475W=0.20,2.25");
        let (filter, numbers) = text.split_once('=').ok_or_else(wanted)?;
        let (sharp2, crowd) = numbers.split_once(',').ok_or_else(wanted)?;
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0).ok_or_else(wanted);
        let plain = !filter.is_empty() && filter.len() < 20 && filter.bytes().all(|b| b.is_ascii_alphanumeric());
        if !plain {
            return Err(wanted());
        }
        Ok(Cut { filter: filter.to_ascii_uppercase(), sharp2_max: number(sharp2)?, crowd_max: number(crowd)? })
    }
}

/// What the cuts look at.
#[derive(Debug, Clone, Copy)]
pub struct Quality {
    pub vega: f32,
    pub snr: f32,
    pub sharp: f32,
    pub crowd: f32,
}

/// Compared in the files' single precision, as the loaders' `good_star` does: a crowding of 1.300 is not below 1.3.
impl Cut {
    pub fn is_star(&self, quality: Quality, snr_min: f64) -> bool {
        quality.snr >= snr_min as f32 && quality.sharp * quality.sharp < self.sharp2_max as f32
    }

    /// A star that is not crowded.
    pub fn is_clean(&self, quality: Quality, snr_min: f64) -> bool {
        self.is_star(quality, snr_min) && quality.crowd < self.crowd_max as f32
    }

    /// The flag of the files.
    pub fn is_good(&self, quality: Quality, snr_min: f64) -> bool {
        quality.vega == NO_MAG || self.is_clean(quality, snr_min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_read_and_obeyed() {
        let cut: Cut = "f275w=0.15,1.30".parse().expect("a cut");
        assert_eq!(cut.filter, "F275W");
        let quality = Quality { vega: 24.0, snr: 4.0, sharp: 0.38, crowd: 1.2 };
        assert!(cut.is_star(quality, 4.0) && cut.is_good(quality, 4.0));
        assert!(!cut.is_star(Quality { sharp: -0.39, ..quality }, 4.0));
        assert!(cut.is_good(Quality { crowd: 1.299, ..quality }, 4.0) && !cut.is_good(Quality { crowd: 1.301, ..quality }, 4.0));
        assert!(!cut.is_good(Quality { crowd: 1.3, ..quality }, 4.0), "the nearest single to 1.3 lies below the double");
        assert!(!cut.is_star(Quality { snr: 3.9, ..quality }, 4.0));
        let undetected = Quality { vega: NO_MAG, snr: -1.0, sharp: 0.0, crowd: 0.0 };
        assert!(cut.is_good(undetected, 4.0) && !cut.is_clean(undetected, 4.0));
        for wrong in ["F275W", "F275W=0.15", "=1,2", "F275W=a,b", "F275W=-1,2", "F 2=1,2"] {
            assert!(wrong.parse::<Cut>().is_err(), "{wrong}");
        }
    }
}
