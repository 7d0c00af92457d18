//! The checked query: every name is a column of the catalogue, every value has its type, every function is of the list.
//!
//! [`super::check`] is the only maker of it and [`super::emit`] its only reader. What a user typed stands in it as a typed
//! constant or not at all.

use super::function::Function;
use super::tree::{BinaryOperator, Comparison, JoinKind, SetOperator};
use crate::schema::DataType;
use crate::sky::{IpixRange, Reach};

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// NULL without a type of its own.
    Null,
    Value(DataType),
    Array(DataType),
    /// `float8[]`: longitude, latitude in degrees.
    Point,
    /// `float8[]`: longitude, latitude, radius in degrees.
    Circle,
    /// `float8[]`: longitude, latitude of each corner in degrees.
    Polygon,
    /// Text that describes a region of any kind: STC-S, DALI.
    Region,
}

impl Type {
    pub const BOOLEAN: Type = Type::Value(DataType::Boolean);
    pub const INTEGER: Type = Type::Value(DataType::Integer);
    pub const BIGINT: Type = Type::Value(DataType::Bigint);
    pub const DOUBLE: Type = Type::Value(DataType::Double);
    pub const TEXT: Type = Type::Value(DataType::Text);
    pub const TIMESTAMP: Type = Type::Value(DataType::Timestamp);

    pub fn is_number(self) -> bool {
        matches!(self, Type::Value(datatype) if datatype.is_number())
    }
    pub fn is_whole(self) -> bool {
        matches!(self, Type::Value(DataType::Smallint | DataType::Integer | DataType::Bigint))
    }
    pub fn is_geometry(self) -> bool {
        matches!(self, Type::Point | Type::Circle | Type::Polygon | Type::Region)
    }

    /// The type in PostgreSQL; `None` for NULL.
    pub fn postgres(self) -> Option<&'static str> {
        Some(match self {
            Type::Null => return None,
            Type::Value(DataType::Boolean) => "bool",
            Type::Value(DataType::Smallint) => "int2",
            Type::Value(DataType::Integer) => "int4",
            Type::Value(DataType::Bigint) => "int8",
            Type::Value(DataType::Real) => "float4",
            Type::Value(DataType::Double) => "float8",
            Type::Value(DataType::Text) | Type::Region => "text",
            Type::Value(DataType::Timestamp) => "timestamp",
            Type::Array(DataType::Boolean) => "bool[]",
            Type::Array(DataType::Smallint) => "int2[]",
            Type::Array(DataType::Integer) => "int4[]",
            Type::Array(DataType::Bigint) => "int8[]",
            Type::Array(DataType::Real) => "float4[]",
            Type::Array(DataType::Text) => "text[]",
            Type::Array(DataType::Timestamp) => "timestamp[]",
            Type::Array(DataType::Double) | Type::Point | Type::Circle | Type::Polygon => "float8[]",
        })
    }

    /// For messages.
    pub fn words(self) -> &'static str {
        match self {
            Type::Null => "NULL",
            Type::Value(DataType::Boolean) => "a truth value",
            Type::Value(DataType::Smallint | DataType::Integer | DataType::Bigint) => "an integer",
            Type::Value(DataType::Real | DataType::Double) => "a number",
            Type::Value(DataType::Text) => "a string",
            Type::Value(DataType::Timestamp) => "a timestamp",
            Type::Array(_) => "an array",
            Type::Point => "a point",
            Type::Circle => "a circle",
            Type::Polygon => "a polygon",
            Type::Region => "a region",
        }
    }
}

/// A literal that becomes a parameter of the statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    Boolean(bool),
    Integer(i32),
    Bigint(i64),
    Double(f64),
    Text(String),
    /// Microseconds since 2000-01-01T00:00:00, as PostgreSQL counts.
    Timestamp(i64),
    Bigints(Vec<i64>),
    Doubles(Vec<f64>),
    Texts(Vec<String>),
}

/// A column of the catalogue: `relation` and `column` are indices there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub relation: usize,
    pub column: usize,
}

/// What is known of a value beyond its type. With an origin, the catalogue's column says all and the texts are empty.
#[derive(Debug, Clone, Default)]
pub struct About {
    pub origin: Option<Origin>,
    /// VOUnits, empty for dimensionless and for unknown.
    pub unit: String,
    pub ucd: String,
    pub description: String,
}

/// A value or a condition.
#[derive(Debug, Clone)]
pub struct Expr {
    pub node: Node,
    pub ty: Type,
    pub about: About,
}

/// Two expressions are equal if they are the same computation.
impl PartialEq for Expr {
    fn eq(&self, other: &Expr) -> bool {
        self.ty == other.ty && self.node == other.node
    }
}

impl Expr {
    pub fn new(node: Node, ty: Type) -> Expr {
        Expr { node, ty, about: About::default() }
    }
    pub fn constant(value: Constant) -> Expr {
        let ty = match &value {
            Constant::Boolean(_) => Type::BOOLEAN,
            Constant::Integer(_) => Type::INTEGER,
            Constant::Bigint(_) => Type::BIGINT,
            Constant::Double(_) => Type::DOUBLE,
            Constant::Text(_) => Type::TEXT,
            Constant::Timestamp(_) => Type::TIMESTAMP,
            Constant::Bigints(_) => Type::Array(DataType::Bigint),
            Constant::Doubles(_) => Type::Array(DataType::Double),
            Constant::Texts(_) => Type::Array(DataType::Text),
        };
        Expr::new(Node::Constant(value), ty)
    }
    pub fn double(value: f64) -> Expr {
        Expr::constant(Constant::Double(value))
    }
    pub fn condition(node: Node) -> Expr {
        Expr::new(node, Type::BOOLEAN)
    }
    /// The value as another type, said with a cast unless it is of that type.
    pub fn cast(self, ty: Type) -> Expr {
        if self.ty == ty || (self.ty.postgres() == ty.postgres() && !matches!(self.node, Node::Null)) {
            return Expr { ty, ..self };
        }
        let about = self.about.clone();
        Expr { node: Node::Cast(Box::new(self)), ty, about }
    }
}

/// How a column is called in the SQL of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnName {
    /// As in the catalogue.
    Catalogue(Origin),
    /// `c1`, `c2`, ... of a derived table; counted from 0 here.
    Output(usize),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Null,
    Constant(Constant),
    Column {
        source: usize,
        name: ColumnName,
    },
    /// To the type of the expression that it is the node of.
    Cast(Box<Expr>),
    Negate(Box<Expr>),
    Chain(Box<Expr>, Vec<(BinaryOperator, Expr)>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        operand: Box<Expr>,
        negated: bool,
    },
    IsTruth {
        operand: Box<Expr>,
        value: bool,
        negated: bool,
    },
    Between {
        operand: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
    },
    /// A list of literals, which travels as one array; `array` is cast to the operand's type.
    InArray {
        operand: Box<Expr>,
        array: Box<Expr>,
        negated: bool,
    },
    InList {
        operand: Box<Expr>,
        items: Vec<Expr>,
        negated: bool,
    },
    InQuery {
        operand: Box<Expr>,
        query: Box<Query>,
        negated: bool,
    },
    /// Without `escape` there is no escape character.
    Like {
        operand: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<Box<Expr>>,
        ignore_case: bool,
        negated: bool,
    },
    Exists(Box<Query>),
    Scalar(Box<Query>),
    CountAll,
    Call {
        function: &'static Function,
        arguments: Vec<Expr>,
        distinct: bool,
    },
    Case {
        arms: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    /// A condition as the integer 1 or 0: what CONTAINS gives.
    Truth(Box<Expr>),
    /// The column of FULL JOIN USING: whichever side has it.
    Merged(Vec<Expr>),
    /// A timestamp as DALI writes it.
    TimestampText(Box<Expr>),
    /// CHAR(n) pads, VARCHAR(n) cuts.
    Fit {
        operand: Box<Expr>,
        length: u64,
        pad: bool,
    },
    /// A float8[] of these numbers, NULL if one of them is.
    Numbers(Vec<Expr>),
    /// The n-th number (from 1) of an array.
    Element(Box<Expr>, usize),
    /// A condition that an index answers, true wherever `exact` is.
    Indexed {
        index: Box<Expr>,
        exact: Box<Expr>,
    },
    Sky(Box<Sky>),
}

/// A position: longitude and latitude in degrees, of type double or real.
pub type Position = (Expr, Expr);

/// Questions about positions that PostgreSQL, Q3C or the functions of the schema `adql` answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Sky {
    /// The Q3C pixel of a position lies in one of these ranges.
    Ranges { of: Position, ranges: Vec<IpixRange> },
    /// The Q3C pixel of `of` lies in the up to four ranges around `centre` which hold all positions within `radius` (degrees).
    Near { of: Position, centre: Position, radius: Expr },
    /// The distance is less than the radius; with `closed` or equal to it.
    Within { a: Position, b: Position, radius: Expr, closed: bool },
    /// The distance in degrees.
    Distance { a: Position, b: Position },
    /// In a constant polygon, edge included: three axes, the last towards its middle, and its corners in the gnomonic projection
    /// along that axis.
    InLoop { of: Position, axes: [[f64; 3]; 3], corners: Vec<[f64; 2]> },
    /// The outline of a row has bounds that overlap those of a constant region; `of` is the outline's column.
    Reached { of: Expr, reach: Reach },
    /// The bounds of the outline hold a position.
    ReachedBy { of: Expr, position: Position },
    /// The corners of the outline.
    Corners { of: Expr },
    /// `adql.<name>(arguments)`, a helper function of `sql/adql/geometry.sql`.
    Helper { name: &'static str, arguments: Vec<Expr> },
}

/// A query expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Each with the number that FROM calls it by.
    pub with: Vec<(usize, Query)>,
    pub body: Body,
    pub order: Vec<Sort>,
    pub limit: Option<u64>,
    pub offset: Option<u64>,
    pub outputs: Vec<Output>,
}

/// A column of an answer.
#[derive(Debug, Clone)]
pub struct Output {
    pub name: String,
    /// Was the name, or the column's name that it comes from, written in quotes?
    pub delimited: bool,
    pub ty: Type,
    pub about: About,
}

impl PartialEq for Output {
    fn eq(&self, other: &Output) -> bool {
        self.ty == other.ty
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Select(Box<Select>),
    Set { first: Box<Body>, rest: Vec<(SetOperator, bool, Body)> },
    Nested(Box<Query>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    pub distinct: bool,
    /// Set only where the SELECT is an operand of a set operation: elsewhere it is the query's limit.
    pub top: Option<u64>,
    pub items: Vec<Expr>,
    pub from: Vec<From>,
    pub filter: Option<Expr>,
    pub group_by: Vec<Expr>,
    pub having: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum From {
    Relation { relation: usize, source: usize },
    Common { with: usize, source: usize },
    Derived { query: Box<Query>, source: usize },
    Joins { first: Box<From>, joins: Vec<Join> },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    pub kind: JoinKind,
    pub source: From,
    /// `None` for CROSS.
    pub on: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sort {
    pub key: SortKey,
    pub descending: bool,
    pub nulls_first: Option<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SortKey {
    /// Column of the answer, from 0.
    Output(usize),
    Expr(Expr),
}
