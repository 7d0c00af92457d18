//! The closed list of data types, one row per type: PostgreSQL, Arrow, VOTable and FITS names side by side.

use arrow::datatypes::DataType as Arrow;

/// The type of one column value; arrays are columns whose [`super::Column::array`] is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DataType {
    Boolean,
    Smallint,
    Integer,
    Bigint,
    Real,
    Double,
    Text,
    Timestamp,
}

impl DataType {
    pub const ALL: [DataType; 8] = [
        DataType::Boolean,
        DataType::Smallint,
        DataType::Integer,
        DataType::Bigint,
        DataType::Real,
        DataType::Double,
        DataType::Text,
        DataType::Timestamp,
    ];

    /// The row of this type: (name in the TOML files, PostgreSQL name, PostgreSQL oid, oid of its array, VOTable datatype, FITS TFORM letter, Felis datatype).
    const fn row(self) -> (&'static str, &'static str, u32, u32, &'static str, char, &'static str) {
        match self {
            DataType::Boolean => ("boolean", "boolean", 16, 1000, "boolean", 'L', "boolean"),
            DataType::Smallint => ("smallint", "smallint", 21, 1005, "short", 'I', "short"),
            DataType::Integer => ("integer", "integer", 23, 1007, "int", 'J', "int"),
            DataType::Bigint => ("bigint", "bigint", 20, 1016, "long", 'K', "long"),
            DataType::Real => ("real", "real", 700, 1021, "float", 'E', "float"),
            DataType::Double => ("double", "double precision", 701, 1022, "double", 'D', "double"),
            DataType::Text => ("text", "text", 25, 1009, "char", 'A', "text"),
            DataType::Timestamp => ("timestamp", "timestamp without time zone", 1114, 1115, "char", 'A', "timestamp"),
        }
    }

    /// How the TOML files call it.
    pub const fn name(self) -> &'static str {
        self.row().0
    }
    pub fn from_name(name: &str) -> Option<DataType> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }
    pub const fn is_number(self) -> bool {
        !matches!(self, DataType::Boolean | DataType::Text | DataType::Timestamp)
    }

    pub const fn postgres(self) -> &'static str {
        self.row().1
    }
    pub const fn oid(self) -> u32 {
        self.row().2
    }
    pub const fn array_oid(self) -> u32 {
        self.row().3
    }
    pub const fn votable(self) -> &'static str {
        self.row().4
    }
    pub const fn fits(self) -> char {
        self.row().5
    }
    pub const fn felis(self) -> &'static str {
        self.row().6
    }

    /// Bytes of a value in PostgreSQL's binary format; `None` for text.
    pub const fn width(self) -> Option<usize> {
        match self {
            DataType::Boolean => Some(1),
            DataType::Smallint => Some(2),
            DataType::Integer | DataType::Real => Some(4),
            DataType::Bigint | DataType::Double | DataType::Timestamp => Some(8),
            DataType::Text => None,
        }
    }

    pub fn arrow(self) -> Arrow {
        match self {
            DataType::Boolean => Arrow::Boolean,
            DataType::Smallint => Arrow::Int16,
            DataType::Integer => Arrow::Int32,
            DataType::Bigint => Arrow::Int64,
            DataType::Real => Arrow::Float32,
            DataType::Double => Arrow::Float64,
            DataType::Text => Arrow::Utf8,
            DataType::Timestamp => Arrow::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None),
        }
    }

    /// The type of a PostgreSQL oid: `(type, is it an array)`.
    pub fn from_oid(oid: u32) -> Option<(DataType, bool)> {
        Self::ALL.into_iter().find_map(|t| match oid {
            o if o == t.oid() => Some((t, false)),
            o if o == t.array_oid() => Some((t, true)),
            _ => None,
        })
    }
}
