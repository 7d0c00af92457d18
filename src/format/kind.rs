//! The closed list of what an answer can be written as: one row a kind, with its MIME type, its aliases and its name in TAPRegExt.

/// What an answer can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Kind {
    /// Aligned columns to read; on the terminal the first rows only
    Table,
    /// RFC 4180 with a header line; NULL is empty, an empty text is "", arrays are {1,2}
    Csv,
    /// The same without its header line
    #[value(name = "csv-bare")]
    CsvBare,
    /// Tab-separated with a header line; NULL and an empty text are empty
    Tsv,
    /// An array of objects; NaN and infinities are null
    #[value(name = "json")]
    Records,
    /// One object with metadata, data and the status of the query, as TAP services write it
    #[value(name = "json-table")]
    Json,
    /// A page with the first rows
    Html,
    /// VOTable, values as XML elements
    #[value(name = "votable-text")]
    Tabledata,
    /// VOTable, values as base64; the form that old readers know
    #[value(name = "votable-binary")]
    Binary,
    /// VOTable, values as base64 with flags for NULL
    #[value(name = "votable")]
    Binary2,
    /// A FITS binary table
    Fits,
    /// Apache Parquet, zstd, with unit, ucd and description in the field metadata
    Parquet,
    /// An Arrow IPC stream
    Arrow,
}

/// What TAPRegExt says of a kind: its MIME type as sent, what else a request may call it, and its IVOA identifier.
struct Row {
    mime: &'static str,
    aliases: &'static [&'static str],
    ivo_id: Option<&'static str>,
    ending: &'static str,
}

impl Kind {
    pub const ALL: [Kind; 13] = [
        Kind::Binary2,
        Kind::Tabledata,
        Kind::Binary,
        Kind::Csv,
        Kind::CsvBare,
        Kind::Tsv,
        Kind::Fits,
        Kind::Parquet,
        Kind::Arrow,
        Kind::Json,
        Kind::Records,
        Kind::Html,
        Kind::Table,
    ];

    const fn row(self) -> Row {
        const fn row(mime: &'static str, aliases: &'static [&'static str], ivo_id: Option<&'static str>, ending: &'static str) -> Row {
            Row { mime, aliases, ivo_id, ending }
        }
        match self {
            Kind::Binary2 => row(
                "application/x-votable+xml;serialization=binary2",
                &["votable", "votable/b2", "votable/binary2", "application/x-votable+xml", "text/xml", "application/xml"],
                Some("ivo://ivoa.net/std/TAPRegExt#output-votable-binary2"),
                "vot",
            ),
            Kind::Tabledata => row(
                "application/x-votable+xml;serialization=tabledata",
                &["votable/td", "votable/tabledata", "votable_plain"],
                Some("ivo://ivoa.net/std/TAPRegExt#output-votable-td"),
                "vot",
            ),
            Kind::Binary => row(
                "application/x-votable+xml;serialization=binary",
                &["votable/b", "votable/binary"],
                Some("ivo://ivoa.net/std/TAPRegExt#output-votable-binary"),
                "vot",
            ),
            Kind::Csv => row("text/csv;header=present", &["csv", "text/csv"], None, "csv"),
            Kind::CsvBare => row("text/csv;header=absent", &["csv-bare"], None, "csv"),
            Kind::Tsv => row("text/tab-separated-values", &["tsv"], None, "tsv"),
            Kind::Fits => row("application/fits", &["fits", "image/fits"], None, "fits"),
            Kind::Parquet => {
                row("application/vnd.apache.parquet", &["parquet", "application/parquet", "application/x-parquet"], None, "parquet")
            }
            Kind::Arrow => row("application/vnd.apache.arrow.stream", &["arrow"], None, "arrows"),
            Kind::Json => row("application/json", &["json"], None, "json"),
            Kind::Records => row("application/json;form=records", &["records"], None, "json"),
            Kind::Html => row("text/html", &["html"], None, "html"),
            Kind::Table => row("text/plain", &["txt", "text"], None, "txt"),
        }
    }

    /// The `Content-Type` of the answer.
    pub const fn mime(self) -> &'static str {
        match self {
            Kind::Table => "text/plain;charset=utf-8",
            Kind::Html => "text/html;charset=utf-8",
            _ => self.row().mime,
        }
    }

    /// The MIME type that capabilities declare.
    pub const fn declared(self) -> &'static str {
        self.row().mime
    }

    /// The names that a request may use besides the MIME type; the first one is the kind's short name.
    pub const fn aliases(self) -> &'static [&'static str] {
        self.row().aliases
    }

    /// The identifier in TAPRegExt, for the serialisations of VOTable.
    pub const fn ivo_id(self) -> Option<&'static str> {
        self.row().ivo_id
    }

    /// The usual ending of a file of this kind, without its dot.
    pub const fn ending(self) -> &'static str {
        self.row().ending
    }

    pub const fn is_votable(self) -> bool {
        matches!(self, Kind::Tabledata | Kind::Binary | Kind::Binary2)
    }

    /// The kind that a `RESPONSEFORMAT` names: an alias, or a MIME type with its parameters in any order, whatever the case.
    ///
    /// `charset`, `version` and unknown parameters do not matter; `version` is for [`Version::from_request`].
    ///
    /// ```no_run
    /// use brickyard::format::Kind;
    /// assert_eq!(Kind::from_request("application/x-votable+xml; Serialization=\"TableData\""), Some(Kind::Tabledata));
    /// assert_eq!(Kind::from_request("CSV"), Some(Kind::Csv));
    /// assert_eq!(Kind::from_request("image/png"), None);
    /// ```
    pub fn from_request(text: &str) -> Option<Kind> {
        let text = text.trim().to_ascii_lowercase();
        let (name, parameters) = parameters(&text);
        let of = |key: &str| parameters.iter().find(|(found, _)| *found == key).map(|(_, value)| *value);
        match (name, of("serialization"), of("header"), of("form")) {
            ("application/x-votable+xml" | "text/xml" | "application/xml" | "votable", Some(form), ..) => match form {
                "tabledata" => Some(Kind::Tabledata),
                "binary" => Some(Kind::Binary),
                "binary2" => Some(Kind::Binary2),
                _ => None,
            },
            ("text/csv" | "csv", _, Some("absent"), _) => Some(Kind::CsvBare),
            ("application/json" | "json", _, _, Some("records")) => Some(Kind::Records),
            _ => Kind::ALL.into_iter().find(|kind| kind.declared() == name || kind.aliases().contains(&name)),
        }
    }
}

/// A MIME type's name and its parameters, quotes taken off.
fn parameters(text: &str) -> (&str, Vec<(&str, &str)>) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or("");
    (name, parts.filter_map(|part| part.split_once('=')).map(|(key, value)| (key.trim(), value.trim().trim_matches('"'))).collect())
}

/// The version of VOTable that a document declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    #[default]
    V1_4,
    V1_5,
}

impl Version {
    pub const fn name(self) -> &'static str {
        match self {
            Version::V1_4 => "1.4",
            Version::V1_5 => "1.5",
        }
    }

    /// 1.5 where the MIME type asks for it (`application/x-votable+xml;version=1.5`), else 1.4.
    pub fn from_request(text: &str) -> Version {
        let text = text.trim().to_ascii_lowercase();
        let wanted = parameters(&text).1.into_iter().any(|(key, value)| key == "version" && value == "1.5");
        if wanted { Version::V1_5 } else { Version::V1_4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_kind_leads_to_it() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_request(kind.declared()), Some(kind), "{}", kind.declared());
            for alias in kind.aliases() {
                assert_eq!(Kind::from_request(&alias.to_uppercase()), Some(kind), "{alias}");
            }
        }
    }

    #[test]
    fn parameters_may_stand_in_any_form() {
        for (text, kind) in [
            ("text/csv; header=absent", Some(Kind::CsvBare)),
            ("text/csv;charset=utf-8;header=present", Some(Kind::Csv)),
            ("application/x-votable+xml;version=1.5;serialization=BINARY", Some(Kind::Binary)),
            ("application/x-votable+xml;serialization=fits", None),
            ("votable;serialization=tabledata", Some(Kind::Tabledata)),
            ("text/plain;charset=utf-8", Some(Kind::Table)),
            ("", None),
        ] {
            assert_eq!(Kind::from_request(text), kind, "{text}");
        }
        assert_eq!(Version::from_request("application/x-votable+xml; version=\"1.5\""), Version::V1_5);
        assert_eq!(Version::from_request("votable"), Version::V1_4);
    }
}
