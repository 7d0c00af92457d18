//! What may stand beside aggregates: values that are grouped by, and aggregates.

use super::Checker;
use crate::adql::checked::{Body, ColumnName, Expr, From, Node, Origin, Query, Sky, SortKey};
use crate::adql::error::{Code, Error};
use crate::adql::scope::Scope;
use crate::adql::tree::{BinaryOperator, Span};

impl Checker<'_> {
    /// Every value must be made of group keys and aggregates.
    pub fn check_grouping<'e>(
        &self,
        values: impl Iterator<Item = (&'e Expr, Span)>,
        keys: &[Expr],
        scope: &Scope<'_>,
    ) -> Result<(), Error> {
        let own: Vec<usize> = scope.sources.iter().map(|source| source.number).collect();
        for (value, span) in values {
            if let Some(column) = ungrouped(value, keys, &own) {
                let name = self.column_name(column);
                let message = format!("{name} is neither in an aggregate nor in GROUP BY");
                let error = Error::new(Code::Grouping, span, message);
                return Err(error.hint(format!("add {name} to GROUP BY, or say which of its values: MIN({name}), AVG({name})")));
            }
        }
        Ok(())
    }

    fn column_name(&self, column: &Expr) -> String {
        let origin = match &column.node {
            Node::Column { name: ColumnName::Catalogue(origin), .. } => Some(*origin),
            _ => column.about.origin,
        };
        let name = |origin: Origin| self.catalogue.relation(origin.relation).table.columns[origin.column].name.clone();
        origin.map_or_else(|| "a column".into(), name)
    }
}

/// The first column of these sources that is neither within an aggregate nor part of a key.
fn ungrouped<'e>(expr: &'e Expr, keys: &[Expr], own: &[usize]) -> Option<&'e Expr> {
    if keys.contains(expr) {
        return None;
    }
    match &expr.node {
        Node::Column { source, .. } => own.contains(source).then_some(expr),
        Node::CountAll => None,
        Node::Call { function, .. } if function.class.is_aggregate() => None,
        // `a / b * c` is made of the key `a / b`
        Node::Chain(first, rest) if keys.iter().any(|key| begins(key, first, rest).is_some()) => {
            let begun = keys.iter().filter_map(|key| begins(key, first, rest)).max().unwrap_or(0);
            rest[begun..].iter().find_map(|(_, operand)| ungrouped(operand, keys, own))
        }
        _ => children(expr).into_iter().find_map(|child| ungrouped(child, keys, own)),
    }
}

/// How many of the operands after the first a key takes in, if a list of operators begins with it.
fn begins(key: &Expr, first: &Expr, rest: &[(BinaryOperator, Expr)]) -> Option<usize> {
    match &key.node {
        Node::Chain(key_first, key_rest) if **key_first == *first && rest.starts_with(key_rest) => Some(key_rest.len()),
        _ => None,
    }
}

/// Is there an aggregate of this level in it?
pub fn has_aggregate(expr: &Expr) -> bool {
    match &expr.node {
        Node::CountAll => true,
        Node::Call { function, .. } if function.class.is_aggregate() => true,
        Node::Exists(_) | Node::Scalar(_) => false,
        Node::InQuery { operand, .. } => has_aggregate(operand),
        _ => children(expr).into_iter().any(has_aggregate),
    }
}

/// Does a value depend on a column of this source?
pub fn depends_on(expr: &Expr, source: usize) -> bool {
    match &expr.node {
        Node::Column { source: own, .. } => *own == source,
        _ => children(expr).into_iter().any(|child| depends_on(child, source)),
    }
}

/// The expressions right below one, those of its subqueries too.
fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.node {
        Node::Null | Node::Constant(_) | Node::Column { .. } | Node::CountAll => Vec::new(),
        Node::Cast(a) | Node::Negate(a) | Node::Not(a) | Node::Truth(a) | Node::TimestampText(a) | Node::Element(a, _) => vec![a],
        Node::IsNull { operand, .. } | Node::IsTruth { operand, .. } | Node::Fit { operand, .. } => vec![operand],
        Node::Chain(first, rest) => std::iter::once(&**first).chain(rest.iter().map(|(_, operand)| operand)).collect(),
        Node::Compare(_, a, b) => vec![a, b],
        Node::Indexed { exact, .. } => vec![exact],
        Node::And(all) | Node::Or(all) | Node::Merged(all) | Node::Numbers(all) => all.iter().collect(),
        Node::Between { operand, low, high, .. } => vec![operand, low, high],
        Node::InArray { operand, array, .. } => vec![operand, array],
        Node::InList { operand, items, .. } => std::iter::once(&**operand).chain(items).collect(),
        Node::InQuery { operand, query, .. } => std::iter::once(&**operand).chain(of_query(query)).collect(),
        Node::Like { operand, pattern, escape, .. } => [&**operand, pattern].into_iter().chain(escape.as_deref()).collect(),
        Node::Exists(query) | Node::Scalar(query) => of_query(query),
        Node::Call { arguments, .. } => arguments.iter().collect(),
        Node::Case { arms, otherwise } => arms.iter().flat_map(|(when, then)| [when, then]).chain(otherwise.as_deref()).collect(),
        Node::Sky(sky) => of_sky(sky),
    }
}

fn of_sky(sky: &Sky) -> Vec<&Expr> {
    match sky {
        Sky::Ranges { of, .. } | Sky::InLoop { of, .. } => vec![&of.0, &of.1],
        Sky::Near { of, centre, radius } => vec![&of.0, &of.1, &centre.0, &centre.1, radius],
        Sky::Within { a, b, radius, .. } => vec![&a.0, &a.1, &b.0, &b.1, radius],
        Sky::Distance { a, b } => vec![&a.0, &a.1, &b.0, &b.1],
        Sky::Reached { of, .. } | Sky::Corners { of } => vec![of],
        Sky::ReachedBy { of, position } => vec![of, &position.0, &position.1],
        Sky::Helper { arguments, .. } => arguments.iter().collect(),
    }
}

/// All expressions of a query, at any depth of FROM and set operations.
fn of_query(query: &Query) -> Vec<&Expr> {
    let mut found: Vec<&Expr> = query.with.iter().flat_map(|(_, common)| of_query(common)).collect();
    found.extend(of_body(&query.body));
    found.extend(query.order.iter().filter_map(|sort| match &sort.key {
        SortKey::Expr(expr) => Some(expr),
        SortKey::Output(_) => None,
    }));
    found
}

fn of_body(body: &Body) -> Vec<&Expr> {
    match body {
        Body::Nested(query) => of_query(query),
        Body::Set { first, rest } => of_body(first).into_iter().chain(rest.iter().flat_map(|(.., body)| of_body(body))).collect(),
        Body::Select(select) => {
            let mut found: Vec<&Expr> = select.items.iter().chain(&select.filter).chain(&select.group_by).chain(&select.having).collect();
            found.extend(select.from.iter().flat_map(of_from));
            found
        }
    }
}

fn of_from(from: &From) -> Vec<&Expr> {
    match from {
        From::Relation { .. } | From::Common { .. } => Vec::new(),
        From::Derived { query, .. } => of_query(query),
        From::Joins { first, joins } => {
            let own = joins.iter().flat_map(|join| of_from(&join.source).into_iter().chain(&join.on));
            of_from(first).into_iter().chain(own).collect()
        }
    }
}
