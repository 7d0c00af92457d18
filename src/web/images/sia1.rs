//! SIA 1.0 as the Data Lab answers it: its 61 columns, with the standard's own UCDs on those that generic clients look for.
//!
//! Each row's `access_url` cuts the region that was asked for out of the image ([`super::cutout`]). Errors are documents with status 200,
//! as the standard has it.

use super::{FITS, identifier, in_query};
use crate::archive::registry::{self, Relation, Search};
use crate::archive::{Entry, shape};
use crate::format::{self, Head, Info, Kind};
use crate::schema::rows::WireChunk;
use crate::schema::{Column, DataType, Text, WireRows};
use crate::tap::query::{self, shown};
use crate::tap::xml::escape;
use crate::web::{App, Error, Parameters, sync};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

/// A position (longitude, latitude) in degrees.
type Degrees = (f64, f64);

/// Rows of an answer at most: they are held in memory.
const MOST_ROWS: u64 = 10_000;
/// Sides of a region at most; a larger one has no polygon within a hemisphere.
const MOST_DEG: f64 = 60.0;

/// `/sia`: images of all collections.
pub async fn all(State(app): State<App>, parameters: Result<Parameters, Error>) -> Result<Response, Error> {
    answer(&app, None, parameters).await
}

/// `/sia/{collection}`
pub async fn of_collection(
    State(app): State<App>,
    Path(collection): Path<String>,
    parameters: Result<Parameters, Error>,
) -> Result<Response, Error> {
    answer(&app, Some(&collection), parameters).await
}

async fn answer(app: &App, collection: Option<&str>, parameters: Result<Parameters, Error>) -> Result<Response, Error> {
    let parameters = parameters.map_err(told)?;
    let kind = parameters.get("RESPONSEFORMAT").and_then(Kind::from_request).unwrap_or(Kind::Tabledata);
    search(app, collection, &parameters).await.map_err(|error| match kind {
        Kind::Tabledata | Kind::Binary | Kind::Binary2 => told(error),
        // the standard knows VOTables only
        _ => error.for_kind(kind),
    })
}

/// What is wrong with a question is told in a document with status 200; what is wrong with us is not.
fn told(error: Error) -> Error {
    match error.status {
        status if status.is_client_error() => Error { status: StatusCode::OK, ..error.for_kind(Kind::Tabledata) },
        _ => error.for_kind(Kind::Tabledata),
    }
}

async fn search(app: &App, collection: Option<&str>, parameters: &Parameters) -> Result<Response, Error> {
    let wish = Wish::read(parameters)?;
    let kind = query::kind(parameters.get("RESPONSEFORMAT").or(Some("votable/td"))).map_err(|failure| sync::failed(app, failure))?;
    let limit = query::limit(parameters.get("MAXREC"), &app.tap.options).map_err(|failure| sync::failed(app, failure))?.min(MOST_ROWS);
    let entries = match &wish.region {
        Some(region) if collection.is_none_or(super::can_name) => {
            let (centre, relation) = (region.centre_deg, wish.relation);
            let search = Search { region: region.polygon.clone(), centre, relation, collection, limit: limit + 1 };
            registry::search(&*app.tap.session().await?, &search).await?
        }
        _ => Vec::new(),
    };
    let mut chunk = WireChunk::default();
    for entry in &entries {
        let row = Row { app, entry, wish: &wish, collection };
        COLUMNS.iter().for_each(|column| (column.value)(&row).push(&mut chunk.bytes));
        chunk.rows += 1;
    }
    let head = Head {
        name: "images".into(),
        infos: vec![Info { name: "SERVICE_PROTOCOL".into(), value: "1.0".into(), text: "SIA".into() }],
        parameters: if wish.region.is_none() { inputs() } else { Vec::new() },
        overflow: format!("The answer was cut off after {limit} rows; ask for a smaller region."),
        scratch_dir: app.tap.scratch_dir(),
        ..Head::default()
    };
    let rows = WireRows { columns: COLUMNS.iter().map(Known::column).collect(), chunks: futures_util::stream::iter([Ok(chunk)]).boxed() };
    let document = format::answer(rows, head, kind, Some(limit));
    let mime = if parameters.get("RESPONSEFORMAT").is_none() { "text/xml;content=x-votable" } else { kind.mime() };
    Ok(([(header::CONTENT_TYPE, mime)], Body::from_stream(document)).into_response())
}

/// What the parameters ask.
struct Wish {
    /// None where only metadata are wanted.
    region: Option<Region>,
    relation: Relation,
    is_picture: bool,
}

/// A position and sizes, as they were given and as a polygon.
struct Region {
    position: String,
    size: String,
    centre_deg: (f64, f64),
    polygon: Vec<(f64, f64)>,
}

impl Wish {
    fn read(parameters: &Parameters) -> Result<Wish, Error> {
        let format = parameters.get("FORMAT").unwrap_or("ALL").trim().to_ascii_lowercase();
        let (has_fits, has_picture, is_metadata) = match format.as_str() {
            "metadata" => (false, false, true),
            "all" => (true, false, false),
            list => {
                let words: Vec<&str> = list.split(',').map(str::trim).collect();
                let any = |known: &[&str]| words.iter().any(|word| known.contains(word));
                (any(&[FITS, "application/fits"]), any(&["graphic", "graphic-all", "graphic-jpeg", "image/jpeg"]), false)
            }
        };
        parameters.parse("VERB", "a number from 0 to 3", |text| text.parse::<u8>().ok().filter(|verb| *verb <= 3))?;
        let relation = parameters.parse("INTERSECT", "COVERS, ENCLOSED, CENTER or OVERLAPS", Relation::from_request)?;
        let region = match (is_metadata, has_fits || has_picture) {
            (true, _) => None,
            // nothing is in that format
            (false, false) => return Err(Error::usage(format!("FORMAT={}: there are image/fits and image/jpeg", shown(&format, 60)))),
            (false, true) => Some(region(parameters)?),
        };
        Ok(Wish { region, relation: relation.unwrap_or_default(), is_picture: has_picture && !has_fits })
    }
}

/// The corners of the region that the parameters mean, and its middle.
pub fn corners(parameters: &Parameters) -> Result<(Vec<Degrees>, Degrees), Error> {
    region(parameters).map(|region| (region.polygon, region.centre_deg))
}

/// A rectangle along the meridian and the parallel of its middle; the size along the right ascension is counted in it.
fn region(parameters: &Parameters) -> Result<Region, Error> {
    let [ra_deg, dec_deg] = super::cutout::position(parameters)?;
    let [width_deg, height_deg] = super::cutout::size(parameters)?;
    if width_deg > MOST_DEG || height_deg > MOST_DEG {
        return Err(Error::usage(format!("SIZE is larger than {MOST_DEG} degrees")));
    }
    let (south, north) = ((dec_deg - height_deg / 2.0).max(-90.0), (dec_deg + height_deg / 2.0).min(90.0));
    let polygon = shape::tile([ra_deg - width_deg / 2.0, ra_deg + width_deg / 2.0], [south, north]);
    let given = |name: &str| parameters.get(name).unwrap_or_default().replace(' ', "");
    Ok(Region { position: given("POS"), size: given("SIZE"), centre_deg: (ra_deg, dec_deg), polygon })
}

/// The parameters of the service as the standard's metadata query tells them.
fn inputs() -> Vec<String> {
    let input = |name: &str, about: &str| {
        format!(
            "<PARAM name=\"INPUT:{name}\" datatype=\"char\" arraysize=\"*\" value=\"\"><DESCRIPTION>{}</DESCRIPTION></PARAM>",
            escape(about)
        )
    };
    vec![
        input("POS", "Position RA,DEC in degrees, ICRS"),
        input("SIZE", "One or two sizes in degrees, the first along the right ascension and counted in it"),
        input("INTERSECT", "How image and region lie to each other: OVERLAPS, COVERS, ENCLOSED, CENTER"),
        input("FORMAT", "ALL, image/fits, image/jpeg, GRAPHIC, METADATA"),
        input("VERB", "0 to 3; all columns come with each"),
    ]
}

/// An image and the question that found it.
struct Row<'a> {
    app: &'a App,
    entry: &'a Entry,
    wish: &'a Wish,
    collection: Option<&'a str>,
}

impl Row<'_> {
    /// The URL of the piece that was asked for.
    fn url(&self, more: &str) -> String {
        let Some(region) = &self.wish.region else { return String::new() };
        let (entry, collection) = (self.entry, in_query(&self.entry.collection));
        // the path is one even where two folders hold files of one name
        let path = format!(
            "/svc/cutout?col={collection}&siaRef={}&extn={}&POS={}&SIZE={}{more}",
            in_query(&entry.place.path),
            entry.hdu,
            region.position,
            region.size
        );
        self.app.url(&path)
    }
}

/// A value in PostgreSQL's binary form, as rows carry it.
enum Cell {
    Null,
    Text(String),
    Int(i32),
    Long(i64),
    Double(f64),
    Ints(Vec<i32>),
    Doubles(Vec<f64>),
}

impl Cell {
    fn push(&self, out: &mut Vec<u8>) {
        let value = match self {
            Cell::Null => return out.extend_from_slice(&(-1_i32).to_be_bytes()),
            Cell::Text(text) => text.as_bytes().to_vec(),
            Cell::Int(number) => number.to_be_bytes().to_vec(),
            Cell::Long(number) => number.to_be_bytes().to_vec(),
            Cell::Double(number) => number.to_be_bytes().to_vec(),
            Cell::Ints(numbers) => array(DataType::Integer, numbers.iter().map(|number| number.to_be_bytes().to_vec())),
            Cell::Doubles(numbers) => array(DataType::Double, numbers.iter().map(|number| number.to_be_bytes().to_vec())),
        };
        out.extend_from_slice(&(value.len() as i32).to_be_bytes());
        out.extend_from_slice(&value);
    }
}

/// One dimension, no NULL, counted from 1.
fn array(of: DataType, elements: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let head = [1, 0, of.oid() as i32, elements.len() as i32, 1];
    let mut out: Vec<u8> = head.into_iter().flat_map(i32::to_be_bytes).collect();
    for element in elements {
        out.extend_from_slice(&(element.len() as i32).to_be_bytes());
        out.extend_from_slice(&element);
    }
    out
}

fn text(value: &Option<String>) -> Cell {
    value.clone().map_or(Cell::Null, Cell::Text)
}

fn double(value: Option<f64>) -> Cell {
    value.map_or(Cell::Null, Cell::Double)
}

fn word(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

/// A column of the answer.
struct Known {
    name: &'static str,
    datatype: DataType,
    is_array: bool,
    unit: &'static str,
    ucd: &'static str,
    description: &'static str,
    value: fn(&Row<'_>) -> Cell,
}

impl Known {
    fn column(&self) -> Column {
        Column {
            array: self.is_array,
            unit: self.unit.into(),
            ucd: self.ucd.into(),
            description: self.description.into(),
            text: Text::Ascii,
            ..Column::new(self.name, self.datatype)
        }
    }
}

/// The columns in the order of the Data Lab's answers.
#[rustfmt::skip]
const COLUMNS: [Known; 61] = [
    Known { name: "assoc_id", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.id", description: "Collection, as the request names it", value: |row| word(row.collection.unwrap_or(&row.entry.collection)) },
    Known { name: "access_url", datatype: DataType::Text, is_array: false, unit: "", ucd: "VOX:Image_AccessReference", description: "URL of the piece that was asked for", value: |row| Cell::Text(row.url(if row.wish.is_picture { "&preview=true" } else { "" })) },
    Known { name: "access_format", datatype: DataType::Text, is_array: false, unit: "", ucd: "VOX:Image_Format", description: "Format of the piece", value: |row| word(if row.wish.is_picture { "image/jpeg" } else { FITS }) },
    Known { name: "access_estsize", datatype: DataType::Integer, is_array: false, unit: "byte", ucd: "VOX:Image_FileSize", description: "Size of the image's file, or the greatest number where it is larger", value: |row| Cell::Int(i32::try_from(row.entry.bytes).unwrap_or(i32::MAX)) },
    Known { name: "dataproduct_type", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.code.class", description: "Kind of data", value: |_| word("image") },
    Known { name: "dataproduct_subtype", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.code.class", description: "Kind of image", value: |_| Cell::Null },
    Known { name: "calib_level", datatype: DataType::Bigint, is_array: false, unit: "", ucd: "meta.code;obs.calib", description: "Level of calibration", value: |row| Cell::Long(row.entry.calib_level.into()) },
    Known { name: "dataset_length", datatype: DataType::Bigint, is_array: false, unit: "", ucd: "meta.number", description: "Datasets behind the URL", value: |_| Cell::Long(1) },
    Known { name: "im_nsubarrays", datatype: DataType::Integer, is_array: false, unit: "", ucd: "meta.number", description: "Images in the piece", value: |_| Cell::Int(1) },
    Known { name: "im_naxes", datatype: DataType::Integer, is_array: false, unit: "", ucd: "VOX:Image_Naxes", description: "Number of axes", value: |row| Cell::Int(row.entry.naxis.len() as i32) },
    Known { name: "im_naxis", datatype: DataType::Integer, is_array: true, unit: "pix", ucd: "VOX:Image_Naxis", description: "Lengths of the image's axes", value: |row| Cell::Ints(row.entry.naxis.iter().map(|length| i32::try_from(*length).unwrap_or(i32::MAX)).collect()) },
    Known { name: "im_pixtype", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.code", description: "Type of the pixels, as BITPIX tells it", value: |row| word(pixtype(row.entry.bitpix)) },
    Known { name: "im_wcsaxes", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.code", description: "Axes of the world coordinates", value: |_| word("RA DEC") },
    Known { name: "im_scale", datatype: DataType::Double, is_array: true, unit: "deg", ucd: "VOX:Image_Scale", description: "Side of a pixel along each axis", value: |row| Cell::Doubles(vec![row.entry.scale_deg; 2]) },
    Known { name: "obs_title", datatype: DataType::Text, is_array: false, unit: "", ucd: "VOX:Image_Title", description: "What the image is", value: |row| word(&row.entry.title) },
    Known { name: "obs_id", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.id", description: "Name of the observation", value: |row| word(&row.entry.obs_id) },
    Known { name: "obs_creator_name", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.id", description: "Who made the image", value: |_| Cell::Null },
    Known { name: "obs_collection", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.id", description: "Collection", value: |row| word(&row.entry.collection) },
    Known { name: "obs_creation_type", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.code", description: "How the piece is made", value: |_| word("cutout") },
    Known { name: "obs_creation_date", datatype: DataType::Text, is_array: false, unit: "", ucd: "time.creation", description: "When the image was made", value: |_| Cell::Null },
    Known { name: "facility_name", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.id;instr.tel", description: "Telescope", value: |row| text(&row.entry.facility) },
    Known { name: "instrument_name", datatype: DataType::Text, is_array: false, unit: "", ucd: "INST_ID", description: "Camera and detector", value: |row| text(&row.entry.instrument) },
    Known { name: "obs_bandpass", datatype: DataType::Text, is_array: false, unit: "", ucd: "VOX:BandPass_ID", description: "Filter", value: |row| text(&row.entry.filter) },
    Known { name: "obs_datasource", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.code", description: "Where the data come from", value: |_| Cell::Null },
    Known { name: "proposal_id", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.id;obs.proposal", description: "Number of the proposal", value: |row| text(&row.entry.proposal) },
    Known { name: "obs_publisher_did", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.ref.ivoid", description: "Identifier of the image", value: |row| Cell::Text(identifier(row.app, row.entry)) },
    Known { name: "obs_release_date", datatype: DataType::Text, is_array: false, unit: "", ucd: "time.release", description: "When the image became public", value: |_| Cell::Null },
    Known { name: "preview", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.ref.url", description: "URL of a picture of the piece", value: |row| Cell::Text(row.url("&preview=true")) },
    Known { name: "target_name", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.id;src", description: "What was observed", value: |row| text(&row.entry.target) },
    Known { name: "target_class", datatype: DataType::Text, is_array: false, unit: "", ucd: "src.class", description: "What kind of thing that is", value: |_| Cell::Null },
    Known { name: "s_ra", datatype: DataType::Double, is_array: false, unit: "deg", ucd: "POS_EQ_RA_MAIN", description: "Right ascension of the image's middle", value: |row| Cell::Double(row.entry.ra_deg) },
    Known { name: "s_dec", datatype: DataType::Double, is_array: false, unit: "deg", ucd: "POS_EQ_DEC_MAIN", description: "Declination of the image's middle", value: |row| Cell::Double(row.entry.dec_deg) },
    Known { name: "s_fov", datatype: DataType::Double, is_array: false, unit: "deg", ucd: "phys.angSize;instr.fov", description: "Diameter of the circle that holds the image", value: |row| Cell::Double(2.0 * row.entry.radius_deg) },
    Known { name: "s_region", datatype: DataType::Text, is_array: false, unit: "deg", ucd: "pos.outline;obs.field", description: "Edge of the image", value: |row| Cell::Text(outline(row.entry)) },
    Known { name: "s_calib_status", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.code.qual", description: "State of the astrometry", value: |_| Cell::Null },
    Known { name: "s_resolution", datatype: DataType::Double, is_array: false, unit: "arcsec", ucd: "pos.angResolution", description: "Width of a point source", value: |_| Cell::Null },
    Known { name: "em_min", datatype: DataType::Double, is_array: false, unit: "m", ucd: "VOX:BandPass_LoLimit", description: "Blue end of the band", value: |row| double(row.entry.band_m.map(|band| band[0])) },
    Known { name: "em_max", datatype: DataType::Double, is_array: false, unit: "m", ucd: "VOX:BandPass_HiLimit", description: "Red end of the band", value: |row| double(row.entry.band_m.map(|band| band[1])) },
    Known { name: "em_resolution", datatype: DataType::Double, is_array: false, unit: "m", ucd: "spect.resolution", description: "Resolution in wavelength: the width of the band", value: |row| double(row.entry.band_m.map(|band| band[1] - band[0])) },
    Known { name: "em_res_power", datatype: DataType::Double, is_array: false, unit: "", ucd: "spect.resolution", description: "Middle of the band over its width", value: |row| double(row.entry.band_m.map(|band| (band[0] + band[1]) / 2.0 / (band[1] - band[0]))) },
    Known { name: "t_min", datatype: DataType::Double, is_array: false, unit: "d", ucd: "time.start;obs.exposure", description: "MJD of the first exposure's start", value: |row| double(row.entry.times_mjd.map(|times| times[0])) },
    Known { name: "t_max", datatype: DataType::Double, is_array: false, unit: "d", ucd: "time.end;obs.exposure", description: "MJD of the last exposure's end", value: |row| double(row.entry.times_mjd.map(|times| times[1])) },
    Known { name: "t_exptime", datatype: DataType::Double, is_array: false, unit: "s", ucd: "time.duration;obs.exposure", description: "Exposure time", value: |row| double(row.entry.exptime_s) },
    Known { name: "t_resolution", datatype: DataType::Double, is_array: false, unit: "s", ucd: "time.resolution", description: "Resolution in time: the exposure time", value: |row| double(row.entry.exptime_s) },
    Known { name: "o_ucd", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.ucd", description: "Kind of quantity of the pixels", value: |_| word("phot") },
    Known { name: "o_unit", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.unit", description: "Unit of the pixels", value: |row| text(&row.entry.unit) },
    Known { name: "pol_states", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.code;phys.polarization", description: "States of polarization", value: |_| Cell::Null },
    Known { name: "object", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.id;src", description: "What was observed", value: |row| text(&row.entry.target) },
    Known { name: "airmass", datatype: DataType::Double, is_array: false, unit: "", ucd: "obs.airMass", description: "Air mass; none from space", value: |_| Cell::Null },
    Known { name: "project_code", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.id;obs.proposal", description: "Number of the proposal", value: |row| text(&row.entry.proposal) },
    Known { name: "magzero", datatype: DataType::Double, is_array: false, unit: "mag", ucd: "phot.mag", description: "Magnitude zero point", value: |_| Cell::Null },
    Known { name: "prodtype", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.code", description: "Kind of plane: image", value: |_| word("image") },
    Known { name: "seeing", datatype: DataType::Double, is_array: false, unit: "arcsec", ucd: "instr.obsty.seeing", description: "Seeing; none from space", value: |_| Cell::Null },
    Known { name: "fwhm", datatype: DataType::Double, is_array: false, unit: "arcsec", ucd: "pos.angResolution", description: "Width of a point source", value: |_| Cell::Null },
    Known { name: "fileset_id", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.id", description: "Observation that the file belongs to", value: |row| word(&row.entry.obs_id) },
    Known { name: "exptime", datatype: DataType::Double, is_array: false, unit: "s", ucd: "time.duration;obs.exposure", description: "Exposure time", value: |row| double(row.entry.exptime_s) },
    Known { name: "photflag", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.code.qual", description: "State of the photometry", value: |_| Cell::Null },
    Known { name: "proctype", datatype: DataType::Text, is_array: false, unit: "", ucd: "meta.code", description: "Kind of processing: Stack of exposures, or a single InstCal", value: |row| word(if row.entry.calib_level >= 3 { "Stack" } else { "InstCal" }) },
    Known { name: "date_obs", datatype: DataType::Text, is_array: false, unit: "", ucd: "time.start;obs.exposure", description: "When the observation began", value: |row| text(&row.entry.times_mjd.and_then(|times| iso(times[0]))) },
    Known { name: "mjd_obs", datatype: DataType::Double, is_array: false, unit: "d", ucd: "VOX:Image_MJDateObs", description: "MJD of the middle of the observation", value: |row| double(row.entry.times_mjd.map(|times| (times[0] + times[1]) / 2.0)) },
    Known { name: "elliptic", datatype: DataType::Double, is_array: false, unit: "", ucd: "src.ellipticity", description: "Ellipticity of point sources", value: |_| Cell::Null },
];

fn pixtype(bitpix: i16) -> &'static str {
    match bitpix {
        8 => "byte",
        16 => "short",
        32 => "int",
        64 => "long",
        -32 => "float",
        _ => "double",
    }
}

fn outline(entry: &Entry) -> String {
    let corners: Vec<String> = entry.footprint_deg.iter().map(|(ra, dec)| format!("{ra} {dec}")).collect();
    format!("POLYGON ICRS {}", corners.join(" "))
}

/// A modified Julian date as `2010-07-01T12:00:00`.
fn iso(mjd: f64) -> Option<String> {
    let epoch = jiff::civil::date(1858, 11, 17).to_datetime(jiff::civil::Time::midnight());
    let at = epoch.checked_add(jiff::SignedDuration::try_from_secs_f64((mjd * 86_400.0).round()).ok()?).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_region_or_asks_for_metadata() {
        let wish = |query: &str| Wish::read(&Parameters::decode(query.as_bytes()).expect("UTF-8"));
        let asked = wish("POS=11.0%2C41.2&SIZE=0.1%2C0.1&FORMAT=ALL&INTERSECT=OVERLAPS&VERB=2").unwrap();
        assert!(!asked.is_picture && asked.region.is_some_and(|region| region.polygon.len() >= 4));
        assert!(wish("POS=0,89.9&SIZE=0.5&FORMAT=image/fits").is_ok() && wish("POS=0,0&SIZE=0&FORMAT=GRAPHIC").unwrap().is_picture);
        assert!(wish("FORMAT=metadata").unwrap().region.is_none());
        for wrong in
            ["", "POS=1,1", "POS=1,1&SIZE=70", "POS=1,1&SIZE=1&VERB=9", "POS=1,1&SIZE=1&INTERSECT=NEAR", "POS=1,1&SIZE=1&FORMAT=text/plain"]
        {
            assert!(wish(wrong).is_err(), "{wrong}");
        }
        assert_eq!(iso(51544.5).as_deref(), Some("2000-01-01T12:00:00"));
    }
}
