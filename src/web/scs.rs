//! Cone search 1.03 on every table with indexed positions, and with the additions of 1.1: POST, MAXREC, RESPONSEFORMAT.

use super::{App, Error, Parameters, Request, sync};
use crate::format::{Info, Kind};
use crate::schema::{Column, Table};
use crate::tap::published::Relation;
use crate::tap::query::{self, Question};
use crate::tap::{names, tap_schema};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;

/// `/scs/{table}`: what lies within SR degrees of a position.
pub async fn cone(
    State(app): State<App>,
    Extension(known): Extension<Request>,
    Path(name): Path<String>,
    parameters: Result<Parameters, Error>,
) -> Result<Response, Error> {
    let kind = parameters.as_ref().map_or(Kind::Tabledata, kind_of);
    search(&app, &known, &name, parameters).await.map_err(|error| Error { is_cone: true, ..error.for_kind(kind) })
}

fn kind_of(parameters: &Parameters) -> Kind {
    parameters.get("RESPONSEFORMAT").and_then(Kind::from_request).unwrap_or(Kind::Tabledata)
}

async fn search(app: &App, known: &Request, name: &str, parameters: Result<Parameters, Error>) -> Result<Response, Error> {
    let parameters = parameters?;
    let snapshot = app.tap.snapshot();
    let relation = snapshot.published.find(name).filter(|relation| can_search(relation));
    let relation = relation.ok_or_else(|| {
        Error::not_found(format!("there is no cone search on {}", query::shown(name, 100))).hint(format!("{} lists them", app.url("/")))
    })?;
    let cone = Cone::read(&parameters)?;
    let (text, columns) = adql(&relation.table, &cone);
    let limit = query::limit(parameters.get("MAXREC"), &app.tap.options).map_err(|failure| sync::failed(app, failure))?;
    let question = Question {
        query: text,
        limit: if cone.radius_deg == 0.0 { 0 } else { limit },
        kind: query::kind(parameters.get("RESPONSEFORMAT").or(Some("votable/td"))).map_err(|failure| sync::failed(app, failure))?,
        version: Default::default(),
        run_id: None,
    };
    let mut response = sync::answer_with(app, known, &question, |head| {
        head.name = relation.table.name.clone();
        head.description = relation.table.description.clone();
        head.infos.retain(|info| info.name != "QUERY");
        head.infos.extend(
            [("RA", cone.ra_deg), ("DEC", cone.dec_deg), ("SR", cone.radius_deg)].map(|(name, value)| Info::new(name, value.to_string())),
        );
        for (column, known) in head.columns.iter_mut().zip(&columns) {
            column.ucd = old_ucd(&relation.table, known).to_owned();
        }
    })
    .await?;
    if parameters.get("RESPONSEFORMAT").is_none() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml;content=x-votable"));
    }
    Ok(response)
}

/// Has the table positions with an index?
pub fn can_search(relation: &Relation) -> bool {
    relation
        .table
        .position
        .as_ref()
        .is_some_and(|(ra, _)| relation.table.column(ra).is_some_and(|column| tap_schema::is_indexed(&relation.table, column)))
}

/// What the parameters ask.
struct Cone {
    ra_deg: f64,
    dec_deg: f64,
    radius_deg: f64,
    /// 1: identifiers and positions, 2: what most people want, 3: all columns.
    verbosity: u8,
}

impl Cone {
    fn read(parameters: &Parameters) -> Result<Cone, Error> {
        let number = |name: &str, low: f64, high: f64| {
            let wanted = format!("a number of degrees from {low} to {high}");
            parameters.require(name)?;
            let value = parameters.parse(name, &wanted, |text| text.parse::<f64>().ok().filter(|value| (low..=high).contains(value)))?;
            value.ok_or_else(|| Error::usage(format!("the parameter {name} is missing")))
        };
        let (ra, dec_deg, radius_deg) = (number("RA", -360.0, 720.0)?, number("DEC", -90.0, 90.0)?, number("SR", 0.0, 180.0)?);
        let verbosity = parameters.parse("VERB", "1, 2 or 3", |text| text.parse().ok().filter(|verb| (1..=3).contains(verb)))?;
        Ok(Cone { ra_deg: ra.rem_euclid(360.0), dec_deg, radius_deg, verbosity: verbosity.unwrap_or(2) })
    }
}

/// The cone in ADQL, with the columns that it selects.
fn adql<'a>(table: &'a Table, cone: &Cone) -> (String, Vec<&'a Column>) {
    let (ra, dec) = table.position.as_ref().map_or(("ra", "dec"), |(ra, dec)| (ra, dec));
    let is_wanted = |column: &&Column| match cone.verbosity {
        1 => !old_ucd(table, column).starts_with(char::is_lowercase) && !old_ucd(table, column).is_empty(),
        2 => tap_schema::is_principal(table, column),
        _ => true,
    };
    let columns: Vec<&Column> = table.columns.iter().filter(is_wanted).collect();
    let list = columns.iter().map(|column| names::written(&column.name)).collect::<Vec<_>>().join(", ");
    let text = format!(
        "SELECT {list} FROM {} WHERE 1 = CONTAINS(POINT({}, {}), CIRCLE({}, {}, {}))",
        names::table(table),
        names::written(ra),
        names::written(dec),
        cone.ra_deg,
        cone.dec_deg,
        cone.radius_deg
    );
    (text, columns)
}

/// The UCD; those of the identifier and the position in the words of UCD 1, which cone search 1.03 requires.
fn old_ucd<'a>(table: &Table, column: &'a Column) -> &'a str {
    match &table.position {
        Some((ra, _)) if *ra == column.name => "POS_EQ_RA_MAIN",
        Some((_, dec)) if *dec == column.name => "POS_EQ_DEC_MAIN",
        _ if is_identifier(table, column) => "ID_MAIN",
        _ => &column.ucd,
    }
}

/// The first column that names its row, or its row's object.
fn is_identifier(table: &Table, column: &Column) -> bool {
    let of = |ucd: &str| table.columns.iter().find(|c| c.ucd == ucd);
    let found =
        of("meta.id;meta.main").or_else(|| of("meta.id.parent")).or_else(|| table.columns.iter().find(|c| c.ucd.starts_with("meta.id")));
    found.is_some_and(|found| found.name == column.name)
}
