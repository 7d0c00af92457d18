//! What can be judged of an expression without a catalogue: is it a value or a condition, and do ADQL's own functions have
//! arguments of the right number and shape (REC-ADQL-2.1, sections 2.3 and 4). Types of columns are the checker's.

use crate::adql::error::{Code, Error};
use crate::adql::tree::{Arguments, BinaryOperator, CastName, Expr, ExprKind, Literal, Name, Span};

/// The arguments that a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// So many at least, so many at most.
    Count(usize, usize),
    /// One, DISTINCT allowed; `*` for COUNT.
    Aggregate,
    /// One of these forms; a coordinate system may stand before them.
    Geometry(&'static [&'static [Sort]]),
    /// A coordinate system, and corners: pairs of numbers, or points, three at least.
    Polygon,
    /// A value, and a unit as a literal.
    InUnit,
}

/// What an argument is, as far as its own text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Number,
    Text,
    Geometry,
    Unknown,
}

use Sort::{Geometry as G, Number as N};

const GEOMETRY: Shape = Shape::Geometry(&[&[G]]);
const GEOMETRIES: Shape = Shape::Geometry(&[&[G, G]]);
const POINT: Shape = Shape::Geometry(&[&[N, N]]);
const CIRCLE: Shape = Shape::Geometry(&[&[N, N, N], &[G, N]]);
const BOX: Shape = Shape::Geometry(&[&[N, N, N, N], &[G, N, N]]);
const DISTANCE: Shape = Shape::Geometry(&[&[G, G], &[N, N, N, N]]);
const MANY: usize = usize::MAX;

/// ADQL's own functions, the arguments they take, what they give, and how to write them.
const FUNCTIONS: [(&str, Shape, Sort, &str); 52] = [
    ("ABS", Shape::Count(1, 1), N, "ABS(x)"),
    ("ACOS", Shape::Count(1, 1), N, "ACOS(x)"),
    ("AREA", GEOMETRY, N, "AREA(geometry)"),
    ("ASIN", Shape::Count(1, 1), N, "ASIN(x)"),
    ("ATAN", Shape::Count(1, 1), N, "ATAN(x)"),
    ("ATAN2", Shape::Count(2, 2), N, "ATAN2(y, x)"),
    ("AVG", Shape::Aggregate, N, "AVG(x)"),
    ("BOX", BOX, G, "BOX(longitude, latitude, width, height) or BOX(point, width, height)"),
    ("CEILING", Shape::Count(1, 1), N, "CEILING(x)"),
    ("CENTROID", GEOMETRY, G, "CENTROID(geometry)"),
    ("CIRCLE", CIRCLE, G, "CIRCLE(longitude, latitude, radius) or CIRCLE(point, radius)"),
    ("COALESCE", Shape::Count(1, MANY), Sort::Unknown, "COALESCE(x, y, ...)"),
    ("CONTAINS", GEOMETRIES, N, "CONTAINS(inner, outer)"),
    ("COORD1", GEOMETRY, N, "COORD1(point)"),
    ("COORD2", GEOMETRY, N, "COORD2(point)"),
    ("COORDSYS", GEOMETRY, Sort::Text, "COORDSYS(geometry)"),
    ("COS", Shape::Count(1, 1), N, "COS(x)"),
    ("COT", Shape::Count(1, 1), N, "COT(x)"),
    ("COUNT", Shape::Aggregate, N, "COUNT(*) or COUNT(x)"),
    ("DEGREES", Shape::Count(1, 1), N, "DEGREES(x)"),
    ("DISTANCE", DISTANCE, N, "DISTANCE(point, point) or DISTANCE(longitude, latitude, longitude, latitude)"),
    ("EXP", Shape::Count(1, 1), N, "EXP(x)"),
    ("FLOOR", Shape::Count(1, 1), N, "FLOOR(x)"),
    ("GREATEST", Shape::Count(1, MANY), Sort::Unknown, "GREATEST(x, y, ...)"),
    ("INTERSECTS", GEOMETRIES, N, "INTERSECTS(geometry, geometry)"),
    ("IN_UNIT", Shape::InUnit, N, "IN_UNIT(x, 'unit')"),
    ("LEAST", Shape::Count(1, MANY), Sort::Unknown, "LEAST(x, y, ...)"),
    ("LOG", Shape::Count(1, 1), N, "LOG(x), the natural logarithm"),
    ("LOG10", Shape::Count(1, 1), N, "LOG10(x)"),
    ("LOWER", Shape::Count(1, 1), Sort::Text, "LOWER(text)"),
    ("MAX", Shape::Aggregate, Sort::Unknown, "MAX(x)"),
    ("MIN", Shape::Aggregate, Sort::Unknown, "MIN(x)"),
    ("MOD", Shape::Count(2, 2), N, "MOD(x, y)"),
    ("NULLIF", Shape::Count(2, 2), Sort::Unknown, "NULLIF(x, y)"),
    ("PI", Shape::Count(0, 0), N, "PI()"),
    ("POINT", POINT, G, "POINT(longitude, latitude)"),
    ("POLYGON", Shape::Polygon, G, "POLYGON(longitude, latitude, ...) with three corners or more, or POLYGON(point, point, point, ...)"),
    ("POWER", Shape::Count(2, 2), N, "POWER(x, y)"),
    ("RADIANS", Shape::Count(1, 1), N, "RADIANS(x)"),
    ("RAND", Shape::Count(0, 1), N, "RAND() or RAND(seed)"),
    ("REGION", Shape::Count(1, 1), G, "REGION('CIRCLE ICRS 10.7 41.3 0.1')"),
    ("ROUND", Shape::Count(1, 2), N, "ROUND(x) or ROUND(x, decimals)"),
    ("SIN", Shape::Count(1, 1), N, "SIN(x)"),
    ("SQRT", Shape::Count(1, 1), N, "SQRT(x)"),
    ("SUM", Shape::Aggregate, N, "SUM(x)"),
    ("TAN", Shape::Count(1, 1), N, "TAN(x)"),
    ("TIMESTAMP", Shape::Count(1, 1), Sort::Unknown, "TIMESTAMP '2010-07-12T00:00:00'"),
    ("TRUNCATE", Shape::Count(1, 2), N, "TRUNCATE(x) or TRUNCATE(x, decimals)"),
    ("UPPER", Shape::Count(1, 1), Sort::Text, "UPPER(text)"),
    ("MEDIAN", Shape::Aggregate, N, "MEDIAN(x)"),
    ("STDDEV", Shape::Aggregate, N, "STDDEV(x)"),
    ("VARIANCE", Shape::Aggregate, N, "VARIANCE(x)"),
];

/// Functions beyond the standard that say true or false, as Q3C's own do.
const PREDICATES: [&str; 5] = ["q3c_radial_query", "q3c_poly_query", "q3c_ellipse_query", "q3c_join", "q3c_ellipse_join"];

fn function(name: &str) -> Option<&'static (&'static str, Shape, Sort, &'static str)> {
    FUNCTIONS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name))
}

/// Is it a function of ADQL's own, or one of Q3C that can stand as a condition?
pub fn is_known_function(name: &str) -> bool {
    function(name).is_some() || PREDICATES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The expression, if it can be a value.
pub fn value(expr: Expr) -> Result<Expr, Error> {
    if is_condition(&expr) {
        return Err(Error::new(Code::ConditionOrValue, expr.span, "a condition stands where a value is due")
            .hint("make a number of it: CASE WHEN ... THEN 1 ELSE 0 END"));
    }
    Ok(expr)
}

/// The expression, if it can be a condition: a column and a function of unknown type can be, if they are boolean.
pub fn condition(expr: Expr) -> Result<Expr, Error> {
    let can_be = match &expr.kind {
        ExprKind::Column(_) | ExprKind::Literal(Literal::Boolean(_)) | ExprKind::Case { .. } => true,
        ExprKind::Cast { to, .. } => to.name == CastName::Boolean,
        ExprKind::Call { name, .. } => {
            PREDICATES.iter().any(|known| known.eq_ignore_ascii_case(&name.text)) || name.text.eq_ignore_ascii_case("COALESCE")
        }
        _ => is_condition(&expr),
    };
    if can_be {
        return Ok(expr);
    }
    let error = Error::new(Code::ConditionOrValue, expr.span, "a value stands where a condition is due");
    Err(match &expr.kind {
        ExprKind::Call { name, .. } => error.hint(format!("compare it: 1 = {}(...)", name.text)),
        ExprKind::Literal(_) => error.hint("compare two values, as in 1 = 1"),
        _ => error.hint("compare it with another value: =, <>, <, >, BETWEEN, IN, LIKE, IS NULL"),
    })
}

fn is_condition(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Compare { .. }
            | ExprKind::And(_)
            | ExprKind::Or(_)
            | ExprKind::Not(_)
            | ExprKind::IsNull { .. }
            | ExprKind::IsTruth { .. }
            | ExprKind::Between { .. }
            | ExprKind::InList { .. }
            | ExprKind::InQuery { .. }
            | ExprKind::Like { .. }
            | ExprKind::Exists(_)
    )
}

/// The call, if the function takes such arguments; functions that are not ADQL's own are the checker's.
pub fn call(name: Name, arguments: Arguments, span: Span) -> Result<Expr, Error> {
    let Some((known, shape, _, usage)) = function(&name.text) else {
        return Ok(Expr { kind: ExprKind::Call { name, arguments }, span });
    };
    let wrong = |message: String| Error::new(Code::Arguments, span, message).hint(format!("write {usage}"));
    let items = match &arguments {
        Arguments::All if *known == "COUNT" => return Ok(Expr { kind: ExprKind::Call { name, arguments }, span }),
        Arguments::All => return Err(wrong(format!("{known} takes no *"))),
        Arguments::List { distinct: true, .. } if *shape != Shape::Aggregate => return Err(wrong(format!("{known} takes no DISTINCT"))),
        Arguments::List { items, .. } => items,
    };
    if !fits(*shape, items) {
        let message = if items.is_empty() { format!("{known} has no argument") } else { format!("{known} does not take {}", told(items)) };
        return Err(wrong(message));
    }
    if let ("TIMESTAMP", [Expr { kind: ExprKind::Literal(Literal::String(text)), .. }]) = (*known, items.as_slice()) {
        return Ok(Expr { kind: ExprKind::Literal(Literal::Timestamp(text.clone())), span });
    }
    Ok(Expr { kind: ExprKind::Call { name, arguments }, span })
}

/// The arguments in words: "2 arguments: a text, a number".
fn told(items: &[Expr]) -> String {
    let names = items.iter().take(8).map(|item| match sort(item) {
        Sort::Number => "a number",
        Sort::Text => "a text",
        Sort::Geometry => "a geometry",
        Sort::Unknown => "a value",
    });
    let names = names.collect::<Vec<_>>().join(", ");
    match items.len() {
        1 => format!("one argument that is {names}"),
        count if count > 8 => format!("{count} arguments ({names}, ...)"),
        count => format!("{count} arguments ({names})"),
    }
}

fn fits(shape: Shape, items: &[Expr]) -> bool {
    match shape {
        Shape::Count(least, most) => (least..=most).contains(&items.len()),
        Shape::Aggregate => items.len() == 1,
        Shape::InUnit => items.len() == 2 && matches!(items[1].kind, ExprKind::Literal(Literal::String(_))),
        Shape::Geometry(forms) => bare_and_with_system(items, |rest| forms.iter().any(|form| matches(rest, form))),
        Shape::Polygon => bare_and_with_system(items, corners),
    }
}

/// Do the arguments fit as they are, or without a coordinate system at their head (a literal text or NULL)?
fn bare_and_with_system(items: &[Expr], fits: impl Fn(&[Expr]) -> bool) -> bool {
    let has_system = items.first().is_some_and(|first| matches!(first.kind, ExprKind::Literal(Literal::String(_) | Literal::Null)));
    fits(items) || has_system && fits(&items[1..])
}

fn matches(items: &[Expr], form: &[Sort]) -> bool {
    items.len() == form.len()
        && items.iter().zip(form).all(|(item, wanted)| matches!(sort(item), found if found == *wanted || found == Sort::Unknown))
}

/// Pairs of numbers, or points, three at least.
fn corners(items: &[Expr]) -> bool {
    let all = |wanted: Sort| items.iter().all(|item| matches!(sort(item), found if found == wanted || found == Sort::Unknown));
    all(Sort::Number) && items.len() >= 6 && items.len().is_multiple_of(2) || all(Sort::Geometry) && items.len() >= 3
}

fn sort(expr: &Expr) -> Sort {
    match &expr.kind {
        ExprKind::Literal(Literal::Integer(_) | Literal::Decimal(_)) | ExprKind::Unary { .. } => Sort::Number,
        ExprKind::Literal(Literal::Null) => Sort::Unknown,
        ExprKind::Literal(_) => Sort::Text,
        ExprKind::Chain { rest, .. } => match rest.first() {
            Some((BinaryOperator::Concatenate, _)) => Sort::Text,
            _ => Sort::Number,
        },
        ExprKind::Call { name, .. } => function(&name.text).map_or(Sort::Unknown, |(_, _, gives, _)| *gives),
        ExprKind::Cast { to, .. } => match to.name {
            CastName::Point | CastName::Circle | CastName::Polygon => Sort::Geometry,
            CastName::Char | CastName::Varchar | CastName::Timestamp | CastName::Boolean => Sort::Text,
            CastName::Smallint | CastName::Integer | CastName::Bigint | CastName::Real | CastName::Double => Sort::Number,
        },
        _ => Sort::Unknown,
    }
}
