//! The index columns of a position: htm9, pix256, pix4096 and the Q3C pixel, as one kernel over columns.
//!
//! HTM and Q3C share the sines and cosines. On one core of a loaded AMD EPYC machine [`measure`] gave 4.3 to 5.9 million
//! positions per second all over the sky; a field within a degree goes at 6 to 8 million.

use super::vector;
use super::{Error, HtmCursor, healpix, htm, q3c};

/// What stands in the columns `htm9`, `pix256` and `pix4096`, and the number rows are clustered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SkyIds {
    pub htm9: i32,
    pub ring256: i32,
    pub nest4096: i32,
    pub ipix: i64,
}

/// Whether a catalogue may hold this position: finite, ra 0 to 360 (both allowed, as Q3C does), dec -90 to 90.
#[inline]
pub fn valid(ra_deg: f64, dec_deg: f64) -> Result<(), Error> {
    // NaN is in no range
    let fine = (0.0..=360.0).contains(&ra_deg) && (-90.0..=90.0).contains(&dec_deg);
    if fine { Ok(()) } else { Err(Error::Position { ra_deg, dec_deg }) }
}

/// The ids of a position that is [`valid`].
pub fn ids(ra_deg: f64, dec_deg: f64) -> SkyIds {
    let p = vector::unit(ra_deg, dec_deg);
    let (ring256, nest4096) = healpix::ring256_and_nest4096(ra_deg, dec_deg);
    SkyIds { htm9: htm::id9(p), ring256, nest4096, ipix: q3c::ipix_of(ra_deg, dec_deg, p) }
}

/// Numbers positions one after another, quicker where neighbours follow each other.
#[derive(Default)]
pub struct Indexer {
    cursor: HtmCursor,
}

impl Indexer {
    /// The ids of a position that is [`valid`].
    pub fn ids(&mut self, ra_deg: f64, dec_deg: f64) -> SkyIds {
        let p = vector::unit(ra_deg, dec_deg);
        let (ring256, nest4096) = healpix::ring256_and_nest4096(ra_deg, dec_deg);
        SkyIds { htm9: self.cursor.id9(p), ring256, nest4096, ipix: q3c::ipix_of(ra_deg, dec_deg, p) }
    }
}

/// The ids of all positions, in order, in place of what `ids` held. Runs on the calling thread.
///
/// # Panics
/// If the columns differ in length.
pub fn index_all(ra_deg: &[f64], dec_deg: &[f64], ids: &mut Vec<SkyIds>) {
    assert_eq!(ra_deg.len(), dec_deg.len(), "ra and dec are columns of one table");
    ids.clear();
    let mut indexer = Indexer::default();
    ids.extend(ra_deg.iter().zip(dec_deg).map(|(&ra_deg, &dec_deg)| indexer.ids(ra_deg, dec_deg)));
}

/// Positions per second of [`index_all`] on one core, over `n` positions at random all over the sky.
///
/// It is the median over pieces of a millisecond, so that other work on the machine, which interrupts some pieces, does not count.
pub fn measure(n: usize) -> f64 {
    const PIECE: usize = 4096;
    let (ra_deg, dec_deg) = random_positions(n.max(PIECE));
    let mut ids = Vec::with_capacity(PIECE);
    // the first positions pay for the tables
    index_all(&ra_deg[..PIECE], &dec_deg[..PIECE], &mut ids);
    let pieces = ra_deg.chunks_exact(PIECE).zip(dec_deg.chunks_exact(PIECE));
    let mut seconds: Vec<f64> = pieces
        .map(|(ra_deg, dec_deg)| {
            let start = std::time::Instant::now();
            index_all(ra_deg, dec_deg, &mut ids);
            std::hint::black_box(&ids);
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_unstable_by(f64::total_cmp);
    PIECE as f64 / seconds[seconds.len() / 2]
}

/// Uniform on the sphere, the same every time (SplitMix64, Steele et al. 2014).
fn random_positions(n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut state = 0_u64;
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..n).map(|_| (360.0 * uniform(), (2.0 * uniform() - 1.0).asin() / vector::RADIAN)).unzip()
}
