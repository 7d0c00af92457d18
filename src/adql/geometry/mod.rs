//! Geometries: what the constructors of ADQL make, where they are constant, and the systems of coordinates.
//!
//! A circle holds its edge, a polygon too. A box is that of [`crate::sky::Region::Box`]: its sides are great circles. A polygon lies
//! within a hemisphere and its inside is the smaller part of the sky, whichever way its corners go round; sides that cross
//! each other are refused. A radius below 0 or above 180 degrees is refused if it is constant; of columns, a negative one
//! holds nothing and a larger one everything. A geometry with a NULL in it is NULL, and so is the answer to a question about it.

pub mod frame;
pub mod region;

use super::checked::{Expr, Node, Position, Type};
use super::tree::Span;
use frame::Frame;

/// A function of geometry, for services' descriptions and messages.
pub struct Form {
    pub name: &'static str,
    pub form: &'static str,
    pub description: &'static str,
}

/// The functions of geometry, by the names of the standard's feature list.
#[rustfmt::skip]
pub const FORMS: &[Form] = &[
    Form { name: "area", form: "AREA(geometry) -> DOUBLE", description: "The area in square degrees" },
    Form { name: "box", form: "BOX(lon, lat, width, height) -> POLYGON", description: "A cross of great circles, framed by great circles at right angles" },
    Form { name: "centroid", form: "CENTROID(geometry) -> POINT", description: "The middle" },
    Form { name: "circle", form: "CIRCLE(lon, lat, radius) -> CIRCLE", description: "All positions within a radius; CIRCLE(point, radius) too" },
    Form { name: "contains", form: "CONTAINS(inner, outer) -> INTEGER", description: "1 if the first geometry lies in the second, edge included, else 0" },
    Form { name: "coord1", form: "COORD1(point) -> DOUBLE", description: "The longitude or right ascension in degrees" },
    Form { name: "coord2", form: "COORD2(point) -> DOUBLE", description: "The latitude or declination in degrees" },
    Form { name: "coordsys", form: "COORDSYS(geometry) -> VARCHAR", description: "The name of the system of coordinates" },
    Form { name: "distance", form: "DISTANCE(point, point) -> DOUBLE", description: "The distance in degrees; DISTANCE(lon1, lat1, lon2, lat2) too" },
    Form { name: "intersects", form: "INTERSECTS(a, b) -> INTEGER", description: "1 if the geometries have a position in common, else 0" },
    Form { name: "in_unit", form: "IN_UNIT(x, unit) -> DOUBLE", description: "The value in another unit, from the unit that is known of it" },
    Form { name: "point", form: "POINT(lon, lat) -> POINT", description: "A position in degrees" },
    Form { name: "polygon", form: "POLYGON(lon1, lat1, lon2, lat2, lon3, lat3, ...) -> POLYGON", description: "Corners joined by great circles; POLYGON(point, point, point, ...) too" },
    Form { name: "region", form: "REGION(text) -> REGION", description: "A geometry by its description in STC-S or DALI" },
];

/// Makes the helper functions in the schema `adql`, which statements call for geometries that change from row to row. Several
/// statements: use `batch_execute`. To be run by the owner once, and again after an update of the program.
pub const HELPERS: &str = include_str!("../../../sql/adql/geometry.sql");

/// A geometry in a query.
#[derive(Debug, Clone)]
pub struct Geometry {
    pub frame: Frame,
    pub shape: Shape,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub enum Shape {
    Point(Position),
    Circle(Position, Expr),
    Box(Position, Expr, Expr),
    Polygon(Vec<Position>),
    /// A value of a column, a derived table, a function; its type says which kind.
    Stored(Expr),
}

/// A geometry all of whose numbers are known.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    Point(f64, f64),
    Circle(f64, f64, f64),
    Box(f64, f64, f64, f64),
    Polygon(Vec<(f64, f64)>),
}

impl Geometry {
    pub fn known(known: Known, frame: Frame, span: Span) -> Geometry {
        let position = |(lon, lat): (f64, f64)| (Expr::double(lon), Expr::double(lat));
        let shape = match known {
            Known::Point(lon, lat) => Shape::Point(position((lon, lat))),
            Known::Circle(lon, lat, radius) => Shape::Circle(position((lon, lat)), Expr::double(radius)),
            Known::Box(lon, lat, width, height) => Shape::Box(position((lon, lat)), Expr::double(width), Expr::double(height)),
            Known::Polygon(corners) => Shape::Polygon(corners.into_iter().map(position).collect()),
        };
        Geometry { frame, shape, span }
    }

    /// Its position, if it is a point.
    pub fn position(&self) -> Option<Position> {
        match &self.shape {
            Shape::Point(position) => Some(position.clone()),
            Shape::Stored(value) if value.ty == Type::Point => {
                let element = |n| Expr::new(Node::Element(Box::new(value.clone()), n), Type::DOUBLE);
                Some((element(1), element(2)))
            }
            _ => None,
        }
    }
}
