//! Values and conditions, by precedence: OR, AND, NOT, predicates, `||`, `+ -`, `* /`, sign, `::`.

use super::{CASE_LEVELS, Parser, shape, words};
use crate::adql::error::{Code, Error};
use crate::adql::token::{Kind, unquote};
use crate::adql::tree::{Arguments, BinaryOperator, CastName, CastType, Comparison, Expr, ExprKind, Literal, Name, UnaryOperator};

/// How many `::` may follow a value: each is a level of the tree.
const MAX_CASTS: usize = 2;

impl Parser<'_> {
    /// An expression that is a value.
    pub(super) fn value(&mut self) -> Result<Expr, Error> {
        let expr = self.expr()?;
        shape::value(expr)
    }

    /// An expression that is a condition.
    pub(super) fn condition(&mut self) -> Result<Expr, Error> {
        let expr = self.expr()?;
        shape::condition(expr)
    }

    /// Either: alternatives with OR.
    fn expr(&mut self) -> Result<Expr, Error> {
        self.joined("OR", Self::conjunction, ExprKind::Or)
    }

    fn conjunction(&mut self) -> Result<Expr, Error> {
        self.joined("AND", Self::negation, ExprKind::And)
    }

    /// Conditions between a word.
    fn joined(
        &mut self,
        word: &str,
        operand: impl Fn(&mut Self) -> Result<Expr, Error>,
        kind: impl Fn(Vec<Expr>) -> ExprKind,
    ) -> Result<Expr, Error> {
        let first = operand(self)?;
        if !self.at_word(word) {
            return Ok(first);
        }
        let start = first.span;
        let mut all = vec![shape::condition(first)?];
        while self.eat_word(word) {
            all.push(shape::condition(operand(self)?)?);
        }
        Ok(Expr { kind: kind(all), span: self.since(start) })
    }

    fn negation(&mut self) -> Result<Expr, Error> {
        if !self.at_word("NOT") {
            return self.predicate();
        }
        let start = self.advance().span();
        let operand = self.nested(Self::negation)?;
        let operand = Box::new(shape::condition(operand)?);
        Ok(Expr { kind: ExprKind::Not(operand), span: self.since(start) })
    }

    /// A value, or one compared, or EXISTS.
    fn predicate(&mut self) -> Result<Expr, Error> {
        if self.at_word("EXISTS") && matches!(self.peek_second().kind, Kind::Open | Kind::OpenQuery) {
            let start = self.advance().span();
            let query = Box::new(self.query_in_parentheses("a query after EXISTS")?);
            return Ok(Expr { kind: ExprKind::Exists(query), span: self.since(start) });
        }
        let left = self.concatenation()?;
        if let Some(operator) = comparison(self.peek().kind) {
            return self.comparison(left, operator);
        }
        match self.word_at(self.peek()).to_ascii_uppercase().as_str() {
            "IS" => self.is(left),
            "NOT" => self.negated_predicate(left),
            "BETWEEN" | "IN" | "LIKE" | "ILIKE" => self.word_predicate(left, false),
            "ISNULL" | "NOTNULL" => Err(self.expected("IS").hint("write IS NULL or IS NOT NULL")),
            _ => Ok(left),
        }
    }

    fn comparison(&mut self, left: Expr, operator: Comparison) -> Result<Expr, Error> {
        let left = shape::value(left)?;
        self.advance();
        if (self.at_word("ANY") || self.at_word("ALL") || self.at_word("SOME")) && self.peek_second().kind == Kind::OpenQuery {
            let message = "comparing with ANY or ALL of a query is not part of ADQL";
            return Err(Error::new(Code::NotInAdql, self.peek().span(), message)
                .hint("write IN (SELECT ...), or compare with (SELECT MAX(...) ...)"));
        }
        let right = shape::value(self.concatenation()?)?;
        if comparison(self.peek().kind).is_some() {
            return Err(self.expected("AND or OR").hint("two comparisons are joined by AND: a < b AND b < c"));
        }
        let span = left.span.to(right.span);
        Ok(Expr { kind: ExprKind::Compare { operator, left: Box::new(left), right: Box::new(right) }, span })
    }

    /// `IS [NOT] NULL | TRUE | FALSE`
    fn is(&mut self, operand: Expr) -> Result<Expr, Error> {
        let start = operand.span;
        self.advance();
        let negated = self.eat_word("NOT");
        let kind = if self.eat_word("NULL") {
            ExprKind::IsNull { operand: Box::new(shape::value(operand)?), negated }
        } else if self.at_word("TRUE") || self.at_word("FALSE") {
            let value = self.at_word("TRUE");
            self.advance();
            ExprKind::IsTruth { operand: Box::new(shape::condition(operand)?), value, negated }
        } else if self.at_word("UNKNOWN") {
            return Err(self.expected("NULL, TRUE or FALSE after IS").hint("write IS NULL"));
        } else {
            return Err(self.expected("NULL, TRUE or FALSE after IS").hint("values are compared with ="));
        };
        Ok(Expr { kind, span: self.since(start) })
    }

    fn negated_predicate(&mut self, left: Expr) -> Result<Expr, Error> {
        let second = self.word_at(self.peek_second());
        if !["BETWEEN", "IN", "LIKE", "ILIKE"].iter().any(|word| second.eq_ignore_ascii_case(word)) {
            return Err(self.expected("a comparison").hint(if second.eq_ignore_ascii_case("NULL") {
                "write IS NOT NULL"
            } else {
                "NOT stands before the whole condition: NOT a = b"
            }));
        }
        self.advance();
        self.word_predicate(left, true)
    }

    /// BETWEEN, IN, LIKE or ILIKE, the cursor at the word.
    fn word_predicate(&mut self, operand: Expr, negated: bool) -> Result<Expr, Error> {
        let operand = Box::new(shape::value(operand)?);
        let start = operand.span;
        let token = self.advance();
        let word = self.word_at(token).to_ascii_uppercase();
        let kind = match word.as_str() {
            "BETWEEN" => {
                let low = Box::new(shape::value(self.concatenation()?)?);
                if !self.at_word("AND") {
                    return Err(self.expected("AND after the lower bound of BETWEEN").hint("write x BETWEEN low AND high"));
                }
                self.advance();
                let high = Box::new(shape::value(self.concatenation()?)?);
                ExprKind::Between { operand, low, high, negated }
            }
            "IN" => self.in_list(operand, negated)?,
            _ => {
                let pattern = Box::new(shape::value(self.concatenation()?)?);
                let escape = if self.eat_word("ESCAPE") { Some(Box::new(shape::value(self.concatenation()?)?)) } else { None };
                ExprKind::Like { operand, pattern, escape, ignore_case: word == "ILIKE", negated }
            }
        };
        Ok(Expr { kind, span: self.since(start) })
    }

    fn in_list(&mut self, operand: Box<Expr>, negated: bool) -> Result<ExprKind, Error> {
        match self.peek().kind {
            Kind::OpenQuery => {
                let query = Box::new(self.query_in_parentheses("a query")?);
                Ok(ExprKind::InQuery { operand, query, negated })
            }
            Kind::Open => {
                let open = self.advance().span();
                if self.at(Kind::Close) {
                    self.advance();
                    return Err(Error::new(Code::Syntax, self.since(open), "IN needs at least one value").hint("write IN (1, 2, 3)"));
                }
                let items = self.nested(|parser| parser.list(Self::value))?;
                self.expect(Kind::Close, "a comma or a closing parenthesis in the list of IN")?;
                Ok(ExprKind::InList { operand, items, negated })
            }
            _ => Err(self.expected("an opening parenthesis after IN").hint("write IN (1, 2, 3) or IN (SELECT ...)")),
        }
    }

    fn concatenation(&mut self) -> Result<Expr, Error> {
        self.chain(Self::sum, |kind| (kind == Kind::Concatenate).then_some(BinaryOperator::Concatenate))
    }

    fn sum(&mut self) -> Result<Expr, Error> {
        self.chain(Self::product, |kind| match kind {
            Kind::Plus => Some(BinaryOperator::Add),
            Kind::Minus => Some(BinaryOperator::Subtract),
            _ => None,
        })
    }

    fn product(&mut self) -> Result<Expr, Error> {
        self.chain(Self::signed, |kind| match kind {
            Kind::Star => Some(BinaryOperator::Multiply),
            Kind::Slash => Some(BinaryOperator::Divide),
            _ => None,
        })
    }

    /// Values between operators of one precedence.
    fn chain(
        &mut self,
        operand: impl Fn(&mut Self) -> Result<Expr, Error>,
        operator: impl Fn(Kind) -> Option<BinaryOperator>,
    ) -> Result<Expr, Error> {
        let first = operand(self)?;
        if operator(self.peek().kind).is_none() {
            return Ok(first);
        }
        let start = first.span;
        let first = Box::new(shape::value(first)?);
        let mut rest = Vec::new();
        while let Some(operator) = operator(self.peek().kind) {
            self.advance();
            rest.push((operator, shape::value(operand(self)?)?));
        }
        Ok(Expr { kind: ExprKind::Chain { first, rest }, span: self.since(start) })
    }

    fn signed(&mut self) -> Result<Expr, Error> {
        let operator = match self.peek().kind {
            Kind::Minus => UnaryOperator::Minus,
            Kind::Plus => UnaryOperator::Plus,
            _ => return self.cast_habit(),
        };
        let start = self.advance().span();
        let operand = self.nested(Self::signed)?;
        let operand = Box::new(shape::value(operand)?);
        Ok(Expr { kind: ExprKind::Unary { operator, operand }, span: self.since(start) })
    }

    /// `value::type`
    fn cast_habit(&mut self) -> Result<Expr, Error> {
        let mut expr = self.operand_of_value()?;
        for casts in 0.. {
            if !self.at(Kind::Cast) {
                break;
            }
            if casts == MAX_CASTS {
                return Err(Error::new(Code::LimitDepth, self.peek().span(), format!("more than {MAX_CASTS} casts of one value")));
            }
            let start = expr.span;
            let operand = Box::new(shape::value(expr)?);
            self.advance();
            let to = self.cast_type(true)?;
            expr = Expr { kind: ExprKind::Cast { operand, to }, span: self.since(start) };
        }
        Ok(expr)
    }

    fn operand_of_value(&mut self) -> Result<Expr, Error> {
        let token = self.peek();
        let literal = |literal, span| Ok(Expr { kind: ExprKind::Literal(literal), span });
        match token.kind {
            Kind::Integer => literal(Literal::Integer(self.advance().text(self.text).to_owned()), token.span()),
            Kind::Decimal => literal(Literal::Decimal(self.advance().text(self.text).to_owned()), token.span()),
            Kind::String => literal(Literal::String(self.string()), self.since(token.span())),
            Kind::OpenQuery => {
                let query = Box::new(self.query_in_parentheses("a query")?);
                Ok(Expr { kind: ExprKind::Scalar(query), span: self.since(token.span()) })
            }
            Kind::Open => self.nested(Self::in_parentheses),
            Kind::Word => self.word(),
            Kind::Delimited => {
                let name = self.any_name();
                if matches!(self.peek().kind, Kind::Open | Kind::OpenQuery) {
                    return Err(Error::new(Code::Syntax, name.span, "a function's name stands without quotes"));
                }
                self.column(name)
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    /// A string, and those after it, which continue it.
    fn string(&mut self) -> String {
        let mut text = unquote(self.advance().text(self.text));
        while self.at(Kind::String) {
            text.push_str(&unquote(self.advance().text(self.text)));
        }
        text
    }

    /// `( value or condition )`: the parentheses leave no trace but the span.
    fn in_parentheses(&mut self) -> Result<Expr, Error> {
        let start = self.advance().span();
        if self.at(Kind::Close) {
            return Err(self.unexpected("a value"));
        }
        let mut expr = self.expr()?;
        if self.at(Kind::Comma) {
            return Err(self.expected("a closing parenthesis").hint("rows of values, (a, b), are not part of ADQL: compare one by one"));
        }
        if !self.at(Kind::Close) {
            let error = self.unexpected("an operator or a closing parenthesis");
            let (line, column) = Error::new(Code::Syntax, start, "").line_column(self.text);
            return Err(error.hint(format!("close the parenthesis that opens in line {line}, column {column}")));
        }
        self.advance();
        expr.span = self.since(start);
        Ok(expr)
    }

    /// A word at the beginning of a value: a literal, CASE, CAST, a function or a column.
    fn word(&mut self) -> Result<Expr, Error> {
        let token = self.peek();
        let word = self.word_at(token);
        let second = self.peek_second().kind;
        let opens = matches!(second, Kind::Open | Kind::OpenQuery);
        let literal = |parser: &mut Self, literal| {
            parser.advance();
            Ok(Expr { kind: ExprKind::Literal(literal), span: token.span() })
        };
        if !words::is_reserved(word) {
            return if opens { self.call() } else { self.plain_column() };
        }
        match word.to_ascii_uppercase().as_str() {
            "NULL" => literal(self, Literal::Null),
            "TRUE" => literal(self, Literal::Boolean(true)),
            "FALSE" => literal(self, Literal::Boolean(false)),
            "CASE" => self.nested_by(CASE_LEVELS, Self::case),
            "CAST" if opens => self.nested(Self::cast),
            "TIMESTAMP" if second == Kind::String => self.timestamp(),
            "DATE" | "TIME" if second == Kind::String => Err(self.expected("a value").hint("write TIMESTAMP '2010-07-12T00:00:00'")),
            _ if opens && words::is_function(word) => self.call(),
            _ if opens && !words::is_structure(word) && !word.eq_ignore_ascii_case("EXISTS") => {
                let message = format!("ADQL has no function {}", word.to_ascii_uppercase());
                Err(Error::new(Code::UnknownFunction, token.span(), message))
            }
            _ => Err(self.reserved("a value")),
        }
    }

    fn timestamp(&mut self) -> Result<Expr, Error> {
        let start = self.advance().span();
        let text = self.string();
        Ok(Expr { kind: ExprKind::Literal(Literal::Timestamp(text)), span: self.since(start) })
    }

    fn plain_column(&mut self) -> Result<Expr, Error> {
        let name = self.any_name();
        self.column(name)
    }

    fn column(&mut self, name: Name) -> Result<Expr, Error> {
        let path = self.path_from(name)?;
        let span = path.span;
        if matches!(self.peek().kind, Kind::Open | Kind::OpenQuery) && path.parts.len() > 1 {
            return Err(Error::new(Code::UnknownFunction, span, "functions have no schema").hint("write the function's name alone"));
        }
        if path.parts.len() > 4 {
            return Err(Error::new(Code::Syntax, span, "a column's name has four parts at most: catalogue.schema.table.column"));
        }
        Ok(Expr { kind: ExprKind::Column(path), span })
    }

    fn call(&mut self) -> Result<Expr, Error> {
        let name = self.any_name();
        if !shape::is_known_function(&name.text) && !(self.is_known)(&name.text) {
            let message = format!("there is no function {}", name.text);
            return Err(Error::new(Code::UnknownFunction, name.span, message));
        }
        let arguments = self.nested(Self::arguments)?;
        let span = self.since(name.span);
        if (self.at_word("OVER") || self.at_word("FILTER")) && self.peek_second().kind == Kind::Open {
            return Err(self.unexpected("an operator"));
        }
        shape::call(name, arguments, span)
    }

    /// `(...)` of a call, the cursor at the parenthesis.
    fn arguments(&mut self) -> Result<Arguments, Error> {
        self.advance();
        if self.at(Kind::Star) {
            self.advance();
            self.expect(Kind::Close, "a closing parenthesis after *")?;
            return Ok(Arguments::All);
        }
        if self.eat(Kind::Close) {
            return Ok(Arguments::List { distinct: false, items: Vec::new() });
        }
        if self.at_word("SELECT") {
            return Err(self.unexpected("an argument"));
        }
        let distinct = self.eat_word("DISTINCT");
        let _ = !distinct && self.eat_word("ALL");
        let items = self.list(Self::value)?;
        if !self.at(Kind::Close) {
            return Err(self.unexpected("a comma or a closing parenthesis after the argument"));
        }
        self.advance();
        Ok(Arguments::List { distinct, items })
    }

    /// `CASE [operand] WHEN .. THEN .. [ELSE ..] END`
    fn case(&mut self) -> Result<Expr, Error> {
        let start = self.advance().span();
        let operand = if self.at_word("WHEN") { None } else { Some(Box::new(self.value()?)) };
        let mut arms = Vec::new();
        while self.eat_word("WHEN") {
            let when = if operand.is_some() { self.value()? } else { self.condition()? };
            self.expect_word("THEN")?;
            arms.push((when, self.value()?));
        }
        if arms.is_empty() {
            return Err(self.unexpected("WHEN after CASE"));
        }
        let otherwise = if self.eat_word("ELSE") { Some(Box::new(self.value()?)) } else { None };
        self.expect_word("END")?;
        Ok(Expr { kind: ExprKind::Case { operand, arms, otherwise }, span: self.since(start) })
    }

    /// `CAST(value AS type)`
    fn cast(&mut self) -> Result<Expr, Error> {
        let start = self.advance().span();
        self.advance();
        let operand = Box::new(self.value()?);
        self.expect_word("AS")?;
        let to = self.cast_type(false)?;
        self.expect(Kind::Close, "a closing parenthesis after the type")?;
        Ok(Expr { kind: ExprKind::Cast { operand, to }, span: self.since(start) })
    }

    /// A type; after `::` also under PostgreSQL's names.
    fn cast_type(&mut self, habit: bool) -> Result<CastType, Error> {
        let token = self.peek();
        let word = self.word_at(token).to_ascii_uppercase();
        let double = word == "DOUBLE" && self.word_at(self.peek_second()).eq_ignore_ascii_case("PRECISION");
        let name = if double { Some(CastName::Double) } else { cast_name(&word) };
        let name = name.or_else(|| foreign_type(&word).filter(|_| habit).map(|(name, _)| name));
        let Some(name) = name else { return Err(self.unknown_type(&word)) };
        self.advance();
        if double {
            self.advance();
        }
        let length = if matches!(name, CastName::Char | CastName::Varchar) && self.at(Kind::Open) { Some(self.length()?) } else { None };
        Ok(CastType { name, length, span: self.since(token.span()) })
    }

    fn unknown_type(&self, word: &str) -> Error {
        if word.is_empty() {
            return self.unexpected("a type");
        }
        let known =
            "the types are SMALLINT, INTEGER, BIGINT, REAL, DOUBLE PRECISION, CHAR, VARCHAR, TIMESTAMP, BOOLEAN, POINT, CIRCLE, POLYGON";
        let hint = foreign_type(word).map_or(known.to_owned(), |(_, adql)| format!("write {adql}"));
        Error::new(Code::Type, self.peek().span(), format!("{word} is not a type of ADQL")).hint(hint)
    }

    /// `(n)` of CHAR and VARCHAR.
    fn length(&mut self) -> Result<u64, Error> {
        self.advance();
        if self.eat(Kind::Star) {
            return Err(
                Error::new(Code::Syntax, self.previous(), "the length of a text is a number").hint("leave it away for any length: VARCHAR")
            );
        }
        let length = self.count("CHAR")?;
        if length.value == 0 || length.value > 10_485_760 {
            return Err(Error::new(Code::Number, length.span, "the length of a text is from 1 to 10485760"));
        }
        self.expect(Kind::Close, "a closing parenthesis after the length")?;
        Ok(length.value)
    }
}

fn comparison(kind: Kind) -> Option<Comparison> {
    Some(match kind {
        Kind::Equal => Comparison::Equal,
        Kind::NotEqual => Comparison::NotEqual,
        Kind::Less => Comparison::Less,
        Kind::LessEqual => Comparison::LessEqual,
        Kind::Greater => Comparison::Greater,
        Kind::GreaterEqual => Comparison::GreaterEqual,
        _ => return None,
    })
}

/// The types of CAST but DOUBLE PRECISION, which is two words.
fn cast_name(word: &str) -> Option<CastName> {
    Some(match word {
        "SMALLINT" => CastName::Smallint,
        "INTEGER" => CastName::Integer,
        "BIGINT" => CastName::Bigint,
        "REAL" => CastName::Real,
        "CHAR" => CastName::Char,
        "VARCHAR" => CastName::Varchar,
        "TIMESTAMP" => CastName::Timestamp,
        "BOOLEAN" => CastName::Boolean,
        "POINT" => CastName::Point,
        "CIRCLE" => CastName::Circle,
        "POLYGON" => CastName::Polygon,
        _ => return None,
    })
}

/// Types of other dialects, and what ADQL calls them.
fn foreign_type(word: &str) -> Option<(CastName, &'static str)> {
    Some(match word {
        "INT2" | "SHORT" => (CastName::Smallint, "SMALLINT"),
        "INT" | "INT4" => (CastName::Integer, "INTEGER"),
        "INT8" | "LONG" => (CastName::Bigint, "BIGINT"),
        "FLOAT4" => (CastName::Real, "REAL"),
        "FLOAT" | "FLOAT8" | "DOUBLE" | "NUMERIC" | "DECIMAL" => (CastName::Double, "DOUBLE PRECISION (or REAL)"),
        "TEXT" | "STRING" | "CHARACTER" => (CastName::Varchar, "VARCHAR"),
        "BOOL" => (CastName::Boolean, "BOOLEAN"),
        "DATE" | "DATETIME" | "TIMESTAMPTZ" => (CastName::Timestamp, "TIMESTAMP"),
        _ => return None,
    })
}
