//! The tree of an ADQL query as it was written: names are not resolved yet, and every node knows its place in the text.
//!
//! Nothing outside ADQL can be said in it, so that what is emitted from it cannot be anything else. Left-associative
//! operators and AND/OR are lists, not left-deep pairs: `1+1+1...` of any length is one node, and walking or dropping
//! a tree recurses only as deep as the query nests, which the parser limits.

/// A place in the query's text: bytes `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Span {
        Span { start, end }
    }
    /// From the start of this one to the end of the other.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start, end: other.end }
    }
}

/// An identifier. A regular one (`RA`) matches without regard to case, a delimited one (`"RA"`) exactly as written.
#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    /// Without the quotes, `""` undoubled.
    pub text: String,
    pub delimited: bool,
    pub span: Span,
}

/// `catalog.schema.table.column` and shorter, outermost part first; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    pub parts: Vec<Name>,
    pub span: Span,
}

/// A query expression with what may stand around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// `WITH name AS (query), ...`
    pub with: Vec<CommonTable>,
    pub body: Body,
    pub order_by: Vec<Order>,
    /// `LIMIT n`, an SQL habit that is taken; `TOP` stands in [`Select`].
    pub limit: Option<Count>,
    pub offset: Option<Count>,
    pub span: Span,
}

/// A row count in TOP, LIMIT, OFFSET.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Count {
    pub value: u64,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CommonTable {
    pub name: Name,
    /// `name (a, b) AS ...`, empty if not given.
    pub columns: Vec<Name>,
    pub query: Query,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Select(Box<Select>),
    /// `first op operand op operand`, all of one precedence, left-associative (INTERSECT binds tighter than UNION and EXCEPT).
    Set {
        first: Box<Body>,
        rest: Vec<SetOperand>,
        span: Span,
    },
    /// A query in parentheses.
    Nested(Box<Query>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct SetOperand {
    pub operator: SetOperator,
    pub all: bool,
    pub body: Body,
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetOperator {
    Union,
    Except,
    Intersect,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    pub distinct: bool,
    pub top: Option<Count>,
    pub items: Vec<Item>,
    /// Comma-separated; empty only for `SELECT 1` without FROM.
    pub from: Vec<From>,
    pub filter: Option<Expr>,
    pub group_by: Vec<Expr>,
    pub having: Option<Expr>,
    pub span: Span,
}

/// One entry of the select list.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `*`
    All(Span),
    /// `t.*`, `schema.t.*`
    AllOf(Path),
    Expr {
        expr: Expr,
        alias: Option<Name>,
    },
}

/// What stands in FROM.
#[derive(Debug, Clone, PartialEq)]
pub enum From {
    Table {
        path: Path,
        alias: Option<Name>,
        span: Span,
    },
    Derived {
        query: Box<Query>,
        alias: Name,
        span: Span,
    },
    /// `first JOIN source ...`, left-associative: a list, so that many joins nest no deeper than one.
    Joins {
        first: Box<From>,
        joins: Vec<Join>,
        span: Span,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    pub kind: JoinKind,
    pub natural: bool,
    /// A [`From::Joins`] here stood in parentheses.
    pub source: From,
    pub condition: JoinCondition,
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
}

#[derive(Debug, Clone, PartialEq)]
pub enum JoinCondition {
    On(Expr),
    Using(Vec<Name>),
    /// NATURAL and CROSS.
    None,
}

/// A sort key: an expression, an alias, or a position in the select list (a bare integer).
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub expr: Expr,
    pub descending: bool,
    /// `NULLS FIRST` is `Some(true)`.
    pub nulls_first: Option<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

/// Values and conditions: which is which, the checker says.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    Literal(Literal),
    Column(Path),
    /// `-x`, `+x`, `~x`
    Unary {
        operator: UnaryOperator,
        operand: Box<Expr>,
    },
    /// Operators of one precedence, left-associative: `a - b + c`, `a || b || c`.
    Chain {
        first: Box<Expr>,
        rest: Vec<(BinaryOperator, Expr)>,
    },
    /// `a < b`; never chained.
    Compare {
        operator: Comparison,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// Two or more, joined by AND.
    And(Vec<Expr>),
    /// Two or more, joined by OR.
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        operand: Box<Expr>,
        negated: bool,
    },
    /// `x IS [NOT] TRUE|FALSE`
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
    Like {
        operand: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<Box<Expr>>,
        ignore_case: bool,
        negated: bool,
    },
    Exists(Box<Query>),
    /// A query in parentheses used as a value.
    Scalar(Box<Query>),
    /// Any function, aggregates and geometry included: which ones there are, says the list of functions.
    Call {
        name: Name,
        arguments: Arguments,
    },
    Cast {
        operand: Box<Expr>,
        to: CastType,
    },
    /// `CASE [operand] WHEN .. THEN .. [ELSE ..] END`
    Case {
        operand: Option<Box<Expr>>,
        arms: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Arguments {
    /// `COUNT(*)`
    All,
    List {
        distinct: bool,
        items: Vec<Expr>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// As written, without sign: `42`.
    Integer(String),
    /// As written, without sign: `1.5`, `1e-3`.
    Decimal(String),
    String(String),
    /// `TIMESTAMP '...'`, as written, checked by the checker.
    Timestamp(String),
    Boolean(bool),
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOperator {
    Minus,
    Plus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOperator {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// `||`
    Concatenate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// The target of CAST (and of the SQL habit `::type`), with the length of CHAR(n) and VARCHAR(n).
#[derive(Debug, Clone, PartialEq)]
pub struct CastType {
    pub name: CastName,
    pub length: Option<u64>,
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CastName {
    Smallint,
    Integer,
    Bigint,
    Real,
    Double,
    Char,
    Varchar,
    Timestamp,
    Boolean,
    Point,
    Circle,
    Polygon,
}
