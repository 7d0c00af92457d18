//! Queries: WITH, SELECT and its clauses, set operations.

use super::{Parser, QUERY_LEVELS};
use crate::adql::error::{Code, Error};
use crate::adql::token::Kind;
use crate::adql::tree::{Body, CommonTable, Count, Expr, From, Item, Name, Order, Path, Query, Select, SetOperand, SetOperator, Span};

/// ORDER BY, LIMIT and OFFSET.
type Tail = (Vec<Order>, Option<Count>, Option<Count>);

impl Parser<'_> {
    /// `[WITH ...] query`
    pub(super) fn whole_query(&mut self) -> Result<Query, Error> {
        let start = self.peek().span();
        let with = if self.at_word("WITH") { self.with()? } else { Vec::new() };
        let mut query = self.query()?;
        query.span = self.since(start);
        query.with = with;
        Ok(query)
    }

    fn with(&mut self) -> Result<Vec<CommonTable>, Error> {
        self.advance();
        if self.at_word("RECURSIVE") && self.peek_second().kind != Kind::Open && !self.second_is("AS") {
            return Err(Error::new(Code::NotInAdql, self.peek().span(), "WITH RECURSIVE is not part of ADQL"));
        }
        self.list(Self::common_table)
    }

    fn second_is(&self, word: &str) -> bool {
        self.word_at(self.peek_second()).eq_ignore_ascii_case(word)
    }

    fn common_table(&mut self) -> Result<CommonTable, Error> {
        let name = self.name("a name for the query after WITH")?;
        let columns = if self.at(Kind::Open) { self.name_list("a column name")? } else { Vec::new() };
        self.expect_word("AS")?;
        let query = self.query_in_parentheses("a query in parentheses after AS")?;
        let span = self.since(name.span);
        Ok(CommonTable { name, columns, query, span })
    }

    /// `(name, ...)`
    pub(super) fn name_list(&mut self, wanted: &str) -> Result<Vec<Name>, Error> {
        self.expect(Kind::Open, "an opening parenthesis")?;
        let names = self.list(|parser| parser.name(wanted))?;
        self.expect(Kind::Close, "a comma or a closing parenthesis")?;
        Ok(names)
    }

    /// `( query )`, the cursor at the parenthesis.
    pub(super) fn query_in_parentheses(&mut self, wanted: &str) -> Result<Query, Error> {
        self.expect(Kind::OpenQuery, wanted)?;
        self.nested_by(QUERY_LEVELS, |parser| {
            if parser.at_word("WITH") {
                let message = "WITH stands only at the very beginning of a query";
                return Err(Error::new(Code::NotInAdql, parser.peek().span(), message)
                    .hint("move the WITH to the beginning; its names can be used everywhere below"));
            }
            let query = parser.query()?;
            parser.expect(Kind::Close, "a closing parenthesis after the query")?;
            Ok(query)
        })
    }

    /// `body [ORDER BY ...] [OFFSET n]`
    fn query(&mut self) -> Result<Query, Error> {
        let start = self.peek().span();
        let body = self.union()?;
        let (order_by, limit, offset) = self.tail()?;
        if ["UNION", "EXCEPT", "INTERSECT"].iter().any(|word| self.at_word(word))
            && !(order_by.is_empty() && limit.is_none() && offset.is_none())
        {
            let error = self.unexpected("the end of the query");
            return Err(error.hint("put the query before it, with its ORDER BY and OFFSET, in parentheses"));
        }
        Ok(Query { with: Vec::new(), body, order_by, limit, offset, span: self.since(start) })
    }

    fn tail(&mut self) -> Result<Tail, Error> {
        let order_by = if self.eat_word("ORDER") { self.order_by()? } else { Vec::new() };
        let (mut limit, mut offset) = (None, None);
        loop {
            if offset.is_none() && self.eat_word("OFFSET") {
                offset = Some(self.count("OFFSET")?);
                let _ = self.eat_word("ROWS") || self.eat_word("ROW");
            } else if limit.is_none() && self.eat_word("LIMIT") {
                limit = Some(self.count("LIMIT")?);
                if self.at(Kind::Comma) {
                    return Err(self
                        .unexpected("the end of the query")
                        .hint("write TOP for the number of rows and OFFSET for those to skip"));
                }
            } else {
                return Ok((order_by, limit, offset));
            }
        }
    }

    fn order_by(&mut self) -> Result<Vec<Order>, Error> {
        self.expect_word("BY")?;
        self.list(|parser| {
            let expr = parser.value()?;
            let descending = parser.eat_word("DESC");
            let _ = !descending && parser.eat_word("ASC");
            let nulls_first = if parser.eat_word("NULLS") { Some(parser.nulls()?) } else { None };
            Ok(Order { expr, descending, nulls_first })
        })
    }

    /// After NULLS: is it FIRST?
    fn nulls(&mut self) -> Result<bool, Error> {
        if self.eat_word("FIRST") {
            return Ok(true);
        }
        if self.eat_word("LAST") { Ok(false) } else { Err(self.unexpected("FIRST or LAST after NULLS")) }
    }

    /// UNION and EXCEPT, of one precedence.
    fn union(&mut self) -> Result<Body, Error> {
        self.set(Self::intersection, |word| match word {
            "UNION" => Some(SetOperator::Union),
            "EXCEPT" => Some(SetOperator::Except),
            _ => None,
        })
    }

    /// INTERSECT, which binds tighter.
    fn intersection(&mut self) -> Result<Body, Error> {
        self.set(Self::operand, |word| (word == "INTERSECT").then_some(SetOperator::Intersect))
    }

    fn set(
        &mut self,
        operand: impl Fn(&mut Self) -> Result<Body, Error>,
        operator: impl Fn(&str) -> Option<SetOperator>,
    ) -> Result<Body, Error> {
        let start = self.peek().span();
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some(operator) = operator(&self.word_at(self.peek()).to_ascii_uppercase()) {
            let begin = self.advance().span();
            let all = self.eat_word("ALL");
            let _ = !all && self.eat_word("DISTINCT");
            let body = operand(self)?;
            rest.push(SetOperand { operator, all, body, span: self.since(begin) });
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Body::Set { first: Box::new(first), rest, span: self.since(start) })
    }

    /// A SELECT, or a query in parentheses.
    fn operand(&mut self) -> Result<Body, Error> {
        match self.peek().kind {
            Kind::OpenQuery => Ok(Body::Nested(Box::new(self.query_in_parentheses("a query")?))),
            _ => Ok(Body::Select(Box::new(self.select()?))),
        }
    }

    fn select(&mut self) -> Result<Select, Error> {
        let start = self.expect_word("SELECT")?;
        let distinct = self.eat_word("DISTINCT");
        let _ = !distinct && self.eat_word("ALL");
        if distinct && self.at_word("ON") && self.peek_second().kind == Kind::Open {
            return Err(Error::new(Code::NotInAdql, self.peek().span(), "DISTINCT ON is not part of ADQL").hint("use GROUP BY"));
        }
        let top = if self.eat_word("TOP") { Some(self.count("TOP")?) } else { None };
        if top.is_some() && (self.at_word("DISTINCT") || self.at_word("ALL")) {
            return Err(self.expected("the columns to select").hint("DISTINCT stands before TOP: SELECT DISTINCT TOP 10 ..."));
        }
        let items = self.items()?;
        let from = self.sources(start)?;
        let filter = if self.eat_word("WHERE") { Some(self.condition()?) } else { None };
        let group_by = if self.eat_word("GROUP") { self.group_by()? } else { Vec::new() };
        let having = if self.eat_word("HAVING") { Some(self.condition()?) } else { None };
        Ok(Select { distinct, top, items, from, filter, group_by, having, span: self.since(start) })
    }

    fn group_by(&mut self) -> Result<Vec<Expr>, Error> {
        self.expect_word("BY")?;
        self.list(Self::value)
    }

    fn items(&mut self) -> Result<Vec<Item>, Error> {
        if self.at_word("FROM") {
            return Err(self.expected("the columns to select").hint("name them, or write * for all"));
        }
        let items = self.list(Self::item)?;
        let is_start = |token| matches!(token, Kind::Word | Kind::Delimited | Kind::Integer | Kind::Decimal | Kind::String | Kind::Star);
        if !self.at_word("FROM") && is_start(self.peek().kind) && !super::words::is_structure(self.word_at(self.peek())) {
            return Err(self.unexpected("a comma or FROM").hint("columns are separated by commas"));
        }
        Ok(items)
    }

    fn item(&mut self) -> Result<Item, Error> {
        if self.at(Kind::Star) {
            return Ok(Item::All(self.advance().span()));
        }
        if let Some(path) = self.all_of() {
            return Ok(Item::AllOf(path));
        }
        let expr = self.value()?;
        if self.at(Kind::Dot) && self.peek_second().kind == Kind::Star {
            return Err(self.unexpected("a comma or FROM").hint("write table.* with the table's name or alias"));
        }
        let alias = self.alias()?;
        Ok(Item::Expr { expr, alias })
    }

    /// `a.b.*`, if that stands here.
    fn all_of(&mut self) -> Option<Path> {
        let is_name = |kind| matches!(kind, Kind::Word | Kind::Delimited);
        let mut ahead = self.at;
        while is_name(self.tokens[ahead].kind) && self.tokens[ahead + 1].kind == Kind::Dot {
            ahead += 2;
            if self.tokens[ahead].kind == Kind::Star {
                return Some(self.path_to_star(ahead));
            }
        }
        None
    }

    /// The names up to the star at `star`.
    fn path_to_star(&mut self, star: usize) -> Path {
        let mut parts = Vec::new();
        while self.at < star {
            parts.push(self.any_name());
            self.advance();
        }
        let first: Span = parts[0].span;
        self.advance();
        Path { parts, span: self.since(first) }
    }

    fn sources(&mut self, select: Span) -> Result<Vec<From>, Error> {
        if !self.at_word("FROM") {
            let ends = matches!(self.peek().kind, Kind::End | Kind::Semicolon | Kind::Close);
            if ends {
                let message = "this SELECT has no FROM: every ADQL query reads a table";
                return Err(Error::new(Code::Syntax, self.since(select), message).hint("add FROM and a table"));
            }
            return Err(self.unexpected("a comma or FROM"));
        }
        self.advance();
        self.list(Self::source)
    }
}
