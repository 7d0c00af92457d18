//! Calls of functions: which form fits, its arguments made what it wants, unit and UCD of the result.

use super::Checker;
use super::expr::{as_condition, number, text_to_timestamp};
use crate::adql::catalogue::nearest;
use crate::adql::checked::{About, Constant, Expr, Node, Type};
use crate::adql::error::{Code, Error};
use crate::adql::function::{self, Function, Gives, UcdRule, UnitRule, Want};
use crate::adql::scope::Scope;
use crate::adql::tree::{self, Arguments, Name, Span};
use crate::adql::{geometry, timestamp, units};
use crate::schema::DataType;

/// What users of SQL write, and what it is called here.
const KNOWN_ELSEWHERE: [(&str, &str); 14] = [
    ("ifnull", "COALESCE(a, b)"),
    ("isnull", "x IS NULL, or COALESCE(a, b)"),
    ("nvl", "COALESCE(a, b)"),
    ("random", "RAND()"),
    ("trunc", "TRUNCATE(x, n)"),
    ("pow", "POWER(x, y)"),
    ("len", "LENGTH(s)"),
    ("char_length", "LENGTH(s)"),
    ("substr", "SUBSTRING(s, start, length)"),
    ("log2", "LOG(x) / LOG(2)"),
    ("stdev", "STDDEV(x)"),
    ("percentile_cont", "PERCENTILE(x, 0.5)"),
    ("sindist", "DISTANCE(lon1, lat1, lon2, lat2)"),
    ("concat", "a || b"),
];

impl Checker<'_> {
    pub fn call(&mut self, name: &Name, arguments: &Arguments, span: Span, scope: &Scope<'_>) -> Result<Expr, Error> {
        let lower = name.text.to_ascii_lowercase();
        if let Some(expr) = self.sky_call(&lower, arguments, span, scope)? {
            return Ok(expr);
        }
        let forms = function::forms(&lower);
        let Some(first) = forms.first() else { return Err(unknown(name)) };
        let (distinct, items) = match arguments {
            Arguments::All if lower == "count" => {
                let outer = self.enter_aggregate("COUNT", span, scope)?;
                scope.clause.set(outer);
                let about = About { ucd: "meta.number".into(), ..About::default() };
                return Ok(Expr { node: Node::CountAll, ty: Type::BIGINT, about });
            }
            Arguments::All => return Err(Error::new(Code::Arguments, span, format!("only COUNT takes *, {} does not", name.text))),
            Arguments::List { distinct, items } => (*distinct, items),
        };
        let aggregate = first.class.is_aggregate();
        if distinct && (!aggregate || first.sql.contains("WITHIN")) {
            return Err(Error::new(Code::Arguments, span, format!("{} takes no DISTINCT", name.text)));
        }
        let outer = if aggregate { Some(self.enter_aggregate(&name.text.to_uppercase(), span, scope)?) } else { None };
        let values = items.iter().map(|item| self.expr(item, scope)).collect::<Result<Vec<_>, Error>>();
        if let Some(outer) = outer {
            scope.clause.set(outer);
        }
        let values = values?;
        let form = choose(&forms, &values, items, span, name)?;
        self.apply(form, values, distinct, span, scope)
    }

    fn apply(&self, form: &'static Function, values: Vec<Expr>, distinct: bool, span: Span, scope: &Scope<'_>) -> Result<Expr, Error> {
        if let Some(lowered) = self.q3c_call(form, &values, span, scope)? {
            return Ok(lowered);
        }
        let mut arguments = Vec::with_capacity(values.len());
        for (i, value) in values.into_iter().enumerate() {
            arguments.push(prepare(want(form, i), value, span)?);
        }
        if form.arguments.iter().any(|(_, want)| matches!(want, Want::Same | Want::WholeSame)) {
            arguments = self.unify(arguments, span)?;
        }
        let about = self.about(form, &arguments);
        let first = arguments.first().map_or(Type::DOUBLE, |argument| argument.ty);
        let call = Node::Call { function: form, arguments, distinct };
        Ok(match form.gives {
            Gives::Type(ty) => Expr { node: call, ty, about },
            Gives::First => Expr { node: call, ty: first, about },
            Gives::Truth => Expr { node: Node::Truth(Box::new(Expr::condition(call))), ty: Type::INTEGER, about },
        })
    }

    fn about(&self, form: &Function, arguments: &[Expr]) -> About {
        let Some(first) = arguments.first() else { return About::default() };
        let shared = if form.repeats { self.common_about(arguments) } else { About::default() };
        let (first_unit, first_ucd) =
            if form.repeats { (shared.unit.as_str(), shared.ucd.as_str()) } else { (self.unit(first), self.ucd(first)) };
        let exponent = || {
            // powers of a unit are fractions; 1/12 is fine enough for all that occur
            let twelfths = number(arguments.get(1)?)? * 12.0;
            (twelfths.fract() == 0.0 && twelfths.abs() < 1000.0).then_some(twelfths as i32)
        };
        let unit = match form.unit {
            UnitRule::None => None,
            UnitRule::First => Some(first_unit.to_owned()),
            UnitRule::Is(unit) => Some(unit.to_owned()),
            UnitRule::Power(numerator, denominator) => units::power(first_unit, numerator, denominator),
            UnitRule::Exponent => exponent().and_then(|twelfths| units::power(first_unit, twelfths, 12)),
        };
        let ucd = match form.ucd {
            UcdRule::None => String::new(),
            UcdRule::First => first_ucd.to_owned(),
            UcdRule::Is(ucd) => ucd.to_owned(),
            // `meta.main` says that this is the column for its quantity, which a statistic of it is not
            UcdRule::Prefix(word) => match first_ucd.trim_end_matches(";meta.main") {
                "" => word.to_owned(),
                ucd => format!("{word};{ucd}"),
            },
        };
        About { unit: unit.unwrap_or_default(), ucd, ..About::default() }
    }

    /// `IN_UNIT(x, 'unit')`
    pub fn in_unit(&mut self, items: &[tree::Expr], span: Span, scope: &Scope<'_>) -> Result<Expr, Error> {
        let [operand, target] = items else {
            return Err(Error::new(Code::Arguments, span, "IN_UNIT takes a value and a unit: IN_UNIT(x, 'mas')"));
        };
        let tree::ExprKind::Literal(tree::Literal::String(unit)) = &target.kind else {
            return Err(Error::new(Code::Arguments, target.span, "the unit is a string: IN_UNIT(x, 'mas')"));
        };
        crate::schema::unit::check(unit).map_err(|message| Error::new(Code::Type, target.span, message))?;
        let value = self.expr(operand, scope)?;
        if !value.ty.is_number() {
            return Err(Error::new(Code::Type, operand.span, format!("only numbers have units, this is {}", value.ty.words())));
        }
        let from = self.unit(&value).to_owned();
        let Some(factor) = units::conversion(&from, unit) else {
            let message = match from.as_str() {
                "" => format!("the unit of this value is not known, so it cannot be given in {unit}"),
                from => format!("{from} cannot be converted to {unit}"),
            };
            return Err(Error::new(Code::Type, span, message));
        };
        let about = About { unit: unit.clone(), ucd: self.ucd(&value).to_owned(), ..About::default() };
        let value = value.cast(Type::DOUBLE);
        let node = match factor {
            1.0 => value.node,
            factor => Node::Chain(Box::new(value), vec![(tree::BinaryOperator::Multiply, Expr::double(factor))]),
        };
        Ok(Expr { node, ty: Type::DOUBLE, about })
    }
}

/// What the i-th argument must be.
fn want(form: &Function, i: usize) -> Want {
    form.arguments.get(i).or(form.arguments.last()).map_or(Want::Any, |(_, want)| *want)
}

/// The first form that takes these arguments.
fn choose(forms: &[&'static Function], values: &[Expr], items: &[tree::Expr], span: Span, name: &Name) -> Result<&'static Function, Error> {
    let counts = |form: &&&'static Function| {
        let needed = form.arguments.len();
        values.len() == needed || (form.repeats && values.len() > needed)
    };
    let fitting: Vec<&&'static Function> = forms.iter().filter(counts).collect();
    let takes = |form: &Function| values.iter().enumerate().position(|(i, value)| !fits(want(form, i), value));
    if let Some(form) = fitting.iter().find(|form| takes(form).is_none()) {
        return Ok(form);
    }
    let written: Vec<String> = forms.iter().map(|form| form.form()).collect();
    let Some(form) = fitting.last() else {
        let message = format!("{} does not take {} arguments", name.text.to_uppercase(), values.len());
        return Err(Error::new(Code::Arguments, span, message).hint(format!("write {}", written.join(", or "))));
    };
    let i = takes(form).unwrap_or(0);
    let message =
        format!("argument {} of {} is {}, this is {}", i + 1, name.text.to_uppercase(), want(form, i).words(), values[i].ty.words());
    let error = Error::new(Code::Type, items.get(i).map_or(span, |item| item.span), message);
    Err(error.hint(format!("write {}", written.join(", or "))))
}

fn fits(want: Want, value: &Expr) -> bool {
    let ty = value.ty;
    if ty == Type::Null {
        return true;
    }
    match want {
        Want::Double | Want::Angle | Want::Number => ty.is_number(),
        Want::Integer | Want::Int | Want::Whole | Want::WholeSame => ty.is_whole(),
        Want::Text => matches!(ty, Type::Value(DataType::Text) | Type::Region),
        Want::Timestamp => match &value.node {
            Node::Constant(Constant::Text(text)) => timestamp::parse(text).is_ok(),
            _ => ty == Type::TIMESTAMP,
        },
        Want::Boolean => ty == Type::BOOLEAN || matches!(value.node, Node::Truth(_)),
        Want::Point => ty == Type::Point,
        Want::Circle => ty == Type::Circle,
        Want::Polygon => ty == Type::Polygon,
        Want::Shape => matches!(ty, Type::Point | Type::Circle | Type::Polygon),
        Want::Any | Want::Same => matches!(ty, Type::Value(_) | Type::Region),
        Want::Ordered => matches!(ty, Type::Value(datatype) if datatype != DataType::Boolean),
    }
}

/// The argument in the type that the SQL gets.
fn prepare(want: Want, value: Expr, span: Span) -> Result<Expr, Error> {
    let null_as = |value: Expr, ty: Type| if value.ty == Type::Null { value.cast(ty) } else { value };
    Ok(match want {
        Want::Double => value.cast(Type::DOUBLE),
        Want::Angle if value.ty == Type::Value(DataType::Real) => value,
        Want::Angle => value.cast(Type::DOUBLE),
        Want::Integer => value.cast(Type::BIGINT),
        Want::Int => value.cast(Type::INTEGER),
        Want::Whole => null_as(value, Type::BIGINT),
        Want::Number => null_as(value, Type::DOUBLE),
        Want::Text | Want::Any | Want::Ordered => null_as(value, Type::TEXT),
        Want::Timestamp => text_to_timestamp(value, span)?.cast(Type::TIMESTAMP),
        Want::Boolean => as_condition(value).unwrap_or_else(|other| other),
        Want::Point => null_as(value, Type::Point),
        Want::Circle => null_as(value, Type::Circle),
        Want::Polygon | Want::Shape => null_as(value, Type::Polygon),
        Want::Same | Want::WholeSame => value,
    })
}

fn unknown(name: &Name) -> Error {
    let error = Error::new(Code::UnknownFunction, name.span, format!("there is no function {}", name.text));
    if let Some((_, here)) = KNOWN_ELSEWHERE.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name.text)) {
        return error.hint(format!("write {here}"));
    }
    let names = function::all().map(|function| function.name).chain(geometry::FORMS.iter().map(|form| form.name));
    match nearest(&name.text, names).as_slice() {
        [] => error.hint("the service's capabilities list the functions"),
        near => error.hint(format!("is it {}?", near.join(" or ").to_uppercase())),
    }
}
