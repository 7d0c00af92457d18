//! What the language can do beyond its core, for capabilities: taken from the translator's own list of functions.

use crate::adql::{function, geometry, words};

/// The geometries that TAPRegExt knows.
const GEOMETRIES: [&str; 13] = [
    "AREA",
    "BOX",
    "CENTROID",
    "CIRCLE",
    "CONTAINS",
    "COORD1",
    "COORD2",
    "COORDSYS",
    "DISTANCE",
    "INTERSECTS",
    "POINT",
    "POLYGON",
    "REGION",
];

const OPTIONAL: [(&str, &[&str]); 6] = [
    ("string", &["LOWER", "UPPER", "ILIKE"]),
    ("sets", &["UNION", "EXCEPT", "INTERSECT"]),
    ("common-table", &["with"]),
    ("type", &["CAST"]),
    ("unit", &["IN_UNIT"]),
    ("offset", &["OFFSET"]),
];

/// The kinds of features with their forms and descriptions (empty where the standard says all).
pub fn features() -> Vec<(String, Vec<(String, String)>)> {
    let id = |name: &str| format!("ivo://ivoa.net/std/TAPRegExt#features-{name}");
    let mut names: Vec<String> = geometry::FORMS.iter().map(|form| form.name.to_uppercase()).collect();
    names.retain(|name| GEOMETRIES.contains(&name.as_str()));
    names.sort();
    names.dedup();
    let geometry = names.into_iter().map(|name| (name, String::new())).collect();
    let mut kinds = vec![(id("adqlgeo"), geometry)];
    for (name, forms) in OPTIONAL {
        kinds.push((id(&format!("adql-{name}")), forms.iter().map(|form| (form.to_uppercase(), String::new())).collect()));
    }
    // A function whose name is no reserved word is none of the standard's.
    let user_defined = function::all().filter(|function| !words::is_reserved(function.name));
    // A form has no word for arguments that may come again.
    let forms = user_defined.map(|function| (function.form().replace(", ...", ""), function.description.to_owned())).collect();
    kinds.push((id("udf"), forms));
    kinds
}
