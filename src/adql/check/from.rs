//! FROM: tables, derived tables, joins, and the columns they make visible.

use super::{Checker, MOST_COLUMNS};
use crate::adql::catalogue::{Missing, matches};
use crate::adql::checked::{Expr, From, Join, Node, Output};
use crate::adql::error::{Code, Error};
use crate::adql::scope::{Clause, Scope, Source, SourceKind, Visible, means};
use crate::adql::tree::{self, Comparison, JoinCondition, JoinKind, Name, Path, Span};
use std::rc::Rc;

/// A checked piece of FROM and what it brings into scope.
pub struct Piece {
    node: From,
    sources: Vec<Source>,
    visible: Vec<Visible>,
}

impl Checker<'_> {
    /// All of FROM: fills the scope.
    pub fn sources_of<'p>(&mut self, list: &[tree::From], scope: &mut Scope<'p>) -> Result<Vec<From>, Error> {
        let mut nodes = Vec::with_capacity(list.len());
        for item in list {
            let piece = self.from(item, scope.parent)?;
            nodes.push(piece.node);
            scope.sources.extend(piece.sources);
            scope.visible.extend(piece.visible);
        }
        Ok(nodes)
    }

    fn from(&mut self, from: &tree::From, parent: Option<&Scope<'_>>) -> Result<Piece, Error> {
        match from {
            tree::From::Table { path, alias, span } => self.table(path, alias.as_ref(), *span),
            tree::From::Derived { query, alias, .. } => {
                let query = self.query(query, parent)?;
                let outputs = Rc::new(query.outputs.clone());
                let source = self.source(Some(alias.clone()), SourceKind::Outputs(outputs));
                let node = From::Derived { query: Box::new(query), source: source.number };
                Ok(self.piece(node, source))
            }
            tree::From::Joins { first, joins, .. } => {
                let mut piece = self.from(first, parent)?;
                let mut checked = Vec::with_capacity(joins.len());
                for join in joins {
                    checked.push(self.join(&mut piece, join, parent)?);
                }
                piece.node = From::Joins { first: Box::new(piece.node), joins: checked };
                Ok(piece)
            }
        }
    }

    fn source(&mut self, alias: Option<Name>, kind: SourceKind) -> Source {
        self.sources += 1;
        Source { number: self.sources, alias, kind }
    }

    fn piece(&self, node: From, source: Source) -> Piece {
        let visible = (0..source.count(self.catalogue)).map(|column| Visible::Column { source: source.number, column }).collect();
        Piece { node, sources: vec![source], visible }
    }

    fn table(&mut self, path: &Path, alias: Option<&Name>, span: Span) -> Result<Piece, Error> {
        self.count_table(span)?;
        if let [name] = path.parts.as_slice() {
            let common = self.commons.iter().rev().find(|common| means(name, &common.name.text, common.name.delimited));
            if let Some(common) = common {
                let (with, outputs, own) = (common.number, common.outputs.clone(), common.name.clone());
                let source = self.source(Some(alias.cloned().unwrap_or(own)), SourceKind::Outputs(outputs));
                return Ok(self.piece(From::Common { with, source: source.number }, source));
            }
        }
        let relation = self.catalogue.find(path).map_err(|missing| missing_table(path, missing))?;
        self.relations.push(relation);
        let source = self.source(alias.cloned(), SourceKind::Relation(relation));
        Ok(self.piece(From::Relation { relation, source: source.number }, source))
    }

    /// Joins another source to what stands left of it.
    fn join(&mut self, left: &mut Piece, join: &tree::Join, parent: Option<&Scope<'_>>) -> Result<Join, Error> {
        if matches!(join.condition, JoinCondition::None) && !join.natural && join.kind != JoinKind::Cross {
            let error = Error::new(Code::Syntax, join.span, "the join does not say which rows belong together");
            return Err(error.hint("add ON condition, or USING (column), or write CROSS JOIN for all pairs"));
        }
        let right = self.from(&join.source, parent)?;
        let mut scope = Scope::new(parent, Clause::On);
        let left_numbers: Vec<usize> = left.sources.iter().map(|source| source.number).collect();
        let right_numbers: Vec<usize> = right.sources.iter().map(|source| source.number).collect();
        scope.kept = match join.kind {
            JoinKind::Left => left_numbers,
            JoinKind::Right => right_numbers,
            JoinKind::Full => left_numbers.into_iter().chain(right_numbers).collect(),
            JoinKind::Inner | JoinKind::Cross => Vec::new(),
        };
        scope.sources = std::mem::take(&mut left.sources);
        scope.sources.extend(right.sources);
        let (left_visible, right_visible) = (std::mem::take(&mut left.visible), right.visible);
        let names = match &join.condition {
            JoinCondition::Using(names) => names.clone(),
            JoinCondition::None if join.natural => self.common_names(&scope, &left_visible, &right_visible, join.span),
            _ => Vec::new(),
        };
        let on = match &join.condition {
            JoinCondition::On(condition) => {
                scope.visible = left_visible.into_iter().chain(right_visible).collect();
                Some(self.condition(condition, &scope)?)
            }
            _ => self.merge(&names, join.kind, left_visible, right_visible, &mut scope)?,
        };
        if join.kind == JoinKind::Full && !on.as_ref().is_some_and(has_equality) {
            let message = "FULL JOIN needs an equality of a column of each side";
            return Err(Error::new(Code::NotInAdql, join.span, message).hint("use a LEFT and a RIGHT JOIN with UNION"));
        }
        left.sources = std::mem::take(&mut scope.sources);
        left.visible = std::mem::take(&mut scope.visible);
        let cross = join.kind == JoinKind::Cross;
        Ok(Join { kind: join.kind, source: right.node, on: if cross { None } else { on.or_else(|| Some(always())) } })
    }

    /// The names that both sides of a NATURAL JOIN have.
    fn common_names(&self, scope: &Scope<'_>, left: &[Visible], right: &[Visible], span: Span) -> Vec<Name> {
        let name = |visible: &Visible| scope.visible(self.catalogue, visible).0.name;
        let right: Vec<String> = right.iter().map(name).collect();
        let both = left.iter().map(name).filter(|name| right.iter().any(|other| other.eq_ignore_ascii_case(name)));
        both.map(|text| Name { text, delimited: false, span }).collect()
    }

    /// USING: pairs of columns become one. Fills the scope's visible columns, the merged ones first.
    fn merge(
        &mut self,
        names: &[Name],
        kind: JoinKind,
        mut left: Vec<Visible>,
        mut right: Vec<Visible>,
        scope: &mut Scope<'_>,
    ) -> Result<Option<Expr>, Error> {
        let mut merged = Vec::with_capacity(names.len());
        let mut equalities = Vec::with_capacity(names.len());
        for name in names {
            let (output, a) = self.take(name, &mut left, scope, "left")?;
            let (_, b) = self.take(name, &mut right, scope, "right")?;
            equalities.push(self.compare(Comparison::Equal, a.clone(), b.clone(), name.span)?);
            let expr = match kind {
                JoinKind::Right => b,
                JoinKind::Full => {
                    let both = self.unify(vec![a, b], name.span)?;
                    let (ty, about) = (both[0].ty, both[0].about.clone());
                    Expr { node: Node::Merged(both), ty, about }
                }
                _ => a,
            };
            merged.push(Visible::Merged(Box::new((Output { ty: expr.ty, ..output }, expr))));
        }
        scope.visible = merged.into_iter().chain(left).chain(right).collect();
        if scope.visible.len() > 4 * MOST_COLUMNS {
            return Err(Error::new(
                Code::Columns,
                names.first().map_or(Span::new(0, 0), |name| name.span),
                "the join has too many columns",
            ));
        }
        Ok(match equalities.len() {
            0 => None,
            1 => equalities.pop(),
            _ => Some(Expr::condition(Node::And(equalities))),
        })
    }

    /// Takes the column of a name out of one side of a join.
    fn take(&self, name: &Name, side: &mut Vec<Visible>, scope: &Scope<'_>, which: &str) -> Result<(Output, Expr), Error> {
        let is_called = |visible: &Visible| {
            let (output, _) = scope.visible(self.catalogue, visible);
            if matches!(visible, Visible::Merged(..)) || output.about.origin.is_none() {
                means(name, &output.name, output.delimited)
            } else {
                matches(name, &output.name)
            }
        };
        let found: Vec<usize> = (0..side.len()).filter(|i| is_called(&side[*i])).collect();
        match found.as_slice() {
            [one] => Ok(scope.visible(self.catalogue, &side.remove(*one))),
            [] => {
                Err(Error::new(Code::UnknownColumn, name.span, format!("there is no column {} on the {which} side of the join", name.text)))
            }
            _ => Err(Error::new(Code::AmbiguousName, name.span, format!("the {which} side of the join has several columns {}", name.text))
                .hint("join with ON and say which")),
        }
    }
}

fn always() -> Expr {
    Expr::constant(crate::adql::checked::Constant::Boolean(true))
}

/// Is one of the conditions joined by AND an equality of two columns?
fn has_equality(on: &Expr) -> bool {
    match &on.node {
        Node::Compare(Comparison::Equal, a, b) => {
            matches!((&a.node, &b.node), (Node::Column { source: x, .. }, Node::Column { source: y, .. }) if x != y)
        }
        Node::And(all) => all.iter().any(has_equality),
        _ => false,
    }
}

fn missing_table(path: &Path, missing: Missing) -> Error {
    let name = path.parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".");
    match missing {
        Missing::Unknown(near) => {
            let error = Error::new(Code::UnknownTable, path.span, format!("there is no table {name}"));
            match near.as_slice() {
                [] => error.hint("SELECT table_name FROM TAP_SCHEMA.tables lists the tables"),
                near => error.hint(format!("is it {}?", near.join(" or "))),
            }
        }
        Missing::Ambiguous(all) => {
            let error = Error::new(Code::AmbiguousName, path.span, format!("{name} could be any of {}", all.join(", ")));
            error.hint(format!("name its schema: {}", all[0]))
        }
    }
}
