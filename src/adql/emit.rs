//! SQL from the checked query, and from nothing else.
//!
//! Names come from the catalogue and are quoted there, or are made here (`t1` for sources, `c1` for their columns, `w1` for
//! common tables); functions are the templates of the list; what the user typed as a value is a parameter with its type.
//! Numbers that this program computed (ranges of pixels, a polygon's projection, row counts) stand as literals.

use super::catalogue::Catalogue;
use super::checked::{Body, ColumnName, Constant, Expr, From, Node, Position, Query, Select, Sky, Sort, SortKey, Type};
use super::tree::{BinaryOperator, Comparison, JoinKind, SetOperator};
use crate::schema::Table;
use crate::schema::ddl::quote;
use crate::sky::reach::STEPS;
use std::collections::HashMap;
use std::fmt::Write;

/// What the bounds of an outline are along.
const AXES: [&str; 3] = ["x", "y", "z"];

/// The most parameters of a statement in PostgreSQL's protocol.
pub const MOST_PARAMETERS: usize = 65_535;

/// SQL and its parameters, `$1` first.
pub struct Emitted {
    pub sql: String,
    pub parameters: Vec<Constant>,
}

/// The statement of a query whose columns are called as given; `row_limit` is put around the whole.
pub fn emit(query: &Query, names: &[String], catalogue: &Catalogue, row_limit: Option<u64>) -> Emitted {
    let mut writer = Writer { sql: String::with_capacity(256), parameters: Vec::new(), numbers: HashMap::new(), catalogue };
    let limit = [query.limit, row_limit].into_iter().flatten().min();
    writer.query(query, &Naming::Answer(names), limit);
    Emitted { sql: writer.sql, parameters: writer.parameters }
}

/// How the columns of a SELECT are called.
enum Naming<'n> {
    /// By the names of the answer, as far as PostgreSQL can hold them.
    Answer(&'n [String]),
    /// `c1`, `c2`, ...
    Numbered,
    /// Not at all: the select list of EXISTS, IN, a scalar subquery.
    None,
}

struct Writer<'c> {
    sql: String,
    parameters: Vec<Constant>,
    /// The same literal is the same parameter, so that GROUP BY knows its expressions again.
    numbers: HashMap<(u8, Vec<u8>), usize>,
    catalogue: &'c Catalogue,
}

impl Writer<'_> {
    fn push(&mut self, text: &str) {
        self.sql.push_str(text);
    }

    fn query(&mut self, query: &Query, naming: &Naming<'_>, limit: Option<u64>) {
        for (i, (number, common)) in query.with.iter().enumerate() {
            self.push(if i == 0 { "WITH " } else { ", " });
            let _ = write!(self.sql, "w{number} AS (");
            self.query(common, &Naming::Numbered, common.limit);
            self.push(if i + 1 == query.with.len() { ") " } else { ")" });
        }
        self.body(&query.body, naming);
        self.order(&query.order);
        if let Some(limit) = limit {
            let _ = write!(self.sql, " LIMIT {limit}");
        }
        if let Some(offset) = query.offset {
            let _ = write!(self.sql, " OFFSET {offset}");
        }
    }

    fn order(&mut self, order: &[Sort]) {
        for (i, sort) in order.iter().enumerate() {
            self.push(if i == 0 { " ORDER BY " } else { ", " });
            match &sort.key {
                SortKey::Output(position) => {
                    let _ = write!(self.sql, "{}", position + 1);
                }
                SortKey::Expr(expr) => self.expr(expr),
            }
            self.push(if sort.descending { " DESC" } else { "" });
            self.push(match sort.nulls_first {
                None => "",
                Some(true) => " NULLS FIRST",
                Some(false) => " NULLS LAST",
            });
        }
    }

    fn body(&mut self, body: &Body, naming: &Naming<'_>) {
        match body {
            Body::Select(select) => self.select(select, naming),
            Body::Nested(query) => {
                self.push("(");
                self.query(query, naming, query.limit);
                self.push(")");
            }
            Body::Set { first, rest } => {
                self.operand(first, naming);
                for (operator, all, body) in rest {
                    self.push(match operator {
                        SetOperator::Union => " UNION ",
                        SetOperator::Except => " EXCEPT ",
                        SetOperator::Intersect => " INTERSECT ",
                    });
                    self.push(if *all { "ALL " } else { "" });
                    self.operand(body, naming);
                }
            }
        }
    }

    /// An operand of a set operation, in brackets.
    fn operand(&mut self, body: &Body, naming: &Naming<'_>) {
        if let Body::Nested(_) = body {
            return self.body(body, naming);
        }
        self.push("(");
        self.body(body, naming);
        if let Body::Select(select) = body
            && let Some(top) = select.top
        {
            let _ = write!(self.sql, " LIMIT {top}");
        }
        self.push(")");
    }

    fn select(&mut self, select: &Select, naming: &Naming<'_>) {
        self.push(if select.distinct { "SELECT DISTINCT " } else { "SELECT " });
        for (i, item) in select.items.iter().enumerate() {
            self.push(if i == 0 { "" } else { ", " });
            self.item(item, i, naming);
        }
        for (i, from) in select.from.iter().enumerate() {
            self.push(if i == 0 { " FROM " } else { ", " });
            self.from(from);
        }
        if let Some(filter) = &select.filter {
            self.push(" WHERE ");
            self.expr(filter);
        }
        for (i, key) in select.group_by.iter().enumerate() {
            self.push(if i == 0 { " GROUP BY " } else { ", " });
            self.group_key(key);
        }
        if let Some(having) = &select.having {
            self.push(" HAVING ");
            self.expr(having);
        }
    }

    /// A selected value, of exactly the type that was promised.
    fn item(&mut self, item: &Expr, i: usize, naming: &Naming<'_>) {
        let is_plain = matches!(item.node, Node::Column { .. } | Node::Constant(_) | Node::CountAll | Node::Cast(_));
        match item.ty.postgres() {
            Some(ty) if !is_plain => {
                self.push("(");
                self.expr(item);
                let _ = write!(self.sql, ")::{ty}");
            }
            Some(_) => self.expr(item),
            None => self.push("NULL::text"),
        }
        match naming {
            Naming::None => {}
            Naming::Numbered => {
                let _ = write!(self.sql, " AS c{}", i + 1);
            }
            Naming::Answer(names) => match names.get(i) {
                Some(name) if is_short(name) => {
                    let _ = write!(self.sql, " AS {}", quote(name));
                }
                _ => {
                    let _ = write!(self.sql, " AS c{}", i + 1);
                }
            },
        }
    }

    /// A constant in GROUP BY would be a position: as an expression it is none.
    fn group_key(&mut self, key: &Expr) {
        if matches!(key.node, Node::Null) { self.push("NULL::text") } else { self.expr(key) }
    }

    fn from(&mut self, from: &From) {
        match from {
            From::Relation { relation, source } => {
                let sql = &self.catalogue.relation(*relation).sql;
                let _ = write!(self.sql, "{sql} AS t{source}");
            }
            From::Common { with, source } => {
                let _ = write!(self.sql, "w{with} AS t{source}");
            }
            From::Derived { query, source } => {
                self.push("(");
                self.query(query, &Naming::Numbered, query.limit);
                let _ = write!(self.sql, ") AS t{source}");
            }
            From::Joins { first, joins } => {
                self.push("(");
                self.from(first);
                for join in joins {
                    self.push(match join.kind {
                        JoinKind::Inner => " JOIN ",
                        JoinKind::Left => " LEFT JOIN ",
                        JoinKind::Right => " RIGHT JOIN ",
                        JoinKind::Full => " FULL JOIN ",
                        JoinKind::Cross => " CROSS JOIN ",
                    });
                    self.from(&join.source);
                    if let Some(on) = &join.on {
                        self.push(" ON ");
                        self.expr(on);
                    }
                }
                self.push(")");
            }
        }
    }

    /// A whole query where a value or a table of one column is due.
    fn subquery(&mut self, query: &Query) {
        self.push("(");
        self.query(query, &Naming::None, query.limit);
        self.push(")");
    }

    /// An expression in brackets, where it needs them.
    fn operand_of(&mut self, expr: &Expr) {
        let needs = !matches!(
            expr.node,
            Node::Column { .. } | Node::Constant(_) | Node::Null | Node::CountAll | Node::Scalar(_) | Node::Case { .. } | Node::Merged(_)
        );
        self.push(if needs { "(" } else { "" });
        self.expr(expr);
        self.push(if needs { ")" } else { "" });
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.node {
            Node::Null => {
                self.push("NULL");
                if let Some(ty) = expr.ty.postgres() {
                    let _ = write!(self.sql, "::{ty}");
                }
            }
            Node::Constant(value) => self.parameter(value, expr.ty),
            Node::Column { source, name } => self.column(*source, name),
            Node::Cast(operand) => {
                self.operand_of(operand);
                let _ = write!(self.sql, "::{}", expr.ty.postgres().unwrap_or("text"));
            }
            Node::Negate(operand) => {
                self.push("- ");
                self.operand_of(operand);
            }
            Node::Chain(first, rest) => {
                self.operand_of(first);
                for (operator, operand) in rest {
                    self.push(match operator {
                        BinaryOperator::Add => " + ",
                        BinaryOperator::Subtract => " - ",
                        BinaryOperator::Multiply => " * ",
                        BinaryOperator::Divide => " / ",
                        BinaryOperator::Concatenate => " || ",
                    });
                    self.operand_of(operand);
                }
            }
            Node::Call { function, arguments, distinct } => self.template(function.sql, arguments, *distinct),
            Node::CountAll => self.push("count(*)"),
            Node::Case { arms, otherwise } => {
                self.push("CASE");
                for (when, then) in arms {
                    self.push(" WHEN ");
                    self.expr(when);
                    self.push(" THEN ");
                    self.expr(then);
                }
                if let Some(otherwise) = otherwise {
                    self.push(" ELSE ");
                    self.expr(otherwise);
                }
                self.push(" END");
            }
            Node::Scalar(query) => self.subquery(query),
            Node::Truth(condition) => {
                self.operand_of(condition);
                self.push("::int4");
            }
            Node::Merged(all) => {
                self.push("coalesce(");
                self.list(all);
                self.push(")");
            }
            Node::TimestampText(operand) => {
                self.push("replace(");
                self.operand_of(operand);
                self.push("::text, ' ', 'T')");
            }
            Node::Fit { operand, length, pad } => {
                self.push(if *pad { "rpad(" } else { "left(" });
                self.expr(operand);
                let _ = write!(self.sql, ", {length})");
            }
            Node::Numbers(all) => self.numbers(all),
            Node::Element(array, n) => {
                self.push("(");
                self.expr(array);
                let _ = write!(self.sql, ")[{n}]");
            }
            Node::Sky(sky) => self.sky(sky),
            _ => self.condition(&expr.node),
        }
    }

    fn condition(&mut self, node: &Node) {
        match node {
            Node::Compare(operator, left, right) => {
                self.operand_of(left);
                self.push(match operator {
                    Comparison::Equal => " = ",
                    Comparison::NotEqual => " <> ",
                    Comparison::Less => " < ",
                    Comparison::LessEqual => " <= ",
                    Comparison::Greater => " > ",
                    Comparison::GreaterEqual => " >= ",
                });
                self.operand_of(right);
            }
            Node::And(all) => self.joined(all, " AND "),
            Node::Or(all) => self.joined(all, " OR "),
            Node::Not(operand) => {
                self.push("NOT ");
                self.operand_of(operand);
            }
            Node::IsNull { operand, negated } => {
                self.operand_of(operand);
                self.push(if *negated { " IS NOT NULL" } else { " IS NULL" });
            }
            Node::IsTruth { operand, value, negated } => {
                self.operand_of(operand);
                self.push(if *negated { " IS NOT " } else { " IS " });
                self.push(if *value { "TRUE" } else { "FALSE" });
            }
            Node::Between { operand, low, high, negated } => {
                self.operand_of(operand);
                self.push(if *negated { " NOT BETWEEN " } else { " BETWEEN " });
                self.operand_of(low);
                self.push(" AND ");
                self.operand_of(high);
            }
            Node::InArray { operand, array, negated } => {
                self.operand_of(operand);
                self.push(if *negated { " <> ALL (" } else { " = ANY (" });
                self.expr(array);
                self.push(")");
            }
            Node::InList { operand, items, negated } => {
                self.operand_of(operand);
                self.push(if *negated { " NOT IN (" } else { " IN (" });
                self.list(items);
                self.push(")");
            }
            Node::InQuery { operand, query, negated } => {
                self.operand_of(operand);
                self.push(if *negated { " NOT IN " } else { " IN " });
                self.subquery(query);
            }
            Node::Like { operand, pattern, escape, ignore_case, negated } => {
                self.operand_of(operand);
                self.push(if *negated { " NOT" } else { "" });
                self.push(if *ignore_case { " ILIKE " } else { " LIKE " });
                self.operand_of(pattern);
                self.push(" ESCAPE ");
                match escape {
                    Some(escape) => self.expr(escape),
                    None => self.push("''"),
                }
            }
            Node::Exists(query) => {
                self.push("EXISTS ");
                self.subquery(query);
            }
            Node::Indexed { index, exact } => {
                self.operand_of(index);
                self.push(" AND ");
                self.operand_of(exact);
            }
            // every other node is a value
            _ => {}
        }
    }

    fn joined(&mut self, all: &[Expr], word: &str) {
        for (i, one) in all.iter().enumerate() {
            self.push(if i == 0 { "" } else { word });
            self.operand_of(one);
        }
    }

    fn list(&mut self, all: &[Expr]) {
        for (i, one) in all.iter().enumerate() {
            self.push(if i == 0 { "" } else { ", " });
            self.expr(one);
        }
    }

    fn column(&mut self, source: usize, name: &ColumnName) {
        match name {
            ColumnName::Catalogue(origin) => {
                let column = &self.catalogue.relation(origin.relation).table.columns[origin.column].name;
                let _ = write!(self.sql, "t{source}.{}", quote(column));
            }
            ColumnName::Output(i) => {
                let _ = write!(self.sql, "t{source}.c{}", i + 1);
            }
        }
    }

    /// A literal as `$n` with the type that it travels in, and a cast to the type that it is wanted in.
    fn parameter(&mut self, value: &Constant, ty: Type) {
        let own = match value {
            Constant::Boolean(_) => "bool",
            Constant::Integer(_) => "int4",
            Constant::Bigint(_) => "int8",
            Constant::Double(_) => "float8",
            Constant::Text(_) => "text",
            Constant::Timestamp(_) => "timestamp",
            Constant::Bigints(_) => "int8[]",
            Constant::Doubles(_) => "float8[]",
            Constant::Texts(_) => "text[]",
        };
        let number = match key(value) {
            Some(key) => {
                let next = self.parameters.len();
                let number = *self.numbers.entry(key).or_insert(next);
                if number == next {
                    self.parameters.push(value.clone());
                }
                number
            }
            None => {
                self.parameters.push(value.clone());
                self.parameters.len() - 1
            }
        };
        let _ = write!(self.sql, "${}::{own}", number + 1);
        if let Some(wanted) = ty.postgres().filter(|wanted| *wanted != own) {
            let _ = write!(self.sql, "::{wanted}");
        }
    }

    /// A function of the list. DISTINCT stands before the first argument.
    fn template(&mut self, template: &str, arguments: &[Expr], distinct: bool) {
        let mut rest = template;
        let mut first = true;
        while let Some(open) = rest.find('{') {
            self.push(&rest[..open]);
            let close = rest[open..].find('}').map_or(rest.len(), |length| open + length);
            self.push(if distinct && first { "DISTINCT " } else { "" });
            first = false;
            match rest[open + 1..close].parse::<usize>() {
                Ok(i) => {
                    if let Some(argument) = arguments.get(i) {
                        self.operand_of(argument);
                    }
                }
                Err(_) => self.list(arguments),
            }
            rest = &rest[(close + 1).min(rest.len())..];
        }
        self.push(rest);
    }

    /// `ARRAY[...]`, NULL if one of the numbers is.
    fn numbers(&mut self, all: &[Expr]) {
        let may_be_null: Vec<&Expr> = all.iter().filter(|one| !matches!(one.node, Node::Constant(_))).collect();
        if !may_be_null.is_empty() {
            self.push("CASE WHEN ");
            for (i, one) in may_be_null.iter().enumerate() {
                self.push(if i == 0 { "" } else { " AND " });
                self.operand_of(one);
                self.push(" IS NOT NULL");
            }
            self.push(" THEN ");
        }
        self.push("ARRAY[");
        self.list(all);
        self.push("]::float8[]");
        self.push(if may_be_null.is_empty() { "" } else { " END" });
    }

    fn sky(&mut self, sky: &Sky) {
        match sky {
            Sky::Ranges { of, ranges } => {
                // a region without a pixel would be an empty list
                self.push(if ranges.is_empty() { "FALSE" } else { "" });
                for (i, range) in ranges.iter().enumerate() {
                    self.push(if i == 0 { "" } else { " OR " });
                    self.push("(");
                    self.pixel(of);
                    let _ = write!(self.sql, " >= {} AND ", range.lo);
                    self.pixel(of);
                    let _ = write!(self.sql, " < {})", range.hi);
                }
            }
            Sky::Near { of, centre, radius } => self.near(of, centre, radius),
            Sky::Within { a, b, radius, closed } => {
                self.push("q3c_sindist(");
                self.positions(a, b);
                self.push(if *closed { ") <= " } else { ") < " });
                if let Node::Constant(_) = radius.node {
                    self.push("pow(sin(radians(");
                    self.expr(radius);
                    self.push(") / 2), 2)");
                } else {
                    // beyond 180 degrees the sine falls again, and a square knows no sign
                    self.push("pow(sin(radians(least(");
                    self.expr(radius);
                    self.push(", 180)) / 2), 2) AND ");
                    self.operand_of(radius);
                    self.push(" >= 0");
                }
            }
            Sky::Distance { a, b } => {
                self.push("q3c_dist(");
                self.positions(a, b);
                self.push(")");
            }
            Sky::InLoop { of, axes, corners } => self.in_loop(of, axes, corners),
            Sky::Reached { of, reach } => {
                for (axis, [low, high]) in AXES.into_iter().zip(reach) {
                    self.push(if axis == AXES[0] { "" } else { " AND " });
                    self.outline(of, axis);
                    let _ = write!(self.sql, " && '[{low},{high}]'::int4range");
                }
            }
            Sky::ReachedBy { of, position } => self.reached_by(of, position),
            Sky::Corners { of } => self.outline(of, "corners"),
            Sky::Helper { name, arguments } => {
                let _ = write!(self.sql, "adql.{name}(");
                self.list(arguments);
                self.push(")");
            }
        }
    }

    /// A column that goes with an outline.
    fn outline(&mut self, of: &Expr, what: &str) {
        if let Node::Column { source, name: ColumnName::Catalogue(origin) } = &of.node {
            let column = &self.catalogue.relation(origin.relation).table.columns[origin.column].name;
            let _ = write!(self.sql, "t{source}.{}", quote(&Table::outline_column(column, what)));
        }
    }

    /// A position that is NaN is nowhere.
    fn reached_by(&mut self, of: &Expr, (lon, lat): &Position) {
        for axis in AXES {
            self.push(if axis == AXES[0] { "" } else { " AND " });
            self.outline(of, axis);
            self.push(" @> round(nullif(");
            let factors: &[(&str, &Expr)] = match axis {
                "x" => &[("cosd(", lat), (" * cosd(", lon)],
                "y" => &[("cosd(", lat), (" * sind(", lon)],
                _ => &[("sind(", lat)],
            };
            for (function, angle) in factors {
                self.push(function);
                self.expr(angle);
                self.push(")");
            }
            let _ = write!(self.sql, ", 'NaN') * {STEPS:?})::int4");
        }
    }

    fn positions(&mut self, a: &Position, b: &Position) {
        for (i, one) in [&a.0, &a.1, &b.0, &b.1].into_iter().enumerate() {
            self.push(if i == 0 { "" } else { ", " });
            self.expr(one);
        }
    }

    fn pixel(&mut self, of: &Position) {
        self.push("q3c_ang2ipix(");
        self.expr(&of.0);
        self.push(", ");
        self.expr(&of.1);
        self.push(")");
    }

    /// Q3C's own way of asking an index in a join, with its estimate of how many rows that gives.
    fn near(&mut self, of: &Position, centre: &Position, radius: &Expr) {
        self.push("(");
        for i in 0..4 {
            self.push(if i == 0 { "(" } else { " OR (" });
            for (j, operator) in [(2 * i, " >= "), (2 * i + 1, " <= ")] {
                self.push(if j % 2 == 0 { "" } else { " AND " });
                self.pixel(of);
                let _ = write!(self.sql, "{operator}q3c_nearby_it(");
                self.expr(&centre.0);
                self.push(", ");
                self.expr(&centre.1);
                self.push(", ");
                self.expr(radius);
                let _ = write!(self.sql, ", {j})");
            }
            self.push(")");
        }
        self.push(") AND (");
        self.expr(radius);
        self.push(" ==<<>>== (");
        self.positions(centre, of);
        self.push(")::q3c_type)");
    }

    /// PostgreSQL's own test of a point in a polygon, in the projection in which the sides are straight. Its tolerance of
    /// 1e-6 becomes 1e-16 by the scale. The other hemisphere is outside, and NaN is neither.
    fn in_loop(&mut self, of: &Position, axes: &[[f64; 3]; 3], corners: &[[f64; 2]]) {
        const SCALE: f64 = 1e10;
        let along = |writer: &mut Self, axis: &[f64; 3]| {
            let _ = write!(writer.sql, "('{:?}'::float8 * cosd(", axis[0]);
            writer.expr(&of.0);
            let _ = write!(writer.sql, ") + '{:?}'::float8 * sind(", axis[1]);
            writer.expr(&of.0);
            writer.push(")) * cosd(");
            writer.expr(&of.1);
            let _ = write!(writer.sql, ") + '{:?}'::float8 * sind(", axis[2]);
            writer.expr(&of.1);
            writer.push(")");
        };
        self.push("CASE WHEN ");
        along(self, &axes[2]);
        self.push(" BETWEEN 1e-9 AND 2 THEN '(");
        for (i, [x, y]) in corners.iter().enumerate() {
            self.push(if i == 0 { "" } else { "," });
            let _ = write!(self.sql, "({:?},{:?})", x * SCALE, y * SCALE);
        }
        self.push(")'::polygon @> point((");
        along(self, &axes[0]);
        let _ = write!(self.sql, ") * {SCALE:?} / (");
        along(self, &axes[2]);
        self.push("), (");
        along(self, &axes[1]);
        let _ = write!(self.sql, ") * {SCALE:?} / (");
        along(self, &axes[2]);
        self.push(")) WHEN ");
        along(self, &axes[2]);
        self.push(" < 1e-9 THEN FALSE END");
    }
}

/// What makes two literals the same; arrays are not looked for again.
fn key(value: &Constant) -> Option<(u8, Vec<u8>)> {
    Some(match value {
        Constant::Boolean(value) => (0, vec![u8::from(*value)]),
        Constant::Integer(n) => (1, n.to_ne_bytes().to_vec()),
        Constant::Bigint(n) => (2, n.to_ne_bytes().to_vec()),
        Constant::Double(x) => (3, x.to_bits().to_ne_bytes().to_vec()),
        Constant::Text(text) => (4, text.as_bytes().to_vec()),
        Constant::Timestamp(micros) => (5, micros.to_ne_bytes().to_vec()),
        Constant::Bigints(_) | Constant::Doubles(_) | Constant::Texts(_) => return None,
    })
}

/// A name that PostgreSQL takes uncut and that cannot surprise whoever reads the SQL.
fn is_short(name: &str) -> bool {
    !name.is_empty() && name.len() <= 63 && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '.'))
}
