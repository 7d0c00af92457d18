//! From the text of a query to the statement that answers it.

use super::catalogue::Catalogue;
use super::checked::{Constant, Output, Type};
use super::error::{Code, Error};
use super::tree::{Body, Item, Query, Span};
use super::{check, emit};
use crate::schema::{Column, DataType};
use std::collections::HashSet;

/// What the caller wants of a translation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// At most so many rows, whatever the query says.
    pub row_limit: Option<u64>,
}

/// A literal of the query: the value of `$1`, `$2`, ..., in the type that the SQL gives it.
pub type Parameter = Constant;

/// What to send to the server, and what comes back.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub sql: String,
    pub parameters: Vec<Parameter>,
    /// The columns of the answer, each with a name of its own.
    pub columns: Vec<Column>,
    /// The TOP (or LIMIT) of the text.
    pub limit: Option<u64>,
    /// The relations that are read, as indices of the catalogue.
    pub relations: Vec<usize>,
}

/// Translates a query.
///
/// Checking and writing recurse as deep as the query nests. The deepest that the parser lets through needs more than the 2 MB
/// of a thread, so a text that could nest deeply is given to a thread of its own, for 50 microseconds more.
pub fn translate(text: &str, catalogue: &Catalogue, options: &Options) -> Result<Statement, Error> {
    let tree = super::parse(text)?;
    if !may_nest_deeply(text) {
        return translate_tree(&tree, text, catalogue, options);
    }
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("adql".into()).stack_size(DEEP_STACK);
        match builder.spawn_scoped(scope, || translate_tree(&tree, text, catalogue, options)) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => {
                let error = Error::new(Code::LimitDepth, tree.span, "there is no memory for a query that nests so deeply");
                Err(error.hint("try again later, or with fewer parentheses"))
            }
        }
    })
}

/// Address space for the deepest trees; memory is taken as it is used.
const DEEP_STACK: usize = 64 << 20;

/// Are there more than a few brackets, signs and words that nest?
fn may_nest_deeply(text: &str) -> bool {
    const FEW: usize = 12;
    let signs = text.bytes().filter(|byte| matches!(byte, b'(' | b'-' | b'+')).count();
    let word = |word: &str| text.as_bytes().windows(word.len()).filter(|window| window.eq_ignore_ascii_case(word.as_bytes())).count();
    signs > FEW || signs + word("case") + word("not") + word("::") > FEW
}

/// Translates a query that is parsed already; `text` is what it was parsed from.
pub fn translate_tree(tree: &Query, text: &str, catalogue: &Catalogue, options: &Options) -> Result<Statement, Error> {
    let checked = check::check(tree, catalogue)?;
    let columns = columns(&checked.query.outputs, &texts(tree), text, catalogue);
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let emitted = emit::emit(&checked.query, &names, catalogue, options.row_limit);
    if emitted.parameters.len() > emit::MOST_PARAMETERS {
        let message = format!("the query has more than {} different literals", emit::MOST_PARAMETERS);
        return Err(Error::new(Code::LimitTokens, tree.span, message).hint("upload them as a table, or put them into one IN list"));
    }
    let limit = checked.query.limit;
    Ok(Statement { sql: emitted.sql, parameters: emitted.parameters, columns, limit, relations: checked.relations })
}

/// The metadata of the answer's columns. Names that come twice (without regard to case) get a number: `ra`, `ra_2`.
fn columns(outputs: &[Output], texts: &[Option<Span>], text: &str, catalogue: &Catalogue) -> Vec<Column> {
    let mut taken: HashSet<String> = outputs.iter().map(|output| output.name.to_lowercase()).collect();
    let mut seen: HashSet<String> = HashSet::with_capacity(outputs.len());
    let mut columns = Vec::with_capacity(outputs.len());
    for (i, output) in outputs.iter().enumerate() {
        let mut column = column(output, catalogue);
        if column.description.is_empty()
            && let Some(Some(span)) = texts.get(i)
        {
            column.description = excerpt(&text[span.start..span.end]);
        }
        column.name.clone_from(&output.name);
        if !seen.insert(output.name.to_lowercase()) {
            let mut number = 2;
            while !taken.insert(format!("{}_{number}", output.name.to_lowercase())) {
                number += 1;
            }
            column.name = format!("{}_{number}", output.name);
        }
        columns.push(column);
    }
    columns
}

/// Where the expressions of the outermost select list stand, if each column has one.
fn texts(tree: &Query) -> Vec<Option<Span>> {
    let Body::Select(select) = &tree.body else { return Vec::new() };
    let spans = select.items.iter().map(|item| match item {
        Item::Expr { expr, .. } => Some(Some(expr.span)),
        // a star stands for columns that have their own descriptions
        Item::All(_) | Item::AllOf(_) => None,
    });
    spans.collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// The text of an expression as a description: one line, of limited length.
fn excerpt(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

fn column(output: &Output, catalogue: &Catalogue) -> Column {
    let (datatype, array, xtype) = match output.ty {
        Type::Null => (DataType::Text, false, ""),
        Type::Value(datatype) => (datatype, false, ""),
        Type::Array(datatype) => (datatype, true, ""),
        Type::Point => (DataType::Double, true, "point"),
        Type::Circle => (DataType::Double, true, "circle"),
        Type::Polygon => (DataType::Double, true, "polygon"),
        Type::Region => (DataType::Text, false, "adql:REGION"),
    };
    match output.about.origin.map(|origin| &catalogue.relation(origin.relation).table.columns[origin.column]) {
        // through an outer join any column can be NULL
        Some(known) if known.datatype == datatype && known.array == array => Column { nullable: true, ..known.clone() },
        known => Column {
            unit: known.map_or_else(|| output.about.unit.clone(), |known| known.unit.clone()),
            ucd: known.map_or_else(|| output.about.ucd.clone(), |known| known.ucd.clone()),
            description: known.map_or_else(|| output.about.description.clone(), |known| known.description.clone()),
            array,
            xtype: xtype.to_owned(),
            ..Column::new(output.name.as_str(), datatype)
        },
    }
}
