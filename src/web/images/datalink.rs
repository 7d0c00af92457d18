//! DataLink 1.1: what there is of an image: its file, the cutout service, a preview.

use super::{FITS, by_identifier, in_query};
use crate::archive::Entry;
use crate::format::{self, Head, Info, Kind};
use crate::schema::{Column, DataType, Rows, Text};
use crate::tap::descriptor::{self, Bounds, Soda};
use crate::tap::query::{self, shown};
use crate::tap::vosi;
use crate::web::{App, Error, Parameters, Request, sync};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use std::sync::Arc;

/// Identifiers of one request at most.
const MOST_IDS: usize = 1000;
/// Pixels from the middle of a preview to its edge.
const PREVIEW_PX: f64 = 256.0;
/// The MIME type of such documents.
const MIME: &str = "application/x-votable+xml;content=datalink";

/// One line of the answer.
#[derive(Debug, Default, Clone, PartialEq)]
struct Link {
    id: String,
    url: Option<String>,
    service: Option<&'static str>,
    error: Option<String>,
    semantics: &'static str,
    description: Option<String>,
    mime: Option<&'static str>,
    bytes: Option<i64>,
}

/// `/datalink/links?ID=`, which may come several times.
pub async fn links(State(app): State<App>, parameters: Result<Parameters, Error>) -> Result<Response, Error> {
    let parameters = parameters.map_err(Error::votable)?;
    let kind = parameters.get("RESPONSEFORMAT").and_then(Kind::from_request).unwrap_or(Kind::Tabledata);
    answer(&app, &parameters).await.map_err(|error| error.for_kind(kind))
}

/// `/datalink/capabilities`
pub async fn capabilities(State(app): State<App>) -> Response {
    sync::xml(vosi::capabilities_of(&app.url("/datalink"), &[("DataLink#links-1.1", "1.1", "links")]))
}

async fn answer(app: &App, parameters: &Parameters) -> Result<Response, Error> {
    let ids: Vec<&str> = parameters.all("ID").map(str::trim).filter(|id| !id.is_empty()).collect();
    if ids.len() > MOST_IDS {
        return Err(Error::usage(format!("{} identifiers are more than {MOST_IDS}", ids.len())));
    }
    let wanted = parameters.get("RESPONSEFORMAT").filter(|format| !format.to_ascii_lowercase().contains("content=datalink"));
    let kind = query::kind(wanted.or(Some("votable/td"))).map_err(|failure| sync::failed(app, failure))?;
    let (mut found, mut bounds) = (Vec::new(), None);
    for id in &ids {
        match by_identifier(app, id).await? {
            Some(entry) => {
                found.extend(of_image(app, id, &entry));
                bounds = Some(bounds_of(&entry));
            }
            None => found.push(Link {
                id: shown(id, 1000),
                error: Some("NotFoundFault: there is no such image".to_owned()),
                semantics: "#this",
                ..Link::default()
            }),
        }
    }
    // what one image allows says nothing of the next
    let bounds = bounds.filter(|_| ids.len() == 1);
    let head = Head {
        name: "links".into(),
        infos: vec![Info::new("standardID", "ivo://ivoa.net/std/DataLink#links-1.1")],
        resources: Soda::ALL.iter().map(|service| descriptor::soda(*service, &app.base_url, "ID", bounds.as_ref())).collect(),
        scratch_dir: app.tap.scratch_dir(),
        ..Head::default()
    };
    let rows = rows(&found).map_err(|error| Error::internal(&error))?;
    let document = format::answer(rows, head, kind, None);
    let mut response = ([(header::CONTENT_TYPE, kind.mime())], Body::from_stream(document)).into_response();
    if wanted.is_none() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MIME));
    }
    Ok(response)
}

/// The lines of one image.
fn of_image(app: &App, id: &str, entry: &Entry) -> [Link; 4] {
    let query = in_query(id);
    let link = |semantics, description: String| Link { id: id.to_owned(), semantics, description: Some(description), ..Link::default() };
    // the width that a picture of the middle has, within the image
    let radius_deg = (PREVIEW_PX * entry.scale_deg).min(entry.radius_deg / 2f64.sqrt());
    let circle = in_query(&format!("{} {} {radius_deg}", entry.ra_deg, entry.dec_deg));
    [
        Link {
            url: Some(app.url(&format!("/datalink/file?ID={query}"))),
            mime: Some(mime_of(&entry.file)),
            bytes: Some(entry.bytes),
            ..link("#this", format!("{}, the file as it is", entry.title))
        },
        Link { service: Some(Soda::Sync.id()), mime: Some(FITS), ..link("#cutout", format!("Pieces of {}", entry.title)) },
        Link {
            service: Some(Soda::Async.id()),
            mime: Some("application/x-tar"),
            ..link("#cutout", format!("Pieces of {} as a job, with those of other images", entry.title))
        },
        Link {
            url: Some(app.url(&format!("/soda/sync?ID={query}&CIRCLE={circle}&RESPONSEFORMAT=image/jpeg"))),
            mime: Some("image/jpeg"),
            ..link("#preview", format!("The middle of {}", entry.title))
        },
    ]
}

fn mime_of(file: &str) -> &'static str {
    if file.ends_with(".gz") { "application/gzip" } else { FITS }
}

fn bounds_of(entry: &Entry) -> Bounds {
    Bounds { ra_deg: entry.ra_deg, dec_deg: entry.dec_deg, radius_deg: entry.radius_deg, corners_deg: entry.footprint_deg.clone() }
}

/// The lines as rows.
fn rows(links: &[Link]) -> Result<Rows, arrow::error::ArrowError> {
    let text = |of: fn(&Link) -> Option<&str>| -> ArrayRef { Arc::new(links.iter().map(of).collect::<StringArray>()) };
    let arrays: Vec<ArrayRef> = vec![
        text(|link| Some(&link.id)),
        text(|link| link.url.as_deref()),
        text(|link| link.service),
        text(|link| link.error.as_deref()),
        text(|link| Some(link.semantics)),
        text(|link| link.description.as_deref()),
        text(|link| link.mime),
        Arc::new(links.iter().map(|link| link.bytes).collect::<Int64Array>()),
    ];
    let columns = columns();
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.iter().map(|column| column.name.as_str()).zip(arrays).map(|(n, a)| (n, a, true)))?;
    Ok(Rows { columns, batches: futures_util::stream::iter([Ok(batch)]).boxed() })
}

/// The columns of DataLink 1.1, section 3.
fn columns() -> Vec<Column> {
    let column = |name: &str, datatype, unit: &str, ucd: &str, description: &str| Column {
        unit: unit.into(),
        ucd: ucd.into(),
        description: description.into(),
        text: Text::Ascii,
        ..Column::new(name, datatype)
    };
    let text = |name: &str, ucd: &str, description: &str| column(name, DataType::Text, "", ucd, description);
    vec![
        text("ID", "meta.id;meta.main", "Identifier of the image that was asked for"),
        text("access_url", "meta.ref.url", "Where it is"),
        text("service_def", "meta.ref", "The descriptor below of the service that gives it"),
        text("error_message", "meta.code.error", "Why there is no link"),
        text("semantics", "meta.code", "What it is of the image, in the words of the vocabulary datalink/core"),
        text("description", "meta.note", "What it is, for people"),
        text("content_type", "meta.code.mime", "Its MIME type"),
        column("content_length", DataType::Bigint, "byte", "phys.size;meta.file", "Its size"),
    ]
}

/// `/datalink/file?ID=`: the file of an image as it is.
pub async fn file(State(app): State<App>, Extension(known): Extension<Request>, parameters: Parameters) -> Result<Response, Error> {
    let id = parameters.require("ID")?;
    let missing = || Error::not_found(format!("there is no image {}", shown(id, 200)));
    let entry = by_identifier(&app, id).await?.ok_or_else(missing)?;
    let permit = app.clients.enter(known.client).ok_or_else(|| super::too_many(&app))?;
    let (mime, name) = (mime_of(&entry.file), super::safe(&entry.file));
    let (length, bytes) = app.archive.bytes(&entry).await?;
    let stream = bytes.map(move |chunk| {
        // the client counts as busy until all is sent
        let _held = &permit;
        chunk
    });
    let headers = [
        (header::CONTENT_TYPE, mime.to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    // the body asks once more after the end
    Ok((headers, Body::from_stream(stream.fuse())).into_response())
}
