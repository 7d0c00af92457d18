//! What names mean in one SELECT: its sources, the columns that `*` and bare names see, and the queries around it.

use super::catalogue::{Catalogue, exact, matches, nearest};
use super::checked::{About, ColumnName, Expr, Node, Origin, Output, Type};
use super::error::{Code, Error};
use super::tree::{Name, Path, Span};
use crate::schema::Column;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The clause that is being checked: where aggregates may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clause {
    Select,
    Where,
    On,
    GroupBy,
    Having,
    OrderBy,
    /// Inside an aggregate's brackets.
    Aggregate,
}

impl Clause {
    pub fn words(self) -> &'static str {
        match self {
            Clause::Select => "the select list",
            Clause::Where => "WHERE",
            Clause::On => "ON",
            Clause::GroupBy => "GROUP BY",
            Clause::Having => "HAVING",
            Clause::OrderBy => "ORDER BY",
            Clause::Aggregate => "an aggregate",
        }
    }
}

/// A table, derived table or common table in FROM.
#[derive(Debug, Clone)]
pub struct Source {
    /// Unique in the whole query.
    pub number: usize,
    pub alias: Option<Name>,
    pub kind: SourceKind,
}

#[derive(Debug, Clone)]
pub enum SourceKind {
    Relation(usize),
    /// A derived or common table.
    Outputs(Rc<Vec<Output>>),
}

/// What a bare name or `*` sees.
#[derive(Debug, Clone)]
pub enum Visible {
    Column {
        source: usize,
        column: usize,
    },
    /// Of NATURAL and USING, where two columns are one.
    Merged(Box<(Output, Expr)>),
}

/// One SELECT.
pub struct Scope<'p> {
    pub parent: Option<&'p Scope<'p>>,
    pub sources: Vec<Source>,
    pub visible: Vec<Visible>,
    pub clause: Cell<Clause>,
    /// Was an aggregate of this SELECT seen?
    pub aggregated: Cell<bool>,
    /// The select list's own names, once it is checked: for GROUP BY, HAVING, ORDER BY.
    pub aliases: RefCell<Vec<(Output, Expr)>>,
    /// In ON of an outer join: the sources whose rows are all kept, so that an index on them is of no use.
    pub kept: Vec<usize>,
}

impl<'p> Scope<'p> {
    pub fn new(parent: Option<&'p Scope<'p>>, clause: Clause) -> Scope<'p> {
        Scope {
            parent,
            sources: Vec::new(),
            visible: Vec::new(),
            clause: Cell::new(clause),
            aggregated: Cell::new(false),
            aliases: RefCell::default(),
            kept: Vec::new(),
        }
    }

    fn source(&self, number: usize) -> &Source {
        self.sources.iter().find(|source| source.number == number).expect("what is visible has its source in the scope")
    }

    /// Name and value of what is visible at a place.
    pub fn visible(&self, catalogue: &Catalogue, visible: &Visible) -> (Output, Expr) {
        match visible {
            Visible::Merged(merged) => (**merged).clone(),
            Visible::Column { source, column } => {
                let source = self.source(*source);
                (source.output(catalogue, *column), source.expr(catalogue, *column))
            }
        }
    }

    fn visible_matches(&self, catalogue: &Catalogue, visible: &Visible, name: &Name) -> bool {
        match visible {
            Visible::Merged(merged) => means(name, &merged.0.name, merged.0.delimited),
            Visible::Column { source, column } => self.source(*source).column_matches(catalogue, *column, name),
        }
    }
}

impl Source {
    pub fn count(&self, catalogue: &Catalogue) -> usize {
        match &self.kind {
            SourceKind::Relation(relation) => catalogue.relation(*relation).table.columns.len(),
            SourceKind::Outputs(outputs) => outputs.len(),
        }
    }

    fn column_matches(&self, catalogue: &Catalogue, column: usize, name: &Name) -> bool {
        match &self.kind {
            SourceKind::Relation(relation) => matches(name, &catalogue.relation(*relation).table.columns[column].name),
            SourceKind::Outputs(outputs) => means(name, &outputs[column].name, outputs[column].delimited),
        }
    }

    fn column_name<'c>(&'c self, catalogue: &'c Catalogue, column: usize) -> &'c str {
        match &self.kind {
            SourceKind::Relation(relation) => &catalogue.relation(*relation).table.columns[column].name,
            SourceKind::Outputs(outputs) => &outputs[column].name,
        }
    }

    pub fn output(&self, catalogue: &Catalogue, column: usize) -> Output {
        match &self.kind {
            SourceKind::Outputs(outputs) => outputs[column].clone(),
            SourceKind::Relation(relation) => {
                let known = &catalogue.relation(*relation).table.columns[column];
                let about = About { origin: Some(Origin { relation: *relation, column }), ..About::default() };
                Output { name: known.name.clone(), delimited: false, ty: column_type(known), about }
            }
        }
    }

    pub fn expr(&self, catalogue: &Catalogue, column: usize) -> Expr {
        match &self.kind {
            SourceKind::Outputs(outputs) => {
                let node = Node::Column { source: self.number, name: ColumnName::Output(column) };
                Expr { node, ty: outputs[column].ty, about: outputs[column].about.clone() }
            }
            SourceKind::Relation(relation) => {
                let origin = Origin { relation: *relation, column };
                let node = Node::Column { source: self.number, name: ColumnName::Catalogue(origin) };
                let ty = column_type(&catalogue.relation(*relation).table.columns[column]);
                Expr { node, ty, about: About { origin: Some(origin), ..About::default() } }
            }
        }
    }

    /// Is this source meant by the qualifier of a column: an alias, a table's name, a schema's and a table's name?
    fn is_called(&self, catalogue: &Catalogue, qualifier: &[Name]) -> bool {
        match (&self.alias, &self.kind, qualifier) {
            (Some(alias), _, [name]) => means(name, &alias.text, alias.delimited),
            (None, SourceKind::Relation(relation), [.., name]) => {
                let relation = catalogue.relation(*relation);
                let schema = qualifier.len().checked_sub(2).map(|i| &qualifier[i]);
                matches(name, &relation.table.name) && schema.is_none_or(|schema| matches(schema, &relation.adql_schema))
            }
            _ => false,
        }
    }

    /// For messages.
    fn name(&self, catalogue: &Catalogue) -> String {
        match (&self.alias, &self.kind) {
            (Some(alias), _) => alias.text.clone(),
            (None, SourceKind::Relation(relation)) => catalogue.relation(*relation).full_name(),
            (None, SourceKind::Outputs(_)) => "the derived table".into(),
        }
    }
}

/// Does a name mean what was declared? A regular declaration also answers to its quoted lower-case form.
pub fn means(name: &Name, declared: &str, declared_delimited: bool) -> bool {
    matches(name, declared) || (name.delimited && !declared_delimited && name.text == declared.to_lowercase())
}

/// The type of a column of the catalogue, its xtype taken into account.
pub fn column_type(column: &Column) -> Type {
    use crate::schema::DataType::{Double, Real, Text};
    let xtype = column.xtype.strip_prefix("adql:").unwrap_or(&column.xtype);
    match (column.array, column.datatype, xtype.to_ascii_lowercase().as_str()) {
        (true, Double | Real, "point") => Type::Point,
        (true, Double | Real, "circle") => Type::Circle,
        (true, Double | Real, "polygon") => Type::Polygon,
        (false, Text, "region" | "shape" | "circle" | "polygon" | "point") => Type::Region,
        (true, datatype, _) => Type::Array(datatype),
        (false, datatype, _) => Type::Value(datatype),
    }
}

/// The column that a path means, looked for outwards.
pub fn resolve(catalogue: &Catalogue, scope: &Scope<'_>, path: &Path) -> Result<Expr, Error> {
    let (name, qualifier) = path.parts.split_last().expect("a path has parts");
    let mut level = Some(scope);
    while let Some(scope) = level {
        let found = if qualifier.is_empty() { bare(catalogue, scope, name)? } else { qualified(catalogue, scope, qualifier, name, path)? };
        if let Some(expr) = found {
            return Ok(expr);
        }
        level = scope.parent;
    }
    Err(if qualifier.is_empty() { unknown_column(catalogue, scope, name) } else { unknown_source(catalogue, scope, qualifier, path.span) })
}

fn bare(catalogue: &Catalogue, scope: &Scope<'_>, name: &Name) -> Result<Option<Expr>, Error> {
    let found: Vec<&Visible> = scope.visible.iter().filter(|visible| scope.visible_matches(catalogue, visible, name)).collect();
    let one = match found.as_slice() {
        [] => return Ok(alias(scope, name)),
        [one] => Some(*one),
        _ => exact(&found, |visible| scope.visible(catalogue, visible).0.name == name.text),
    };
    match one {
        Some(visible) => Ok(Some(scope.visible(catalogue, visible).1)),
        None => {
            let owner = |visible: &&Visible| match visible {
                Visible::Column { source, .. } => format!("{}.{}", scope.source(*source).name(catalogue), name.text),
                Visible::Merged(merged) => merged.0.name.clone(),
            };
            let owners: Vec<String> = found.iter().map(owner).collect();
            let error = Error::new(Code::AmbiguousName, name.span, format!("{} could be any of {}", name.text, owners.join(", ")));
            Err(error.hint(format!("say which table: {}", owners.first().map_or("", String::as_str))))
        }
    }
}

/// An alias of the select list, where SQL or common use lets it stand.
fn alias(scope: &Scope<'_>, name: &Name) -> Option<Expr> {
    if !matches!(scope.clause.get(), Clause::GroupBy | Clause::Having | Clause::OrderBy) {
        return None;
    }
    let aliases = scope.aliases.borrow();
    aliases.iter().find(|(output, _)| means(name, &output.name, output.delimited)).map(|(_, expr)| expr.clone())
}

fn qualified(catalogue: &Catalogue, scope: &Scope<'_>, qualifier: &[Name], name: &Name, path: &Path) -> Result<Option<Expr>, Error> {
    let Some(source) = find_source(catalogue, scope, qualifier, path.span)? else { return Ok(None) };
    let columns: Vec<usize> = (0..source.count(catalogue)).filter(|i| source.column_matches(catalogue, *i, name)).collect();
    let one = match columns.as_slice() {
        [one] => Some(*one),
        _ => exact(&columns, |i| source.column_name(catalogue, *i) == name.text),
    };
    match one {
        Some(column) => Ok(Some(source.expr(catalogue, column))),
        None if columns.is_empty() => {
            let message = format!("{} has no column {}", source.name(catalogue), name.text);
            let names = (0..source.count(catalogue)).map(|i| source.column_name(catalogue, i));
            Err(with_names(Error::new(Code::UnknownColumn, name.span, message), nearest(&name.text, names)))
        }
        None => {
            let message = format!("{} has several columns {}", source.name(catalogue), name.text);
            Err(Error::new(Code::AmbiguousName, name.span, message).hint("give them different names with AS in the derived table"))
        }
    }
}

/// The source of a qualifier in this scope alone.
pub fn find_source<'s>(catalogue: &Catalogue, scope: &'s Scope<'_>, qualifier: &[Name], span: Span) -> Result<Option<&'s Source>, Error> {
    let found: Vec<&Source> = scope.sources.iter().filter(|source| source.is_called(catalogue, qualifier)).collect();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => {
            let called = |source: &&Source| source.alias.as_ref().map_or("", |alias| alias.text.as_str()) == qualifier[0].text;
            match exact(&found, called) {
                Some(one) => Ok(Some(one)),
                None => {
                    let message = format!("{} stands in FROM more than once", written(qualifier));
                    Err(Error::new(Code::AmbiguousName, span, message).hint("give each its own alias: FROM t AS a, t AS b"))
                }
            }
        }
    }
}

pub fn unknown_source(catalogue: &Catalogue, scope: &Scope<'_>, qualifier: &[Name], span: Span) -> Error {
    let wanted = written(qualifier);
    let error = Error::new(Code::UnknownTable, span, format!("there is no {wanted} in FROM"));
    let hidden = |source: &&Source| source.alias.is_some() && Source { alias: None, ..(*source).clone() }.is_called(catalogue, qualifier);
    if let Some(source) = scope.sources.iter().find(hidden) {
        return error.hint(format!("it is called {} here", source.name(catalogue)));
    }
    let names: Vec<String> = scope.sources.iter().map(|source| source.name(catalogue)).collect();
    let near = nearest(&wanted, names.iter().map(String::as_str));
    with_names(error, if near.is_empty() { names.into_iter().take(5).collect() } else { near })
}

fn unknown_column(catalogue: &Catalogue, scope: &Scope<'_>, name: &Name) -> Error {
    let error = Error::new(Code::UnknownColumn, name.span, format!("there is no column {}", name.text));
    if scope.aliases.borrow().iter().any(|(output, _)| means(name, &output.name, output.delimited)) {
        return error.hint("it is a name of the select list, which this clause does not see: repeat its expression");
    }
    if name.delimited {
        let regular = Name { delimited: false, ..name.clone() };
        if let Ok(Some(_)) = bare(catalogue, scope, &regular) {
            return error.hint(format!("names in quotes must be written exactly: leave the quotes off {}", name.text));
        }
        let error = error.hint("a string stands in single quotes");
        return with_names(error, nearest(&name.text, known_names(catalogue, scope).into_iter()));
    }
    let near = nearest(&name.text, known_names(catalogue, scope).into_iter());
    match scope.sources.is_empty() && scope.parent.is_none() {
        true => error.hint("without FROM there are no columns"),
        false => with_names(error, near),
    }
}

/// All columns in sight, those of the queries around it too.
fn known_names<'s>(catalogue: &'s Catalogue, scope: &'s Scope<'s>) -> Vec<&'s str> {
    let mut names: Vec<&str> = Vec::new();
    let mut level = Some(scope);
    while let Some(scope) = level {
        for source in &scope.sources {
            names.extend((0..source.count(catalogue)).map(|i| source.column_name(catalogue, i)));
        }
        level = scope.parent;
    }
    names
}

fn with_names(error: Error, names: Vec<String>) -> Error {
    if names.is_empty() { error } else { error.hint(format!("is it {}?", names.join(" or "))) }
}

fn written(names: &[Name]) -> String {
    names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(".")
}
