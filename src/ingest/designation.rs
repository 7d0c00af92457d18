//! The survey's designation of a position: `PHAT_11.0220304+41.234515`, right ascension to 1e-7 and declination to
//! 1e-6 degree, exactly as C's `printf("%.7f%+.6f")` writes them.

/// A position rounded as its designation shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Designation {
    /// Right ascension in 1e-7 degree.
    ra: u64,
    /// Absolute declination in 1e-6 degree.
    dec: u64,
    negative: bool,
}

impl Designation {
    /// `ra_deg` in [0, 360], `dec_deg` in [-90, 90].
    pub fn new(ra_deg: f64, dec_deg: f64) -> Designation {
        Designation { ra: round(ra_deg, 1e7, 7), dec: round(dec_deg.abs(), 1e6, 6), negative: dec_deg.is_sign_negative() }
    }

    /// A number that is equal for equal designations only.
    pub fn tie(&self) -> u64 {
        self.ra << 28 | self.dec << 1 | u64::from(self.negative)
    }

    /// The designation of a [`Designation::tie`].
    pub fn of_tie(tie: u64) -> Designation {
        Designation { ra: tie >> 28, dec: (tie >> 1) & ((1 << 27) - 1), negative: tie & 1 == 1 }
    }

    /// The rounded position in degrees.
    pub fn position_deg(&self) -> (f64, f64) {
        let dec = self.dec as f64 / 1e6;
        (self.ra as f64 / 1e7, if self.negative { -dec } else { dec })
    }

    /// Appends the text.
    pub fn write(&self, prefix: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(prefix);
        write_fixed(self.ra, 7, out);
        out.push(if self.negative { b'-' } else { b'+' });
        write_fixed(self.dec, 6, out);
    }
}

/// `value * scale` rounded to a whole number as printf rounds the exact binary value (ties to even).
fn round(value: f64, scale: f64, digits: usize) -> u64 {
    let scaled = value * scale;
    let floor = scaled.floor();
    // the product is off by at most half a unit in the last place (4e-7 at 3.6e9): near a half ask the exact formatter
    if (scaled - floor - 0.5).abs() < 1e-5 {
        let text = format!("{value:.digits$}");
        return text.bytes().filter(u8::is_ascii_digit).fold(0, |n, d| n * 10 + u64::from(d - b'0'));
    }
    (scaled + 0.5).floor() as u64
}

/// Decimal digits of 00 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    pairs
};

/// `value / 10^decimals` with `decimals` decimals.
fn write_fixed(value: u64, decimals: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    let mut rest = value as u32;
    debug_assert_eq!(u64::from(rest), value, "360 degrees in 1e-7 fit into 32 bits");
    while rest >= 100 {
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    at -= 2;
    text[at..at + 2].copy_from_slice(&PAIRS[rest as usize]);
    let point = text.len() - decimals;
    // at least one digit before the point, none of them a leading zero
    while at < point - 1 && text[at] == b'0' {
        at += 1;
    }
    out.extend_from_slice(&text[at.min(point - 1)..point]);
    out.push(b'.');
    out.extend_from_slice(&text[point..]);
}

/// A uniform number in [0, 100) that depends on `tie` only: the 24 upper bits of a mixed word.
///
/// The mixer is Stafford's variant 13 (as in SplitMix64), which passes BigCrush as a counter-based generator.
pub fn random_id(tie: u64) -> f32 {
    let mut z = tie.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    // 2^24 steps of f32 precision: the largest is 99.99999
    ((z >> 40) as f64 * (100.0 / (1u64 << 24) as f64)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(ra: f64, dec: f64) -> String {
        let mut out = Vec::new();
        Designation::new(ra, dec).write(b"PHAT_", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_printed_designations_come_out() {
        assert_eq!(text(11.02203041, 41.2345151), "PHAT_11.0220304+41.234515");
        assert_eq!(text(0.0, -0.0000001), "PHAT_0.0000000-0.000000");
        assert_eq!(text(359.99999999, -90.0), "PHAT_360.0000000-90.000000");
    }

    #[test]
    fn random_ids_are_below_100_and_uniform() {
        let mean = (0..100_000u64).map(|i| f64::from(random_id(i << 20))).sum::<f64>() / 1e5;
        assert!((mean - 50.0).abs() < 0.4, "{mean}");
        assert!((0..1_000_000u64).all(|i| (0.0..100.0).contains(&random_id(i))));
    }

    proptest! {
        #[test]
        fn designations_are_what_printf_writes(ra in 0.0f64..360.0, dec in -90.0f64..90.0) {
            prop_assert_eq!(text(ra, dec), format!("PHAT_{:.7}{:+.6}", ra, dec));
            let designation = Designation::new(ra, dec);
            prop_assert_eq!(Designation::of_tie(designation.tie()), designation);
        }

        #[test]
        fn designations_near_halves_are_what_printf_writes(ra in 0u64..3_600_000_000, dec in 0u64..90_000_000, ulps in -2i64..3) {
            let ra = f64::from_bits(((ra as f64 + 0.5) / 1e7).to_bits().wrapping_add_signed(ulps));
            let dec = f64::from_bits(((dec as f64 + 0.5) / 1e6).to_bits().wrapping_add_signed(ulps));
            prop_assert_eq!(text(ra, dec), format!("PHAT_{:.7}{:+.6}", ra, dec));
        }
    }
}
