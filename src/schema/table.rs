//! A table and its columns and indices, as the TOML says them and with `each` expanded.

use super::DataType;

/// Which characters the texts of a column may hold: VOTable tells them apart (`char`, `unicodeChar`), PostgreSQL does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Text {
    /// Any character: what is not known better.
    #[default]
    Unicode,
    /// ASCII only, as all that comes from FITS.
    Ascii,
    /// Exactly one ASCII character.
    Letter,
}

/// One column with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    pub datatype: DataType,
    /// A one-dimensional array of `datatype`.
    pub array: bool,
    /// VOUnits string, empty for dimensionless.
    pub unit: String,
    /// UCD1+.
    pub ucd: String,
    pub description: String,
    /// May the column be NULL? Default false.
    pub nullable: bool,
    /// The number that stands for "not measured" (99.999), if there is one.
    pub sentinel: Option<f64>,
    /// The column's place in a data model (`obscore:access.reference`), empty for none.
    pub utype: String,
    /// How the value is to be read beyond its datatype (DALI: `point`, `circle`, `polygon`, `adql:REGION`); empty for none.
    /// Timestamps need none here: their datatype says it.
    pub xtype: String,
    /// What a text column may hold; without meaning for other types.
    pub text: Text,
}

impl Column {
    /// A column of which only name and type are known; it may be NULL.
    pub fn new(name: impl Into<String>, datatype: DataType) -> Column {
        Column {
            name: name.into(),
            datatype,
            array: false,
            unit: String::new(),
            ucd: String::new(),
            description: String::new(),
            nullable: true,
            sentinel: None,
            utype: String::new(),
            xtype: String::new(),
            text: Text::Unicode,
        }
    }

    /// VOTable's `datatype`, `arraysize` (empty for a scalar) and `xtype` (empty for none) of this column.
    ///
    /// Arrays of texts, booleans' NULLs apart, have no VOTable form of variable width: an array of texts or timestamps is one
    /// text as PostgreSQL writes it, `{a,"b c"}`.
    pub fn votable(&self) -> (&'static str, &'static str, &str) {
        let characters = match (self.datatype, self.text) {
            (DataType::Text, Text::Unicode) => "unicodeChar",
            _ => self.datatype.votable(),
        };
        match (self.datatype, self.array) {
            (DataType::Text, false) if self.text == Text::Letter => (characters, "", &self.xtype),
            (DataType::Timestamp, false) => (characters, "*", "timestamp"),
            (DataType::Text | DataType::Timestamp, _) => (characters, "*", &self.xtype),
            (_, false) => (characters, "", &self.xtype),
            (_, true) => match self.xtype.as_str() {
                "point" => (characters, "2", "point"),
                "circle" => (characters, "3", "circle"),
                _ => (characters, "*", &self.xtype),
            },
        }
    }
}

/// What an index is over.
#[derive(Debug, Clone, PartialEq)]
pub enum IndexKey {
    /// A B-tree over plain columns.
    Columns(Vec<String>),
    /// A B-tree over `q3c_ang2ipix(ra, dec)`.
    Q3c { ra: String, dec: String },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// `<table>_<columns>_idx`, or `<table>_q3c_idx`.
    pub name: String,
    pub key: IndexKey,
}

/// A table of a catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The PostgreSQL schema, which is the catalogue's name (`phat_v2`).
    pub schema: String,
    pub name: String,
    pub description: String,
    pub columns: Vec<Column>,
    /// Columns of the primary key, empty for none.
    pub key: Vec<String>,
    /// The pair (ra, dec) that the heap is clustered by, as column names; `None` for tables without positions.
    pub position: Option<(String, String)>,
    /// A column with the outline of what the row is about, as text. Beside it the database has columns that are not published: its corners
    /// and its bounds, which an index answers ([`Table::outline_column`]).
    pub outline: Option<String>,
    /// Secondary indices, in the order of the file; the primary key is not among them.
    pub indexes: Vec<Index>,
    /// Storage parameters (`toast_tuple_target = 8160`), passed to `WITH (...)`.
    pub storage: Vec<(String, String)>,
    /// `STORAGE` of array and text columns (`plain`, `main`, `external`, `extended`); `None` leaves the default.
    pub array_storage: Option<String>,
}

/// The columns that go with an outline.
pub const OUTLINE_COLUMNS: [&str; 4] = ["corners", "x", "y", "z"];

impl Table {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// `s_region_corners` (`float8[]`: longitude, latitude, ..., degrees), `s_region_x`, `s_region_y`, `s_region_z` (`int4range`: as
    /// [`crate::sky::Reach`] counts), of an outline `s_region`.
    pub fn outline_column(outline: &str, what: &str) -> String {
        format!("{outline}_{what}")
    }

    /// `phat_v2.phot_mod`, for messages.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}
