//! Values and conditions, by precedence: OR, AND, NOT, predicates, `||`, `+ -`, `* /`, sign, `::`.

use super::{CASE_LEVELS, Parser, shape, words};
use crate::adql::error::{Code, Error};
use crate::adql::token::{Kind, unquote};
use crate::adql::tree::{Arguments, BinaryOperator, CastName, CastType, Comparison, Expr, ExprKind, Literal, Name, Span, UnaryOperator};

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

    /// Either: alternatives with OR, of conditions with AND. What is alone, as mostly within parentheses, takes the short way.
    fn expr(&mut self) -> Result<Expr, Error> {
        let first = self.negation()?;
        if self.at_word("AND") || self.at_word("OR") { self.joined(first) } else { Ok(first) }
    }

    /// The rest of conditions between AND and OR.
    fn joined(&mut self, first: Expr) -> Result<Expr, Error> {
        let mut alternatives = Vec::new();
        let mut all = vec![shape::condition(first)?];
        loop {
            let and = self.at_word("AND");
            if !and && !self.at_word("OR") {
                break;
            }
            self.advance();
            if !and {
                alternatives.push(one_of(std::mem::take(&mut all), ExprKind::And));
            }
            all.push(shape::condition(self.negation()?)?);
        }
        alternatives.push(one_of(all, ExprKind::And));
        Ok(one_of(alternatives, ExprKind::Or))
    }

    fn negation(&mut self) -> Result<Expr, Error> {
        if self.at_word("NOT") { self.not() } else { self.predicate() }
    }

    fn not(&mut self) -> Result<Expr, Error> {
        let start = self.advance().span();
        let operand = self.nested(Self::negation)?;
        let operand = Box::new(shape::condition(operand)?);
        Ok(Expr { kind: ExprKind::Not(operand), span: self.since(start) })
    }

    /// A value, or one compared, or EXISTS.
    fn predicate(&mut self) -> Result<Expr, Error> {
        if self.at_word("EXISTS") && matches!(self.peek_second().kind, Kind::Open | Kind::OpenQuery) {
            return self.exists();
        }
        let left = self.concatenation()?;
        match self.peek().kind {
            Kind::Word => self.predicate_with_words(left),
            kind => match comparison(kind) {
                Some(operator) => self.comparison(left, operator),
                None => Ok(left),
            },
        }
    }

    fn exists(&mut self) -> Result<Expr, Error> {
        let start = self.advance().span();
        let query = Box::new(self.query_in_parentheses("a query after EXISTS")?);
        Ok(Expr { kind: ExprKind::Exists(query), span: self.since(start) })
    }

    fn predicate_with_words(&mut self, left: Expr) -> Result<Expr, Error> {
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

    /// A value: operands between `||`, `+ -` and `* /`, which bind tighter in this order.
    fn concatenation(&mut self) -> Result<Expr, Error> {
        let first = self.signed()?;
        if operator(self.peek().kind).is_some() { self.chain(shape::value(first)?) } else { Ok(first) }
    }

    /// The rest of a value that begins with an operand and an operator. One chain is open per precedence; an operator closes
    /// those that bind tighter.
    fn chain(&mut self, first: Expr) -> Result<Expr, Error> {
        let mut open: [Chain; 3] = Default::default();
        let mut operand = first;
        while let Some((operator, level)) = operator(self.peek().kind) {
            self.advance();
            for chain in open[level + 1..].iter_mut().rev() {
                operand = chain.close(operand);
            }
            open[level].push(operand, operator);
            operand = shape::value(self.signed()?)?;
        }
        for chain in open.iter_mut().rev() {
            operand = chain.close(operand);
        }
        Ok(operand)
    }

    fn signed(&mut self) -> Result<Expr, Error> {
        let operator = match self.peek().kind {
            Kind::Minus => UnaryOperator::Minus,
            Kind::Plus => UnaryOperator::Plus,
            _ => {
                let operand = self.operand_of_value()?;
                return if self.at(Kind::Cast) { self.cast_habit(operand) } else { Ok(operand) };
            }
        };
        self.sign(operator)
    }

    fn sign(&mut self, operator: UnaryOperator) -> Result<Expr, Error> {
        let start = self.advance().span();
        let operand = self.nested(Self::signed)?;
        let operand = Box::new(shape::value(operand)?);
        Ok(Expr { kind: ExprKind::Unary { operator, operand }, span: self.since(start) })
    }

    /// `value::type`, the cursor at the colons.
    fn cast_habit(&mut self, mut expr: Expr) -> Result<Expr, Error> {
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
        match self.peek().kind {
            Kind::Open => self.nested(Self::in_parentheses),
            Kind::OpenQuery => self.scalar(),
            Kind::Word => self.word(),
            Kind::Delimited => self.delimited(),
            _ => self.literal(),
        }
    }

    fn scalar(&mut self) -> Result<Expr, Error> {
        let start = self.peek().span();
        let query = Box::new(self.query_in_parentheses("a query")?);
        Ok(Expr { kind: ExprKind::Scalar(query), span: self.since(start) })
    }

    fn delimited(&mut self) -> Result<Expr, Error> {
        let name = self.any_name();
        if matches!(self.peek().kind, Kind::Open | Kind::OpenQuery) {
            return Err(Error::new(Code::Syntax, name.span, "a function's name stands without quotes"));
        }
        self.column(name)
    }

    /// A number or a string.
    fn literal(&mut self) -> Result<Expr, Error> {
        let token = self.peek();
        let written = token.text(self.text);
        let literal = match token.kind {
            Kind::Integer => Literal::Integer(written.to_owned()),
            Kind::Decimal => Literal::Decimal(written.to_owned()),
            Kind::String => {
                let text = self.string();
                return Ok(Expr { kind: ExprKind::Literal(Literal::String(text)), span: self.since(token.span()) });
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.advance();
        Ok(Expr { kind: ExprKind::Literal(literal), span: token.span() })
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
        if !self.at(Kind::Close) {
            return Err(self.unclosed(start));
        }
        self.advance();
        expr.span = self.since(start);
        Ok(expr)
    }

    /// The error that the parenthesis at `start` is not closed here.
    fn unclosed(&self, start: Span) -> Error {
        if self.at(Kind::Comma) {
            return self.expected("a closing parenthesis").hint("rows of values, (a, b), are not part of ADQL: compare one by one");
        }
        let error = self.unexpected("an operator or a closing parenthesis");
        let (line, column) = Error::new(Code::Syntax, start, "").line_column(self.text);
        error.hint(format!("close the parenthesis that opens in line {line}, column {column}"))
    }

    /// A word at the beginning of a value: a literal, CASE, CAST, a function or a column.
    fn word(&mut self) -> Result<Expr, Error> {
        let opens = matches!(self.peek_second().kind, Kind::Open | Kind::OpenQuery);
        let word = self.word_at(self.peek());
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        match (words::is_reserved(word), opens) {
            (false, false) => self.plain_column(),
            (false, true) => self.call(),
            (true, true) if words::is_function(word) => self.call(),
            (true, true) if is("CAST") => self.nested(Self::cast),
            (true, _) if is("CASE") => self.nested_by(CASE_LEVELS, Self::case),
            (true, _) => self.reserved_word(),
        }
    }

    /// A literal that is a word, or a reserved word in the wrong place.
    fn reserved_word(&mut self) -> Result<Expr, Error> {
        let token = self.peek();
        let upper = self.word_at(token).to_ascii_uppercase();
        let second = self.peek_second().kind;
        let literal = match upper.as_str() {
            "NULL" => Literal::Null,
            "TRUE" => Literal::Boolean(true),
            "FALSE" => Literal::Boolean(false),
            "TIMESTAMP" if second == Kind::String => return self.timestamp(),
            "DATE" | "TIME" if second == Kind::String => {
                return Err(self.expected("a value").hint("write TIMESTAMP '2010-07-12T00:00:00'"));
            }
            _ if matches!(second, Kind::Open | Kind::OpenQuery) && !words::is_structure(&upper) && upper != "EXISTS" => {
                return Err(Error::new(Code::UnknownFunction, token.span(), format!("ADQL has no function {upper}")));
            }
            _ => return Err(self.reserved("a value")),
        };
        self.advance();
        Ok(Expr { kind: ExprKind::Literal(literal), span: token.span() })
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

/// Operands and operators of one precedence, the last operand still to come.
#[derive(Default)]
struct Chain {
    first: Option<Box<Expr>>,
    rest: Vec<(BinaryOperator, Expr)>,
    operator: Option<BinaryOperator>,
}

impl Chain {
    fn push(&mut self, operand: Expr, operator: BinaryOperator) {
        match self.operator.replace(operator) {
            Some(before) => self.rest.push((before, operand)),
            None => self.first = Some(Box::new(operand)),
        }
    }

    /// The whole with its last operand, and nothing is open any more.
    fn close(&mut self, operand: Expr) -> Expr {
        let (Some(first), Some(operator)) = (self.first.take(), self.operator.take()) else { return operand };
        let mut rest = std::mem::take(&mut self.rest);
        let span = first.span.to(operand.span);
        rest.push((operator, operand));
        Expr { kind: ExprKind::Chain { first, rest }, span }
    }
}

/// The operator and its precedence, 0 to 2.
fn operator(kind: Kind) -> Option<(BinaryOperator, usize)> {
    Some(match kind {
        Kind::Concatenate => (BinaryOperator::Concatenate, 0),
        Kind::Plus => (BinaryOperator::Add, 1),
        Kind::Minus => (BinaryOperator::Subtract, 1),
        Kind::Star => (BinaryOperator::Multiply, 2),
        Kind::Slash => (BinaryOperator::Divide, 2),
        _ => return None,
    })
}

/// The only one, or a list of them.
fn one_of(mut list: Vec<Expr>, kind: impl Fn(Vec<Expr>) -> ExprKind) -> Expr {
    if list.len() == 1
        && let Some(only) = list.pop()
    {
        return only;
    }
    let span = match (list.first(), list.last()) {
        (Some(first), Some(last)) => first.span.to(last.span),
        _ => Span::new(0, 0),
    };
    Expr { kind: kind(list), span }
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
