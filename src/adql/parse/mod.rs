//! Tokens to a tree, by recursive descent: ADQL 2.1 (REC-ADQL-2.1, appendix A), which includes 2.0, and SQL habits that mean the same.
//!
//! One token of lookahead and no second tries, so the time is linear. Recursion is counted ([`MAX_DEPTH`]); lists of any
//! length are loops. What needs no catalogue is judged here: conditions stand where conditions are due and values where
//! values are, names are not reserved words, and ADQL's own functions have arguments of the right number and shape.

mod expr;
mod from;
mod query;
mod shape;

use super::error::{Code, Error};
use super::token::{self, Kind, Token};
use super::tree::{Count, Name, Path, Query, Span};
use super::words;

pub use shape::is_known_function;

/// How deep parentheses, calls, NOT and signs may nest. A level is up to six nodes of the tree; what holds more of them in
/// one another counts for several levels, so that no branch of a tree is longer than about 700 nodes.
pub const MAX_DEPTH: usize = 100;

/// The levels that a CASE counts for: it holds conditions.
const CASE_LEVELS: usize = 3;

/// The levels that a query within a query counts for.
const QUERY_LEVELS: usize = 4;

/// Reads a query. Functions that are not ADQL's own pass: which of them there are is the checker's to say.
pub fn parse(text: &str) -> Result<Query, Error> {
    parse_with(text, &|_| true)
}

/// Reads a query in which only ADQL's own functions and those that are known may be called.
pub fn parse_with(text: &str, is_known: &dyn Fn(&str) -> bool) -> Result<Query, Error> {
    let tokens = token::tokens(text)?;
    let mut parser = Parser { text, tokens, at: 0, depth: 0, is_known };
    parser.refuse_other_statements()?;
    let query = parser.whole_query()?;
    parser.end()?;
    Ok(query)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    is_known: &'a dyn Fn(&str) -> bool,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token {
        self.tokens[self.at]
    }

    /// The token after the next one.
    fn peek_second(&self) -> Token {
        self.tokens[(self.at + 1).min(self.tokens.len() - 1)]
    }

    fn word_at(&self, token: Token) -> &'a str {
        match token.kind {
            Kind::Word => token.text(self.text),
            _ => "",
        }
    }

    /// Takes the token; the end stays.
    fn advance(&mut self) -> Token {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// Where the token before this one is.
    fn previous(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span()
    }

    /// From `start` to the token that was taken last.
    fn since(&self, start: Span) -> Span {
        start.to(self.previous())
    }

    fn at(&self, kind: Kind) -> bool {
        self.peek().kind == kind
    }

    fn eat(&mut self, kind: Kind) -> bool {
        let found = self.at(kind);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, kind: Kind, wanted: &str) -> Result<Span, Error> {
        if self.at(kind) {
            return Ok(self.advance().span());
        }
        Err(self.unexpected(wanted))
    }

    fn at_word(&self, word: &str) -> bool {
        self.word_at(self.peek()).eq_ignore_ascii_case(word)
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn expect_word(&mut self, word: &str) -> Result<Span, Error> {
        if self.at_word(word) {
            return Ok(self.advance().span());
        }
        Err(self.unexpected(word))
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.nested_by(1, parse)
    }

    /// Runs `parse` some levels deeper.
    fn nested_by<T>(&mut self, levels: usize, parse: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth + levels > MAX_DEPTH {
            let message = format!("the query nests deeper than {MAX_DEPTH} levels");
            return Err(Error::new(Code::LimitDepth, self.peek().span(), message)
                .hint("take away needless parentheses, or name a part of the query: WITH part AS (SELECT ...) SELECT ..."));
        }
        self.depth += levels;
        let parsed = parse(self);
        self.depth -= levels;
        parsed
    }

    /// A list with commas, of at least one.
    fn list<T>(&mut self, mut parse: impl FnMut(&mut Self) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let mut items = vec![parse(self)?];
        while self.eat(Kind::Comma) {
            items.push(parse(self)?);
        }
        Ok(items)
    }

    /// A name that is no reserved word.
    fn name(&mut self, wanted: &str) -> Result<Name, Error> {
        let token = self.peek();
        match token.kind {
            Kind::Word if words::is_reserved(token.text(self.text)) => Err(self.reserved(wanted)),
            Kind::Word | Kind::Delimited => Ok(self.any_name()),
            _ => Err(self.unexpected(wanted)),
        }
    }

    /// The name that stands here.
    fn any_name(&mut self) -> Name {
        let token = self.advance();
        let written = token.text(self.text);
        let delimited = token.kind == Kind::Delimited;
        let text = if delimited { token::unquote(written) } else { written.to_owned() };
        Name { text, delimited, span: token.span() }
    }

    /// The rest of a name with dots. After a dot a reserved word is a name, for nothing else can stand there.
    fn path_from(&mut self, first: Name) -> Result<Path, Error> {
        let mut parts = vec![first];
        while self.at(Kind::Dot) && self.peek_second().kind != Kind::Star {
            self.advance();
            match self.peek().kind {
                Kind::Word | Kind::Delimited => parts.push(self.any_name()),
                _ => return Err(self.unexpected("a name after the dot")),
            }
        }
        let span = self.since(parts[0].span);
        Ok(Path { parts, span })
    }

    /// An alias with or without AS.
    fn alias(&mut self) -> Result<Option<Name>, Error> {
        if self.eat_word("AS") {
            if self.at(Kind::String) {
                let text = token::unquote(self.peek().text(self.text));
                return Err(self.unexpected("a name").hint(format!("names stand in double quotes: \"{text}\"")));
            }
            return Ok(Some(self.name("a name after AS")?));
        }
        let token = self.peek();
        let second = self.peek_second().kind;
        let limits = self.at_word("LIMIT") && matches!(second, Kind::Integer | Kind::Decimal | Kind::Plus | Kind::Minus)
            || self.at_word("TABLESAMPLE") && second == Kind::Open;
        let is_name = match token.kind {
            Kind::Word => !limits && !words::is_reserved(token.text(self.text)),
            kind => kind == Kind::Delimited,
        };
        Ok(if is_name { Some(self.any_name()) } else { None })
    }

    /// A number of rows.
    fn count(&mut self, clause: &str) -> Result<Count, Error> {
        let token = self.peek();
        if token.kind != Kind::Integer {
            let error = self.unexpected(&format!("a number of rows after {clause}"));
            return Err(error.hint(format!("write a whole number, not negative, as in {clause} 10")));
        }
        self.advance();
        let value = token.text(self.text).parse::<u64>().ok().filter(|value| i64::try_from(*value).is_ok());
        let too_large = || Error::new(Code::Number, token.span(), format!("{clause} counts to {} at most", i64::MAX));
        Ok(Count { value: value.ok_or_else(too_large)?, span: token.span() })
    }

    /// What stands here, for a message.
    fn found(&self) -> String {
        let token = self.peek();
        match token.kind {
            Kind::End => "the query ends".to_owned(),
            _ => {
                let text = token.text(self.text);
                let shown: String = text.chars().take(40).collect();
                let dots = if shown.len() < text.len() { "..." } else { "" };
                format!("here stands {shown}{dots}")
            }
        }
    }

    /// The error that something else was wanted here, with the remedy for usual mistakes.
    fn unexpected(&self, wanted: &str) -> Error {
        self.advise(self.expected(wanted))
    }

    /// The same, the remedy being the caller's.
    fn expected(&self, wanted: &str) -> Error {
        let mut span = self.peek().span();
        if self.at(Kind::End) {
            // the end of what was written, not of the white space after it
            span = Span::new(self.previous().end, self.previous().end);
        }
        Error::new(Code::Syntax, span, format!("expected {wanted}, but {}", self.found()))
    }

    /// Adds the remedy for usual mistakes, by what stands here.
    fn advise(&self, error: Error) -> Error {
        let word = self.word_at(self.peek()).to_ascii_uppercase();
        let after_comma = self.at > 0 && self.tokens[self.at - 1].kind == Kind::Comma;
        match word.as_str() {
            _ if after_comma && (words::is_structure(&word) || self.at(Kind::Close) || self.at(Kind::End)) => {
                error.hint("take away the comma before it")
            }
            "MINUS" => error.hint("the difference of two queries is EXCEPT"),
            "SELECT" if self.after_word("MINUS") => error.hint("the difference of two queries is EXCEPT"),
            "SELECT" | "WITH" => error.hint("a query within a query stands in parentheses"),
            "FETCH" => error.hint("the number of rows is limited by TOP: SELECT TOP 10 ..."),
            "FOR" | "LOCK" => error.hint("there is nothing to lock: end the query before it"),
            "INTO" => error.hint("the rows come back as the answer: there is no INTO"),
            "OVER" | "FILTER" | "WITHIN" if self.peek_second().kind == Kind::Open => {
                error.hint("ADQL has no window functions and no FILTER")
            }
            "TABLESAMPLE" => error.hint("to sample, filter on a column of random numbers, or write WHERE RAND() < 0.01"),
            "WHERE" | "GROUP" | "HAVING" | "ORDER" | "OFFSET" | "LIMIT" | "FROM" => {
                error.hint("the order is SELECT, FROM, WHERE, GROUP BY, HAVING, ORDER BY, OFFSET")
            }
            _ if !word.is_empty() && words::is_reserved(&word) && !words::is_structure(&word) => {
                let written = self.word_at(self.peek());
                error.hint(format!("{written} is a reserved word: as a name write \"{written}\""))
            }
            _ => error,
        }
    }

    fn after_word(&self, word: &str) -> bool {
        self.at > 0 && self.word_at(self.tokens[self.at - 1]).eq_ignore_ascii_case(word)
    }

    /// The error for a reserved word where a name is wanted.
    fn reserved(&self, wanted: &str) -> Error {
        let word = self.word_at(self.peek());
        if words::is_structure(word) {
            return self.unexpected(wanted);
        }
        Error::new(Code::ReservedWord, self.peek().span(), format!("{word} is a reserved word of ADQL"))
            .hint(format!("as a name write \"{word}\""))
    }

    /// Everything was read, but for semicolons.
    fn end(&mut self) -> Result<(), Error> {
        if self.eat(Kind::Semicolon) {
            while self.eat(Kind::Semicolon) {}
            if !self.at(Kind::End) {
                return Err(Error::new(Code::NotInAdql, self.peek().span(), "a second statement begins here; one is read at a time")
                    .hint("send each query on its own"));
            }
        }
        match self.peek().kind {
            Kind::End => Ok(()),
            Kind::Close => Err(self.unexpected("the end of the query").hint("take this parenthesis away, or open one before")),
            _ => Err(self.unexpected("the end of the query")),
        }
    }

    /// A clear word to who tries to change something, or sends nothing.
    fn refuse_other_statements(&self) -> Result<(), Error> {
        const OTHERS: [&str; 27] = [
            "INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "DROP", "ALTER", "TRUNCATE", "GRANT", "REVOKE", "COPY", "CALL", "DO",
            "EXECUTE", "EXPLAIN", "ANALYZE", "VACUUM", "SHOW", "SET", "BEGIN", "COMMIT", "ROLLBACK", "LOCK", "TABLE", "VALUES", "DESCRIBE",
            "DECLARE",
        ];
        let first = self.peek();
        let word = self.word_at(first);
        if matches!(first.kind, Kind::End | Kind::Semicolon) {
            return Err(Error::new(Code::Syntax, first.span(), "the query is empty")
                .hint("write, for example, SELECT TOP 10 * FROM tap_schema.tables"));
        }
        if OTHERS.iter().any(|other| word.eq_ignore_ascii_case(other)) {
            let message = format!("{} is not part of ADQL: a query only reads", word.to_ascii_uppercase());
            return Err(
                Error::new(Code::NotInAdql, first.span(), message).hint("begin with SELECT; tables and columns are listed in tap_schema")
            );
        }
        Ok(())
    }
}
