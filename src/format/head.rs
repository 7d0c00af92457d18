//! What stands around the rows of an answer: metadata, notes, and how it ended.

use super::kind::Version;
use crate::schema::Column;
use std::path::PathBuf;

/// A note in an answer: `INFO` in VOTable, a card in FITS, a key in Parquet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info {
    pub name: String,
    pub value: String,
    /// What a person may want to read besides; empty for nothing.
    pub text: String,
}

impl Info {
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Info {
        Info { name: name.into(), value: value.into(), text: String::new() }
    }
}

/// What an answer says besides its rows.
#[derive(Debug, Clone)]
pub struct Head {
    /// The metadata of the answer's columns, in their order; where it is empty, what the source knows. Types are the source's.
    pub columns: Vec<Column>,
    /// The table's name, empty for none.
    pub name: String,
    pub description: String,
    /// Query, software, citation, `standardID` and the like, in the order in which they shall stand. QUERY_STATUS is the writer's.
    pub infos: Vec<Info>,
    /// Whole `PARAM` elements that precede the table in VOTable. They are written as they are.
    pub parameters: Vec<String>,
    /// Whole `RESOURCE` elements that follow the results in VOTable: service descriptors. They are written as they are.
    pub resources: Vec<String>,
    /// What a cut-off answer says: which limit it was, and how to get more.
    pub overflow: String,
    /// Reference system and epoch of the positions.
    pub frame: Frame,
    pub version: Version,
    /// Where FITS keeps its rows until their number is known (see [`super::fits_answer`]).
    pub scratch_dir: PathBuf,
    /// What FITS may write there.
    pub scratch_bytes: u64,
}

impl Default for Head {
    fn default() -> Self {
        Head {
            columns: Vec::new(),
            name: String::new(),
            description: String::new(),
            infos: Vec::new(),
            parameters: Vec::new(),
            resources: Vec::new(),
            overflow: "The answer was cut off at the row limit; MAXREC or TOP set it.".to_owned(),
            frame: Frame::default(),
            version: Version::default(),
            scratch_dir: PathBuf::from("/tmp"),
            scratch_bytes: 16 << 30,
        }
    }
}

/// Where positions and times are measured: one frame an answer, as one survey has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// COOSYS `system`, a word of the IVOA vocabulary refframe.
    pub system: String,
    /// COOSYS `epoch`.
    pub epoch: String,
    /// TIMESYS `timescale`.
    pub timescale: String,
    /// TIMESYS `refposition`.
    pub refposition: String,
}

impl Default for Frame {
    /// ICRS at J2000, UTC where the telescope is.
    fn default() -> Self {
        Frame { system: "ICRS".into(), epoch: "J2000.0".into(), timescale: "UTC".into(), refposition: "TOPOCENTER".into() }
    }
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All rows there were.
    Complete,
    /// The row limit cut some off.
    Overflow,
    /// The source failed; rows may be missing. The message is shown to whoever asked.
    Failed(String),
}

impl Ending {
    /// The value of QUERY_STATUS.
    pub const fn status(&self) -> &'static str {
        match self {
            Ending::Complete => "OK",
            Ending::Overflow => "OVERFLOW",
            Ending::Failed(_) => "ERROR",
        }
    }

    /// What goes with it.
    pub fn text<'a>(&'a self, head: &'a Head) -> &'a str {
        match self {
            Ending::Complete => "",
            Ending::Overflow => &head.overflow,
            Ending::Failed(message) => message,
        }
    }
}
