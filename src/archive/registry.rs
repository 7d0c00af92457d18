//! The table of images: files go in, are looked at again, and are found by what clients call them.

use super::facts::{self, Facts, Told};
use super::{Error, Home, Place, Roots, Surveys, remote};
use crate::db::{self, Connection};
use crate::image::gzip;
use crate::sky::{Reach, Region};
use crate::store::Version;
use sha2::Digest;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use tokio_postgres::error::SqlState;

/// An image that a request is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub place: Place,
    pub hdu: i32,
    /// What follows the question mark in its identifier.
    pub name: String,
    /// The last part of the path.
    pub file: String,
    pub bytes: i64,
    pub bitpix: i16,
    /// Pixels along the axes.
    pub naxis: Vec<i64>,
    pub collection: String,
    pub obs_id: String,
    pub title: String,
    pub calib_level: i32,
    pub facility: Option<String>,
    pub instrument: Option<String>,
    pub proposal: Option<String>,
    pub target: Option<String>,
    /// Unit of the pixels.
    pub unit: Option<String>,
    pub exptime_s: Option<f64>,
    pub filter: Option<String>,
    pub band_m: Option<[f64; 2]>,
    pub times_mjd: Option<[f64; 2]>,
    pub ra_deg: f64,
    pub dec_deg: f64,
    pub radius_deg: f64,
    /// Side of a pixel.
    pub scale_deg: f64,
    /// Corners (longitude, latitude), degrees.
    pub footprint_deg: Vec<(f64, f64)>,
}

impl Entry {
    pub(super) fn of(row: &tokio_postgres::Row) -> Entry {
        let footprint: Vec<f64> = row.get("footprint");
        Entry {
            place: Place { root: row.get("root"), path: row.get("path") },
            hdu: row.get("hdu"),
            name: row.get("name"),
            file: row.get("file"),
            bytes: row.get("bytes"),
            bitpix: row.get("bitpix"),
            naxis: row.get("naxis"),
            collection: row.get("collection"),
            obs_id: row.get("obs_id"),
            title: row.get("title"),
            calib_level: row.get("calib_level"),
            facility: row.get("facility"),
            instrument: row.get("instrument"),
            proposal: row.get("proposal"),
            target: row.get("target"),
            unit: row.get("unit"),
            exptime_s: row.get("exptime_s"),
            filter: row.get("filter"),
            band_m: pair(row, "em_min_m", "em_max_m"),
            times_mjd: pair(row, "t_min_mjd", "t_max_mjd"),
            ra_deg: row.get("ra"),
            dec_deg: row.get("dec"),
            radius_deg: row.get("radius_deg"),
            scale_deg: row.get::<_, f64>("scale_arcsec") / 3600.0,
            footprint_deg: footprint.chunks_exact(2).map(|corner| (corner[0], corner[1])).collect(),
        }
    }
}

/// How images and a region lie to each other (SIA 1.0, section 4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Relation {
    #[default]
    Overlaps,
    /// The image holds all of the region.
    Covers,
    /// The region holds all of the image.
    Enclosed,
    /// The image holds the region's middle.
    Center,
}

impl Relation {
    const ALL: [Relation; 4] = [Relation::Overlaps, Relation::Covers, Relation::Enclosed, Relation::Center];

    fn name(self) -> &'static str {
        match self {
            Relation::Overlaps => "OVERLAPS",
            Relation::Covers => "COVERS",
            Relation::Enclosed => "ENCLOSED",
            Relation::Center => "CENTER",
        }
    }

    /// What INTERSECT calls it, without regard to case.
    pub fn from_request(text: &str) -> Option<Relation> {
        Relation::ALL.into_iter().find(|relation| relation.name().eq_ignore_ascii_case(text))
    }
}

/// Which images are wanted.
#[derive(Debug, Clone)]
pub struct Search<'a> {
    pub region: Vec<(f64, f64)>,
    /// The region's middle in degrees.
    pub centre: (f64, f64),
    pub relation: Relation,
    /// Called so, or so up to an underscore: `phat_v2` means PHAT too.
    pub collection: Option<&'a str>,
    pub limit: u64,
}

/// What became of a file that was to be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// So many images of it are new.
    Added(usize),
    /// It had changed since, and has so many images now.
    Changed(usize),
    Unchanged,
    /// There is no image of the sky in it.
    NoImage,
}

/// How files are registered.
#[derive(Debug, Clone, Default)]
pub struct Adding {
    /// What names of files tell.
    pub surveys: Arc<Surveys>,
    pub told: Told,
    /// Read whole files for their SHA-256.
    pub sha256: bool,
}

/// What is wrong with a registered file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ailment {
    Vanished,
    /// Its folder is none of the configured ones any more.
    RootUnknown,
    /// Size or time are others.
    Changed,
    /// Size and time are the same, the bytes are not.
    Damaged,
}

/// Makes the table and the view if they are not there.
pub async fn create(connection: &Connection) -> Result<(), Error> {
    Ok(connection.batch_execute(include_str!("../../sql/archive/create.sql")).await?)
}

/// Whether anything was ever registered.
pub async fn exists(connection: &Connection) -> Result<bool, Error> {
    Ok(connection.query_one(include_str!("../../sql/archive/exists.sql"), &[]).await?.get(0))
}

/// Registers the images of one file. A file that is known and has not changed is not opened.
pub async fn add(
    connection: &mut Connection,
    roots: &Roots,
    path: &Path,
    adding: &Adding,
    cache: &Arc<gzip::Cache>,
) -> Result<Outcome, Error> {
    let (looked_at, named) = (roots.clone(), path.to_owned());
    let look = move || {
        let place = looked_at.place(&named)?;
        let stamp = Stamp::at(&looked_at, &place)?;
        Ok::<_, Error>((place, stamp))
    };
    let (place, stamp) = tokio::task::spawn_blocking(look).await.map_err(|_| Error::BrokeOff)??;
    let known = connection.query(include_str!("../../sql/archive/known.sql"), &[&place.path]).await?;
    let other = known.iter().map(|row| row.get::<_, String>("root")).find(|root| *root != place.root);
    if let Some(other) = other {
        return Err(Error::TwoRoots { path: place.path, other, root: place.root });
    }
    let is_same = |row: &tokio_postgres::Row| {
        (row.get::<_, i64>("bytes"), row.get::<_, i64>("mtime_ns")) == (stamp.bytes, stamp.mtime_ns)
            && (!adding.sha256 || row.get::<_, bool>("has_sha256"))
    };
    if !known.is_empty() && known.iter().all(is_same) {
        return Ok(Outcome::Unchanged);
    }
    let (found, sha256) = read(roots, &place, &stamp, adding, cache).await?;
    let transaction = connection.transaction().await?;
    transaction.execute(include_str!("../../sql/archive/forget.sql"), &[&place.path]).await?;
    for facts in &found {
        put(&transaction, &place, &stamp, sha256.as_deref(), facts).await?;
    }
    transaction.commit().await?;
    Ok(match (found.len(), known.is_empty()) {
        (0, _) => Outcome::NoImage,
        (count, true) => Outcome::Added(count),
        (count, false) => Outcome::Changed(count),
    })
}

/// Headers, and the hash if it is wanted, on a thread that may block.
async fn read(
    roots: &Roots,
    place: &Place,
    stamp: &Stamp,
    adding: &Adding,
    cache: &Arc<gzip::Cache>,
) -> Result<(Vec<Facts>, Option<String>), Error> {
    let (roots, place, stamp, adding, cache) = (roots.clone(), place.clone(), *stamp, adding.clone(), cache.clone());
    let read = move || {
        let (mut file, bytes) = (roots.open(&place, &cache)?, u64::try_from(stamp.bytes).unwrap_or(0));
        let found = facts::of_file(&mut file, bytes, &place, &adding.surveys, &adding.told)?;
        let hash = if adding.sha256 && !found.is_empty() { Some(sha256(&roots, &place)?) } else { None };
        Ok((found, hash))
    };
    tokio::task::spawn_blocking(read).await.map_err(|_| Error::BrokeOff)?
}

/// Writes images of whose files no more is known than their places, for benches and tests; one transaction. Their files are looked for when
/// a piece of one is asked for, not now.
pub async fn enter(connection: &mut Connection, images: &[(Place, Facts)]) -> Result<(), Error> {
    let transaction = connection.transaction().await?;
    for (place, facts) in images {
        put(&transaction, place, &Stamp { bytes: 0, mtime_ns: 0 }, None, facts).await?;
    }
    transaction.commit().await?;
    analyze(connection).await
}

/// Tells the planner what the table holds now.
pub async fn analyze(connection: &Connection) -> Result<(), Error> {
    Ok(connection.batch_execute(include_str!("../../sql/archive/analyze.sql")).await?)
}

async fn put(
    transaction: &tokio_postgres::Transaction<'_>,
    place: &Place,
    stamp: &Stamp,
    sha256: Option<&str>,
    facts: &Facts,
) -> Result<(), Error> {
    let file = place.path.rsplit('/').next().unwrap_or(&place.path);
    let name = name_of(&place.path, facts.hdu);
    let (em_min, em_max) = (facts.band_m.map(|band| band[0]), facts.band_m.map(|band| band[1]));
    let (t_min, t_max) = (facts.times_mjd.map(|times| times[0]), facts.times_mjd.map(|times| times[1]));
    let [x, y, z] = reach(facts);
    let values: [&(dyn postgres_types::ToSql + Sync); 39] = [
        &place.root,
        &place.path,
        &facts.hdu,
        &name,
        &file,
        &stamp.bytes,
        &stamp.mtime_ns,
        &sha256,
        &facts.compression,
        &facts.bitpix,
        &facts.naxis,
        &facts.ra_deg,
        &facts.dec_deg,
        &facts.radius_deg,
        &facts.footprint_deg,
        &facts.scale_arcsec,
        &facts.collection,
        &facts.obs_id,
        &facts.title,
        &facts.calib_level,
        &facts.facility,
        &facts.instrument,
        &facts.filter,
        &em_min,
        &em_max,
        &facts.exptime_s,
        &t_min,
        &t_max,
        &facts.proposal,
        &facts.target,
        &facts.unit,
        &facts.brick,
        &facts.field,
        &x[0],
        &x[1],
        &y[0],
        &y[1],
        &z[0],
        &z[1],
    ];
    transaction.execute(include_str!("../../sql/archive/put.sql"), &values).await?;
    Ok(())
}

/// The bounds of the footprint; where it is no polygon, those of the circle about it.
fn reach(facts: &Facts) -> Reach {
    let corners = facts.footprint_deg.chunks_exact(2).map(|corner| (corner[0], corner[1])).collect();
    let circle = || Region::Circle { ra_deg: facts.ra_deg, dec_deg: facts.dec_deg, radius_deg: facts.radius_deg };
    let shape = Region::Polygon(corners).prepare().or_else(|_| circle().prepare());
    // what is nowhere is found by its name only
    shape.map_or([[0, 0]; 3], |shape| shape.reach())
}

/// `brick15/a%20b.fits/0`: what is not plain in a URL is percent-encoded, so that an identifier is one.
fn name_of(path: &str, hdu: i32) -> String {
    let mut name = String::with_capacity(path.len() + 4);
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("{name}/{hdu}")
}

/// What tells whether a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub bytes: i64,
    pub mtime_ns: i64,
}

impl Stamp {
    /// Of the file of a place; on a thread that may block.
    fn at(roots: &Roots, place: &Place) -> Result<Stamp, Error> {
        match roots.home(place).ok_or(Error::Gone)? {
            Home::File(file) => Stamp::of(&file),
            Home::Object(remote) => {
                let version = remote.runtime.block_on(remote.bucket.version(&place.path))?;
                Ok(Stamp::of_version(&version))
            }
        }
    }

    pub fn of_version(version: &Version) -> Stamp {
        Stamp { bytes: version.bytes as i64, mtime_ns: version.modified_s.saturating_mul(1_000_000_000) }
    }

    pub fn of(path: &Path) -> Result<Stamp, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let metadata = path.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(io(std::io::Error::other("it is not a file")));
        }
        Ok(Stamp { bytes: metadata.len() as i64, mtime_ns: metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec() })
    }
}

fn sha256(roots: &Roots, place: &Place) -> Result<String, Error> {
    let mut hasher = sha2::Sha256::new();
    match roots.home(place).ok_or(Error::Gone)? {
        Home::File(path) => {
            let io = |source| Error::Io { path: path.clone(), source };
            let (mut file, mut buffer) = (File::open(&path).map_err(io)?, vec![0; 1 << 20]);
            loop {
                match file.read(&mut buffer).map_err(io)? {
                    0 => break,
                    n => hasher.update(&buffer[..n]),
                }
            }
        }
        Home::Object(found) => remote::bytes(&found.bucket, &place.path, &found.runtime, |bytes| hasher.update(bytes))?,
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A line of `images list`.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub path: String,
    pub hdu: i32,
    pub filter: Option<String>,
    pub instrument: Option<String>,
    pub naxis: Vec<i64>,
    pub scale_arcsec: f64,
    pub exptime_s: Option<f64>,
    pub ra_deg: f64,
    pub dec_deg: f64,
}

/// All images, by path.
pub async fn list(connection: &Connection) -> Result<Vec<Line>, Error> {
    let rows = connection.query(include_str!("../../sql/archive/list.sql"), &[]).await?;
    let line = |row: &tokio_postgres::Row| Line {
        path: row.get("path"),
        hdu: row.get("hdu"),
        filter: row.get("filter"),
        instrument: row.get("instrument"),
        naxis: row.get("naxis"),
        scale_arcsec: row.get("scale_arcsec"),
        exptime_s: row.get("exptime_s"),
        ra_deg: row.get("ra"),
        dec_deg: row.get("dec"),
    };
    Ok(rows.iter().map(line).collect())
}

/// An image that is a part of what a filter saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposed {
    pub place: Place,
    pub hdu: i32,
    pub bytes: i64,
    pub mtime_ns: i64,
    pub filter: String,
    pub collection: String,
    pub band_m: Option<[f64; 2]>,
    pub times_mjd: Option<[f64; 2]>,
}

/// The images of filters (none means all) and a collection, of the highest calibration level that a filter has; by filter.
pub async fn by_filter(connection: &Connection, filters: Option<&[String]>, collection: Option<&str>) -> Result<Vec<Exposed>, Error> {
    if !exists(connection).await? {
        return Ok(Vec::new());
    }
    let rows = connection.query(include_str!("../../sql/archive/by_filter.sql"), &[&filters, &collection]).await?;
    let exposed = |row: &tokio_postgres::Row| Exposed {
        place: Place { root: row.get("root"), path: row.get("path") },
        hdu: row.get("hdu"),
        bytes: row.get("bytes"),
        mtime_ns: row.get("mtime_ns"),
        filter: row.get("filter"),
        collection: row.get("collection"),
        band_m: pair(row, "em_min_m", "em_max_m"),
        times_mjd: pair(row, "t_min_mjd", "t_max_mjd"),
    };
    Ok(rows.iter().map(exposed).collect())
}

fn pair(row: &tokio_postgres::Row, a: &str, b: &str) -> Option<[f64; 2]> {
    row.get::<_, Option<f64>>(a).zip(row.get::<_, Option<f64>>(b)).map(|(a, b)| [a, b])
}

/// Looks at every registered file, and with `whole` at all its bytes where a SHA-256 is known. Gives how many files there are, and the
/// paths of those that are not as they were.
pub async fn check(connection: &Connection, roots: &Roots, whole: bool) -> Result<(usize, Vec<(String, Ailment)>), Error> {
    let rows = connection.query(include_str!("../../sql/archive/files.sql"), &[]).await?;
    let mut ailing = Vec::new();
    for row in &rows {
        let place = Place { root: row.get("root"), path: row.get("path") };
        let (stamp, hash) = (Stamp { bytes: row.get("bytes"), mtime_ns: row.get("mtime_ns") }, row.get::<_, Option<String>>("sha256"));
        let (roots, looked_at) = (roots.clone(), place.clone());
        let look = move || ailment(&roots, &looked_at, stamp, hash.filter(|_| whole).as_deref());
        if let Some(found) = tokio::task::spawn_blocking(look).await.map_err(|_| Error::BrokeOff)?? {
            ailing.push((place.path, found));
        }
    }
    Ok((rows.len(), ailing))
}

fn ailment(roots: &Roots, place: &Place, known: Stamp, hash: Option<&str>) -> Result<Option<Ailment>, Error> {
    if !roots.knows(&place.root) {
        return Ok(Some(Ailment::RootUnknown));
    }
    match Stamp::at(roots, place) {
        Ok(stamp) if stamp == known => {}
        Ok(_) => return Ok(Some(Ailment::Changed)),
        Err(Error::Gone) => return Ok(Some(Ailment::Vanished)),
        Err(error) => return Err(error),
    }
    match hash {
        Some(hash) if sha256(roots, place)? != hash => Ok(Some(Ailment::Damaged)),
        _ => Ok(None),
    }
}

/// Forgets the images of the file at `path` in its root.
pub async fn forget(connection: &Connection, path: &str) -> Result<(), Error> {
    connection.execute(include_str!("../../sql/archive/forget.sql"), &[&path]).await?;
    Ok(())
}

/// What a statement reads of the table of images; nothing where there is no such table.
async fn rows(
    connection: &Connection,
    sql: &'static str,
    values: &[&(dyn postgres_types::ToSql + Sync)],
) -> Result<Vec<tokio_postgres::Row>, Error> {
    let asked = async { Ok::<_, db::Error>(connection.query(&connection.prepared(sql).await?, values).await?) };
    match asked.await {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(Vec::new()),
        asked => Ok(asked?),
    }
}

/// The first images by path, at most so many.
pub async fn first(connection: &Connection, limit: u64) -> Result<Vec<Entry>, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = rows(connection, include_str!("../../sql/archive/first.sql"), &[&limit]).await?;
    Ok(rows.iter().map(Entry::of).collect())
}

/// The image of this name.
pub async fn by_name(connection: &Connection, name: &str) -> Result<Option<Entry>, Error> {
    let rows = rows(connection, include_str!("../../sql/archive/by_name.sql"), &[&name]).await?;
    Ok(rows.first().map(Entry::of))
}

/// The images of the file of this name or path, at most two: two say that the question was not clear.
pub async fn by_file(connection: &Connection, file: &str, hdu: Option<i32>, collection: Option<&str>) -> Result<Vec<Entry>, Error> {
    let rows = rows(connection, include_str!("../../sql/archive/by_file.sql"), &[&file, &hdu, &collection]).await?;
    Ok(rows.iter().map(Entry::of).collect())
}

/// The images that lie so to a region, by path.
pub async fn search(connection: &Connection, search: &Search<'_>) -> Result<Vec<Entry>, Error> {
    let corners: Vec<f64> = search.region.iter().flat_map(|(ra, dec)| [*ra, *dec]).collect();
    // the middle of the corners of a region at a pole is not its own
    let (ra_deg, dec_deg) = search.centre;
    let farthest = search.region.iter().map(|(ra, dec)| facts::apart_deg([*ra, *dec], [ra_deg, dec_deg])).fold(0.0, f64::max);
    let (relation, limit) = (search.relation.name(), i64::try_from(search.limit).unwrap_or(i64::MAX));
    // what is no polygon to us has no bounds, and is left to the exact test
    let [x, y, z] = Region::Polygon(search.region.clone()).prepare().map_or([[i32::MIN + 1, i32::MAX - 1]; 3], |shape| shape.reach());
    let values: [&(dyn postgres_types::ToSql + Sync); 13] =
        [&corners, &ra_deg, &dec_deg, &farthest, &relation, &search.collection, &limit, &x[0], &x[1], &y[0], &y[1], &z[0], &z[1]];
    let rows = rows(connection, include_str!("../../sql/archive/by_region.sql"), &values).await?;
    Ok(rows.iter().map(Entry::of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_nothing_that_a_url_reads_otherwise() {
        assert_eq!(name_of("brick15/hlsp_a-b.fits", 0), "brick15/hlsp_a-b.fits/0");
        assert_eq!(name_of("a b+c%d#é.fits", 12), "a%20b%2Bc%25d%23%C3%A9.fits/12");
    }
}
