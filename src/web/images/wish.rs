//! What a piece is to be given as: the parameters that `/svc/cutout` and SODA share.
//!
//! ```text
//! format=fits|png|jpeg (RESPONSEFORMAT too), preview=true
//! FITS      fill=nan, planes=WHT,CTX
//! pictures  stretch=asinh, cuts=99.5%, bands=F814W,F475W,F336W, zoom=2, north=up, scalebar=true, compass=true,
//!           overlay=phot_mod, stars=200
//! ```

use super::FITS;
use crate::archive;
use crate::cutout::{Look, Zoom};
use crate::image::{Curve, Encoding, Select};
use crate::tap::query::shown;
use crate::web::{Error, Parameters};
use clap::ValueEnum;
use std::str::FromStr;

/// Other images of a file that are cut along, at most.
const MOST_PLANES: usize = 8;
/// The parameters that only pictures have.
const OF_PICTURES: [&str; 9] = ["STRETCH", "CUTS", "BANDS", "ZOOM", "NORTH", "SCALEBAR", "COMPASS", "OVERLAY", "STARS"];

/// What a piece is given as.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    Fits(Plain),
    Picture(Box<Picture>),
}

/// A piece as FITS.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plain {
    /// The whole frame, NaN beyond the image's edge, instead of what is there.
    pub pad: bool,
    /// Other images of the file to cut along.
    pub planes: Vec<Select>,
}

/// A piece as a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Without limits and stars, which are the service's.
    pub look: Look,
    /// The filters that are red, green and blue; none for greys.
    pub bands: Option<[String; 3]>,
    pub overlay: Option<Overlay>,
}

/// Catalogue stars to draw circles about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// `phot_mod` or `phat_v2.phot_mod`
    pub table: String,
    /// The brightest so many.
    pub stars: u64,
}

/// The kinds of answers, by their names and MIME types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fits,
    Picture(Encoding),
}

impl Kind {
    fn from_request(text: &str) -> Option<Kind> {
        match text.trim().to_ascii_lowercase().as_str() {
            "fits" | FITS | "application/fits" => Some(Kind::Fits),
            "png" | "image/png" => Some(Kind::Picture(Encoding::Png)),
            "jpeg" | "jpg" | "image/jpeg" => Some(Kind::Picture(Encoding::Jpeg)),
            _ => None,
        }
    }
}

impl Form {
    /// Reads the parameters. What makes a picture is refused of FITS, and the other way round: it would be ignored otherwise.
    pub fn read(parameters: &Parameters, options: &archive::Options) -> Result<Form, Error> {
        let kind = |name: &str| parameters.parse(name, "fits, png or jpeg", Kind::from_request);
        let asked = kind("RESPONSEFORMAT")?.or(kind("FORMAT")?);
        let of_pictures = OF_PICTURES.into_iter().find(|name| parameters.get(name).is_some());
        let encoding = match (asked, flag(parameters, "PREVIEW")?, of_pictures) {
            (Some(Kind::Picture(encoding)), ..) => encoding,
            (_, true, _) => Encoding::Jpeg,
            (None, false, Some(_)) => Encoding::Png,
            (Some(Kind::Fits), false, Some(name)) => {
                return Err(Error::usage(format!(
                    "{name} makes a picture: give FORMAT=png or jpeg with it, or leave it out of a request for FITS"
                )));
            }
            (_, false, None) => return Plain::read(parameters).map(Form::Fits),
        };
        if parameters.get("PLANES").is_some() {
            return Err(Error::usage("PLANES belong to FITS: a picture has none"));
        }
        Picture::read(parameters, encoding, options).map(|picture| Form::Picture(Box::new(picture)))
    }

    pub fn mime(&self) -> &'static str {
        match self {
            Form::Fits(_) => FITS,
            Form::Picture(picture) if picture.look.encoding == Encoding::Png => "image/png",
            Form::Picture(_) => "image/jpeg",
        }
    }

    pub fn ending(&self) -> &'static str {
        match self {
            Form::Fits(_) => "fits",
            Form::Picture(picture) if picture.look.encoding == Encoding::Png => "png",
            Form::Picture(_) => "jpg",
        }
    }
}

impl Plain {
    fn read(parameters: &Parameters) -> Result<Plain, Error> {
        let pad = parameters.parse("FILL", "nan", |text| text.eq_ignore_ascii_case("nan").then_some(true))?.unwrap_or(false);
        let planes = parameters.get("PLANES").map(planes).transpose()?.unwrap_or_default();
        Ok(Plain { pad, planes })
    }
}

/// `WHT,CTX`, `DQ:2` for an EXTVER, `3` for an HDU.
fn planes(text: &str) -> Result<Vec<Select>, Error> {
    let plane = |word: &str| {
        let wrong = || {
            let wanted = "the name of an extension such as WHT, with its version as DQ:2, or the number of an HDU";
            Error::usage(format!("PLANES={}: {:?} is not {wanted}", shown(text, 60), shown(word, 60)))
        };
        match word.split_once(':') {
            Some((name, version)) if !name.is_empty() && name.len() <= 68 => {
                Ok(Select::Name(name.to_owned(), Some(version.parse().map_err(|_| wrong())?)))
            }
            Some(_) => Err(wrong()),
            None => Select::from_str(word).map_err(|_| wrong()),
        }
    };
    let found = text.split(',').map(|word| plane(word.trim())).collect::<Result<Vec<_>, _>>()?;
    match found.len() <= MOST_PLANES {
        true => Ok(found),
        false => Err(Error::usage(format!("PLANES names {} images, {MOST_PLANES} are the most of one piece", found.len()))),
    }
}

impl Picture {
    fn read(parameters: &Parameters, encoding: Encoding, options: &archive::Options) -> Result<Picture, Error> {
        let curve = parameters.parse("STRETCH", "linear, sqrt, log or asinh", |text| Curve::from_str(text, true).ok())?;
        let plain = Look::default();
        let look = Look {
            encoding,
            cuts: said(parameters, "CUTS")?.unwrap_or(plain.cuts),
            curve: curve.unwrap_or(plain.curve),
            north_up: parameters.parse("NORTH", "up", |text| text.eq_ignore_ascii_case("up").then_some(true))?.unwrap_or(false),
            zoom: said::<Zoom>(parameters, "ZOOM")?.unwrap_or_default(),
            scale_bar: flag(parameters, "SCALEBAR")?,
            compass: flag(parameters, "COMPASS")?,
            ..plain
        };
        let bands = parameters.parse("BANDS", "three filters, red, green and blue, such as F814W,F475W,F336W", |text| {
            let names: Vec<String> = text.split(',').map(|name| name.trim().to_ascii_uppercase()).collect();
            let is_name = |name: &String| (1..=40).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
            <[String; 3]>::try_from(names).ok().filter(|names| names.iter().all(is_name))
        })?;
        Ok(Picture { look, bands, overlay: Overlay::read(parameters, options)? })
    }
}

impl Overlay {
    fn read(parameters: &Parameters, options: &archive::Options) -> Result<Option<Overlay>, Error> {
        let most = options.overlay_stars;
        let wanted = format!("a number of stars from 1 to {most}");
        let stars = parameters.parse("STARS", &wanted, |text| text.parse::<u64>().ok().filter(|stars| (1..=most).contains(stars)))?;
        match (parameters.get("OVERLAY"), stars) {
            (Some(table), _) => Ok(Some(Overlay { table: table.trim().to_owned(), stars: stars.unwrap_or(most) })),
            (None, Some(_)) => Err(Error::usage("STARS limits an overlay: give OVERLAY=phot_mod, or another table with positions")),
            (None, None) => Ok(None),
        }
    }
}

/// A parameter whose type says what it wants.
fn said<T: FromStr<Err = String>>(parameters: &Parameters, name: &str) -> Result<Option<T>, Error> {
    let Some(text) = parameters.get(name) else { return Ok(None) };
    text.trim().parse::<T>().map(Some).map_err(|what: String| Error::usage(format!("{name}={}", shown(&what, 300))))
}

fn flag(parameters: &Parameters, name: &str) -> Result<bool, Error> {
    let read = |text: &str| match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    };
    Ok(parameters.parse(name, "true or false", read)?.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Cuts;

    fn read(query: &str) -> Result<Form, Error> {
        Form::read(&Parameters::decode(query.as_bytes()).expect("UTF-8"), &archive::Options::default())
    }

    #[test]
    fn a_form_is_fits_or_a_picture_and_never_half_of_both() {
        assert_eq!(read("").unwrap(), Form::Fits(Plain::default()));
        let Form::Fits(plain) = read("fill=NaN&planes=WHT,+DQ:2,3").unwrap() else { panic!("FITS") };
        assert!(plain.pad);
        assert_eq!(plain.planes, [Select::Name("WHT".into(), None), Select::Name("DQ".into(), Some(2)), Select::Number(3)]);
        for (query, mime) in [
            ("preview=true", "image/jpeg"),
            ("format=png", "image/png"),
            ("preview=true&format=png", "image/png"),
            ("zoom=2", "image/png"),
            ("RESPONSEFORMAT=image/jpeg&FORMAT=png", "image/jpeg"),
            ("format=application/fits", FITS),
        ] {
            assert_eq!(read(query).unwrap().mime(), mime, "{query}");
        }
        let picture = "stretch=LOG&cuts=zscale&bands=f814w,F475W,F336W&north=up&scalebar=true&compass=1&overlay=phot_mod&stars=5&zoom=1/4";
        let Form::Picture(picture) = read(picture).unwrap() else { panic!("a picture") };
        assert_eq!(picture.bands.unwrap(), ["F814W", "F475W", "F336W"]);
        assert_eq!((picture.look.curve, picture.look.cuts, picture.look.zoom), (Curve::Log, Cuts::Zscale, Zoom::Out(4)));
        assert_eq!(picture.overlay, Some(Overlay { table: "phot_mod".into(), stars: 5 }));
        for (wrong, word) in [
            ("format=gif", "fits, png or jpeg"),
            ("format=fits&zoom=2", "makes a picture"),
            ("format=png&planes=WHT", "PLANES"),
            ("planes=", ""),
            ("planes=WHT,,DQ", "PLANES"),
            ("planes=WHT:x", "version"),
            ("stretch=cubic", "asinh"),
            ("cuts=5", "zscale"),
            ("cuts=5,1", "zscale"),
            ("bands=F814W,F475W", "three filters"),
            ("zoom=9", "from 1 to 8"),
            ("zoom=1/17", "1/16"),
            ("north=down", "up"),
            ("fill=0", "nan"),
            ("stars=5", "OVERLAY"),
            ("overlay=a&stars=2001", "2000"),
            ("overlay=a&stars=0", "2000"),
            ("scalebar=maybe", "true or false"),
        ] {
            match read(wrong) {
                Ok(form) => assert!(word.is_empty(), "{wrong}: {form:?}"),
                Err(error) => assert!(error.code == "usage" && error.message.contains(word), "{wrong}: {}", error.message),
            }
        }
    }
}
