//! Functions of geometry: constructors, questions, and the conditions that an index answers.
//!
//! A question whether a position lies in a region becomes the exact test, and where an index on `q3c_ang2ipix` of the position
//! exists also a condition that the index answers: the ranges of [`crate::sky::cover()`](fn@crate::sky::cover) for constant regions,
//! otherwise the up to four ranges around the other side's position, computed row by row of the other side. If both sides
//! have an index, that of the bigger table is used, as far as an outer join lets it.

use super::Checker;
use super::expr::{as_condition, number};
use super::group::depends_on;
use crate::adql::checked::{About, ColumnName, Constant, Expr, Node, Origin, Position, Sky, Type};
use crate::adql::error::{Code, Error};
use crate::adql::function::Function;
use crate::adql::geometry::frame::Frame;
use crate::adql::geometry::{FORMS, Geometry, Known, Shape, region};
use crate::adql::scope::{Clause, Scope};
use crate::adql::tree::{self, Arguments, BinaryOperator, CastName, ExprKind, Literal, Span};
use crate::schema::DataType;
use crate::sky::{Region, cover};

/// The tests of a polygon's sides against each other grow with the square of their number.
const MOST_CORNERS: usize = 1000;

/// Ranges of pixels for regions; each costs an index probe and 5 microseconds of planning.
const RANGES: usize = 20;

impl Checker<'_> {
    /// A call of a function of geometry; `None` if the name is none.
    pub fn sky_call(&mut self, name: &str, arguments: &Arguments, span: Span, scope: &Scope<'_>) -> Result<Option<Expr>, Error> {
        if name == "q3c_poly_query" {
            return self.q3c_poly_query(arguments, span, scope).map(Some);
        }
        if !FORMS.iter().any(|form| form.name == name) {
            return Ok(None);
        }
        let items = plain(name, arguments, span)?;
        let value = match name {
            "in_unit" => self.in_unit(items, span, scope)?,
            "point" | "circle" | "box" | "polygon" | "region" => {
                let geometry = self.construct_checked(name, items, span, scope)?;
                self.value(geometry)?
            }
            "centroid" => {
                let [one] = self.geometries(name, items, span, scope)?;
                let centroid = self.centroid(one)?;
                self.value(centroid)?
            }
            "coord1" | "coord2" => {
                let [point] = self.geometries(name, items, span, scope)?;
                let (lon, lat) = self.position_of(&point)?;
                let (value, ucd) = if name == "coord1" { (lon, "pos.eq.ra") } else { (lat, "pos.eq.dec") };
                let ucd = if point.frame == Frame::Galactic { "pos.galactic" } else { ucd };
                let about = About { unit: "deg".into(), ucd: ucd.into(), ..About::default() };
                let value = value.cast(Type::DOUBLE);
                Expr { about: if value.about.origin.is_some() { value.about.clone() } else { about }, ..value }
            }
            "coordsys" => {
                let [one] = self.geometries(name, items, span, scope)?;
                Expr::constant(Constant::Text(one.frame.to_string()))
            }
            "area" => {
                let [one] = self.geometries(name, items, span, scope)?;
                self.verify(&one)?;
                let about = About { unit: "deg**2".into(), ucd: "phys.angArea".into(), ..About::default() };
                Expr { about, ..helper("area", vec![self.shape_value(one)?], Type::DOUBLE) }
            }
            "distance" => self.distance(items, span, scope)?,
            "contains" => {
                let [inner, outer] = self.geometries(name, items, span, scope)?;
                truth(self.contains(inner, outer, span, scope)?)
            }
            _ => {
                let [a, b] = self.geometries(name, items, span, scope)?;
                truth(self.intersects(a, b, scope)?)
            }
        };
        Ok(Some(value))
    }

    fn geometries<const N: usize>(
        &mut self,
        name: &str,
        items: &[tree::Expr],
        span: Span,
        scope: &Scope<'_>,
    ) -> Result<[Geometry; N], Error> {
        let checked = items.iter().map(|item| self.geometry(item, scope)).collect::<Result<Vec<_>, Error>>();
        if items.len() != N {
            return Err(count_error(name, items.len(), span));
        }
        checked?.try_into().map_err(|_| count_error(name, items.len(), span))
    }

    /// An argument that must be a geometry.
    fn geometry(&mut self, expr: &tree::Expr, scope: &Scope<'_>) -> Result<Geometry, Error> {
        if let ExprKind::Call { name, arguments } = &expr.kind {
            let name = name.text.to_ascii_lowercase();
            match name.as_str() {
                "point" | "circle" | "box" | "polygon" | "region" => {
                    let items = plain(&name, arguments, expr.span)?;
                    return self.construct_checked(&name, items, expr.span, scope);
                }
                "centroid" => {
                    let items = plain(&name, arguments, expr.span)?;
                    let [one] = self.geometries(&name, items, expr.span, scope)?;
                    return self.centroid(one);
                }
                _ => {}
            }
        }
        let value = self.expr(expr, scope)?;
        if let Node::Constant(Constant::Text(text)) = &value.node {
            return described(text, expr.span);
        }
        match value.ty {
            Type::Point | Type::Circle | Type::Polygon | Type::Region => {
                Ok(Geometry { frame: Frame::Icrs, shape: Shape::Stored(value), span: expr.span })
            }
            Type::Null => Ok(Geometry { frame: Frame::Icrs, shape: Shape::Stored(value.cast(Type::Polygon)), span: expr.span }),
            other => Err(Error::new(Code::Type, expr.span, format!("a geometry is needed here, this is {}", other.words()))
                .hint("make one with POINT(lon, lat), CIRCLE(lon, lat, radius), BOX(...) or POLYGON(...)")),
        }
    }

    fn construct_checked(&mut self, name: &str, items: &[tree::Expr], span: Span, scope: &Scope<'_>) -> Result<Geometry, Error> {
        let geometry = self.construct(name, items, span, scope)?;
        self.verify(&geometry)?;
        Ok(geometry)
    }

    /// `POINT`, `CIRCLE`, `BOX`, `POLYGON` with or without a system of coordinates first, of numbers or of points.
    fn construct(&mut self, name: &str, items: &[tree::Expr], span: Span, scope: &Scope<'_>) -> Result<Geometry, Error> {
        if name == "region" {
            let [text] = items else { return Err(count_error(name, items.len(), span)) };
            return match &text.kind {
                ExprKind::Literal(Literal::String(text_of)) => described(text_of, text.span),
                _ => self.geometry(text, scope).map(|geometry| Geometry { span, ..geometry }).or_else(|error| {
                    let value = self.expr(text, scope)?;
                    match value.ty {
                        Type::Value(DataType::Text) => {
                            Ok(Geometry { frame: Frame::Icrs, shape: Shape::Stored(value.cast(Type::Region)), span })
                        }
                        _ => Err(error),
                    }
                }),
            };
        }
        let (frame, items) = system(name, items)?;
        let mut frame = frame;
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            values.push(self.coordinate(item, &mut frame, scope)?);
        }
        let numbers = flatten(values);
        let wrong = || Err(count_error(name, items.len(), span));
        let shape = match name {
            "point" => match <[Expr; 2]>::try_from(numbers) {
                Ok([lon, lat]) => Shape::Point((lon, lat)),
                Err(_) => return wrong(),
            },
            "circle" => match <[Expr; 3]>::try_from(numbers) {
                Ok([lon, lat, radius]) => Shape::Circle((lon, lat), radius),
                Err(_) => return wrong(),
            },
            "box" => match <[Expr; 4]>::try_from(numbers) {
                Ok([lon, lat, width, height]) => Shape::Box((lon, lat), width, height),
                Err(_) => return wrong(),
            },
            _ if numbers.len() >= 6 && numbers.len().is_multiple_of(2) => {
                let mut corners = Vec::with_capacity(numbers.len() / 2);
                let mut numbers = numbers.into_iter();
                while let (Some(lon), Some(lat)) = (numbers.next(), numbers.next()) {
                    corners.push((lon, lat));
                }
                Shape::Polygon(corners)
            }
            _ => return wrong(),
        };
        Ok(Geometry { frame, shape, span })
    }

    /// A number of a constructor, or a point that stands for two of them.
    fn coordinate(&mut self, item: &tree::Expr, frame: &mut Frame, scope: &Scope<'_>) -> Result<Vec<Expr>, Error> {
        let is_point =
            matches!(&item.kind, ExprKind::Call { name, .. } if ["point", "centroid"].iter().any(|n| n.eq_ignore_ascii_case(&name.text)));
        if is_point {
            let point = self.geometry(item, scope)?;
            *frame = point.frame;
            let (lon, lat) = self.position_of(&point)?;
            return Ok(vec![lon, lat]);
        }
        let value = self.expr(item, scope)?;
        match value.ty {
            Type::Point => {
                let point = Geometry { frame: *frame, shape: Shape::Stored(value), span: item.span };
                let (lon, lat) = self.position_of(&point)?;
                Ok(vec![lon, lat])
            }
            Type::Value(DataType::Real | DataType::Double) => Ok(vec![value]),
            ty if ty.is_number() || ty == Type::Null => Ok(vec![value.cast(Type::DOUBLE)]),
            other => Err(Error::new(Code::Type, item.span, format!("a number of degrees is needed here, this is {}", other.words()))),
        }
    }

    fn position_of(&self, geometry: &Geometry) -> Result<Position, Error> {
        geometry.position().ok_or_else(|| {
            Error::new(Code::Type, geometry.span, "a point is needed here").hint("CENTROID(...) is the middle of a geometry")
        })
    }

    /// Its numbers, if all are constant.
    fn known(&self, geometry: &Geometry) -> Option<Known> {
        let pair = |(lon, lat): &Position| Some((number(lon)?, number(lat)?));
        Some(match &geometry.shape {
            Shape::Point(position) => pair(position).map(|(lon, lat)| Known::Point(lon, lat))?,
            Shape::Circle(centre, radius) => {
                let (lon, lat) = pair(centre)?;
                Known::Circle(lon, lat, number(radius)?)
            }
            Shape::Box(centre, width, height) => {
                let (lon, lat) = pair(centre)?;
                Known::Box(lon, lat, number(width)?, number(height)?)
            }
            Shape::Polygon(corners) => Known::Polygon(corners.iter().map(pair).collect::<Option<_>>()?),
            Shape::Stored(_) => return None,
        })
    }

    /// Refuses constants that are no geometry.
    fn verify(&self, geometry: &Geometry) -> Result<(), Error> {
        let positions: Vec<&Position> = match &geometry.shape {
            Shape::Point(position) | Shape::Circle(position, _) | Shape::Box(position, ..) => vec![position],
            Shape::Polygon(corners) => corners.iter().collect(),
            Shape::Stored(_) => Vec::new(),
        };
        for (_, lat) in positions {
            if let Some(lat) = number(lat).filter(|lat| !(-90.0..=90.0).contains(lat)) {
                let message = format!("the latitude {lat} is not between -90 and 90 degrees");
                return Err(Error::new(Code::Geometry, geometry.span, message).hint("the longitude comes first: POINT(lon, lat)"));
            }
        }
        if let Shape::Circle(_, radius) = &geometry.shape {
            verify_radius(radius, geometry.span)?;
        }
        match self.known(geometry) {
            Some(known) => region_of(&known, geometry.span).map(|_| ()),
            None => Ok(()),
        }
    }

    /// The geometry in ICRS, if its numbers are constant.
    fn in_icrs(&self, geometry: Geometry) -> Result<Geometry, Error> {
        if geometry.frame == Frame::Icrs {
            return Ok(geometry);
        }
        let turn = |position| geometry.frame.convert(Frame::Icrs, position);
        let known = match (self.known(&geometry), &geometry.shape) {
            (Some(Known::Point(lon, lat)), _) => {
                let (lon, lat) = turn((lon, lat));
                Known::Point(lon, lat)
            }
            (Some(Known::Circle(lon, lat, radius)), _) => {
                let (lon, lat) = turn((lon, lat));
                Known::Circle(lon, lat, radius)
            }
            (Some(Known::Polygon(corners)), _) => Known::Polygon(corners.into_iter().map(turn).collect()),
            (Some(known @ Known::Box(..)), _) => Known::Polygon(corners_of(&known, geometry.span)?.into_iter().map(turn).collect()),
            (None, Shape::Circle(centre, radius)) if number(&centre.0).is_some() && number(&centre.1).is_some() => {
                let (lon, lat) = turn((number(&centre.0).unwrap_or(0.0), number(&centre.1).unwrap_or(0.0)));
                let shape = Shape::Circle((Expr::double(lon), Expr::double(lat)), radius.clone());
                return Ok(Geometry { frame: Frame::Icrs, shape, span: geometry.span });
            }
            (None, _) => {
                let message = format!("columns in {} are not converted to ICRS here", geometry.frame);
                return Err(Error::new(Code::Geometry, geometry.span, message)
                    .hint("give both geometries in the same system, or convert with ivo_geom_transform(from, to, geometry)"));
            }
        };
        Ok(Geometry::known(known, Frame::Icrs, geometry.span))
    }

    fn same_frame(&self, a: Geometry, b: Geometry) -> Result<(Geometry, Geometry), Error> {
        if a.frame == b.frame { Ok((a, b)) } else { Ok((self.in_icrs(a)?, self.in_icrs(b)?)) }
    }

    /// A geometry as a value: `float8[]` with its numbers, or the text of a region.
    fn value(&self, geometry: Geometry) -> Result<Expr, Error> {
        let about = About { unit: "deg".into(), ucd: "pos".into(), ..About::default() };
        let numbers = |all: Vec<Expr>, ty| Expr { node: Node::Numbers(all), ty, about: about.clone() };
        let known = self.known(&geometry);
        Ok(match geometry.shape {
            Shape::Point((lon, lat)) => numbers(vec![lon, lat], Type::Point),
            Shape::Circle((lon, lat), radius) => numbers(vec![lon, lat, radius], Type::Circle),
            Shape::Polygon(corners) => numbers(corners.into_iter().flat_map(|(lon, lat)| [lon, lat]).collect(), Type::Polygon),
            Shape::Stored(value) => value,
            Shape::Box((lon, lat), width, height) => match known {
                Some(known) => {
                    let corners = corners_of(&known, geometry.span)?;
                    numbers(corners.into_iter().flat_map(|(lon, lat)| [Expr::double(lon), Expr::double(lat)]).collect(), Type::Polygon)
                }
                None => Expr { about, ..helper("box", vec![lon, lat, width, height], Type::Polygon) },
            },
        })
    }

    /// A geometry as an array of numbers for the helper functions, which tell the kinds by their length.
    fn shape_value(&self, geometry: Geometry) -> Result<Expr, Error> {
        let value = self.value(geometry)?;
        Ok(match value.ty {
            Type::Region => helper("region", vec![value], Type::Polygon),
            _ => value,
        })
    }

    fn centroid(&mut self, geometry: Geometry) -> Result<Geometry, Error> {
        let (frame, span) = (geometry.frame, geometry.span);
        let shape = match geometry.shape {
            Shape::Point(position) | Shape::Circle(position, _) | Shape::Box(position, ..) => Shape::Point(position),
            Shape::Stored(ref value) if value.ty == Type::Point => geometry.shape,
            _ => {
                self.verify(&geometry)?;
                let array = self.shape_value(geometry)?;
                Shape::Stored(helper("centroid", vec![array], Type::Point))
            }
        };
        Ok(Geometry { frame, shape, span })
    }

    fn distance(&mut self, items: &[tree::Expr], span: Span, scope: &Scope<'_>) -> Result<Expr, Error> {
        let (a, b) = if items.len() == 4 {
            let mut frame = Frame::Icrs;
            let mut numbers = Vec::with_capacity(4);
            for item in items {
                numbers.extend(self.coordinate(item, &mut frame, scope)?);
            }
            let Ok([a, b, c, d]) = <[Expr; 4]>::try_from(numbers) else { return Err(count_error("distance", items.len(), span)) };
            ((a, b), (c, d))
        } else {
            let [a, b] = self.geometries("distance", items, span, scope)?;
            let (a, b) = self.same_frame(a, b)?;
            (self.position_of(&a)?, self.position_of(&b)?)
        };
        let about = About { unit: "deg".into(), ucd: "pos.angDistance".into(), ..About::default() };
        Ok(Expr { about, ..Expr::new(Node::Sky(Box::new(Sky::Distance { a, b })), Type::DOUBLE) })
    }

    fn contains(&mut self, inner: Geometry, outer: Geometry, span: Span, scope: &Scope<'_>) -> Result<Expr, Error> {
        let (inner, outer) = self.same_frame(inner, outer)?;
        if let Some(point) = inner.position() {
            return self.point_in(point, outer, scope);
        }
        if outer.position().is_some() {
            let error = Error::new(Code::Geometry, span, "no region lies within a point");
            return Err(error.hint("CONTAINS(inner, outer) takes the point first: CONTAINS(POINT(...), CIRCLE(...))"));
        }
        if let (Shape::Circle(a, small), Shape::Circle(b, large)) = (&inner.shape, &outer.shape)
            && number(large).is_some_and(|large| large < 180.0)
        {
            let radius = combined(large.clone(), BinaryOperator::Subtract, small.clone());
            return Ok(self.within(a.clone(), b.clone(), radius, true, scope));
        }
        let bounds = self.bounds(&outer, &inner, scope).or_else(|| self.bounds(&inner, &outer, scope));
        let arguments = vec![self.shape_of(outer, scope)?, self.shape_of(inner, scope)?];
        let exact = helper("contains", arguments, Type::BOOLEAN);
        Ok(bounds.map_or(exact.clone(), |bounds| indexed(bounds, exact)))
    }

    fn intersects(&mut self, a: Geometry, b: Geometry, scope: &Scope<'_>) -> Result<Expr, Error> {
        let (a, b) = self.same_frame(a, b)?;
        if let Some(point) = a.position() {
            return self.point_in(point, b, scope);
        }
        if let Some(point) = b.position() {
            return self.point_in(point, a, scope);
        }
        if let (Shape::Circle(x, r), Shape::Circle(y, s)) = (&a.shape, &b.shape) {
            let radius = combined(r.clone(), BinaryOperator::Add, s.clone());
            if number(&radius).is_none_or(|radius| radius <= 180.0) {
                return Ok(self.within(x.clone(), y.clone(), radius, true, scope));
            }
        }
        let bounds = self.bounds(&a, &b, scope).or_else(|| self.bounds(&b, &a, scope));
        let arguments = vec![self.shape_of(a, scope)?, self.shape_of(b, scope)?];
        let exact = helper("intersects", arguments, Type::BOOLEAN);
        Ok(bounds.map_or(exact.clone(), |bounds| indexed(bounds, exact)))
    }

    /// The bounds that an outline must have to touch a constant region, for the index on them.
    fn bounds(&self, outline: &Geometry, other: &Geometry, scope: &Scope<'_>) -> Option<Sky> {
        let of = self.outline(outline, scope)?;
        let shape = region_of(&self.known(other)?, other.span).ok()?;
        Some(Sky::Reached { of, reach: shape.reach() })
    }

    /// The column of an outline whose corners and bounds the table has. They are columns that the query does not name: where rows are
    /// grouped they may not be asked for.
    fn outline(&self, geometry: &Geometry, scope: &Scope<'_>) -> Option<Expr> {
        let Shape::Stored(value) = &geometry.shape else { return None };
        let Node::Column { source, name: ColumnName::Catalogue(origin) } = value.node else { return None };
        let table = &self.catalogue.relation(origin.relation).table;
        let is_outline = table.outline.as_ref() == Some(&table.columns[origin.column].name);
        let is_plain = matches!(scope.clause.get(), Clause::Where | Clause::On) && !scope.kept.contains(&source);
        (is_outline && is_plain && value.ty == Type::Region).then(|| value.clone())
    }

    /// As [`Checker::shape_value`], an outline by its corners.
    fn shape_of(&self, geometry: Geometry, scope: &Scope<'_>) -> Result<Expr, Error> {
        match self.outline(&geometry, scope) {
            Some(of) => Ok(Expr::new(Node::Sky(Box::new(Sky::Corners { of })), Type::Polygon)),
            None => self.shape_value(geometry),
        }
    }

    /// Does a position lie in a geometry, edge included?
    fn point_in(&mut self, point: Position, outer: Geometry, scope: &Scope<'_>) -> Result<Expr, Error> {
        let known = self.known(&outer);
        match (&outer.shape, known) {
            (Shape::Circle(centre, radius), _) => Ok(self.within(point, centre.clone(), radius.clone(), true, scope)),
            (_, Some(known @ (Known::Box(..) | Known::Polygon(_)))) => self.in_constant(point, &known, outer.span, scope),
            _ if outer.position().is_some() => {
                let other = self.position_of(&outer)?;
                Ok(self.within(point, other, Expr::double(0.0), true, scope))
            }
            _ => self.in_varying(point, outer, scope),
        }
    }

    /// A constant box or polygon: ranges and the exact test.
    fn in_constant(&self, point: Position, known: &Known, span: Span, scope: &Scope<'_>) -> Result<Expr, Error> {
        let shape = region_of(known, span)?;
        let projected = shape.projection().ok_or_else(|| Error::new(Code::Geometry, span, "this is no polygon"))?;
        let exact = Sky::InLoop { of: point.clone(), axes: projected.axes, corners: projected.corners.to_vec() };
        let exact = Expr::condition(Node::Sky(Box::new(exact)));
        if !self.is_indexed(&point, scope) {
            return Ok(exact);
        }
        let ranges = cover::cover_shape(&shape, RANGES);
        Ok(indexed(Sky::Ranges { of: point, ranges }, exact))
    }

    /// A box, polygon or region that changes from row to row: the circle around it for the index, a helper for the exact test.
    fn in_varying(&mut self, point: Position, outer: Geometry, scope: &Scope<'_>) -> Result<Expr, Error> {
        let place = Expr::new(Node::Numbers(vec![point.0.clone(), point.1.clone()]), Type::Point);
        let of = self.outline(&outer, scope);
        let shape = self.shape_of(outer, scope)?;
        let exact = helper("contains", vec![shape.clone(), place], Type::BOOLEAN);
        if let (Some(of), Some(ra_deg), Some(dec_deg)) = (&of, number(&point.0), number(&point.1))
            && let Ok(place) = (Region::Circle { ra_deg, dec_deg, radius_deg: 0.0 }).prepare()
        {
            return Ok(indexed(Sky::Reached { of: of.clone(), reach: place.reach() }, exact));
        }
        let source = source_of(&point);
        // of two indices the one on the larger table is of more use
        let is_small = |of: &Expr| self.rows_of(of.about.origin) >= self.rows(&point) || !self.is_indexed(&point, scope);
        if let Some(of) = of.filter(is_small) {
            return Ok(indexed(Sky::ReachedBy { of, position: point }, exact));
        }
        if !self.is_indexed(&point, scope) || source.is_some_and(|source| depends_on(&shape, source)) {
            return Ok(exact);
        }
        let bound = helper("bound", vec![shape], Type::Circle);
        let element = |n| Expr::new(Node::Element(Box::new(bound.clone()), n), Type::DOUBLE);
        Ok(indexed(Sky::Near { of: point, centre: (element(1), element(2)), radius: element(3) }, exact))
    }

    /// Are two positions within a radius of each other? `closed`: or exactly that far.
    fn within(&self, a: Position, b: Position, radius: Expr, closed: bool, scope: &Scope<'_>) -> Expr {
        let radius = radius.cast(Type::DOUBLE);
        let exact = Sky::Within { a: a.clone(), b: b.clone(), radius: radius.clone(), closed };
        self.with_radius_index(a, b, radius, Expr::condition(Node::Sky(Box::new(exact))), scope)
    }

    /// Adds what an index can answer to a condition that implies a distance of at most `radius`.
    fn with_radius_index(&self, a: Position, b: Position, radius: Expr, exact: Expr, scope: &Scope<'_>) -> Expr {
        let usable = |of: &Position, centre: &Position| {
            self.is_indexed(of, scope)
                && source_of(of)
                    .is_some_and(|source| !depends_on(&centre.0, source) && !depends_on(&centre.1, source) && !depends_on(&radius, source))
        };
        let (of, centre) = match (usable(&a, &b), usable(&b, &a)) {
            (false, false) => return exact,
            (true, false) => (a, b),
            (false, true) => (b, a),
            (true, true) if self.rows(&a) >= self.rows(&b) => (a, b),
            (true, true) => (b, a),
        };
        let constant = (number(&centre.0), number(&centre.1), number(&radius));
        if let (Some(ra_deg), Some(dec_deg), Some(radius_deg)) = constant {
            let region = Region::Circle { ra_deg, dec_deg, radius_deg: radius_deg.min(180.0) };
            return match region.prepare() {
                Ok(shape) => {
                    let ranges = cover::cover_shape(&shape, cover::ranges_for_radius(radius_deg));
                    indexed(Sky::Ranges { of, ranges }, exact)
                }
                // a negative radius, an impossible latitude: the exact test knows
                Err(_) => exact,
            };
        }
        indexed(Sky::Near { of, centre, radius }, exact)
    }

    /// `DISTANCE(...) < bound`, also `DISTANCE(...) * 3600 < bound`: the same as a cone for an index.
    pub fn with_distance_index(&self, distance: &Expr, bound: &Expr, exact: Expr, scope: &Scope<'_>) -> Expr {
        let Some((a, b, factor)) = scaled_distance(distance) else { return exact };
        if !bound.ty.is_number() {
            return exact;
        }
        // what rounding does to the division is far below the slack of a cover
        let radius = match (number(bound), factor) {
            (Some(bound), factor) => Expr::double(bound / factor),
            (None, 1.0) => bound.clone().cast(Type::DOUBLE),
            (None, factor) => combined(bound.clone().cast(Type::DOUBLE), BinaryOperator::Divide, Expr::double(factor)),
        };
        self.with_radius_index(a, b, radius, exact, scope)
    }

    /// Is there a Q3C index on the position, and is it of use where it is asked for?
    fn is_indexed(&self, position: &Position, scope: &Scope<'_>) -> bool {
        let Some(source) = source_of(position) else { return false };
        let (Some(lon), Some(lat)) = (position.0.about.origin, position.1.about.origin) else { return false };
        lon.relation == lat.relation
            && !scope.kept.contains(&source)
            && self.catalogue.relation(lon.relation).has_q3c_index(lon.column, lat.column)
    }

    fn rows(&self, position: &Position) -> u64 {
        self.rows_of(position.0.about.origin)
    }

    fn rows_of(&self, origin: Option<Origin>) -> u64 {
        let Some(origin) = origin else { return 0 };
        let relation = self.catalogue.relation(origin.relation);
        let is_upload = relation.adql_schema.eq_ignore_ascii_case("TAP_UPLOAD");
        relation.rows.unwrap_or(if is_upload { 10_000 } else { u64::MAX })
    }

    /// Q3C's own functions, where an index is to answer.
    pub fn q3c_call(&self, form: &'static Function, values: &[Expr], span: Span, scope: &Scope<'_>) -> Result<Option<Expr>, Error> {
        let angle = |value: &Expr| match value.ty {
            Type::Value(DataType::Real) => value.clone(),
            _ => value.clone().cast(Type::DOUBLE),
        };
        match (form.name, values) {
            ("q3c_radial_query" | "q3c_join", [a, b, c, d, radius]) => {
                verify_radius(radius, span)?;
                Ok(Some(self.within((angle(a), angle(b)), (angle(c), angle(d)), radius.clone(), false, scope)))
            }
            ("q3c_dist", [a, b, c, d]) => {
                let about = About { unit: "deg".into(), ucd: "pos.angDistance".into(), ..About::default() };
                let distance = Sky::Distance { a: (angle(a), angle(b)), b: (angle(c), angle(d)) };
                Ok(Some(Expr { about, ..Expr::new(Node::Sky(Box::new(distance)), Type::DOUBLE) }))
            }
            ("q3c_ellipse_query" | "q3c_in_ellipse", [a, b, c, d, major, ..]) | ("q3c_ellipse_join", [c, d, a, b, major, ..]) => {
                let arguments = values.iter().map(|value| value.clone().cast(Type::DOUBLE)).collect();
                let exact = Expr::condition(Node::Call { function: form, arguments, distinct: false });
                let (point, centre) = ((angle(a), angle(b)), (angle(c), angle(d)));
                let radius = major.clone().cast(Type::DOUBLE);
                Ok(Some(self.with_radius_index(point, centre, radius, exact, scope)))
            }
            _ => Ok(None),
        }
    }

    /// `q3c_poly_query(ra, dec, polygon)`: a POLYGON, a string of numbers, or the numbers themselves.
    fn q3c_poly_query(&mut self, arguments: &Arguments, span: Span, scope: &Scope<'_>) -> Result<Expr, Error> {
        let items = plain("q3c_poly_query", arguments, span)?;
        let [ra, dec, corners @ ..] = items else { return Err(count_error("q3c_poly_query", items.len(), span)) };
        let mut frame = Frame::Icrs;
        let mut point = self.coordinate(ra, &mut frame, scope)?;
        point.extend(self.coordinate(dec, &mut frame, scope)?);
        let Ok([ra, dec]) = <[Expr; 2]>::try_from(point) else { return Err(count_error("q3c_poly_query", items.len(), span)) };
        let polygon = match corners {
            [one] => match &one.kind {
                ExprKind::Literal(Literal::String(text)) => {
                    let bare = text.trim().trim_matches(|c| matches!(c, '{' | '}' | '[' | ']' | '(' | ')'));
                    described(&format!("POLYGON {bare}"), one.span)?
                }
                _ => self.geometry(one, scope)?,
            },
            many => self.construct("polygon", many, span, scope)?,
        };
        self.verify(&polygon)?;
        let polygon = self.in_icrs(polygon)?;
        self.point_in((ra, dec), polygon, scope)
    }

    /// `CAST('1 2' AS POINT)`: a string literal in DALI's form, or a geometry of that kind.
    pub fn cast_geometry(&mut self, operand: &tree::Expr, name: CastName, span: Span, scope: &Scope<'_>) -> Result<Expr, Error> {
        let (ty, word) = match name {
            CastName::Point => (Type::Point, "POINT"),
            CastName::Circle => (Type::Circle, "CIRCLE"),
            _ => (Type::Polygon, "POLYGON"),
        };
        let geometry = match &operand.kind {
            ExprKind::Literal(Literal::String(text)) => {
                let has_word = text.trim_start().starts_with(|c: char| c.is_ascii_alphabetic());
                described(&if has_word { text.clone() } else { format!("{word} {text}") }, operand.span)?
            }
            _ => self.geometry(operand, scope)?,
        };
        let value = self.value(geometry)?;
        if value.ty != ty {
            return Err(Error::new(Code::Type, span, format!("this is {}, no {word}", value.ty.words())));
        }
        Ok(value)
    }
}

/// The list of arguments of a function that takes no `*` and no DISTINCT.
fn plain<'t>(name: &str, arguments: &'t Arguments, span: Span) -> Result<&'t [tree::Expr], Error> {
    match arguments {
        Arguments::List { distinct: false, items } => Ok(items),
        _ => Err(Error::new(Code::Arguments, span, format!("{} takes a list of values", name.to_uppercase()))),
    }
}

/// Takes the system of coordinates off the front of the arguments of a constructor.
fn system<'t>(name: &str, items: &'t [tree::Expr]) -> Result<(Frame, &'t [tree::Expr]), Error> {
    let Some((first, rest)) = items.split_first() else { return Ok((Frame::Icrs, items)) };
    match &first.kind {
        ExprKind::Literal(Literal::String(name)) => match Frame::from_name(name) {
            Ok(frame) => Ok((frame, rest)),
            Err(message) => Err(Error::new(Code::Geometry, first.span, message)),
        },
        // POINT(NULL, lon, lat), but POINT(NULL, lat) is a point without a longitude
        ExprKind::Literal(Literal::Null) if items.len().is_multiple_of(2) == (name == "circle") => Ok((Frame::Icrs, rest)),
        _ => Ok((Frame::Icrs, items)),
    }
}

fn flatten(values: Vec<Vec<Expr>>) -> Vec<Expr> {
    values.into_iter().flatten().collect()
}

fn count_error(name: &str, count: usize, span: Span) -> Error {
    let error = Error::new(Code::Arguments, span, format!("{} does not take these {count} arguments", name.to_uppercase()));
    match FORMS.iter().find(|form| form.name == name) {
        Some(form) => error.hint(format!("write {}", form.form)),
        None => error,
    }
}

fn described(text: &str, span: Span) -> Result<Geometry, Error> {
    let (known, frame) = region::parse(text).map_err(|message| Error::new(Code::Geometry, span, message))?;
    let (lats, radius): (Vec<f64>, Option<f64>) = match &known {
        Known::Point(_, lat) | Known::Box(_, lat, ..) => (vec![*lat], None),
        Known::Circle(_, lat, radius) => (vec![*lat], Some(*radius)),
        Known::Polygon(corners) => (corners.iter().map(|(_, lat)| *lat).collect(), None),
    };
    if let Some(lat) = lats.into_iter().find(|lat| !(-90.0..=90.0).contains(lat)) {
        return Err(Error::new(Code::Geometry, span, format!("the latitude {lat} is not between -90 and 90 degrees")));
    }
    if let Some(radius) = radius {
        verify_radius(&Expr::double(radius), span)?;
    }
    region_of(&known, span)?;
    Ok(Geometry::known(known, frame, span))
}

fn verify_radius(radius: &Expr, span: Span) -> Result<(), Error> {
    let Some(value) = number(radius) else { return Ok(()) };
    let divides =
        |node: &Node| matches!(node, Node::Chain(_, rest) if rest.iter().any(|(operator, _)| *operator == BinaryOperator::Divide));
    let inner = if let Node::Cast(inner) = &radius.node { &inner.node } else { &radius.node };
    if value == 0.0 && divides(inner) {
        return Err(
            Error::new(Code::Geometry, span, "the radius is 0, as integers are divided as integers").hint("write 1./3600 for 1/3600")
        );
    }
    if (0.0..=180.0).contains(&value) {
        return Ok(());
    }
    Err(Error::new(Code::Geometry, span, format!("the radius {value} is not between 0 and 180 degrees")))
}

/// The region of a constant geometry, checked; a point is a circle of radius 0.
fn region_of(known: &Known, span: Span) -> Result<crate::sky::Shape, Error> {
    let region = match known {
        Known::Point(lon, lat) => Region::Circle { ra_deg: *lon, dec_deg: *lat, radius_deg: 0.0 },
        Known::Circle(lon, lat, radius) => Region::Circle { ra_deg: *lon, dec_deg: *lat, radius_deg: *radius },
        Known::Box(lon, lat, width, height) => Region::Box { ra_deg: *lon, dec_deg: *lat, width_deg: *width, height_deg: *height },
        Known::Polygon(corners) => {
            if corners.len() > MOST_CORNERS {
                return Err(Error::new(Code::Geometry, span, format!("a polygon has at most {MOST_CORNERS} corners")));
            }
            Region::Polygon(open(corners))
        }
    };
    let shape = region.prepare().map_err(|error| Error::new(Code::Geometry, span, error.to_string()))?;
    if let (Known::Polygon(_), Some(projected)) = (known, shape.projection())
        && crosses_itself(projected.corners)
    {
        let error = Error::new(Code::Geometry, span, "the sides of the polygon cross each other");
        return Err(error.hint("give the corners in their order along the edge"));
    }
    Ok(shape)
}

/// Corners without a last one that repeats the first, which some write to close the polygon.
fn open(corners: &[(f64, f64)]) -> Vec<(f64, f64)> {
    match corners {
        [rest @ .., last] if rest.len() >= 3 && corners.first() == Some(last) => rest.to_vec(),
        all => all.to_vec(),
    }
}

/// The corners of a box.
fn corners_of(known: &Known, span: Span) -> Result<Vec<(f64, f64)>, Error> {
    Ok(region_of(known, span)?.corners())
}

/// Do two sides that are no neighbours have a point in common?
fn crosses_itself(corners: &[[f64; 2]]) -> bool {
    let n = corners.len();
    let side = |i: usize| (corners[i], corners[(i + 1) % n]);
    let left = |a: [f64; 2], b: [f64; 2], c: [f64; 2]| (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
    let cross = |i: usize, j: usize| {
        let ((a, b), (c, d)) = (side(i), side(j));
        left(a, b, c) * left(a, b, d) < 0.0 && left(c, d, a) * left(c, d, b) < 0.0
    };
    (0..n).any(|i| (i + 2..n).any(|j| (j + 1) % n != i && cross(i, j)))
}

/// A call of a function of `sql/adql/geometry.sql`.
fn helper(name: &'static str, arguments: Vec<Expr>, ty: Type) -> Expr {
    Expr::new(Node::Sky(Box::new(Sky::Helper { name, arguments })), ty)
}

fn truth(condition: Expr) -> Expr {
    let condition = as_condition(condition).unwrap_or_else(|other| other);
    Expr::new(Node::Truth(Box::new(condition)), Type::INTEGER)
}

fn indexed(index: Sky, exact: Expr) -> Expr {
    let index = Expr::condition(Node::Sky(Box::new(index)));
    Expr::condition(Node::Indexed { index: Box::new(index), exact: Box::new(exact) })
}

fn combined(a: Expr, operator: BinaryOperator, b: Expr) -> Expr {
    let (a, b) = (a.cast(Type::DOUBLE), b.cast(Type::DOUBLE));
    let sum = Expr::new(Node::Chain(Box::new(a), vec![(operator, b)]), Type::DOUBLE);
    number(&sum).map_or(sum, Expr::double)
}

/// The one source of which both coordinates are columns.
fn source_of(position: &Position) -> Option<usize> {
    match (&position.0.node, &position.1.node) {
        (Node::Column { source: a, name: x }, Node::Column { source: b, name: y }) if a == b && named(x) == named(y) => Some(*a),
        _ => None,
    }
}

fn named(name: &ColumnName) -> bool {
    matches!(name, ColumnName::Catalogue(_))
}

/// Is it a distance, or a distance times a constant?
pub fn is_distance(expr: &Expr) -> bool {
    matches!(expr.node, Node::Sky(_) | Node::Chain(..)) && scaled_distance(expr).is_some()
}

/// `DISTANCE(...)` with a positive constant factor: positions and factor.
fn scaled_distance(expr: &Expr) -> Option<(Position, Position, f64)> {
    match &expr.node {
        Node::Sky(sky) => match &**sky {
            Sky::Distance { a, b } => Some((a.clone(), b.clone(), 1.0)),
            _ => None,
        },
        Node::Chain(first, rest) => {
            let mut found = scaled_distance(first);
            let mut factor = if found.is_some() { 1.0 } else { number(first)? };
            for (operator, operand) in rest {
                match (operator, number(operand)) {
                    (BinaryOperator::Multiply, Some(by)) => factor *= by,
                    (BinaryOperator::Divide, Some(by)) => factor /= by,
                    (BinaryOperator::Multiply, None) if found.is_none() => found = Some(scaled_distance(operand)?),
                    _ => return None,
                }
            }
            let (a, b, own) = found?;
            let factor = own * factor;
            (factor > 0.0 && factor.is_finite()).then_some((a, b, factor))
        }
        _ => None,
    }
}
