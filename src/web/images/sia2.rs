//! SIA 2: which images there are, by position, band, time and what they are called.
//!
//! Parameters become one query in ADQL of ivoa.obscore, which goes the way of all queries: its limits, formats and errors are theirs.
//! Values of one parameter are alternatives, different parameters must all hold (SIA 2.0, section 2.1).

use super::soda::interval;
use crate::archive::Shape;
use crate::format::{Info, Kind};
use crate::tap::query::{self, Question, shown};
use crate::tap::vosi;
use crate::web::{App, Error, Parameters, Request, sync};
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;

/// The table that is asked.
pub const TABLE: &str = "ivoa.obscore";
/// Values that one parameter may have: each is a condition.
const MOST_VALUES: usize = 100;

/// `/sia2/query`
pub async fn query(
    State(app): State<App>,
    Extension(known): Extension<Request>,
    parameters: Result<Parameters, Error>,
) -> Result<Response, Error> {
    let parameters = parameters.map_err(Error::votable)?;
    let kind = parameters.get("RESPONSEFORMAT").and_then(Kind::from_request).unwrap_or(Kind::Tabledata);
    search(&app, &known, &parameters).await.map_err(|error| error.for_kind(kind))
}

/// `/sia2/capabilities`
pub async fn capabilities(State(app): State<App>) -> Response {
    sync::xml(vosi::capabilities_of(&app.url("/sia2"), &[("SIA#query-2.0", "2.0", "query")]))
}

async fn search(app: &App, known: &Request, parameters: &Parameters) -> Result<Response, Error> {
    if app.tap.snapshot().published.find(TABLE).is_none() {
        return Err(Error::not_found("there are no images here yet").hint("the operator registers them with brickyard images add"));
    }
    let failed = |failure| sync::failed(app, failure);
    let question = Question {
        query: adql(parameters)?,
        limit: query::limit(parameters.get("MAXREC"), &app.tap.options).map_err(failed)?,
        kind: query::kind(parameters.get("RESPONSEFORMAT").or(Some("votable/td"))).map_err(failed)?,
        version: Default::default(),
        run_id: None,
    };
    let mut response = sync::answer_with(app, known, &question, |head| {
        head.infos.retain(|info| info.name != "QUERY");
        head.infos.insert(0, Info { name: "SERVICE_PROTOCOL".into(), value: "2.0".into(), text: "SIA".into() });
    })
    .await?;
    if parameters.get("RESPONSEFORMAT").is_none() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-votable+xml"));
    }
    Ok(response)
}

/// The query that the parameters mean.
fn adql(parameters: &Parameters) -> Result<String, Error> {
    let mut conditions = Vec::new();
    conditions.extend(any(parameters, "POS", |text| Ok(Shape::position(text)?.condition()))?);
    for (name, low, high) in [("BAND", "em_min", "em_max"), ("TIME", "t_min", "t_max")] {
        conditions.extend(any(parameters, name, |text| {
            let [first, last] = interval(text)?;
            Ok(both([below(low, last), above(high, first)]))
        })?);
    }
    for (name, column) in
        [("FOV", "s_fov"), ("SPATRES", "s_resolution"), ("SPECRP", "em_res_power"), ("EXPTIME", "t_exptime"), ("TIMERES", "t_resolution")]
    {
        conditions.extend(any(parameters, name, |text| {
            let [first, last] = interval(text)?;
            Ok(both([above(column, first), below(column, last)]))
        })?);
    }
    for (name, column) in [
        ("ID", "obs_publisher_did"),
        ("COLLECTION", "obs_collection"),
        ("FACILITY", "facility_name"),
        ("INSTRUMENT", "instrument_name"),
        ("DPTYPE", "dataproduct_type"),
        ("TARGET", "target_name"),
        ("FORMAT", "access_format"),
    ] {
        conditions.extend(any(parameters, name, |text| Ok(format!("{column} = {}", literal(text))))?);
    }
    conditions.extend(any(parameters, "POL", |text| {
        Ok(format!("pol_states LIKE {}", literal(&format!("%/{}/%", text.replace(['%', '_'], "")))))
    })?);
    conditions.extend(any(parameters, "CALIB", |text| {
        let level: u8 = text.parse().ok().filter(|level| *level <= 4).ok_or("wanted a level from 0 to 4")?;
        Ok(format!("calib_level = {level}"))
    })?);
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    Ok(format!("SELECT * FROM {TABLE}{filter}"))
}

/// Any of a parameter's values; none without the parameter.
fn any(parameters: &Parameters, name: &str, condition: impl Fn(&str) -> Result<String, String>) -> Result<Option<String>, Error> {
    let values: Vec<&str> = parameters.all(name).map(str::trim).filter(|value| !value.is_empty()).collect();
    if values.len() > MOST_VALUES {
        return Err(Error::usage(format!("{name} has {} values, {MOST_VALUES} are the most", values.len())));
    }
    let read = |text: &&str| condition(text).map_err(|what| Error::usage(format!("{name}={}: {what}", shown(text, 60))));
    let conditions = values.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok((!conditions.is_empty()).then(|| format!("({})", conditions.join(" OR "))))
}

/// `column <= high`; an open end still wants a value.
fn below(column: &str, high: f64) -> String {
    if high.is_finite() { format!("{column} <= {high:e}") } else { format!("{column} IS NOT NULL") }
}

fn above(column: &str, low: f64) -> String {
    if low.is_finite() { format!("{column} >= {low:e}") } else { format!("{column} IS NOT NULL") }
}

fn both([a, b]: [String; 2]) -> String {
    format!("({a} AND {b})")
}

/// A text as ADQL writes it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<String, Error> {
        adql(&Parameters::decode(query.as_bytes()).expect("UTF-8"))
    }

    #[test]
    fn values_are_alternatives_and_parameters_all_hold() {
        let text = of("BAND=4e-7+9e-7&CALIB=3&CALIB=2&TARGET=O'Hara&DUMMY=1").unwrap();
        assert_eq!(
            text,
            "SELECT * FROM ivoa.obscore WHERE ((em_min <= 9e-7 AND em_max >= 4e-7)) AND (target_name = 'O''Hara') AND (calib_level = 3 OR calib_level = 2)"
        );
        assert_eq!(of("TIME=-Inf+55000").unwrap(), "SELECT * FROM ivoa.obscore WHERE ((t_min <= 5.5e4 AND t_max IS NOT NULL))");
        assert_eq!(of("").unwrap(), "SELECT * FROM ivoa.obscore");
        for wrong in ["POS=11,41", "BAND=red", "CALIB=9", "TIME=2+1"] {
            assert_eq!(of(wrong).unwrap_err().code, "usage", "{wrong}");
        }
        assert!(of(&"CALIB=1&".repeat(101)).is_err());
    }
}
