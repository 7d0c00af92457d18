//! Exposures to fields: what each looks at, in which light and with which camera, by its headers.
//!
//! Exposures of one programme and target (`TARGNAME` without the detector at its end, `M31-B15-F10-WFC`) are a field, together with the
//! reference image of that target: a drizzled image (`*_drz.fits`, `*_drc.fits`) or its header as text (`*_drz.hdr`). For each field one
//! event is told, with its files: complete, or this stage fails and tells none.

use super::{Error, bad, name_of, tell};
use crate::format::dolphot;
use crate::image::{FitsFile, gzip};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What is sorted.
#[derive(Debug, Clone)]
pub struct Options {
    pub files: Vec<PathBuf>,
    /// The filter whose drizzled image is the reference, where a target has several.
    pub reference: String,
    /// Where `events.ndjson` goes, and scratch files of gzipped exposures.
    pub dir: PathBuf,
}

/// What the headers of an exposure say.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposure {
    pub root: String,
    pub program: String,
    /// Without the detector.
    pub target: String,
    pub instrument: String,
    pub detector: String,
    pub filter: String,
    pub exptime_s: f64,
    pub mjd: f64,
    /// Extensions with science images.
    pub chips: usize,
}

/// The largest exposure that is inflated from gzip.
const INFLATED_BYTES: u64 = 4 << 30;

/// Reads the headers of an exposure of HST.
pub fn exposure(path: &Path, scratch: &Path) -> Result<Exposure, Error> {
    let mut file = FitsFile::open(path, &gzip::Cache::new(scratch, INFLATED_BYTES))?;
    let primary = file.primary().header.clone();
    let text = |key: &str| primary.text(key).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let need =
        |key: &str| text(key).ok_or_else(|| bad(path, format!("{key} is missing: wanted an exposure of HST as the archive gives it")));
    let number = |key: &str| {
        let value = primary.number(key);
        value.ok_or_else(|| bad(path, format!("{key} is missing or no number: wanted an exposure of HST as the archive gives it")))
    };
    let detector = need("DETECTOR")?.to_ascii_uppercase();
    let target = need("TARGNAME")?;
    let target = target.strip_suffix(&format!("-{detector}")).unwrap_or(&target).to_owned();
    let chips = file.all().iter().filter(|hdu| hdu.name().is_some_and(|name| name.eq_ignore_ascii_case("SCI"))).count();
    if chips == 0 {
        return Err(bad(path, "it has no SCI extension: wanted a calibrated exposure (_flt.fits, _flc.fits)"));
    }
    Ok(Exposure {
        root: need("ROOTNAME")?.to_ascii_lowercase(),
        program: program(number("PROPOSID")?),
        target,
        instrument: need("INSTRUME")?.to_ascii_uppercase(),
        filter: filter(&[text("FILTER"), text("FILTER1"), text("FILTER2")])
            .ok_or_else(|| bad(path, "neither FILTER nor FILTER1 and FILTER2 name a filter"))?,
        detector,
        exptime_s: number("EXPTIME")?,
        mjd: number("EXPSTART")?,
        chips,
    })
}

fn program(number: f64) -> String {
    format!("{number:.0}")
}

/// The one that is in the beam: the other wheel is clear.
fn filter(wheels: &[Option<String>]) -> Option<String> {
    let named = wheels.iter().flatten().map(|name| name.to_ascii_uppercase());
    named.into_iter().find(|name| !name.starts_with("CLEAR") && name != "N/A")
}

/// Brick and field of `M31-B15-F10`.
fn place(target: &str) -> Option<(u8, u8)> {
    let number = |letter: char| {
        let digits =
            target.split('-').filter_map(|part| part.strip_prefix(letter)).find(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<u8>().ok()
    };
    Some((number('B')?, number('F')?))
}

pub(super) fn is_reference(name: &str) -> bool {
    ["_drz.fits", "_drc.fits", "_drz.hdr", "_drc.hdr"].iter().any(|end| name.ends_with(end))
}

/// A field as it comes together.
#[derive(Default)]
struct Field {
    exposures: BTreeMap<String, (Exposure, String)>,
    /// By filter.
    references: BTreeMap<String, String>,
}

/// Sorts, and tells an event a field; gives how many.
pub fn run(options: &Options) -> Result<usize, Error> {
    let mut fields: BTreeMap<(String, String), Field> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for path in &options.files {
        let name = name_of(path)?.to_owned();
        if !names.insert(name.clone()) {
            return Err(bad(path, "another file has the same name: exposures are told apart by it"));
        }
        if is_reference(&name) {
            let (key, filter) = reference(path)?;
            if let Some(other) = fields.entry(key).or_default().references.insert(filter.clone(), name) {
                return Err(bad(path, format!("{other} is the {filter} image of the same target: give one")));
            }
            continue;
        }
        let exposure = exposure(path, &options.dir)?;
        let field = fields.entry((exposure.program.clone(), exposure.target.clone())).or_default();
        if let Some((_, other)) = field.exposures.insert(exposure.root.clone(), (exposure, name)) {
            return Err(bad(path, format!("{other} is the same exposure (ROOTNAME): give one of them")));
        }
    }
    let events = fields.iter().map(|((program, target), field)| event(program, target, field, options)).collect::<Result<Vec<_>, _>>()?;
    if events.is_empty() {
        return Err(Error::Asked("there are no files: wanted exposures and the reference images of their targets".into()));
    }
    tell(&options.dir, &events)?;
    Ok(events.len())
}

/// Programme and target of a reference image, and its filter.
fn reference(path: &Path) -> Result<((String, String), String), Error> {
    let header = dolphot::header_of(path)?;
    let text = |key: &str| header.get(key).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let target = text("TARGNAME").ok_or_else(|| bad(path, "TARGNAME is missing: wanted a drizzled image of a target, or its header"))?;
    let filter = filter(&[text("FILTER"), text("FILTER1"), text("FILTER2")]);
    let filter = filter.ok_or_else(|| bad(path, "neither FILTER nor FILTER1 and FILTER2 name a filter"))?;
    // the programme stands in the target's name where the header has no card for it
    let (program, target) = match (header.number::<f64>("PROPOSID"), target.split_once('_')) {
        (Some(number), _) => (program(number), target),
        (None, Some((digits, rest))) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            (digits.to_owned(), rest.to_owned())
        }
        (None, _) => return Err(bad(path, "PROPOSID is missing, and TARGNAME does not begin with the programme's number")),
    };
    let detector = text("DETECTOR").unwrap_or_default().to_ascii_uppercase();
    let target = target.strip_suffix(&format!("-{detector}")).map(str::to_owned).unwrap_or(target);
    Ok(((program, target), filter))
}

fn event(program: &str, target: &str, field: &Field, options: &Options) -> Result<serde_json::Value, Error> {
    let whose = format!("programme {program}, target {target}");
    if field.exposures.is_empty() {
        return Err(Error::Asked(format!("{whose}: a reference image but no exposure")));
    }
    let reference = match field.references.len() {
        1 => field.references.values().next(),
        _ => field.references.get(&options.reference),
    };
    let wanted = &options.reference;
    let reference = reference.ok_or_else(|| {
        Error::Asked(format!("{whose}: no reference image: give its drizzled {wanted} image (_drz.fits), or the header as _drz.hdr"))
    })?;
    let (brick, number) =
        place(target).ok_or_else(|| Error::Asked(format!("{whose}: wanted a target such as M31-B15-F10, which names brick and field")))?;
    let filters: BTreeSet<&str> = field.exposures.values().map(|(exposure, _)| exposure.filter.as_str()).collect();
    let images: usize = field.exposures.values().map(|(exposure, _)| exposure.chips).sum();
    let mut files: Vec<&str> = field.exposures.values().map(|(_, name)| name.as_str()).collect();
    files.push(reference);
    let key = format!("{program}_{target}");
    let payload = json!({
        "target": key, "program": program, "brick": format!("{brick:02}"), "field": format!("{number:02}"),
        "exposures": field.exposures.len(), "images": images, "filters": filters, "files": files,
    });
    Ok(json!({"name": "field", "key": key, "payload": payload}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_filters_are_read_as_the_archive_writes_them() {
        assert_eq!(place("M31-B15-F10"), Some((15, 10)));
        assert_eq!(place("M31-B01-F02-WFC"), Some((1, 2)));
        assert_eq!(place("NGC-224"), None);
        let wheels = |names: &[&str]| filter(&names.iter().map(|name| Some((*name).to_owned())).collect::<Vec<_>>());
        assert_eq!(wheels(&["CLEAR1L", "F814W"]).as_deref(), Some("F814W"));
        assert_eq!(wheels(&["f475w", "CLEAR2L"]).as_deref(), Some("F475W"));
        assert_eq!(wheels(&["CLEAR1L"]), None);
        assert!(is_reference("a_F475W_drz.hdr") && !is_reference("a_flt.fits"));
    }
}
