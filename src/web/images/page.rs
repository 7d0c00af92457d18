//! `/images`: the images at a position, or the first of all, as a page for browsers.

use super::cutout::{position, size};
use super::{identifier, in_query, sia1};
use crate::archive::Entry;
use crate::archive::registry::{self, Relation, Search};
use crate::tap::xml::escape;
use crate::web::{App, Error, Parameters, front};
use axum::extract::State;
use axum::response::Html;

/// Images of a page at most; each has a picture.
const MOST: u64 = 50;
/// Side of the pictures, in pixels of the image.
const PICTURE_PX: f64 = 200.0;

/// `?POS=RA,DEC&SIZE=`, as SIA 1 reads them; without them all images.
pub async fn page(State(app): State<App>, parameters: Parameters) -> Result<Html<String>, Error> {
    let session = app.tap.session().await?;
    let place = match parameters.get("POS") {
        Some(_) => Some((position(&parameters)?, size(&parameters)?)),
        None => None,
    };
    let found = match &place {
        Some((_, size)) => {
            let (polygon, centre) = sia1::corners(&parameters)?;
            // a position alone has no area, and is in an image or not
            let relation = if *size == [0.0; 2] { Relation::Center } else { Relation::Overlaps };
            let search = Search { region: polygon, centre, relation, collection: None, limit: MOST + 1 };
            registry::search(&session, &search).await?
        }
        None => registry::first(&session, MOST + 1).await?,
    };
    drop(session);
    let shown = found.len().min(MOST as usize);
    let rows: String = found[..shown].iter().map(|entry| row(&app, entry, place)).collect();
    let told = match (found.len(), place) {
        (0, None) => "No image is registered yet: <code>brickyard images add FOLDER</code>.".to_owned(),
        (0, Some(_)) => "No image is at this position.".to_owned(),
        (count, _) if count > shown => format!("The first {shown} images; ask for a position to see fewer."),
        (count, _) => format!("{count} image{}", if count == 1 { "" } else { "s" }),
    };
    let value = |name: &str| escape(parameters.get(name).unwrap_or_default());
    let form = format!(
        "<form method=\"get\"><p><label>Position (degrees) <input name=\"POS\" value=\"{}\" placeholder=\"11.0220,41.2345\"></label> \
         <label>Size <input name=\"SIZE\" value=\"{}\" placeholder=\"0.01\" size=\"6\"></label> <button>Find</button></p></form>",
        value("POS"),
        if place.is_some() { value("SIZE") } else { "0.003".into() },
    );
    let table = match rows.is_empty() {
        true => String::new(),
        false => format!(
            "<table><tr><th></th><th>Image</th><th>Filter</th><th class=\"n\">Exposure</th><th>Middle</th><th></th></tr>\n{rows}</table>\n"
        ),
    };
    let home = escape(&app.url("/"));
    Ok(front::document(
        "Images",
        &format!("<h1>Images</h1>\n{form}\n<p class=\"lead\">{told}</p>\n{table}<footer><a href=\"{home}\">brickyard</a></footer>\n"),
    ))
}

fn row(app: &App, entry: &Entry, place: Option<([f64; 2], [f64; 2])>) -> String {
    let id = in_query(&identifier(app, entry));
    let radius_deg = (PICTURE_PX / 2.0 * entry.scale_deg).min(entry.radius_deg / 2f64.sqrt());
    let ([ra_deg, dec_deg], _) = place.unwrap_or(([entry.ra_deg, entry.dec_deg], [0.0; 2]));
    let circle = in_query(&format!("{ra_deg} {dec_deg} {radius_deg}"));
    let piece = format!("/soda/sync?ID={id}&CIRCLE={circle}");
    let link = |path: &str, text: &str| format!("<a href=\"{}\">{text}</a>", escape(&app.url(path)));
    let links = [
        link(&format!("{piece}&RESPONSEFORMAT=image/fits"), "piece"),
        link(&format!("/datalink/file?ID={id}"), "file"),
        link(&format!("/datalink/links?ID={id}"), "DataLink"),
    ];
    let instrument = entry.instrument.as_deref().map(|name| format!("<br>{}", escape(name))).unwrap_or_default();
    format!(
        "<tr><td><img loading=\"lazy\" width=\"100\" height=\"100\" alt=\"\" src=\"{}\"></td><td>{}{instrument}<br><code>{}</code></td>\
         <td class=\"k\">{}</td><td class=\"n\">{}</td><td class=\"k\">{:.5} {:+.5}</td><td class=\"k\">{}</td></tr>\n",
        escape(&app.url(&format!("{piece}&RESPONSEFORMAT=image/jpeg"))),
        escape(&entry.title),
        escape(&entry.file),
        escape(entry.filter.as_deref().unwrap_or_default()),
        entry.exptime_s.map(|seconds| format!("{seconds} s")).unwrap_or_default(),
        entry.ra_deg,
        entry.dec_deg,
        links.join(" · "),
    )
}
