//! Colours: the perceptual map for values and the accessible ones for filters.

/// Red, green, blue, 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub [u8; 3]);

pub const INK: Rgb = Rgb([38, 38, 38]);
pub const FAINT: Rgb = Rgb([120, 120, 120]);
/// The sky where there is no value.
pub const EMPTY: Rgb = Rgb([244, 244, 244]);

/// viridis (Smith & van der Walt 2015), dark violet at 0 to yellow at 1, as a polynomial of sixth degree per channel
/// (M. Zucker's fit, within 2 per cent of the table); brightness grows evenly, also for colour-blind eyes.
pub fn viridis(fraction: f64) -> Rgb {
    const TERMS: [[f64; 3]; 7] = [
        [0.277_727_327_223_417_7, 0.005_407_344_544_966_578, 0.334_099_805_335_306_1],
        [0.105_093_043_108_577_4, 1.404_613_529_898_575, 1.384_590_162_594_685],
        [-0.330_861_828_725_556_3, 0.214_847_559_468_213, 0.095_095_163_028_236_59],
        [-4.634_230_498_983_486, -5.799_100_973_351_585, -19.332_440_956_279_87],
        [6.228_269_936_347_081, 14.179_933_366_805_09, 56.690_552_600_681_05],
        [4.776_384_997_670_288, -13.745_145_377_746_01, -65.353_032_633_372_34],
        [-5.435_455_855_934_631, 4.645_852_612_178_535, 26.312_435_249_583_2],
    ];
    let fraction = fraction.clamp(0.0, 1.0);
    let channel = |index: usize| TERMS.iter().rev().fold(0.0, |sum, term| sum * fraction + term[index]);
    Rgb([0, 1, 2].map(|index| (channel(index).clamp(0.0, 1.0) * 255.0).round() as u8))
}

/// Eight colours from blue to red that stay apart for colour-blind eyes (after Okabe & Ito 2008, darkened for white).
pub const SERIES: [Rgb; 8] = [
    Rgb([117, 76, 176]),
    Rgb([0, 92, 175]),
    Rgb([0, 158, 190]),
    Rgb([0, 140, 95]),
    Rgb([222, 152, 0]),
    Rgb([200, 50, 30]),
    Rgb([110, 20, 60]),
    Rgb([90, 90, 90]),
];
