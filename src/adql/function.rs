//! The closed list of functions, one row per form: arguments, result, unit, UCD, SQL, description.
//!
//! What is not on the list cannot be called. Functions of geometry are checked by [`super::geometry`], as their arguments are no
//! ordinary values; their rows are [`super::geometry::FORMS`]. Those of the IVOA's catalogue are in their own file.

use super::checked::Type;

/// Which group of the standard a function belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Aggregate,
    Mathematical,
    Trigonometric,
    Text,
    Conditional,
    /// Q3C's own, under its names.
    Q3c,
    /// Of the IVOA's catalogue of user-defined functions.
    Ivoa,
    /// As [`Class::Ivoa`], over the rows of a group.
    IvoaAggregate,
}

impl Class {
    pub fn is_aggregate(self) -> bool {
        matches!(self, Class::Aggregate | Class::IvoaAggregate)
    }
    /// Is it beyond the standard, so that a service lists it among its user-defined functions?
    pub fn is_user_defined(self) -> bool {
        matches!(self, Class::Q3c | Class::Ivoa | Class::IvoaAggregate)
    }
}

/// What an argument must be, and the type in which the SQL gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Any number, as `float8`.
    Double,
    /// `float8`, but a `float4` stays one: Q3C has a form for it, and an index is over that form.
    Angle,
    /// An integer, as `int8`.
    Integer,
    /// An integer, as `int4`.
    Int,
    /// Any integer, as it is.
    Whole,
    /// Integers, all as the widest of them.
    WholeSame,
    /// Any number, as it is.
    Number,
    Text,
    /// A timestamp, or a literal that can be read as one.
    Timestamp,
    Boolean,
    Point,
    Circle,
    Polygon,
    /// A circle, a polygon or a point.
    Shape,
    /// Any value but arrays and geometries.
    Any,
    /// What can be sorted.
    Ordered,
    /// All arguments with this word as their common type.
    Same,
}

/// What a function gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    Type(Type),
    /// The type of the first argument, after it was made what is wanted.
    First,
    /// A condition in SQL, the integer 1 or 0 in ADQL.
    Truth,
}

/// The unit of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitRule {
    None,
    First,
    Is(&'static str),
    /// That of the first argument to the power of a fraction.
    Power(i32, i32),
    /// That of the first argument to the power of the second, if it is a constant.
    Exponent,
}

/// The UCD of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UcdRule {
    None,
    First,
    Is(&'static str),
    /// This word before that of the first argument: `stat.min;phot.mag`.
    Prefix(&'static str),
}

/// A form of a function.
#[derive(Debug, PartialEq)]
pub struct Function {
    /// In lower case.
    pub name: &'static str,
    pub class: Class,
    /// Name and kind of each argument.
    pub arguments: &'static [(&'static str, Want)],
    /// May the last argument come again and again?
    pub repeats: bool,
    pub gives: Gives,
    pub unit: UnitRule,
    pub ucd: UcdRule,
    /// `{0}`, `{1}` are the arguments in brackets, `{*}` all of them. Empty for what the checker lowers itself.
    pub sql: &'static str,
    /// One sentence, without a full stop.
    pub description: &'static str,
}

impl Function {
    /// How it is called, for services' descriptions and for messages: `mod(x INTEGER, y INTEGER) -> INTEGER`.
    pub fn form(&self) -> String {
        let argument = |(name, want): &(&str, Want)| format!("{name} {}", want.adql());
        let mut arguments: Vec<String> = self.arguments.iter().map(argument).collect();
        if self.repeats {
            arguments.push("...".into());
        }
        let gives = match self.gives {
            Gives::Type(ty) => adql_type(ty),
            Gives::First => self.arguments.first().map_or("DOUBLE", |(_, want)| want.adql()),
            Gives::Truth => "INTEGER",
        };
        format!("{}({}) -> {gives}", self.name, arguments.join(", "))
    }
}

impl Want {
    /// The type's name in ADQL.
    pub fn adql(self) -> &'static str {
        match self {
            Want::Double | Want::Angle => "DOUBLE",
            Want::Integer | Want::Int | Want::Whole | Want::WholeSame => "INTEGER",
            Want::Number => "NUMERIC",
            Want::Text => "VARCHAR",
            Want::Timestamp => "TIMESTAMP",
            Want::Boolean => "BOOLEAN",
            Want::Point => "POINT",
            Want::Circle => "CIRCLE",
            Want::Polygon => "POLYGON",
            Want::Shape => "REGION",
            Want::Any | Want::Ordered | Want::Same => "ANY",
        }
    }

    /// For messages.
    pub fn words(self) -> &'static str {
        match self {
            Want::Double | Want::Angle | Want::Number => "a number",
            Want::Integer | Want::Int | Want::Whole | Want::WholeSame => "an integer",
            Want::Text => "a string",
            Want::Timestamp => "a timestamp",
            Want::Boolean => "a condition",
            Want::Point => "a point",
            Want::Circle => "a circle",
            Want::Polygon => "a polygon",
            Want::Shape => "a geometry",
            Want::Any => "a value",
            Want::Ordered => "a number, a string or a timestamp",
            Want::Same => "a value of the same type as the others",
        }
    }
}

fn adql_type(ty: Type) -> &'static str {
    use crate::schema::DataType;
    match ty {
        Type::Value(DataType::Boolean) => "BOOLEAN",
        Type::Value(DataType::Smallint) => "SMALLINT",
        Type::Value(DataType::Integer) => "INTEGER",
        Type::Value(DataType::Bigint) => "BIGINT",
        Type::Value(DataType::Real) => "REAL",
        Type::Value(DataType::Double) => "DOUBLE",
        Type::Value(DataType::Text) | Type::Null => "VARCHAR",
        Type::Value(DataType::Timestamp) => "TIMESTAMP",
        Type::Array(_) => "ARRAY",
        Type::Point => "POINT",
        Type::Circle => "CIRCLE",
        Type::Polygon => "POLYGON",
        Type::Region => "REGION",
    }
}

/// All forms of all functions, those of geometry aside.
pub fn all() -> impl Iterator<Item = &'static Function> {
    FUNCTIONS.iter().chain(super::ivoa::FUNCTIONS)
}

/// The forms of a name, without regard to case.
pub fn forms(name: &str) -> Vec<&'static Function> {
    all().filter(|function| function.name.eq_ignore_ascii_case(name)).collect()
}

#[rustfmt::skip]
pub const FUNCTIONS: &[Function] = &[
    Function { name: "count", class: Class::Aggregate, arguments: &[("expression", Want::Any)], repeats: false, gives: Gives::Type(Type::BIGINT), unit: UnitRule::None, ucd: UcdRule::Is("meta.number"),
        sql: "count({0})",
        description: "The number of rows in which the expression is not NULL; COUNT(*) counts all rows" },
    Function { name: "min", class: Class::Aggregate, arguments: &[("expression", Want::Ordered)], repeats: false, gives: Gives::First, unit: UnitRule::First, ucd: UcdRule::Prefix("stat.min"),
        sql: "min({0})",
        description: "The lowest value" },
    Function { name: "max", class: Class::Aggregate, arguments: &[("expression", Want::Ordered)], repeats: false, gives: Gives::First, unit: UnitRule::First, ucd: UcdRule::Prefix("stat.max"),
        sql: "max({0})",
        description: "The highest value" },
    Function { name: "sum", class: Class::Aggregate, arguments: &[("x", Want::Whole)], repeats: false, gives: Gives::Type(Type::BIGINT), unit: UnitRule::First, ucd: UcdRule::None,
        sql: "sum({0})::int8",
        description: "The sum of integers; an error beyond 64 bits" },
    Function { name: "sum", class: Class::Aggregate, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::None,
        sql: "sum({0})",
        description: "The sum, added up in double precision" },
    Function { name: "avg", class: Class::Aggregate, arguments: &[("x", Want::Number)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::Prefix("stat.mean"),
        sql: "avg({0})::float8",
        description: "The mean" },
    Function { name: "stddev", class: Class::Aggregate, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::Prefix("stat.stdev"),
        sql: "stddev_samp({0})",
        description: "The standard deviation of a sample (divided by n - 1)" },
    Function { name: "stddev_samp", class: Class::Aggregate, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::Prefix("stat.stdev"),
        sql: "stddev_samp({0})",
        description: "The standard deviation of a sample (divided by n - 1)" },
    Function { name: "stddev_pop", class: Class::Aggregate, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::Prefix("stat.stdev"),
        sql: "stddev_pop({0})",
        description: "The standard deviation of a population (divided by n)" },
    Function { name: "variance", class: Class::Aggregate, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::Power(2, 1), ucd: UcdRule::Prefix("stat.variance"),
        sql: "var_samp({0})",
        description: "The variance of a sample (divided by n - 1)" },
    Function { name: "var_samp", class: Class::Aggregate, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::Power(2, 1), ucd: UcdRule::Prefix("stat.variance"),
        sql: "var_samp({0})",
        description: "The variance of a sample (divided by n - 1)" },
    Function { name: "var_pop", class: Class::Aggregate, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::Power(2, 1), ucd: UcdRule::Prefix("stat.variance"),
        sql: "var_pop({0})",
        description: "The variance of a population (divided by n)" },
    Function { name: "median", class: Class::Aggregate, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::Prefix("stat.median"),
        sql: "percentile_cont(0.5) WITHIN GROUP (ORDER BY {0})",
        description: "The median, between the two middle values if their number is even" },
    Function { name: "percentile", class: Class::Aggregate, arguments: &[("x", Want::Double), ("fraction", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::Prefix("stat"),
        sql: "percentile_cont({1}) WITHIN GROUP (ORDER BY {0})",
        description: "The value below which the fraction (0 to 1) of the values lie, interpolated" },
    Function { name: "corr", class: Class::Aggregate, arguments: &[("y", Want::Double), ("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::None, ucd: UcdRule::Is("stat.correlation"),
        sql: "corr({0}, {1})",
        description: "Pearson's coefficient of correlation" },
    Function { name: "abs", class: Class::Mathematical, arguments: &[("x", Want::Number)], repeats: false, gives: Gives::First, unit: UnitRule::First, ucd: UcdRule::First,
        sql: "abs({0})",
        description: "The absolute value" },
    Function { name: "ceiling", class: Class::Mathematical, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::First,
        sql: "ceil({0})",
        description: "The smallest integer not below x" },
    Function { name: "ceil", class: Class::Mathematical, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::First,
        sql: "ceil({0})",
        description: "The smallest integer not below x" },
    Function { name: "floor", class: Class::Mathematical, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::First,
        sql: "floor({0})",
        description: "The largest integer not above x" },
    Function { name: "degrees", class: Class::Mathematical, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::Is("deg"), ucd: UcdRule::First,
        sql: "degrees({0})",
        description: "Radians to degrees" },
    Function { name: "radians", class: Class::Mathematical, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::Is("rad"), ucd: UcdRule::First,
        sql: "radians({0})",
        description: "Degrees to radians" },
    Function { name: "exp", class: Class::Mathematical, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "exp({0})",
        description: "e to the power of x" },
    Function { name: "log", class: Class::Mathematical, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "ln({0})",
        description: "The natural logarithm" },
    Function { name: "ln", class: Class::Mathematical, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "ln({0})",
        description: "The natural logarithm" },
    Function { name: "log10", class: Class::Mathematical, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "log({0})",
        description: "The logarithm to base 10" },
    Function { name: "mod", class: Class::Mathematical, arguments: &[("x", Want::WholeSame), ("y", Want::WholeSame)], repeats: false, gives: Gives::First, unit: UnitRule::First, ucd: UcdRule::None,
        sql: "mod({0}, {1})",
        description: "The remainder of x / y, with the sign of x" },
    Function { name: "mod", class: Class::Mathematical, arguments: &[("x", Want::Double), ("y", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::None,
        sql: "({0} - {1} * trunc({0} / {1}))",
        description: "The remainder of x / y, with the sign of x" },
    Function { name: "pi", class: Class::Mathematical, arguments: &[], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "pi()",
        description: "The number pi" },
    Function { name: "power", class: Class::Mathematical, arguments: &[("x", Want::Double), ("y", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::Exponent, ucd: UcdRule::None,
        sql: "power({0}, {1})",
        description: "x to the power of y" },
    Function { name: "rand", class: Class::Mathematical, arguments: &[], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "random()",
        description: "A random number from 0 to below 1, another one in each row" },
    Function { name: "rand", class: Class::Mathematical, arguments: &[("seed", Want::Integer)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "(CASE WHEN (SELECT setseed(mod({0}, 1000003)::float8 / 1000003) IS NULL) THEN NULL ELSE random() END)",
        description: "A random number from 0 to below 1; the same seed gives the same sequence as long as the rows come in the same order" },
    Function { name: "round", class: Class::Mathematical, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::First,
        sql: "round({0})",
        description: "The nearest integer; halves go to the even one" },
    Function { name: "round", class: Class::Mathematical, arguments: &[("x", Want::Number), ("n", Want::Int)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::First,
        sql: "round({0}::numeric, {1})::float8",
        description: "Rounded to n digits after the point, before it if n is negative; halves go away from zero" },
    Function { name: "sign", class: Class::Mathematical, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "sign({0})",
        description: "-1, 0 or 1" },
    Function { name: "sqrt", class: Class::Mathematical, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::Power(1, 2), ucd: UcdRule::None,
        sql: "sqrt({0})",
        description: "The square root" },
    Function { name: "truncate", class: Class::Mathematical, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::First,
        sql: "trunc({0})",
        description: "The digits after the point cut off" },
    Function { name: "truncate", class: Class::Mathematical, arguments: &[("x", Want::Number), ("n", Want::Int)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::First, ucd: UcdRule::First,
        sql: "trunc({0}::numeric, {1})::float8",
        description: "Cut to n digits after the point, before it if n is negative" },
    Function { name: "acos", class: Class::Trigonometric, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::Is("rad"), ucd: UcdRule::None,
        sql: "acos({0})",
        description: "The angle in radians whose cosine is x" },
    Function { name: "asin", class: Class::Trigonometric, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::Is("rad"), ucd: UcdRule::None,
        sql: "asin({0})",
        description: "The angle in radians whose sine is x" },
    Function { name: "atan", class: Class::Trigonometric, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::Is("rad"), ucd: UcdRule::None,
        sql: "atan({0})",
        description: "The angle in radians whose tangent is x" },
    Function { name: "atan2", class: Class::Trigonometric, arguments: &[("y", Want::Double), ("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::Is("rad"), ucd: UcdRule::None,
        sql: "atan2({0}, {1})",
        description: "The angle in radians of the direction (x, y)" },
    Function { name: "cos", class: Class::Trigonometric, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "cos({0})",
        description: "The cosine of an angle in radians" },
    Function { name: "cot", class: Class::Trigonometric, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "cot({0})",
        description: "The cotangent of an angle in radians" },
    Function { name: "sin", class: Class::Trigonometric, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "sin({0})",
        description: "The sine of an angle in radians" },
    Function { name: "tan", class: Class::Trigonometric, arguments: &[("x", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "tan({0})",
        description: "The tangent of an angle in radians" },
    Function { name: "lower", class: Class::Text, arguments: &[("s", Want::Text)], repeats: false, gives: Gives::Type(Type::TEXT), unit: UnitRule::None, ucd: UcdRule::First,
        sql: "lower({0})",
        description: "The string in lower case" },
    Function { name: "upper", class: Class::Text, arguments: &[("s", Want::Text)], repeats: false, gives: Gives::Type(Type::TEXT), unit: UnitRule::None, ucd: UcdRule::First,
        sql: "upper({0})",
        description: "The string in upper case" },
    Function { name: "length", class: Class::Text, arguments: &[("s", Want::Text)], repeats: false, gives: Gives::Type(Type::INTEGER), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "length({0})",
        description: "The number of characters" },
    Function { name: "substring", class: Class::Text, arguments: &[("s", Want::Text), ("start", Want::Int)], repeats: false, gives: Gives::Type(Type::TEXT), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "substr({0}, {1})",
        description: "From a character (counted from 1) on" },
    Function { name: "substring", class: Class::Text, arguments: &[("s", Want::Text), ("start", Want::Int), ("length", Want::Int)], repeats: false, gives: Gives::Type(Type::TEXT), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "substr({0}, {1}, {2})",
        description: "From a character (counted from 1) on, so many of them" },
    Function { name: "trim", class: Class::Text, arguments: &[("s", Want::Text)], repeats: false, gives: Gives::Type(Type::TEXT), unit: UnitRule::None, ucd: UcdRule::First,
        sql: "btrim({0})",
        description: "Without blanks at both ends" },
    Function { name: "coalesce", class: Class::Conditional, arguments: &[("expression", Want::Same)], repeats: true, gives: Gives::First, unit: UnitRule::First, ucd: UcdRule::First,
        sql: "coalesce({*})",
        description: "The first of the values that is not NULL" },
    Function { name: "nullif", class: Class::Conditional, arguments: &[("a", Want::Same), ("b", Want::Same)], repeats: false, gives: Gives::First, unit: UnitRule::First, ucd: UcdRule::First,
        sql: "nullif({0}, {1})",
        description: "NULL if a equals b, else a" },
    Function { name: "greatest", class: Class::Conditional, arguments: &[("expression", Want::Same)], repeats: true, gives: Gives::First, unit: UnitRule::First, ucd: UcdRule::First,
        sql: "greatest({*})",
        description: "The highest of the values, NULLs left out" },
    Function { name: "least", class: Class::Conditional, arguments: &[("expression", Want::Same)], repeats: true, gives: Gives::First, unit: UnitRule::First, ucd: UcdRule::First,
        sql: "least({*})",
        description: "The lowest of the values, NULLs left out" },
    Function { name: "q3c_ang2ipix", class: Class::Q3c, arguments: &[("ra", Want::Angle), ("dec", Want::Angle)], repeats: false, gives: Gives::Type(Type::BIGINT), unit: UnitRule::None, ucd: UcdRule::Is("pos"),
        sql: "q3c_ang2ipix({0}, {1})",
        description: "The Q3C pixel of a position in degrees" },
    Function { name: "q3c_dist", class: Class::Q3c, arguments: &[("ra1", Want::Double), ("dec1", Want::Double), ("ra2", Want::Double), ("dec2", Want::Double)], repeats: false, gives: Gives::Type(Type::DOUBLE), unit: UnitRule::Is("deg"), ucd: UcdRule::Is("pos.angDistance"),
        sql: "q3c_dist({0}, {1}, {2}, {3})",
        description: "The distance of two positions in degrees" },
    Function { name: "q3c_version", class: Class::Q3c, arguments: &[], repeats: false, gives: Gives::Type(Type::TEXT), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "q3c_version()::text",
        description: "The version of Q3C" },
    Function { name: "q3c_radial_query", class: Class::Q3c, arguments: &[("ra", Want::Double), ("dec", Want::Double), ("ra0", Want::Double), ("dec0", Want::Double), ("radius", Want::Double)], repeats: false, gives: Gives::Type(Type::BOOLEAN), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "",
        description: "Is (ra, dec) nearer than radius to (ra0, dec0)? Degrees; an index on either position is used" },
    Function { name: "q3c_join", class: Class::Q3c, arguments: &[("ra1", Want::Double), ("dec1", Want::Double), ("ra2", Want::Double), ("dec2", Want::Double), ("radius", Want::Double)], repeats: false, gives: Gives::Type(Type::BOOLEAN), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "",
        description: "Are two positions nearer than radius to each other? Degrees; an index on either position is used" },
    Function { name: "q3c_ellipse_query", class: Class::Q3c, arguments: &[("ra", Want::Double), ("dec", Want::Double), ("ra0", Want::Double), ("dec0", Want::Double), ("major", Want::Double), ("ratio", Want::Double), ("pa", Want::Double)], repeats: false, gives: Gives::Type(Type::BOOLEAN), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "q3c_in_ellipse({0}, {1}, {2}, {3}, {4}, {5}, {6})",
        description: "Is (ra, dec) in the ellipse around (ra0, dec0) with this major half-axis, axis ratio and position angle? Degrees" },
    Function { name: "q3c_ellipse_join", class: Class::Q3c, arguments: &[("ra0", Want::Double), ("dec0", Want::Double), ("ra", Want::Double), ("dec", Want::Double), ("major", Want::Double), ("ratio", Want::Double), ("pa", Want::Double)], repeats: false, gives: Gives::Type(Type::BOOLEAN), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "q3c_in_ellipse({2}, {3}, {0}, {1}, {4}, {5}, {6})",
        description: "As q3c_ellipse_query, the ellipse around the first position" },
    Function { name: "q3c_in_ellipse", class: Class::Q3c, arguments: &[("ra", Want::Double), ("dec", Want::Double), ("ra0", Want::Double), ("dec0", Want::Double), ("major", Want::Double), ("ratio", Want::Double), ("pa", Want::Double)], repeats: false, gives: Gives::Type(Type::BOOLEAN), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "q3c_in_ellipse({0}, {1}, {2}, {3}, {4}, {5}, {6})",
        description: "As q3c_ellipse_query" },
    Function { name: "q3c_poly_query", class: Class::Q3c, arguments: &[("ra", Want::Double), ("dec", Want::Double), ("polygon", Want::Polygon)], repeats: false, gives: Gives::Type(Type::BOOLEAN), unit: UnitRule::None, ucd: UcdRule::None,
        sql: "",
        description: "Is (ra, dec) in the polygon? It is a POLYGON(...), or a string of its corners: '{ra1, dec1, ra2, dec2, ...}'" },
];
