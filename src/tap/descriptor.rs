//! The descriptor of the SODA service: how a client that has a table with identifiers of images asks for pieces of them.
//!
//! DataLink 1.1, section 4, and SODA 1.0, section 4.

use super::xml::escape;
use crate::schema::Column;

/// A service that makes pieces, and the `ID` of its descriptor, to which `service_def` refers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Soda {
    /// One piece of one image, in the answer.
    Sync,
    /// A UWS job: several images, several regions, as a tar.
    Async,
}

impl Soda {
    pub const ALL: [Soda; 2] = [Soda::Sync, Soda::Async];

    pub fn id(self) -> &'static str {
        match self {
            Soda::Sync => "soda",
            Soda::Async => "soda-async",
        }
    }

    /// Its folder under `/soda/`, and its word in the standard's identifier.
    fn word(self) -> &'static str {
        match self {
            Soda::Sync => "sync",
            Soda::Async => "async",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Soda::Sync => "Pieces of an image as FITS, PNG or JPEG",
            Soda::Async => "Pieces of images as a job: several images and several regions in a tar",
        }
    }
}

/// The column of identifiers in ivoa.obscore, and the place in the data model by which it is known in an answer.
const IDENTIFIER: (&str, &str) = ("obs_publisher_did", "obscore:Curation.PublisherDID");

/// Where an image lies, as far as pieces of it can be asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    pub ra_deg: f64,
    pub dec_deg: f64,
    pub radius_deg: f64,
    pub corners_deg: Vec<(f64, f64)>,
}

/// The descriptor for a table whose FIELD `id_field` holds identifiers; with the bounds of the image, if it is one.
pub fn soda(service: Soda, base_url: &str, id_field: &str, bounds: Option<&Bounds>) -> String {
    let most = |text: String| format!("<VALUES><MAX value=\"{text}\"/></VALUES>");
    let circle = bounds.map(|b| most(format!("{} {} {}", b.ra_deg, b.dec_deg, b.radius_deg)));
    let polygon = bounds.map(|b| most(b.corners_deg.iter().map(|(ra, dec)| format!("{ra} {dec}")).collect::<Vec<_>>().join(" ")));
    let param = |name: &str, rest: &str, about: &str, values: Option<String>| {
        format!("<PARAM name=\"{name}\" {rest} value=\"\"><DESCRIPTION>{about}</DESCRIPTION>{}</PARAM>\n", values.unwrap_or_default())
    };
    let region = "ucd=\"pos.outline;obs\" unit=\"deg\"";
    format!(
        "<RESOURCE type=\"meta\" utype=\"adhoc:service\" ID=\"{}\" name=\"{}\">\n\
         <DESCRIPTION>{}</DESCRIPTION>\n\
         <PARAM name=\"standardID\" datatype=\"char\" arraysize=\"*\" value=\"ivo://ivoa.net/std/SODA#{}-1.0\"/>\n\
         <PARAM name=\"accessURL\" datatype=\"char\" arraysize=\"*\" value=\"{}\"/>\n\
         <GROUP name=\"inputParams\">\n{}{}{}{}{}</GROUP>\n</RESOURCE>",
        service.id(),
        if service == Soda::Sync { "cutout" } else { "cutouts" },
        service.about(),
        service.word(),
        escape(&format!("{base_url}/soda/{}", service.word())),
        param("ID", &format!("datatype=\"char\" arraysize=\"*\" ucd=\"meta.id;meta.main\" ref=\"{id_field}\""), "The image", None),
        param("CIRCLE", &format!("datatype=\"double\" arraysize=\"3\" xtype=\"circle\" {region}"), "What a circle encloses", circle),
        param("POLYGON", &format!("datatype=\"double\" arraysize=\"*\" xtype=\"polygon\" {region}"), "What a polygon encloses", polygon),
        param("POS", "datatype=\"char\" arraysize=\"*\" ucd=\"pos.outline;obs\"", "CIRCLE, RANGE or POLYGON and their numbers", None),
        param("RESPONSEFORMAT", "datatype=\"char\" arraysize=\"*\" ucd=\"meta.code.mime\"", "image/fits, image/png or image/jpeg", None),
    )
}

/// The descriptors that go with an answer of these columns.
pub fn for_columns(base_url: &str, columns: &[Column]) -> Vec<String> {
    // of several columns of one name the first has the FIELD's ID
    let first = columns.iter().find(|column| column.name == IDENTIFIER.0);
    let Some(column) = first.filter(|column| column.utype == IDENTIFIER.1) else { return Vec::new() };
    Soda::ALL.iter().map(|service| soda(*service, base_url, &column.name, None)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::DataType;

    #[test]
    fn only_identifiers_of_images_bring_a_descriptor() {
        let column = |utype: &str| Column { utype: utype.into(), ..Column::new("obs_publisher_did", DataType::Text) };
        assert!(for_columns("http://a", &[column("")]).is_empty());
        let described = for_columns("http://a", &[Column::new("ra", DataType::Double), column(IDENTIFIER.1)]);
        assert!(described[0].contains("ref=\"obs_publisher_did\"") && described[0].contains("value=\"http://a/soda/sync\""));
        assert!(described[1].contains("ID=\"soda-async\"") && described[1].contains("SODA#async-1.0"));
        assert!(described[1].contains("value=\"http://a/soda/async\"") && described.len() == 2);
    }
}
