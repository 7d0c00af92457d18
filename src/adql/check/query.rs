//! Queries: WITH, SELECT, set operations, ORDER BY, TOP and OFFSET.

use super::{Checker, Common, MOST_COLUMNS};
use crate::adql::checked::{Body, Expr, Output, Query, Select, Sort, SortKey};
use crate::adql::error::{Code, Error};
use crate::adql::scope::{Clause, Scope, find_source, means, unknown_source};
use crate::adql::tree::{self, ExprKind, Item, Literal, Name, Path, Span};
use std::rc::Rc;

/// The columns of a select list: what each is called, its value, and where it stands in the text.
type Items = Vec<(Output, Expr, Span)>;

impl Checker<'_> {
    pub fn query(&mut self, query: &tree::Query, parent: Option<&Scope<'_>>) -> Result<Query, Error> {
        let in_force = self.commons.len();
        let with = query.with.iter().map(|common| self.common(common, parent)).collect::<Result<Vec<_>, Error>>()?;
        let checked = match &query.body {
            tree::Body::Select(select) => self.ordered_select(select, query, parent),
            body => self.ordered_body(body, query, parent),
        };
        self.commons.truncate(in_force);
        Ok(Query { with, ..checked? })
    }

    fn common(&mut self, common: &tree::CommonTable, parent: Option<&Scope<'_>>) -> Result<(usize, Query), Error> {
        let query = self.query(&common.query, parent)?;
        let mut outputs = query.outputs.clone();
        if !common.columns.is_empty() && common.columns.len() != outputs.len() {
            let message = format!("{} names for the {} columns of {}", common.columns.len(), outputs.len(), common.name.text);
            return Err(Error::new(Code::Columns, common.span, message));
        }
        for (output, name) in outputs.iter_mut().zip(&common.columns) {
            (output.name, output.delimited) = (name.text.clone(), name.delimited);
        }
        self.common_count += 1;
        self.commons.push(Common { name: common.name.clone(), number: self.common_count, outputs: Rc::new(outputs) });
        Ok((self.common_count, query))
    }

    /// A SELECT with its ORDER BY, which sees what the SELECT sees.
    fn ordered_select(&mut self, select: &tree::Select, query: &tree::Query, parent: Option<&Scope<'_>>) -> Result<Query, Error> {
        let mut scope = Scope::new(parent, Clause::Select);
        let (checked, outputs) = self.select(select, &mut scope, &query.order_by)?;
        let (mut checked, order) = checked;
        let top = checked.top.take();
        let limit = [top, query.limit.map(|limit| limit.value)].into_iter().flatten().min();
        let offset = query.offset.map(|offset| offset.value);
        Ok(Query { with: Vec::new(), body: Body::Select(Box::new(checked)), order, limit, offset, outputs })
    }

    /// A set operation or a query in brackets: ORDER BY sees its columns only.
    fn ordered_body(&mut self, body: &tree::Body, query: &tree::Query, parent: Option<&Scope<'_>>) -> Result<Query, Error> {
        let (body, outputs) = self.body(body, parent)?;
        let sort = |order: &tree::Order| {
            let key = match position(&order.expr, outputs.len())? {
                Some(position) => position,
                None => output_named(&order.expr, &outputs)?,
            };
            Ok(Sort { key: SortKey::Output(key), descending: order.descending, nulls_first: order.nulls_first })
        };
        let order = query.order_by.iter().map(sort).collect::<Result<Vec<_>, Error>>()?;
        let (limit, offset) = (query.limit.map(|limit| limit.value), query.offset.map(|offset| offset.value));
        Ok(Query { with: Vec::new(), body, order, limit, offset, outputs })
    }

    fn body(&mut self, body: &tree::Body, parent: Option<&Scope<'_>>) -> Result<(Body, Vec<Output>), Error> {
        match body {
            tree::Body::Select(select) => {
                let ((select, _), outputs) = self.select(select, &mut Scope::new(parent, Clause::Select), &[])?;
                Ok((Body::Select(Box::new(select)), outputs))
            }
            tree::Body::Nested(query) => {
                let query = self.query(query, parent)?;
                let outputs = query.outputs.clone();
                Ok((Body::Nested(Box::new(query)), outputs))
            }
            tree::Body::Set { first, rest, .. } => {
                let (mut first, mut outputs) = self.body(first, parent)?;
                let mut checked = Vec::with_capacity(rest.len());
                for operand in rest {
                    let (mut body, others) = self.body(&operand.body, parent)?;
                    self.align(&mut outputs, &others, operand.span)?;
                    coerce(&mut body, &outputs);
                    checked.push((operand.operator, operand.all, body));
                }
                coerce(&mut first, &outputs);
                for (.., body) in &mut checked {
                    coerce(body, &outputs);
                }
                Ok((Body::Set { first: Box::new(first), rest: checked }, outputs))
            }
        }
    }

    /// The columns of a set operation: names of the first operand, types that hold both.
    fn align(&self, outputs: &mut [Output], others: &[Output], span: Span) -> Result<(), Error> {
        if outputs.len() != others.len() {
            let message = format!("the first SELECT gives {} columns, this one {}", outputs.len(), others.len());
            return Err(Error::new(Code::Columns, span, message));
        }
        for (i, (output, other)) in outputs.iter_mut().zip(others).enumerate() {
            let Some(ty) = super::expr::common_type(output.ty, other.ty) else {
                let (a, b) = (output.ty.words(), other.ty.words());
                let message = format!("column {} is {a} in the first SELECT and {b} in this one", i + 1);
                return Err(Error::new(Code::Type, span, message).hint("make them alike with CAST"));
            };
            output.ty = ty;
            if output.about.origin != other.about.origin {
                let as_expr = |about: &crate::adql::checked::About| {
                    let expr = Expr { about: about.clone(), ..Expr::new(crate::adql::checked::Node::Null, ty) };
                    (self.unit(&expr).to_owned(), self.ucd(&expr).to_owned())
                };
                let ((unit, ucd), (other_unit, other_ucd)) = (as_expr(&output.about), as_expr(&other.about));
                let same = |a: String, b: String| if a == b { a } else { String::new() };
                output.about.origin = None;
                output.about.unit = same(unit, other_unit);
                output.about.ucd = same(ucd, other_ucd);
            }
        }
        Ok(())
    }

    #[allow(clippy::type_complexity)] // a SELECT and its sort keys, which are checked in its scope
    fn select(
        &mut self,
        select: &tree::Select,
        scope: &mut Scope<'_>,
        order_by: &[tree::Order],
    ) -> Result<((Select, Vec<Sort>), Vec<Output>), Error> {
        let from = self.sources_of(&select.from, scope)?;
        scope.clause.set(Clause::Where);
        let filter = select.filter.as_ref().map(|filter| self.condition(filter, scope)).transpose()?;
        scope.clause.set(Clause::Select);
        let items = self.items(select, scope)?;
        scope.aliases.replace(items.iter().map(|(output, expr, _)| (output.clone(), expr.clone())).collect());
        scope.clause.set(Clause::GroupBy);
        let group_by = select.group_by.iter().map(|key| self.group_key(key, &items, scope)).collect::<Result<Vec<_>, Error>>()?;
        scope.clause.set(Clause::Having);
        let having = select.having.as_ref().map(|having| self.condition(having, scope)).transpose()?;
        scope.clause.set(Clause::OrderBy);
        let order = order_by.iter().map(|order| self.sort(order, &items, select.distinct, scope)).collect::<Result<Vec<_>, Error>>()?;
        if scope.aggregated.get() || !group_by.is_empty() || having.is_some() {
            let sorts = order.iter().zip(order_by).filter_map(|(sort, tree)| match &sort.key {
                SortKey::Expr(expr) => Some((expr, tree.expr.span)),
                SortKey::Output(_) => None,
            });
            let values = items.iter().map(|(_, expr, span)| (expr, *span));
            let conditions = having.iter().zip(&select.having).map(|(expr, tree)| (expr, tree.span));
            self.check_grouping(values.chain(conditions).chain(sorts), &group_by, scope)?;
        }
        let outputs = items.iter().map(|(output, ..)| output.clone()).collect();
        let items = items.into_iter().map(|(_, expr, _)| expr).collect();
        let top = select.top.map(|top| top.value);
        Ok(((Select { distinct: select.distinct, top, items, from, filter, group_by, having }, order), outputs))
    }

    fn items(&mut self, select: &tree::Select, scope: &Scope<'_>) -> Result<Items, Error> {
        let mut items = Items::new();
        for item in &select.items {
            match item {
                Item::All(span) => {
                    if scope.visible.is_empty() {
                        return Err(Error::new(Code::Columns, *span, "* stands for no column here").hint("FROM is missing"));
                    }
                    items.extend(scope.visible.iter().map(|visible| {
                        let (output, expr) = scope.visible(self.catalogue, visible);
                        (output, expr, *span)
                    }));
                }
                Item::AllOf(path) => self.all_of(path, scope, &mut items)?,
                Item::Expr { expr, alias } => {
                    let checked = self.expr(expr, scope)?;
                    let (name, delimited) = match alias {
                        Some(alias) => (alias.text.clone(), alias.delimited),
                        None => own_name(expr, items.len()),
                    };
                    let output = Output { name, delimited, ty: checked.ty, about: checked.about.clone() };
                    items.push((output, checked, expr.span));
                }
            }
            if items.len() > MOST_COLUMNS {
                return Err(Error::new(Code::Columns, select.span, format!("a SELECT gives at most {MOST_COLUMNS} columns")));
            }
        }
        Ok(items)
    }

    /// `t.*`
    fn all_of(&self, path: &Path, scope: &Scope<'_>, items: &mut Items) -> Result<(), Error> {
        let source = find_source(self.catalogue, scope, &path.parts, path.span)?;
        let source = source.ok_or_else(|| unknown_source(self.catalogue, scope, &path.parts, path.span))?;
        let columns = 0..source.count(self.catalogue);
        items.extend(columns.map(|i| (source.output(self.catalogue, i), source.expr(self.catalogue, i), path.span)));
        Ok(())
    }

    /// A bare name in GROUP BY is a column first and then a name of the select list; an integer is a position.
    fn group_key(&mut self, key: &tree::Expr, items: &Items, scope: &Scope<'_>) -> Result<Expr, Error> {
        match position(key, items.len())? {
            Some(position) => {
                let expr = items[position].1.clone();
                if super::group::has_aggregate(&expr) {
                    return Err(Error::new(Code::Grouping, key.span, "an aggregate cannot be grouped by"));
                }
                Ok(expr)
            }
            None => {
                let expr = self.expr(key, scope)?;
                if super::group::has_aggregate(&expr) {
                    return Err(Error::new(Code::Grouping, key.span, "an aggregate cannot be grouped by"));
                }
                Ok(expr)
            }
        }
    }

    /// A sort key is a position, a name of the select list, or an expression.
    fn sort(&mut self, order: &tree::Order, items: &Items, distinct: bool, scope: &Scope<'_>) -> Result<Sort, Error> {
        let by_name = match &order.expr.kind {
            ExprKind::Column(path) if path.parts.len() == 1 => named_item(&path.parts[0], items)?,
            _ => None,
        };
        let key = match position(&order.expr, items.len())?.or(by_name) {
            Some(position) => SortKey::Output(position),
            None => {
                let expr = self.expr(&order.expr, scope)?;
                match items.iter().position(|(_, item, _)| *item == expr) {
                    Some(position) => SortKey::Output(position),
                    None if distinct => {
                        let message = "with DISTINCT the rows can only be sorted by what is selected";
                        return Err(Error::new(Code::Columns, order.expr.span, message).hint("add it to the select list"));
                    }
                    None => SortKey::Expr(expr),
                }
            }
        };
        if let SortKey::Output(position) = &key {
            refuse_unsortable(items[*position].0.ty, order.expr.span)?;
        } else if let SortKey::Expr(expr) = &key {
            refuse_unsortable(expr.ty, order.expr.span)?;
        }
        Ok(Sort { key, descending: order.descending, nulls_first: order.nulls_first })
    }
}

fn refuse_unsortable(ty: crate::adql::checked::Type, span: Span) -> Result<(), Error> {
    if ty.is_geometry() {
        return Err(Error::new(Code::Type, span, "geometries have no order").hint("sort by COORD1(...) or DISTANCE(...)"));
    }
    Ok(())
}

/// The column of the select list with this name; several of one name must be the same value.
fn named_item(name: &Name, items: &Items) -> Result<Option<usize>, Error> {
    let found: Vec<usize> = (0..items.len()).filter(|i| means(name, &items[*i].0.name, items[*i].0.delimited)).collect();
    match found.as_slice() {
        [] => Ok(None),
        [first, rest @ ..] if rest.iter().all(|i| items[*i].1 == items[*first].1) => Ok(Some(*first)),
        _ => Err(Error::new(Code::AmbiguousName, name.span, format!("several selected columns are called {}", name.text))
            .hint("sort by the position, or say which table's")),
    }
}

/// A bare integer in ORDER BY or GROUP BY, as an index from 0.
fn position(expr: &tree::Expr, count: usize) -> Result<Option<usize>, Error> {
    let ExprKind::Literal(Literal::Integer(digits)) = &expr.kind else { return Ok(None) };
    match digits.parse::<usize>() {
        Ok(position) if (1..=count).contains(&position) => Ok(Some(position - 1)),
        _ => Err(Error::new(Code::Columns, expr.span, format!("there is no column {digits}: {count} are selected"))),
    }
}

fn output_named(expr: &tree::Expr, outputs: &[Output]) -> Result<usize, Error> {
    let name = match &expr.kind {
        ExprKind::Column(path) if path.parts.len() == 1 => &path.parts[0],
        _ => {
            let message = "the rows of a set operation are sorted by its columns only";
            return Err(Error::new(Code::Columns, expr.span, message).hint("give the column's name or position"));
        }
    };
    let found = outputs.iter().position(|output| means(name, &output.name, output.delimited));
    found.ok_or_else(|| Error::new(Code::UnknownColumn, name.span, format!("the set operation has no column {}", name.text)))
}

/// What a column without AS is called.
fn own_name(expr: &tree::Expr, index: usize) -> (String, bool) {
    match &expr.kind {
        ExprKind::Column(path) => path.parts.last().map_or_else(Default::default, |name| (name.text.clone(), name.delimited)),
        ExprKind::Call { name, .. } => (name.text.to_lowercase(), false),
        ExprKind::Cast { operand, .. } => own_name(operand, index),
        ExprKind::Unary { operand, .. } if matches!(operand.kind, ExprKind::Column(_)) => own_name(operand, index),
        _ => (format!("col_{}", index + 1), false),
    }
}

/// Makes the columns of an operand of a set operation what all of them are.
fn coerce(body: &mut Body, outputs: &[Output]) {
    match body {
        Body::Select(select) => {
            for (item, output) in select.items.iter_mut().zip(outputs) {
                if item.ty != output.ty {
                    let old = std::mem::replace(item, Expr::new(crate::adql::checked::Node::Null, output.ty));
                    *item = old.cast(output.ty);
                }
            }
        }
        Body::Nested(query) => {
            coerce(&mut query.body, outputs);
            for (own, output) in query.outputs.iter_mut().zip(outputs) {
                own.ty = output.ty;
            }
        }
        Body::Set { first, rest } => {
            coerce(first, outputs);
            for (.., body) in rest {
                coerce(body, outputs);
            }
        }
    }
}
