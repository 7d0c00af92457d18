//! SODA 1.0, synchronous: a piece of one image by its identifier and a region.

use super::wish::Form;
use super::{by_identifier, piece};
use crate::archive::{self, Entry, Shape};
use crate::tap::query::shown;
use crate::tap::vosi;
use crate::web::{App, Error, Parameters, Request, sync};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// `/soda/sync?ID=&CIRCLE=|POLYGON=|POS=`, and what [`super::wish`] reads; without a region the whole image.
pub async fn cut(
    State(app): State<App>,
    Extension(known): Extension<Request>,
    parameters: Result<Parameters, Error>,
) -> Result<Response, Error> {
    answer(&app, &known, parameters?).await.map_err(in_words_of_soda)
}

async fn answer(app: &App, known: &Request, parameters: Parameters) -> Result<Response, Error> {
    let wish = Wish::read(&parameters, &app.archive.options)?;
    let missing = || Error::not_found(format!("there is no image {}", shown(&wish.id, 200)));
    let entry = by_identifier(app, &wish.id).await?.ok_or_else(missing)?;
    let nothing = || StatusCode::NO_CONTENT.into_response();
    if !wish.overlaps(&entry) {
        return Ok(nothing());
    }
    let sent = piece(app, known, entry, wish.shape.map(|shape| shape.piece()), &wish.form).await?;
    Ok(sent.unwrap_or_else(nothing))
}

/// `/soda/capabilities`
pub async fn capabilities(State(app): State<App>) -> Response {
    sync::xml(vosi::capabilities_of(&app.url("/soda"), &[("SODA#sync-1.0", "1.0", "sync"), ("SODA#async-1.0", "1.0", "async")]))
}

/// What a request asks.
#[derive(Debug)]
struct Wish {
    id: String,
    shape: Option<Shape>,
    band_m: Option<[f64; 2]>,
    times_mjd: Option<[f64; 2]>,
    form: Form,
}

impl Wish {
    fn read(parameters: &Parameters, options: &archive::Options) -> Result<Wish, Error> {
        let id = single(parameters, "ID")?.ok_or_else(|| Error::usage("the parameter ID is missing: the identifier of an image"))?;
        let mut shape = None;
        for (name, read) in SHAPES {
            let Some(text) = single(parameters, name)? else { continue };
            if shape.is_some() {
                return Err(several("POS, CIRCLE, POLYGON"));
            }
            shape = Some(region_of(name, read, text)?);
        }
        let ends = |name: &str| single(parameters, name)?.map(|text| interval_of(name, text)).transpose();
        let form = Form::read(parameters, options)?;
        Ok(Wish { id: id.to_owned(), shape, band_m: ends("BAND")?, times_mjd: ends("TIME")?, form })
    }

    /// An image has one band and one time: it has them all or nothing.
    fn overlaps(&self, entry: &Entry) -> bool {
        overlap(self.band_m, entry.band_m) && overlap(self.times_mjd, entry.times_mjd)
    }
}

type ReadShape = fn(&str) -> Result<Shape, String>;

/// The parameters that are regions.
pub(super) const SHAPES: [(&str, ReadShape); 3] = [("POS", Shape::position), ("CIRCLE", Shape::circle), ("POLYGON", Shape::polygon)];

/// The region of a parameter.
pub(super) fn region_of(name: &str, read: ReadShape, text: &str) -> Result<Shape, Error> {
    read(text).map_err(|what| Error::usage(format!("{name}={}: {what}", shown(text, 60))))
}

/// The interval of a parameter.
pub(super) fn interval_of(name: &str, text: &str) -> Result<[f64; 2], Error> {
    interval(text).map_err(|what| Error::usage(format!("{name}={}: {what}", shown(text, 60))))
}

/// Whether an image has what is wanted; of what is not known it may have.
pub(super) fn overlap(wanted: Option<[f64; 2]>, there: Option<[f64; 2]>) -> bool {
    match (wanted, there) {
        (Some([low, high]), Some([first, last])) => first <= high && last >= low,
        _ => true,
    }
}

/// Two numbers that do not fall, or one that is both; -Inf and +Inf are open ends.
pub fn interval(text: &str) -> Result<[f64; 2], String> {
    let number = |word: &str| match word.to_ascii_lowercase().as_str() {
        "inf" | "+inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        _ => word.parse::<f64>().ok().filter(|number| number.is_finite()),
    };
    let ends: Option<Vec<f64>> = text.split_whitespace().map(number).collect();
    match ends.as_deref() {
        Some([both]) if both.is_finite() => Ok([*both; 2]),
        Some([low, high]) if low <= high => Ok([*low, *high]),
        _ => Err("wanted an interval of two numbers that do not fall, or one number".into()),
    }
}

/// The values of a parameter that are not empty.
pub(super) fn values<'a>(parameters: &'a Parameters, name: &'a str) -> impl Iterator<Item = &'a str> {
    parameters.all(name).map(str::trim).filter(|value| !value.is_empty())
}

/// The value of a parameter that may come once.
fn single<'a>(parameters: &'a Parameters, name: &'a str) -> Result<Option<&'a str>, Error> {
    let mut values = values(parameters, name);
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(several(name)),
    }
}

fn several(name: &str) -> Error {
    Error::new(StatusCode::BAD_REQUEST, "several-values", format!("MultiValuedParamNotSupported: {name}"))
        .hint("ask for one piece a request, or make a job of many at /soda/async")
}

/// The standard's words before the message of an error (SODA 1.0, section 4.3).
pub(super) fn in_words_of_soda(error: Error) -> Error {
    let word = match error.status {
        _ if error.code == "several-values" => return error,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => "UsageFault",
        StatusCode::NOT_FOUND => "NotFoundFault",
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => "TransientFault",
        _ => "Fault",
    };
    Error { message: format!("{word}: {}", error.message), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(query: &str) -> Result<Wish, Error> {
        Wish::read(&Parameters::decode(query.as_bytes()).expect("UTF-8"), &archive::Options::default())
    }

    #[test]
    fn one_region_of_one_image_is_a_request() {
        let asked = wish("id=ivo://a/images?b&CIRCLE=11+41+0.1&BAND=4e-7+5e-7&RESPONSEFORMAT=image/png").unwrap();
        assert_eq!((asked.id.as_str(), asked.band_m), ("ivo://a/images?b", Some([4e-7, 5e-7])));
        assert_eq!(asked.form.mime(), "image/png");
        assert_eq!(wish("ID=a").unwrap().shape, None);
        assert_eq!(wish("ID=a&ID=b").unwrap_err().message, "MultiValuedParamNotSupported: ID");
        assert_eq!(wish("ID=a&CIRCLE=1+1+1&CIRCLE=2+2+2").unwrap_err().message, "MultiValuedParamNotSupported: CIRCLE");
        assert_eq!(wish("ID=a&CIRCLE=1+1+1&POS=CIRCLE+2+2+2").unwrap_err().code, "several-values");
        for wrong in ["CIRCLE=1+1+1", "ID=a&CIRCLE=1", "ID=a&POS=BOX+1+1+1+1", "ID=a&BAND=2+1", "ID=a&BAND=x", "ID=a&RESPONSEFORMAT=gif"] {
            assert_eq!(wish(wrong).unwrap_err().code, "usage", "{wrong}");
        }
    }

    #[test]
    fn intervals_may_be_open() {
        assert_eq!(interval("-Inf 5"), Ok([f64::NEG_INFINITY, 5.0]));
        assert_eq!(interval("5"), Ok([5.0, 5.0]));
        assert!(["", "Inf", "1 2 3", "nan nan", "2 1"].iter().all(|text| interval(text).is_err()));
    }
}
