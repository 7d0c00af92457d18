//! What is wrong with a query: a code for machines, a sentence, its place in the text, and the remedy.

use super::tree::Span;
use std::fmt::Write;

/// A fault of a query. The message is one sentence without a full stop; spans are bytes of the text that was parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub code: Code,
    pub message: String,
    pub span: Span,
    /// What to do about it, most likely first; each can stand after "remedy: ".
    pub hints: Vec<String>,
}

/// The kinds of faults: a closed list, each with the name that programs see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// A character that no query holds there.
    Character,
    /// A malformed number.
    Number,
    /// A string, delimited name or comment without its end.
    Unterminated,
    /// The grammar wants something else.
    Syntax,
    /// A reserved word used as a name.
    ReservedWord,
    /// Something of SQL that ADQL does not have.
    NotInAdql,
    /// The wrong number or shape of arguments.
    Arguments,
    /// A condition where a value is due, or a value where a condition is due.
    ConditionOrValue,
    UnknownTable,
    UnknownColumn,
    AmbiguousName,
    UnknownFunction,
    DuplicateName,
    /// Types or units that do not go together.
    Type,
    /// Aggregates and GROUP BY against the rules.
    Grouping,
    /// Numbers of columns, positions in ORDER BY, and the like.
    Columns,
    /// A geometry or coordinate system that cannot be answered exactly.
    Geometry,
    LimitLength,
    LimitTokens,
    LimitDepth,
    LimitTables,
}

impl Code {
    pub fn name(self) -> &'static str {
        match self {
            Code::Character => "character",
            Code::Number => "number",
            Code::Unterminated => "unterminated",
            Code::Syntax => "syntax",
            Code::ReservedWord => "reserved-word",
            Code::NotInAdql => "not-in-adql",
            Code::Arguments => "arguments",
            Code::ConditionOrValue => "condition-or-value",
            Code::UnknownTable => "unknown-table",
            Code::UnknownColumn => "unknown-column",
            Code::AmbiguousName => "ambiguous-name",
            Code::UnknownFunction => "unknown-function",
            Code::DuplicateName => "duplicate-name",
            Code::Type => "type",
            Code::Grouping => "grouping",
            Code::Columns => "columns",
            Code::Geometry => "geometry",
            Code::LimitLength => "limit-length",
            Code::LimitTokens => "limit-tokens",
            Code::LimitDepth => "limit-depth",
            Code::LimitTables => "limit-tables",
        }
    }
}

/// How many characters of a line are shown around the fault.
const WINDOW: usize = 100;

/// How many of them stand before it at most.
const BEFORE: usize = 60;

impl Error {
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), span, hints: Vec::new() }
    }

    /// The same with one more remedy.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hints.push(hint.into());
        self
    }

    /// Line and column of the fault, both from 1, columns in characters.
    pub fn line_column(&self, text: &str) -> (usize, usize) {
        let before = &text[..boundary(text, self.span.start)];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// How many characters the fault covers.
    pub fn length(&self, text: &str) -> usize {
        let start = boundary(text, self.span.start);
        text[start..boundary(text, self.span.end.max(start))].chars().count()
    }

    /// For people: message, place, the line with a caret line below it, and the remedies. `text` is what was parsed.
    /// Characters that would disturb a terminal are shown as `·`.
    pub fn render(&self, text: &str) -> String {
        let (line, column) = self.line_column(text);
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        let (excerpt, caret) = self.excerpt(text);
        let mut out = format!("error: {}\n", visible(&self.message));
        let _ = writeln!(out, "{gutter}--> line {line}, column {column} ({})", self.code.name());
        let _ = writeln!(out, "{gutter} |\n{number} | {excerpt}\n{gutter} | {caret}");
        for hint in &self.hints {
            let _ = writeln!(out, "{gutter} = remedy: {}", visible(hint));
        }
        out
    }

    /// The line of the fault, cut to a window around it, and the carets below it.
    fn excerpt(&self, text: &str) -> (String, String) {
        let start = boundary(text, self.span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let end = boundary(text, self.span.end).clamp(start, line_end);
        // from the fault backwards and forwards, so that a long line costs no more than the window
        let from = text[line_start..start].char_indices().rev().take(BEFORE).last().map_or(start, |(i, _)| line_start + i);
        let shown = text[from..line_end].char_indices().nth(WINDOW).map_or(line_end, |(i, _)| from + i);
        let (left, right) = (if from > line_start { "..." } else { "" }, if shown < line_end { "..." } else { "" });
        let excerpt = format!("{left}{}{right}", visible(text[from..shown].trim_end()));
        let indent = left.len() + text[from..start].chars().count();
        let carets = text[start..end.clamp(start, shown)].chars().count().max(1);
        (excerpt, format!("{}{}", " ".repeat(indent), "^".repeat(carets)))
    }
}

/// The next character boundary at or below `at`.
fn boundary(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

/// The text with every control and direction-changing character as `·`, tabs as a space.
fn visible(text: &str) -> String {
    let hides =
        |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if hides(c) {
                '·'
            } else {
                c
            }
        })
        .collect()
}
