//! Where on the sky a table has rows: a MOC, computed along its Q3C index.
//!
//! The index is walked from one occupied Q3C cell to the next, so that the cost follows the covered area and not the rows. Every HEALPix
//! cell that touches an occupied Q3C cell belongs to the MOC: it misses no row, and exceeds the rows by a cell's width at most. Small areas
//! are covered finely (HEALPix order 12, 0.9 arcmin), large ones coarsely (order 8, 14 arcmin).

use super::Error;
use crate::db::{self, Connection};
use crate::schema::{IndexKey, Table, ddl};
use moc::deser::fits::keywords::MocType;
use moc::elemset::range::MocRanges;
use moc::moc::range::RangeMOC;
use moc::moc::{CellMOCIterator, CellOrCellRangeMOCIntoIterator, CellOrCellRangeMOCIterator, RangeMOCIntoIterator, RangeMOCIterator};
use moc::qty::Hpx;

/// Coverage on the sky.
pub type Moc = RangeMOC<u64, Hpx<u64>>;

/// Depth of Q3C cells (a face has 4^depth), HEALPix order, radius in degrees around a cell's middle that holds all of it.
///
/// A face of the Q3C cube spans 90 degrees; its cells are widest in the middle of a face, 2/2^depth radians along a side.
const COARSE: (i32, u8, f64) = (8, 8, 0.32);
const FINE: (i32, u8, f64) = (12, 12, 0.0199);
/// Coarse cells up to which an area is walked finely.
const SMALL_AREA: usize = 3000;

/// The coverage of a table; none without a position that is indexed.
pub async fn of(connection: &Connection, table: &Table) -> Result<Option<Moc>, Error> {
    let Some((ra, dec)) = &table.position else { return Ok(None) };
    let key = IndexKey::Q3c { ra: ra.clone(), dec: dec.clone() };
    let Some(index) = table.indexes.iter().find(|index| index.key == key) else { return Ok(None) };
    let ipix = ddl::index_expression(index);
    let coarse = cells(connection, table, &ipix, COARSE.0).await?;
    if coarse.len() > SMALL_AREA {
        return Ok(Some(around(&coarse, COARSE.1, COARSE.2)));
    }
    Ok(Some(around(&cells(connection, table, &ipix, FINE.0).await?, FINE.1, FINE.2)))
}

/// Middles of the occupied Q3C cells, in degrees.
async fn cells(connection: &Connection, table: &Table, ipix: &str, depth: i32) -> Result<Vec<(f64, f64)>, Error> {
    let sql = include_str!("../../sql/tap/sky_cells.sql").replace("{ipix}", ipix).replace("{table}", &ddl::qualified(table));
    let below = 2 * (30 - depth);
    let rows = connection.query(&sql, &[&below]).await.map_err(db::Error::from)?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// All HEALPix cells of `order` within a radius (degrees) of any of the positions.
fn around(positions: &[(f64, f64)], order: u8, radius_deg: f64) -> Moc {
    let shift = 2 * (29 - u32::from(order));
    let ranges = positions.iter().flat_map(|(ra, dec)| {
        let (lon, lat) = (ra.to_radians(), dec.to_radians().clamp(-std::f64::consts::FRAC_PI_2, std::f64::consts::FRAC_PI_2));
        cdshealpix::nested::cone_coverage_approx(order, lon, lat, radius_deg.to_radians()).to_ranges().into_vec()
    });
    let ranges: Vec<std::ops::Range<u64>> = ranges.map(|range| range.start << shift..range.end << shift).collect();
    RangeMOC::new(order, MocRanges::new_from(ranges))
}

/// `11/123 456-460 12/...`: the ASCII form of MOC 2.0.
pub fn ascii(moc: &Moc) -> String {
    let mut text = Vec::new();
    // a Vec takes everything
    drop(moc.into_range_moc_iter().cells().cellranges().to_ascii_ivoa(None, false, &mut text));
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// The coverage that [`ascii`] wrote.
pub fn parse(text: &str) -> Option<Moc> {
    let moc = moc::deser::ascii::from_ascii_ivoa::<u64, Hpx<u64>>(text).ok()?;
    Some(moc.into_cellcellrange_moc_iter().ranges().into_range_moc())
}

/// `{"11":[123,456],...}`, as Aladin reads it.
pub fn json(moc: &Moc) -> Vec<u8> {
    let mut text = Vec::new();
    drop(moc.into_range_moc_iter().cells().to_json_aladin(None, &mut text)); // a Vec takes everything
    text
}

/// A FITS file of MOC 2.0.
pub fn fits(moc: &Moc, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    drop(moc.into_range_moc_iter().to_fits_ivoa(Some(name.to_owned()), Some(MocType::Catalog), &mut bytes)); // a Vec takes everything
    bytes
}

/// Where either has something.
pub fn union(a: &Moc, b: &Moc) -> Moc {
    let ranges = a.into_range_moc_iter().chain(b.into_range_moc_iter()).collect();
    RangeMOC::new(a.depth_max().max(b.depth_max()), MocRanges::new_from(ranges))
}

/// The same in cells of a lower order, which cover it.
pub fn coarse(moc: &Moc, order: u8) -> Moc {
    if moc.depth_max() <= order { moc.clone() } else { moc.degraded(order) }
}

/// The share of the sky that it covers, 0 to 1.
pub fn sky_fraction(moc: &Moc) -> f64 {
    moc.into_range_moc_iter().coverage_percentage()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coverage_is_the_same_after_writing_and_reading() {
        let moc = around(&[(11.0, 41.2), (11.1, 41.3), (0.0, 90.0), (359.99, -0.01)], 10, 0.05);
        assert_eq!(parse(&ascii(&moc)), Some(moc.clone()));
        assert!(ascii(&moc).contains('/') && sky_fraction(&moc) > 0.0 && fits(&moc, "x").len().is_multiple_of(2880));
    }
}
