//! Operators, conditions, literals: their types and units.
//!
//! Types follow PostgreSQL, so that what is promised is what comes: two integers give the wider integer type (and divide as
//! integers: 1/2 is 0), two reals a real, everything else a double. A decimal literal that a real is tested for equality
//! with is rounded to a real first: `mag = 99.999` finds what was stored as 99.999.

use super::Checker;
use crate::adql::checked::{About, Constant, Expr, Node, Type};
use crate::adql::error::{Code, Error};
use crate::adql::scope::{Clause, Scope, resolve};
use crate::adql::tree::{self, BinaryOperator, CastName, CastType, Comparison, ExprKind, Literal, Span, UnaryOperator};
use crate::adql::{timestamp, units};
use crate::schema::DataType;

/// Literals of an IN list above this many travel as one array, whatever their number.
const ARRAY_FROM: usize = 2;

impl Checker<'_> {
    pub fn expr(&mut self, expr: &tree::Expr, scope: &Scope<'_>) -> Result<Expr, Error> {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Literal(literal) => constant(literal, span),
            ExprKind::Column(path) => resolve(self.catalogue, scope, path),
            ExprKind::Unary { operator, operand } => self.unary(*operator, operand, scope),
            ExprKind::Chain { first, rest } => self.chain(first, rest, scope),
            ExprKind::Compare { operator, left, right } => self.comparison(*operator, left, right, span, scope),
            ExprKind::And(all) => Ok(Expr::condition(Node::And(self.conditions(all, scope)?))),
            ExprKind::Or(all) => Ok(Expr::condition(Node::Or(self.conditions(all, scope)?))),
            ExprKind::Not(operand) => Ok(negate(self.condition(operand, scope)?)),
            ExprKind::IsNull { operand, negated } => {
                let operand = Box::new(self.expr(operand, scope)?);
                Ok(Expr::condition(Node::IsNull { operand, negated: *negated }))
            }
            ExprKind::IsTruth { operand, value, negated } => {
                let operand = Box::new(self.condition(operand, scope)?);
                Ok(Expr::condition(Node::IsTruth { operand, value: *value, negated: *negated }))
            }
            ExprKind::Between { operand, low, high, negated } => {
                let (value, low_value) = self.pair(operand, low, scope)?;
                let (_, high_value) = self.pair(operand, high, scope)?;
                let between = Node::Between {
                    operand: Box::new(value.clone()),
                    low: Box::new(low_value),
                    high: Box::new(high_value),
                    negated: *negated,
                };
                let Node::Between { high: bound, .. } = &between else { unreachable!("it was just made") };
                let bound = (**bound).clone();
                let exact = Expr::condition(between);
                Ok(if *negated { exact } else { self.with_distance_index(&value, &bound, exact, scope) })
            }
            ExprKind::InList { operand, items, negated } => self.in_list(operand, items, *negated, span, scope),
            ExprKind::InQuery { operand, query, negated } => {
                let operand = self.expr(operand, scope)?;
                let query = self.query(query, Some(scope))?;
                let [column] = query.outputs.as_slice() else {
                    return Err(Error::new(
                        Code::Columns,
                        span,
                        format!("IN takes a query of one column, this one has {}", query.outputs.len()),
                    ));
                };
                comparable(operand.ty, column.ty, span)?;
                Ok(Expr::condition(Node::InQuery { operand: Box::new(operand), query: Box::new(query), negated: *negated }))
            }
            ExprKind::Like { operand, pattern, escape, ignore_case, negated } => {
                let operand = Box::new(self.text(operand, scope)?);
                let pattern = Box::new(self.text(pattern, scope)?);
                let escape = escape.as_deref().map(escape_character).transpose()?.map(Box::new);
                Ok(Expr::condition(Node::Like { operand, pattern, escape, ignore_case: *ignore_case, negated: *negated }))
            }
            ExprKind::Exists(query) => {
                let query = self.query(query, Some(scope))?;
                Ok(Expr::condition(Node::Exists(Box::new(query))))
            }
            ExprKind::Scalar(query) => {
                let query = self.query(query, Some(scope))?;
                let [column] = query.outputs.as_slice() else {
                    return Err(Error::new(
                        Code::Columns,
                        span,
                        format!("a query used as a value gives one column, not {}", query.outputs.len()),
                    ));
                };
                let (ty, about) = (column.ty, column.about.clone());
                Ok(Expr { node: Node::Scalar(Box::new(query)), ty, about })
            }
            ExprKind::Call { name, arguments } => self.call(name, arguments, span, scope),
            ExprKind::Cast { operand, to } => self.cast(operand, to.name, to, scope),
            ExprKind::Case { operand, arms, otherwise } => self.case(operand.as_deref(), arms, otherwise.as_deref(), span, scope),
        }
    }

    /// An expression that must be true or false.
    pub fn condition(&mut self, expr: &tree::Expr, scope: &Scope<'_>) -> Result<Expr, Error> {
        let checked = self.expr(expr, scope)?;
        as_condition(checked).map_err(|other| {
            let error = Error::new(Code::ConditionOrValue, expr.span, format!("a condition is needed here, this is {}", other.ty.words()));
            error.hint("compare it with something")
        })
    }

    fn conditions(&mut self, all: &[tree::Expr], scope: &Scope<'_>) -> Result<Vec<Expr>, Error> {
        all.iter().map(|one| self.condition(one, scope)).collect()
    }

    fn text(&mut self, expr: &tree::Expr, scope: &Scope<'_>) -> Result<Expr, Error> {
        let checked = self.expr(expr, scope)?;
        match checked.ty {
            Type::Value(DataType::Text) | Type::Region => Ok(checked),
            Type::Null => Ok(checked.cast(Type::TEXT)),
            other => Err(Error::new(Code::Type, expr.span, format!("a string is needed here, this is {}", other.words()))
                .hint("write CAST(... AS VARCHAR)")),
        }
    }

    fn unary(&mut self, operator: UnaryOperator, operand: &tree::Expr, scope: &Scope<'_>) -> Result<Expr, Error> {
        let value = self.expr(operand, scope)?;
        if !value.ty.is_number() && value.ty != Type::Null {
            return Err(Error::new(Code::Type, operand.span, format!("a number is needed here, this is {}", value.ty.words())));
        }
        if operator == UnaryOperator::Plus {
            return Ok(value);
        }
        let node = match value.node {
            Node::Constant(Constant::Integer(n)) => Node::Constant(Constant::Integer(-n)),
            Node::Constant(Constant::Bigint(n)) if n == 1 + i64::from(i32::MAX) => Node::Constant(Constant::Integer(i32::MIN)),
            Node::Constant(Constant::Bigint(n)) => Node::Constant(Constant::Bigint(-n)),
            Node::Constant(Constant::Double(x)) => Node::Constant(Constant::Double(-x)),
            node => {
                let about = About {
                    unit: self.unit(&Expr { node: Node::Null, ty: value.ty, about: value.about.clone() }).to_owned(),
                    ..About::default()
                };
                return Ok(Expr { ty: value.ty, about, node: Node::Negate(Box::new(Expr { node, ..value })) });
            }
        };
        let ty = if matches!(node, Node::Constant(Constant::Integer(_))) { Type::INTEGER } else { value.ty };
        Ok(Expr::new(node, ty))
    }

    fn chain(&mut self, first: &tree::Expr, rest: &[(BinaryOperator, tree::Expr)], scope: &Scope<'_>) -> Result<Expr, Error> {
        let mut all = self.expr(first, scope)?;
        let mut place = first.span;
        for (operator, operand) in rest {
            let right = self.expr(operand, scope)?;
            all = match operator {
                BinaryOperator::Concatenate => concatenate(self.to_text(all, place)?, self.to_text(right, operand.span)?),
                operator => self.arithmetic(*operator, all, right, place, operand.span)?,
            };
            place = place.to(operand.span);
        }
        Ok(all)
    }

    /// For `||`: numbers, truth values and timestamps become text.
    fn to_text(&self, expr: Expr, span: Span) -> Result<Expr, Error> {
        match expr.ty {
            Type::Value(DataType::Text) | Type::Region => Ok(expr),
            Type::Value(DataType::Timestamp) => Ok(Expr::new(Node::TimestampText(Box::new(expr)), Type::TEXT)),
            Type::Value(_) | Type::Null => Ok(expr.cast(Type::TEXT)),
            other => Err(Error::new(Code::Type, span, format!("{} cannot be joined to a string", other.words()))),
        }
    }

    fn arithmetic(&self, operator: BinaryOperator, left: Expr, right: Expr, left_span: Span, right_span: Span) -> Result<Expr, Error> {
        for (side, span) in [(&left, left_span), (&right, right_span)] {
            if !side.ty.is_number() && side.ty != Type::Null {
                let error = Error::new(Code::Type, span, format!("arithmetic is of numbers, this is {}", side.ty.words()));
                return Err(match side.ty {
                    Type::Value(DataType::Text) => {
                        error.hint("strings are joined with ||, and turned into numbers with CAST(... AS DOUBLE PRECISION)")
                    }
                    Type::Value(DataType::Timestamp) => error.hint("turn timestamps into days with ivo_to_mjd(...)"),
                    _ => error,
                });
            }
        }
        let ty = promote(left.ty, right.ty);
        let typed = |side: Expr| if side.ty == Type::Null { side.cast(ty) } else { side };
        let about = About { unit: self.arithmetic_unit(operator, &left, &right), ..About::default() };
        let (left, right) = (typed(left), typed(right));
        Ok(match left.node {
            // `a * b / c` stays one list; a list of weaker operators stood in brackets
            Node::Chain(first, mut rest) if rest.last().is_some_and(|(last, _)| binds(*last) == binds(operator)) => {
                rest.push((operator, right));
                Expr { node: Node::Chain(first, rest), ty, about }
            }
            node => Expr { node: Node::Chain(Box::new(Expr { node, ..left }), vec![(operator, right)]), ty, about },
        })
    }

    fn arithmetic_unit(&self, operator: BinaryOperator, left: &Expr, right: &Expr) -> String {
        let (a, b) = (self.unit(left), self.unit(right));
        let (a_number, b_number) = (number(left), number(right));
        let unit = match operator {
            BinaryOperator::Add | BinaryOperator::Subtract => match (a_number, b_number) {
                (Some(_), None) => Some(b.to_owned()),
                (None, Some(_)) => Some(a.to_owned()),
                _ => (a == b).then(|| a.to_owned()),
            },
            BinaryOperator::Multiply => match (a_number, b_number) {
                (Some(factor), None) => Some(units::scaled(b, factor)),
                (None, Some(factor)) => Some(units::scaled(a, factor)),
                _ => units::product(a, b),
            },
            BinaryOperator::Divide => match b_number {
                Some(divisor) => Some(units::scaled(a, 1.0 / divisor)),
                None => units::quotient(a, b),
            },
            BinaryOperator::Concatenate => None,
        };
        unit.unwrap_or_default()
    }

    fn comparison(
        &mut self,
        operator: Comparison,
        left: &tree::Expr,
        right: &tree::Expr,
        span: Span,
        scope: &Scope<'_>,
    ) -> Result<Expr, Error> {
        for side in [left, right] {
            if matches!(side.kind, ExprKind::Literal(Literal::Null)) {
                let error = Error::new(Code::Type, span, "a comparison with NULL is true of no row");
                return Err(error.hint("write x IS NULL or x IS NOT NULL"));
            }
        }
        let (a, b) = (self.expr(left, scope)?, self.expr(right, scope)?);
        let (distance, bound) = match operator {
            Comparison::Less | Comparison::LessEqual => (&a, &b),
            Comparison::Greater | Comparison::GreaterEqual => (&b, &a),
            Comparison::Equal | Comparison::NotEqual => return self.compare(operator, a, b, span),
        };
        if !super::sky::is_distance(distance) {
            return self.compare(operator, a, b, span);
        }
        let (distance, bound) = (distance.clone(), bound.clone());
        let exact = self.compare(operator, a, b, span)?;
        Ok(self.with_distance_index(&distance, &bound, exact, scope))
    }

    /// Two values that are compared, literals made what the other side is.
    fn pair(&mut self, left: &tree::Expr, right: &tree::Expr, scope: &Scope<'_>) -> Result<(Expr, Expr), Error> {
        let (a, b) = (self.expr(left, scope)?, self.expr(right, scope)?);
        matched(a, b, left.span.to(right.span))
    }

    pub fn compare(&self, operator: Comparison, a: Expr, b: Expr, span: Span) -> Result<Expr, Error> {
        let equality = matches!(operator, Comparison::Equal | Comparison::NotEqual);
        if equality && let Some(result) = truth_test(operator, &a, &b) {
            return Ok(result);
        }
        let (mut a, mut b) = matched(a, b, span)?;
        if equality {
            let real = |expr: &Expr| expr.ty == Type::Value(DataType::Real);
            if real(&a) && matches!(b.node, Node::Constant(_)) {
                b = b.cast(Type::Value(DataType::Real));
            } else if real(&b) && matches!(a.node, Node::Constant(_)) {
                a = a.cast(Type::Value(DataType::Real));
            }
        }
        Ok(Expr::condition(Node::Compare(operator, Box::new(a), Box::new(b))))
    }

    fn in_list(&mut self, operand: &tree::Expr, items: &[tree::Expr], negated: bool, span: Span, scope: &Scope<'_>) -> Result<Expr, Error> {
        let value = self.expr(operand, scope)?;
        if items.len() >= ARRAY_FROM
            && let Some(array) = literal_array(value.ty, items)
        {
            let element = if value.ty.is_number() && matches!(array, Constant::Doubles(_)) && value.ty != Type::Value(DataType::Real) {
                Type::Array(DataType::Double)
            } else {
                array_of(value.ty)
            };
            let array = Box::new(Expr::constant(array).cast(element));
            return Ok(Expr::condition(Node::InArray { operand: Box::new(value), array, negated }));
        }
        let mut operands = Vec::with_capacity(items.len());
        for item in items {
            let checked = self.expr(item, scope)?;
            let (_, mut other) = matched(value.clone(), checked, operand.span.to(item.span))?;
            if value.ty == Type::Value(DataType::Real) && matches!(other.node, Node::Constant(_)) {
                other = other.cast(value.ty);
            }
            operands.push(other);
        }
        if value.ty.is_geometry() {
            return Err(geometries_do_not_compare(span));
        }
        Ok(Expr::condition(Node::InList { operand: Box::new(value), items: operands, negated }))
    }

    fn cast(&mut self, operand: &tree::Expr, name: CastName, to: &CastType, scope: &Scope<'_>) -> Result<Expr, Error> {
        let ty = match name {
            CastName::Smallint => Type::Value(DataType::Smallint),
            CastName::Integer => Type::INTEGER,
            CastName::Bigint => Type::BIGINT,
            CastName::Real => Type::Value(DataType::Real),
            CastName::Double => Type::DOUBLE,
            CastName::Char | CastName::Varchar => Type::TEXT,
            CastName::Timestamp => Type::TIMESTAMP,
            CastName::Boolean => Type::BOOLEAN,
            CastName::Point | CastName::Circle | CastName::Polygon => return self.cast_geometry(operand, name, to.span, scope),
        };
        let value = self.expr(operand, scope)?;
        let about = About { unit: self.unit(&value).to_owned(), ucd: self.ucd(&value).to_owned(), ..About::default() };
        let refused = |what: Type| Err(Error::new(Code::Type, operand.span, format!("{} cannot be cast to that type", what.words())));
        let cast = match (value.ty, ty) {
            (Type::Null, _) => value.cast(ty),
            (Type::Value(from), Type::Value(into)) => match (from, into) {
                (DataType::Timestamp, DataType::Text) => Expr::new(Node::TimestampText(Box::new(value)), Type::TEXT),
                (DataType::Text, DataType::Timestamp) => text_to_timestamp(value, operand.span)?,
                (DataType::Timestamp, DataType::Timestamp) | (_, DataType::Text) | (DataType::Text, _) => value.cast(ty),
                (DataType::Timestamp, _) | (_, DataType::Timestamp) => return refused(value.ty),
                (DataType::Boolean, DataType::Boolean) => value,
                (DataType::Boolean, _) => value.cast(Type::INTEGER).cast(ty),
                (_, DataType::Boolean) => {
                    Expr::condition(Node::Compare(Comparison::NotEqual, Box::new(value), Box::new(Expr::constant(Constant::Integer(0)))))
                }
                _ => value.cast(ty),
            },
            (Type::Region, Type::Value(DataType::Text)) => value.cast(ty),
            (other, _) => return refused(other),
        };
        let cast = Expr { about, ..cast };
        match to.length {
            Some(length) if ty == Type::TEXT => {
                let length = length.min(1 << 20);
                let about = cast.about.clone();
                Ok(Expr { node: Node::Fit { operand: Box::new(cast), length, pad: name == CastName::Char }, ty, about })
            }
            _ => Ok(cast),
        }
    }

    fn case(
        &mut self,
        operand: Option<&tree::Expr>,
        arms: &[(tree::Expr, tree::Expr)],
        otherwise: Option<&tree::Expr>,
        span: Span,
        scope: &Scope<'_>,
    ) -> Result<Expr, Error> {
        let mut conditions = Vec::with_capacity(arms.len());
        let mut values = Vec::with_capacity(arms.len() + 1);
        for (when, then) in arms {
            conditions.push(match operand {
                Some(operand) => {
                    let (a, b) = (self.expr(operand, scope)?, self.expr(when, scope)?);
                    self.compare(Comparison::Equal, a, b, when.span)?
                }
                None => self.condition(when, scope)?,
            });
            values.push(self.expr(then, scope)?);
        }
        if let Some(otherwise) = otherwise {
            values.push(self.expr(otherwise, scope)?);
        }
        let about = self.common_about(&values);
        let mut values = self.unify(values, span)?;
        let ty = values.first().map_or(Type::Null, |value| value.ty);
        let otherwise = if otherwise.is_some() { values.pop().map(Box::new) } else { None };
        Ok(Expr { node: Node::Case { arms: conditions.into_iter().zip(values).collect(), otherwise }, ty, about })
    }

    /// The unit and UCD that all these values share, literals aside.
    pub fn common_about(&self, values: &[Expr]) -> About {
        let mut named = values.iter().filter(|value| !matches!(value.node, Node::Constant(_) | Node::Null | Node::Cast(_)));
        let Some(first) = named.next() else { return About::default() };
        let (unit, ucd) = (self.unit(first), self.ucd(first));
        let (same_unit, same_ucd) = named.fold((true, true), |(u, c), value| (u && self.unit(value) == unit, c && self.ucd(value) == ucd));
        let kept = |same: bool, text: &str| if same { text.to_owned() } else { String::new() };
        About { unit: kept(same_unit, unit), ucd: kept(same_ucd, ucd), ..About::default() }
    }

    /// The values as one type that holds all of them.
    pub fn unify(&self, values: Vec<Expr>, span: Span) -> Result<Vec<Expr>, Error> {
        let mut ty = Type::Null;
        for value in &values {
            ty = common_type(ty, value.ty).ok_or_else(|| {
                let message = format!("the values are of different types: {} and {}", ty.words(), value.ty.words());
                Error::new(Code::Type, span, message).hint("make them alike with CAST")
            })?;
        }
        let ty = if ty == Type::Null { Type::TEXT } else { ty };
        Ok(values.into_iter().map(|value| if value.ty == ty { value } else { value.cast(ty) }).collect())
    }

    /// Refuses an aggregate where none can stand, and notes it where one can.
    pub fn enter_aggregate(&self, name: &str, span: Span, scope: &Scope<'_>) -> Result<Clause, Error> {
        let clause = scope.clause.get();
        match clause {
            Clause::Select | Clause::Having | Clause::OrderBy => {
                scope.aggregated.set(true);
                scope.clause.set(Clause::Aggregate);
                Ok(clause)
            }
            Clause::Aggregate => Err(Error::new(Code::Grouping, span, format!("{name} stands inside an aggregate"))
                .hint("aggregate the inner one in a derived table: SELECT AVG(n) FROM (SELECT COUNT(*) AS n FROM ... GROUP BY ...) AS q")),
            Clause::Where | Clause::On | Clause::GroupBy => {
                let error = Error::new(Code::Grouping, span, format!("the aggregate {name} cannot stand in {}", clause.words()));
                Err(if clause == Clause::Where { error.hint("conditions on aggregates stand in HAVING") } else { error })
            }
        }
    }
}

/// The condition that an expression is: CONTAINS gives 1 or 0 and is one too.
pub fn as_condition(expr: Expr) -> Result<Expr, Expr> {
    match expr.node {
        Node::Truth(condition) => Ok(*condition),
        Node::Null => Ok(expr.cast(Type::BOOLEAN)),
        _ if expr.ty == Type::BOOLEAN => Ok(expr),
        _ => Err(expr),
    }
}

pub fn negate(condition: Expr) -> Expr {
    match condition.node {
        // the ranges of an index say nothing about what is outside
        Node::Indexed { exact, .. } => Expr::condition(Node::Not(exact)),
        _ => Expr::condition(Node::Not(Box::new(condition))),
    }
}

/// `1 = CONTAINS(...)`, `flag = 'true'`: a condition tested for a truth value.
fn truth_test(operator: Comparison, a: &Expr, b: &Expr) -> Option<Expr> {
    let test = |condition: &Expr, value: &Expr| {
        let condition = match &condition.node {
            Node::Truth(inner) => (**inner).clone(),
            _ if condition.ty == Type::BOOLEAN && !matches!(condition.node, Node::Constant(_)) => condition.clone(),
            _ => return None,
        };
        let wanted = truth_value(value)? == (operator == Comparison::Equal);
        Some(if wanted { condition } else { negate(condition) })
    };
    test(a, b).or_else(|| test(b, a)).or_else(|| match (&a.node, &b.node) {
        (Node::Truth(x), Node::Truth(y)) => Some(Expr::condition(Node::Compare(operator, x.clone(), y.clone()))),
        _ => None,
    })
}

fn truth_value(value: &Expr) -> Option<bool> {
    match &value.node {
        Node::Constant(Constant::Integer(1)) => Some(true),
        Node::Constant(Constant::Integer(0)) => Some(false),
        Node::Constant(Constant::Boolean(value)) => Some(*value),
        Node::Constant(Constant::Text(text)) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" => Some(true),
            "false" | "f" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Two sides of a comparison: NULLs and literals take the type of the other side.
fn matched(a: Expr, b: Expr, span: Span) -> Result<(Expr, Expr), Error> {
    comparable_or_literal(&a, &b, span)?;
    match (a.ty, b.ty) {
        (Type::Null, Type::Null) => Ok((a.cast(Type::TEXT), b.cast(Type::TEXT))),
        (Type::Null, ty) => Ok((a.cast(ty), b)),
        (ty, Type::Null) => Ok((a, b.cast(ty))),
        (Type::Value(DataType::Timestamp), Type::Value(DataType::Text)) => Ok((a, text_to_timestamp(b, span)?)),
        (Type::Value(DataType::Text), Type::Value(DataType::Timestamp)) => Ok((text_to_timestamp(a, span)?, b)),
        _ => Ok((a, b)),
    }
}

fn comparable_or_literal(a: &Expr, b: &Expr, span: Span) -> Result<(), Error> {
    let text = Type::Value(DataType::Text);
    let is_date = |x: &Expr, y: &Expr| x.ty == Type::TIMESTAMP && y.ty == text && matches!(y.node, Node::Constant(_));
    if is_date(a, b) || is_date(b, a) { Ok(()) } else { comparable(a.ty, b.ty, span) }
}

fn comparable(a: Type, b: Type, span: Span) -> Result<(), Error> {
    if a.is_geometry() && a != Type::Region || b.is_geometry() && b != Type::Region {
        return Err(geometries_do_not_compare(span));
    }
    if matches!(a, Type::Array(_)) || matches!(b, Type::Array(_)) {
        return Err(Error::new(Code::Type, span, "arrays cannot be compared"));
    }
    if common_type(a, b).is_some() {
        return Ok(());
    }
    let error = Error::new(Code::Type, span, format!("{} cannot be compared with {}", a.words(), b.words()));
    let has = |ty: Type| a == ty || b == ty;
    Err(match () {
        () if has(Type::TEXT) && has(Type::TIMESTAMP) => error.hint("turn the string into a timestamp with CAST(... AS TIMESTAMP)"),
        () if has(Type::TEXT) && has(Type::BOOLEAN) => error.hint("write 'true' or 'false'"),
        () if has(Type::TEXT) => error.hint("write the number without quotes, or turn the number into a string with CAST(... AS VARCHAR)"),
        () => error,
    })
}

fn geometries_do_not_compare(span: Span) -> Error {
    Error::new(Code::Type, span, "geometries cannot be compared").hint("ask CONTAINS(...), INTERSECTS(...) or DISTANCE(...)")
}

/// The type that holds both, if there is one.
pub fn common_type(a: Type, b: Type) -> Option<Type> {
    match (a, b) {
        (a, b) if a == b => Some(a),
        (Type::Null, other) | (other, Type::Null) => Some(other),
        (Type::Region, Type::Value(DataType::Text)) | (Type::Value(DataType::Text), Type::Region) => Some(Type::TEXT),
        (a, b) if a.is_number() && b.is_number() => Some(promote(a, b)),
        _ => None,
    }
}

/// The type of an arithmetic operation in PostgreSQL.
fn promote(a: Type, b: Type) -> Type {
    let rank = |ty: Type| match ty {
        Type::Value(DataType::Smallint) => 0,
        Type::Value(DataType::Integer) => 1,
        _ => 2,
    };
    match (a, b) {
        (Type::Null, Type::Null) => Type::DOUBLE,
        (Type::Null, other) | (other, Type::Null) => other,
        (a, b) if a.is_whole() && b.is_whole() => {
            if rank(a) >= rank(b) {
                a
            } else {
                b
            }
        }
        (Type::Value(DataType::Real), Type::Value(DataType::Real)) => a,
        _ => Type::DOUBLE,
    }
}

fn binds(operator: BinaryOperator) -> u8 {
    match operator {
        BinaryOperator::Add | BinaryOperator::Subtract => 0,
        BinaryOperator::Multiply | BinaryOperator::Divide => 1,
        BinaryOperator::Concatenate => 2,
    }
}

fn concatenate(left: Expr, right: Expr) -> Expr {
    match left.node {
        Node::Chain(first, mut rest) if rest.last().is_some_and(|(last, _)| *last == BinaryOperator::Concatenate) => {
            rest.push((BinaryOperator::Concatenate, right));
            Expr::new(Node::Chain(first, rest), Type::TEXT)
        }
        node => {
            let left = Expr { node, ..left };
            Expr::new(Node::Chain(Box::new(left), vec![(BinaryOperator::Concatenate, right)]), Type::TEXT)
        }
    }
}

fn constant(literal: &Literal, span: Span) -> Result<Expr, Error> {
    let value = match literal {
        Literal::Null => return Ok(Expr::new(Node::Null, Type::Null)),
        Literal::Boolean(value) => Constant::Boolean(*value),
        Literal::String(text) => Constant::Text(checked_text(text, span)?),
        Literal::Timestamp(text) => Constant::Timestamp(timestamp::parse(text).map_err(|message| Error::new(Code::Type, span, message))?),
        Literal::Integer(digits) => match digits.parse::<i64>() {
            Ok(value) => i32::try_from(value).map_or(Constant::Bigint(value), Constant::Integer),
            Err(_) => finite(digits, span)?,
        },
        Literal::Decimal(text) => finite(text, span)?,
    };
    Ok(Expr::constant(value))
}

fn finite(text: &str, span: Span) -> Result<Constant, Error> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
    value.map(Constant::Double).ok_or_else(|| Error::new(Code::Number, span, "this number is beyond double precision"))
}

/// PostgreSQL's strings hold every character but NUL.
fn checked_text(text: &str, span: Span) -> Result<String, Error> {
    if text.contains('\0') {
        return Err(Error::new(Code::Character, span, "a string cannot hold the character NUL"));
    }
    Ok(text.to_owned())
}

pub fn text_to_timestamp(expr: Expr, span: Span) -> Result<Expr, Error> {
    match &expr.node {
        Node::Constant(Constant::Text(text)) => {
            let micros = timestamp::parse(text).map_err(|message| Error::new(Code::Type, span, message))?;
            Ok(Expr { about: expr.about.clone(), ..Expr::constant(Constant::Timestamp(micros)) })
        }
        _ => Ok(expr.cast(Type::TIMESTAMP)),
    }
}

fn escape_character(escape: &tree::Expr) -> Result<Expr, Error> {
    match &escape.kind {
        ExprKind::Literal(Literal::String(text)) if text.chars().count() == 1 && text != "\0" => {
            Ok(Expr::constant(Constant::Text(text.clone())))
        }
        _ => Err(Error::new(Code::Arguments, escape.span, "ESCAPE takes a string of one character")),
    }
}

/// A list of literals as one array, if all are numbers for a number, or strings for a string.
fn literal_array(ty: Type, items: &[tree::Expr]) -> Option<Constant> {
    let signed = |item: &tree::Expr| -> Option<(bool, Literal)> {
        match &item.kind {
            ExprKind::Literal(literal) => Some((false, literal.clone())),
            ExprKind::Unary { operator, operand } => match &operand.kind {
                ExprKind::Literal(literal @ (Literal::Integer(_) | Literal::Decimal(_))) => {
                    Some((*operator == UnaryOperator::Minus, literal.clone()))
                }
                _ => None,
            },
            _ => None,
        }
    };
    match ty {
        Type::Value(DataType::Text) => {
            let text = |item: &tree::Expr| match &item.kind {
                ExprKind::Literal(Literal::String(text)) if !text.contains('\0') => Some(text.clone()),
                _ => None,
            };
            items.iter().map(text).collect::<Option<Vec<String>>>().map(Constant::Texts)
        }
        ty if ty.is_whole() => {
            let whole = |item: &tree::Expr| match signed(item)? {
                (minus, Literal::Integer(digits)) => digits.parse::<i64>().ok().map(|n| if minus { -n } else { n }),
                _ => None,
            };
            items.iter().map(whole).collect::<Option<Vec<i64>>>().map(Constant::Bigints).or_else(|| doubles(items, signed))
        }
        ty if ty.is_number() => doubles(items, signed),
        _ => None,
    }
}

fn doubles(items: &[tree::Expr], signed: impl Fn(&tree::Expr) -> Option<(bool, Literal)>) -> Option<Constant> {
    let double = |item: &tree::Expr| match signed(item)? {
        (minus, Literal::Integer(text) | Literal::Decimal(text)) => {
            text.parse::<f64>().ok().filter(|x| x.is_finite()).map(|x| if minus { -x } else { x })
        }
        _ => None,
    };
    items.iter().map(double).collect::<Option<Vec<f64>>>().map(Constant::Doubles)
}

/// The array type of an IN list for a value: integers of any width are asked for as `int8`, for which the index serves too.
fn array_of(ty: Type) -> Type {
    match ty {
        Type::Value(DataType::Smallint | DataType::Integer | DataType::Bigint) => Type::Array(DataType::Bigint),
        Type::Value(datatype) => Type::Array(datatype),
        _ => Type::Array(DataType::Text),
    }
}

/// The number that a value always is, if it is made of literals only; integers are divided as integers.
pub fn number(expr: &Expr) -> Option<f64> {
    match fold(expr)? {
        Number::Whole(n) => Some(n as f64),
        Number::Real(x) => Some(x),
    }
}

#[derive(Clone, Copy)]
enum Number {
    Whole(i64),
    Real(f64),
}

fn fold(expr: &Expr) -> Option<Number> {
    let real = |number: Number| match number {
        Number::Whole(n) => n as f64,
        Number::Real(x) => x,
    };
    match &expr.node {
        Node::Constant(Constant::Integer(n)) => Some(Number::Whole(i64::from(*n))),
        Node::Constant(Constant::Bigint(n)) => Some(Number::Whole(*n)),
        Node::Constant(Constant::Double(x)) => Some(Number::Real(*x)),
        Node::Negate(operand) => Some(match fold(operand)? {
            Number::Whole(n) => Number::Whole(n.checked_neg()?),
            Number::Real(x) => Number::Real(-x),
        }),
        Node::Cast(operand) if expr.ty == Type::DOUBLE => Some(Number::Real(real(fold(operand)?))),
        Node::Call { function, arguments, .. } => match (function.name, arguments.as_slice()) {
            ("pi", []) => Some(Number::Real(std::f64::consts::PI)),
            ("degrees", [x]) => Some(Number::Real(real(fold(x)?).to_degrees())),
            ("radians", [x]) => Some(Number::Real(real(fold(x)?).to_radians())),
            _ => None,
        },
        Node::Chain(first, rest) => rest.iter().try_fold(fold(first)?, |left, (operator, right)| step(left, *operator, fold(right)?)),
        _ => None,
    }
}

fn step(left: Number, operator: BinaryOperator, right: Number) -> Option<Number> {
    if let (Number::Whole(a), Number::Whole(b)) = (left, right) {
        return match operator {
            BinaryOperator::Add => a.checked_add(b),
            BinaryOperator::Subtract => a.checked_sub(b),
            BinaryOperator::Multiply => a.checked_mul(b),
            BinaryOperator::Divide => a.checked_div(b),
            BinaryOperator::Concatenate => None,
        }
        .map(Number::Whole);
    }
    let real = |number: Number| match number {
        Number::Whole(n) => n as f64,
        Number::Real(x) => x,
    };
    let (a, b) = (real(left), real(right));
    let value = match operator {
        BinaryOperator::Add => a + b,
        BinaryOperator::Subtract => a - b,
        BinaryOperator::Multiply => a * b,
        BinaryOperator::Divide => a / b,
        BinaryOperator::Concatenate => return None,
    };
    value.is_finite().then_some(Number::Real(value))
}
