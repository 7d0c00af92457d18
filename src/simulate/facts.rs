//! The fact tables of PHAT that the simulation is made from, and the constants of its cameras.
//!
//! The tables stand in `data/` and are compiled in. Densities come from the survey's own density map, colour-magnitude
//! maps from bricks 1, 15 and 23; a map stores log10(count)/log10(largest count), and since the smallest steps are counts
//! of 1, 2, 3, ... the largest count, and with it every count, can be recovered ([`LARGEST_COUNT_DEX`]).

use super::Error;
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::io::Read;

/// One row per filter, in the order of DOLPHOT's combined blocks.
pub struct Band {
    pub name: &'static str,
    /// Lower-case name, as in the columns of `_st.fits`.
    pub lower: &'static str,
    pub camera: Camera,
    /// Vegamag zero point: counts = rate * 10^(0.4 zp) * seconds.
    pub zeropoint: f64,
    /// Median uncertainty of the Vega-normalised rate of a faint star in brick 15, field 10, all exposures together.
    pub rate_sigma: f64,
    /// Exposures of one field in seconds.
    pub exposures_s: &'static [f64],
    /// Sky level per pixel and second.
    pub sky_per_s: f64,
    /// Median crowding of the same stars, magnitudes.
    pub crowd_median: f64,
    /// Offset of the transformed magnitude from the instrumental one.
    pub standard_offset: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Camera {
    Acs,
    Uvis,
    Ir,
}

impl Camera {
    /// The prefix that DOLPHOT puts before a filter name.
    pub fn prefix(self) -> &'static str {
        match self {
            Camera::Acs => "ACS",
            Camera::Uvis | Camera::Ir => "WFC3",
        }
    }
    /// Good-star cuts: sharpness squared below the first, crowding below the second.
    pub fn good_star_cuts(self) -> (f64, f64) {
        match self {
            Camera::Acs => (0.20, 2.25),
            Camera::Uvis => (0.15, 1.30),
            Camera::Ir => (0.15, 2.25),
        }
    }
}

pub const F475W: usize = 0;
pub const F814W: usize = 1;
pub const F275W: usize = 2;
pub const F336W: usize = 3;
pub const F110W: usize = 4;
pub const F160W: usize = 5;

/// Bands in the order of the combined blocks (facts 1.3).
pub const BANDS: [Band; 6] = [
    Band {
        name: "F475W",
        lower: "f475w",
        camera: Camera::Acs,
        zeropoint: 26.16,
        rate_sigma: 2.16e-12,
        exposures_s: &[10.0, 600.0, 370.0, 370.0, 370.0],
        sky_per_s: 0.045,
        crowd_median: 0.28,
        standard_offset: 0.112,
    },
    Band {
        name: "F814W",
        lower: "f814w",
        camera: Camera::Acs,
        zeropoint: 25.52,
        rate_sigma: 5.60e-12,
        exposures_s: &[15.0, 350.0, 700.0, 455.0],
        sky_per_s: 0.060,
        crowd_median: 0.40,
        standard_offset: -0.008,
    },
    Band {
        name: "F275W",
        lower: "f275w",
        camera: Camera::Uvis,
        zeropoint: 22.64,
        rate_sigma: 2.03e-11,
        exposures_s: &[350.0, 660.0],
        sky_per_s: 0.0012,
        crowd_median: 0.16,
        standard_offset: 0.0,
    },
    Band {
        name: "F336W",
        lower: "f336w",
        camera: Camera::Uvis,
        zeropoint: 23.46,
        rate_sigma: 9.06e-12,
        exposures_s: &[550.0, 800.0],
        sky_per_s: 0.0019,
        crowd_median: 0.19,
        standard_offset: 0.0,
    },
    Band {
        name: "F110W",
        lower: "f110w",
        camera: Camera::Ir,
        zeropoint: 26.06,
        rate_sigma: 1.26e-11,
        exposures_s: &[799.2],
        sky_per_s: 1.90,
        crowd_median: 0.80,
        standard_offset: 0.0,
    },
    Band {
        name: "F160W",
        lower: "f160w",
        camera: Camera::Ir,
        zeropoint: 24.69,
        rate_sigma: 2.57e-11,
        exposures_s: &[399.2, 399.2, 399.2, 499.2],
        sky_per_s: 1.10,
        crowd_median: 0.95,
        standard_offset: 0.0,
    },
];

/// Bands in the alphabetical order of the blocks of `_st.fits`.
pub const STAR_ORDER: [usize; 6] = [F110W, F160W, F275W, F336W, F475W, F814W];
/// Bands in the wavelength order of the `_gst` columns.
pub const WAVELENGTH_ORDER: [usize; 6] = [F275W, F336W, F475W, F814W, F110W, F160W];

/// The programmes under which bricks 1 to 23 were observed (facts 1.1).
const PROGRAMS: [u32; 23] = [
    12058, 12073, 12109, 12107, 12074, 12105, 12113, 12075, 12057, 12111, 12115, 12071, 12114, 12072, 12056, 12106, 12059, 12108, 12110,
    12112, 12055, 12076, 12070,
];

/// The programme of a brick from 1 to 23.
pub fn program(brick: u8) -> u32 {
    PROGRAMS[usize::from(brick) - 1]
}

/// A field of the survey as the facts give it.
#[derive(Debug, Clone)]
pub struct FieldFact {
    pub brick: u8,
    pub field: u8,
    pub ra_deg: f64,
    pub dec_deg: f64,
    pub radius_kpc: f64,
    /// Corners of the IR image, in the order of the table.
    pub corners_deg: [[f64; 2]; 4],
    pub density_arcmin2: f64,
}

/// A pixel of the density map.
#[derive(Debug, Clone, Copy)]
pub struct DensityFact {
    pub ra_deg: f64,
    pub dec_deg: f64,
    pub density_arcmin2: f64,
}

/// A colour-magnitude map: cells by magnitude, with counts.
#[derive(Debug, Clone, Default)]
pub struct Cmd {
    /// (colour, magnitude, count)
    pub cells: Vec<[f64; 3]>,
}

/// The three planes of one brick.
#[derive(Debug, Clone, Default)]
pub struct BrickCmds {
    pub uv: Cmd,
    pub optical: Cmd,
    pub infrared: Cmd,
}

/// log10 of the largest count of each map, recovered from its smallest steps (log10 n / index of the n-th step).
pub const LARGEST_COUNT_DEX: [(u8, f64, f64, f64); 3] = [(1, 0.953, 2.960, 3.072), (15, 1.693, 3.072, 3.254), (23, 1.177, 2.836, 3.071)];

/// All tables, parsed.
pub struct Facts {
    pub fields: Vec<FieldFact>,
    pub density: Vec<DensityFact>,
    pub cmds: BTreeMap<u8, BrickCmds>,
}

impl Facts {
    pub fn read() -> Result<Facts, Error> {
        Ok(Facts {
            fields: fields(&unzip("phat_fields.csv.gz", include_bytes!("data/phat_fields.csv.gz"))?)?,
            density: density(&unzip("phat_density_map.csv.gz", include_bytes!("data/phat_density_map.csv.gz"))?)?,
            cmds: cmds(&unzip("phat_cmds.csv.gz", include_bytes!("data/phat_cmds.csv.gz"))?)?,
        })
    }
}

fn unzip(name: &'static str, bytes: &[u8]) -> Result<String, Error> {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).map_err(|error| Error::Facts { table: name, line: 0, what: error.to_string() })?;
    Ok(text)
}

/// The cells of one line, or the fault with its line number.
struct Line<'a> {
    table: &'static str,
    line: usize,
    cells: Vec<&'a str>,
}

impl Line<'_> {
    fn number(&self, column: usize) -> Result<f64, Error> {
        let cell = self.cells.get(column).copied().unwrap_or("");
        cell.parse().map_err(|_| Error::Facts {
            table: self.table,
            line: self.line,
            what: format!("column {}: not a number: '{cell}'", column + 1),
        })
    }
}

fn lines<'a>(table: &'static str, text: &'a str) -> impl Iterator<Item = Line<'a>> {
    text.lines().enumerate().skip(1).map(move |(at, line)| Line { table, line: at + 1, cells: line.split(',').collect() })
}

fn fields(text: &str) -> Result<Vec<FieldFact>, Error> {
    let field = |line: Line<'_>| {
        let corner = |k: usize| Ok::<_, Error>([line.number(7 + 2 * k)?, line.number(8 + 2 * k)?]);
        Ok(FieldFact {
            brick: line.number(0)? as u8,
            field: line.number(1)? as u8,
            ra_deg: line.number(3)?,
            dec_deg: line.number(4)?,
            radius_kpc: line.number(5)?,
            corners_deg: [corner(0)?, corner(1)?, corner(2)?, corner(3)?],
            density_arcmin2: line.number(15)?,
        })
    };
    lines("phat_fields.csv", text).map(field).collect()
}

fn density(text: &str) -> Result<Vec<DensityFact>, Error> {
    let pixel = |line: Line<'_>| Ok(DensityFact { ra_deg: line.number(0)?, dec_deg: line.number(1)?, density_arcmin2: line.number(2)? });
    lines("phat_density_map.csv", text).map(pixel).collect()
}

fn cmds(text: &str) -> Result<BTreeMap<u8, BrickCmds>, Error> {
    let mut cmds: BTreeMap<u8, BrickCmds> = BTreeMap::new();
    for line in lines("phat_cmds.csv", text) {
        let brick = line.number(0)? as u8;
        let dex = LARGEST_COUNT_DEX.iter().find(|row| row.0 == brick);
        let unknown = || Error::Facts { table: line.table, line: line.line, what: format!("no largest count for brick {brick}") };
        let &(_, uv, optical, infrared) = dex.ok_or_else(unknown)?;
        let maps = cmds.entry(brick).or_default();
        let (map, dex) = match line.cells[1] {
            "UV" => (&mut maps.uv, uv),
            "OPT" => (&mut maps.optical, optical),
            "IR" => (&mut maps.infrared, infrared),
            other => return Err(Error::Facts { table: line.table, line: line.line, what: format!("unknown plane '{other}'") }),
        };
        map.cells.push([line.number(4)?, line.number(5)?, 10f64.powf(dex * line.number(6)?)]);
    }
    Ok(cmds)
}
