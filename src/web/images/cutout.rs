//! `/svc/cutout`: a piece of an image in the manner of the Data Lab, by the image's file name, a position and a size.

use super::wish::Form;
use super::{cutter, piece};
use crate::image::Piece;
use crate::tap::query::shown;
use crate::web::{App, Error, Parameters, Request};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;

/// `?siaRef=FILE&extn=HDU&POS=RA,DEC&SIZE=WIDTH,HEIGHT`, `col`, and what [`super::wish`] reads.
pub async fn cutout(State(app): State<App>, Extension(known): Extension<Request>, parameters: Parameters) -> Result<Response, Error> {
    let file = parameters.require("SIAREF")?;
    let hdu = parameters.parse("EXTN", "the number of an HDU, 0 or more", |text| text.parse::<i32>().ok().filter(|hdu| *hdu >= 0))?;
    let frame = frame(&parameters)?;
    let form = Form::read(&parameters, &app.archive.options)?;
    let collection = parameters.get("COL");
    let found = cutter(&app).by_file(file, hdu, collection).await?;
    let entry = match <[_; 1]>::try_from(found) {
        Ok([entry]) => entry,
        Err(found) if found.is_empty() => {
            return Err(Error::not_found(format!("there is no image {}", shown(file, 200))).hint("the table ivoa.obscore lists all images"));
        }
        Err(found) => {
            let named = |k: usize| format!("siaRef={}&extn={}", found[k].place.path, found[k].hdu);
            return Err(Error::usage(format!("{} names several images: {}, {}", shown(file, 200), named(0), named(1))));
        }
    };
    let title = entry.title.clone();
    let sent = piece(&app, &known, entry, Some(frame), &form).await?;
    sent.ok_or_else(|| Error::not_found(format!("{title} has nothing at this position")))
}

/// A rectangle about POS. The size along the right ascension is counted in right ascension (SIA 1.0, section 4.1.1).
fn frame(parameters: &Parameters) -> Result<Piece, Error> {
    let [ra_deg, dec_deg] = position(parameters)?;
    let [width, height_deg] = size(parameters)?;
    if width == 0.0 || height_deg == 0.0 {
        return Err(Error::usage("a piece of SIZE 0 has no pixels"));
    }
    // at a pole the width is as good as nothing: a pixel
    let width_deg = (width * dec_deg.to_radians().cos()).max(f64::MIN_POSITIVE);
    Ok(Piece::Frame { ra_deg, dec_deg, width_deg, height_deg })
}

/// POS: right ascension, from 0 to 360, and declination.
pub fn position(parameters: &Parameters) -> Result<[f64; 2], Error> {
    parameters.require("POS")?;
    let position = parameters.parse("POS", "a position in degrees, RA,DEC", |text| {
        let [ra_deg, dec_deg] = numbers(text)?[..] else { return None };
        ((-360.0..=720.0).contains(&ra_deg) && (-90.0..=90.0).contains(&dec_deg)).then_some([ra_deg.rem_euclid(360.0), dec_deg])
    })?;
    position.ok_or_else(|| Error::usage("the parameter POS is missing"))
}

/// SIZE: one number of degrees for both, or two.
pub fn size(parameters: &Parameters) -> Result<[f64; 2], Error> {
    parameters.require("SIZE")?;
    let size = parameters.parse("SIZE", "one or two sizes in degrees, from 0 to 360", |text| {
        let size = match numbers(text)?[..] {
            [side] => [side; 2],
            [width, height] => [width, height],
            _ => return None,
        };
        size.iter().all(|side| (0.0..=360.0).contains(side)).then_some(size)
    })?;
    size.ok_or_else(|| Error::usage("the parameter SIZE is missing"))
}

fn numbers(text: &str) -> Option<Vec<f64>> {
    text.split(',').map(|word| word.trim().parse::<f64>().ok().filter(|number| number.is_finite())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_along_the_right_ascension_are_counted_in_it() {
        let frame_of = |query: &[u8]| frame(&Parameters::decode(query).expect("UTF-8"));
        let Ok(Piece::Frame { ra_deg, dec_deg, width_deg, height_deg }) = frame_of(b"POS=371,60&SIZE=0.2,0.1") else { panic!("a frame") };
        assert_eq!((ra_deg, dec_deg, height_deg), (11.0, 60.0, 0.1));
        assert!((width_deg - 0.1).abs() < 1e-12);
        for wrong in
            ["POS=11,41", "SIZE=1", "POS=11&SIZE=1", "POS=11,91&SIZE=1", "POS=11,nan&SIZE=1", "POS=1,1&SIZE=0", "POS=1,1&SIZE=1,1,1"]
        {
            assert!(frame_of(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
