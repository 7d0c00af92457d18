//! What the headers of an image say of it: where it looks, in which light, when, by what.

use super::manifest::{Named, Surveys};
use super::{Error, Place};
use crate::image::{FitsFile, Header, Image, Select, Wcs};

/// One image of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub hdu: i32,
    pub compression: Option<String>,
    pub bitpix: i16,
    pub naxis: Vec<i64>,
    pub ra_deg: f64,
    pub dec_deg: f64,
    pub radius_deg: f64,
    /// Longitude, latitude of each corner, in order round the edge.
    pub footprint_deg: Vec<f64>,
    pub scale_arcsec: f64,
    pub collection: String,
    pub obs_id: String,
    pub title: String,
    pub calib_level: i32,
    pub facility: Option<String>,
    pub instrument: Option<String>,
    pub filter: Option<String>,
    pub band_m: Option<[f64; 2]>,
    pub exptime_s: Option<f64>,
    pub times_mjd: Option<[f64; 2]>,
    pub proposal: Option<String>,
    pub target: Option<String>,
    pub unit: Option<String>,
    pub brick: Option<i16>,
    pub field: Option<i16>,
}

/// What the user says of files whose headers do not.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub collection: Option<String>,
    pub calib_level: Option<i32>,
}

/// Reads the headers of a file: its science images, those with celestial coordinates. Where extensions are called SCI, no others count;
/// planes of weights and flags have other names and are no images of the sky.
/// `stored_bytes`: the size of the file as it lies there, which is not its length if it is gzipped.
pub fn of_file(file: &mut FitsFile, stored_bytes: u64, place: &Place, surveys: &Surveys, told: &Told) -> Result<Vec<Facts>, Error> {
    let is_gzipped = file.source().length() != stored_bytes;
    let hdus: Vec<(usize, Option<String>)> = file.all().iter().filter(|hdu| hdu.is_image()).map(|hdu| (hdu.number, hdu.name())).collect();
    let is_science = |name: &Option<String>| name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("SCI"));
    let names_science = hdus.iter().any(|(_, name)| is_science(name));
    let mut found = Vec::new();
    for (number, name) in hdus {
        if names_science && !is_science(&name) || name.as_deref().is_some_and(is_plane) {
            continue;
        }
        let image = file.image(&Select::Number(number))?;
        // an image without celestial coordinates is none of the sky
        let Ok(wcs) = file.wcs(&image, ' ') else { continue };
        let compression = file.all()[number].header.text("ZCMPTYPE").map(|name| name.trim().to_owned());
        let compression = compression.or_else(|| is_gzipped.then(|| "gzip".to_owned()));
        let cards = Cards { image: &image.header, primary: &file.primary().header };
        found.extend(of_image(&cards, &image, &wcs, place, surveys, told).map(|facts| Facts { compression, ..facts }));
    }
    Ok(found)
}

/// Names of extensions that go with an image.
fn is_plane(name: &str) -> bool {
    const PLANES: [&str; 10] = ["WHT", "CTX", "ERR", "DQ", "SAMP", "TIME", "D2IMARR", "WCSDVARR", "MASK", "WEIGHT"];
    PLANES.iter().any(|plane| plane.eq_ignore_ascii_case(name))
}

/// The cards of an image: its own, else those of the primary header.
struct Cards<'a> {
    image: &'a Header,
    primary: &'a Header,
}

impl Cards<'_> {
    fn text(&self, key: &str) -> Option<String> {
        let text = self.image.text(key).or_else(|| self.primary.text(key))?;
        // what a header says goes into documents as ASCII
        let clean: String = text.trim().chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(200).collect();
        (!clean.is_empty()).then_some(clean)
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.image.number(key).or_else(|| self.primary.number(key)).filter(|number| number.is_finite())
    }
}

/// `None` where the edge of the image is not on the sky: maps of all of it have no footprint.
fn of_image(cards: &Cards<'_>, image: &Image, wcs: &Wcs, place: &Place, surveys: &Surveys, told: &Told) -> Option<Facts> {
    let size = [image.axes[0] as f64, image.axes[1] as f64];
    let [ra_deg, dec_deg] = wcs.pixel_to_sky((size[0] + 1.0) / 2.0, (size[1] + 1.0) / 2.0)?;
    let footprint = footprint(wcs, size)?;
    let radius_deg = footprint.iter().map(|corner| apart_deg(*corner, [ra_deg, dec_deg])).fold(0.0, f64::max);
    // a polygon of the sky lies within a hemisphere
    if !(radius_deg > 0.0 && radius_deg < 85.0) {
        return None;
    }
    let scales = wcs.scales_deg();
    let file = place.path.rsplit('/').next().unwrap_or(&place.path);
    let named = surveys.named(file);
    let by_name = |tell: fn(&Named<'_>) -> Option<String>| named.as_ref().and_then(tell);
    let filter = filter(cards).or_else(|| by_name(|named| named.filter()));
    let exptime_s = cards.number("EXPTIME").or_else(|| cards.number("TEXPTIME")).filter(|seconds| *seconds > 0.0);
    let facility = cards.text("TELESCOP");
    let collection = told.collection.clone().or_else(|| by_name(|named| Some(named.collection().to_owned()))).or_else(|| facility.clone());
    let stem = stem(file);
    let obs_id = by_name(|named| named.obs_id()).unwrap_or_else(|| stem.to_owned());
    let title = by_name(|named| named.title()).unwrap_or_else(|| match &filter {
        Some(filter) => format!("{stem} {filter}"),
        None => stem.to_owned(),
    });
    let is_combined = ["_drz", "_drc"].iter().any(|end| stem.ends_with(end));
    let calib_level = told.calib_level.or_else(|| named.as_ref()?.calib_level());
    Some(Facts {
        hdu: i32::try_from(image.hdu).ok()?,
        compression: None,
        bitpix: image.bitpix.number() as i16,
        naxis: image.axes.iter().map(|length| *length as i64).collect(),
        ra_deg,
        dec_deg,
        radius_deg,
        footprint_deg: footprint.into_iter().flatten().collect(),
        scale_arcsec: (scales[0] * scales[1]).sqrt() * 3600.0,
        collection: collection.unwrap_or_else(|| "images".to_owned()),
        obs_id,
        title,
        calib_level: calib_level.unwrap_or(if is_combined { 3 } else { 2 }),
        facility,
        instrument: cards.text("INSTRUME").map(|name| match cards.text("DETECTOR") {
            Some(detector) => format!("{name}/{detector}"),
            None => name,
        }),
        band_m: filter.as_deref().and_then(|filter| band_m(cards, filter, named.as_ref(), surveys)),
        filter,
        times_mjd: times_mjd(cards, exptime_s),
        exptime_s,
        proposal: cards.text("PROPOSID").or_else(|| by_name(|named| named.proposal())),
        target: cards.text("TARGNAME").or_else(|| cards.text("OBJECT")),
        unit: cards.text("BUNIT"),
        brick: named.as_ref().and_then(|named| named.brick()),
        field: named.as_ref().and_then(|named| named.field()),
    })
}

/// The file's name without what all image files end in.
fn stem(file: &str) -> &str {
    [".gz", ".fz", ".fits", ".fit"].into_iter().fold(file, |name, end| name.strip_suffix(end).unwrap_or(name))
}

/// The edge of the image as corners (longitude, latitude): four where its sides are great circles to half a pixel, else more along them.
fn footprint(wcs: &Wcs, [nx, ny]: [f64; 2]) -> Option<Vec<[f64; 2]>> {
    const MORE: usize = 8;
    let corners = [[0.5, 0.5], [nx + 0.5, 0.5], [nx + 0.5, ny + 0.5], [0.5, ny + 0.5]];
    let side = |k: usize, t: f64| {
        let (a, b) = (corners[k], corners[(k + 1) % 4]);
        wcs.pixel_to_sky(a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]))
    };
    let points = |steps: usize| (0..4 * steps).map(|n| side(n / steps, (n % steps) as f64 / steps as f64)).collect::<Option<Vec<_>>>();
    let simple = points(1)?;
    let scale_deg = wcs.scales_deg()[0].min(wcs.scales_deg()[1]);
    let mut is_straight = true;
    for k in 0..4 {
        let (a, b) = (unit(simple[k]), unit(simple[(k + 1) % 4]));
        let there = unit(side(k, 0.5)?);
        // only what lies across the great circle counts: the middle of a side need not be that of its arc
        let pole = cross(a, b);
        let off = dot(pole, there).abs() / norm(pole).max(f64::MIN_POSITIVE);
        is_straight &= off.to_degrees() < scale_deg / 2.0;
    }
    if is_straight { Some(simple) } else { points(MORE) }
}

fn unit([lon_deg, lat_deg]: [f64; 2]) -> [f64; 3] {
    crate::image::wcs::frame::unit(lon_deg, lat_deg)
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn norm(a: [f64; 3]) -> f64 {
    dot(a, a).sqrt()
}

/// The angle between two positions, accurate for small ones too.
pub(super) fn apart_deg(a: [f64; 2], b: [f64; 2]) -> f64 {
    let (a, b) = (unit(a), unit(b));
    let half_chord = norm([0, 1, 2].map(|i| a[i] - b[i])) / 2.0;
    2.0 * half_chord.min(1.0).asin().to_degrees()
}

/// The filter's name; ACS has two wheels, one of which is clear.
fn filter(cards: &Cards<'_>) -> Option<String> {
    let mut names = ["FILTER", "FILTER1", "FILTER2"].into_iter().filter_map(|key| cards.text(key));
    names.find(|name| !name.to_uppercase().starts_with("CLEAR"))
}

/// Where the filter begins and ends, in metres: with the image's survey, by its header, else with any survey that has one of this name.
fn band_m(cards: &Cards<'_>, filter: &str, named: Option<&Named<'_>>, surveys: &Surveys) -> Option<[f64; 2]> {
    let by_header = || {
        // PHOTBW is the root mean square of the band; a box of that rms is sqrt(12) as wide
        let (pivot, rms) = (cards.number("PHOTPLAM")?, cards.number("PHOTBW")?);
        let half = 3f64.sqrt() * rms;
        (half > 0.0 && pivot > half).then_some([(pivot - half) * 1e-10, (pivot + half) * 1e-10])
    };
    named.and_then(|named| named.band_m(filter)).or_else(by_header).or_else(|| surveys.band_m(filter))
}

/// Beginning and end as modified Julian dates.
fn times_mjd(cards: &Cards<'_>, exptime_s: Option<f64>) -> Option<[f64; 2]> {
    if let (Some(start), Some(end)) = (cards.number("EXPSTART"), cards.number("EXPEND")) {
        return (start > 0.0 && end >= start).then_some([start, end]);
    }
    let date = || {
        let day = cards.text("DATE-OBS")?;
        match cards.text("TIME-OBS") {
            Some(time) if !day.contains('T') => mjd(&format!("{day}T{time}")),
            _ => mjd(&day),
        }
    };
    let start = cards.number("MJD-OBS").filter(|start| *start > 0.0).or_else(date)?;
    Some([start, start + exptime_s.unwrap_or(0.0) / 86_400.0])
}

/// `2010-07-01` or `2010-07-01T12:00:00.5`
fn mjd(text: &str) -> Option<f64> {
    use jiff::civil::{Date, DateTime, date};
    let at: DateTime = match text.parse::<DateTime>() {
        Ok(at) => at,
        Err(_) => text.parse::<Date>().ok()?.into(),
    };
    let since = at.duration_since(date(1858, 11, 17).into());
    Some(since.as_secs_f64() / 86_400.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_modified_julian_ones() {
        assert_eq!(mjd("2000-01-01T12:00:00"), Some(51544.5));
        assert_eq!(mjd("1858-11-18"), Some(1.0));
        assert_eq!(mjd("yesterday"), None);
    }

    #[test]
    fn a_plane_image_has_four_corners_and_a_bent_one_more() {
        let flat = Wcs::north_up(11.0, 41.0, 0.05 / 3600.0, [500.5, 500.5]).unwrap();
        let corners = footprint(&flat, [1000.0, 1000.0]).unwrap();
        assert_eq!(corners.len(), 4);
        let diagonal = apart_deg(corners[0], corners[2]) * 3600.0;
        assert!((diagonal - 1000.0 * 0.05 * 2f64.sqrt()).abs() < 1e-4, "{diagonal}");
        let mut header = Header::default();
        for (key, value) in [("CRVAL1", 0.0), ("CRVAL2", 0.0), ("CDELT1", -1.0), ("CDELT2", 1.0), ("CRPIX1", 30.5), ("CRPIX2", -30.0)] {
            header.set(key, crate::image::header::Value::Float(value), "");
        }
        header.set("CTYPE1", "RA---CAR".into(), "");
        header.set("CTYPE2", "DEC--CAR".into(), "");
        let bent = Wcs::read(&header, ' ', &mut |_, _| Err("no tables".into())).unwrap();
        assert_eq!(footprint(&bent, [60.0, 20.0]).unwrap().len(), 32);
    }
}
