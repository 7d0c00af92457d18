//! What stands in FROM: tables, queries, joins.

use super::{Parser, words};
use crate::adql::error::{Code, Error};
use crate::adql::token::Kind;
use crate::adql::tree::{From, Join, JoinCondition, JoinKind};

impl Parser<'_> {
    /// A table or a query, and what is joined to it.
    pub(super) fn source(&mut self) -> Result<From, Error> {
        let start = self.peek().span();
        let first = self.operand_of_join()?;
        let mut joins = Vec::new();
        while let Some((natural, kind)) = self.join_words()? {
            joins.push(self.join(natural, kind)?);
        }
        if joins.is_empty() {
            return Ok(first);
        }
        Ok(From::Joins { first: Box::new(first), joins, span: self.since(start) })
    }

    /// `[NATURAL] [INNER | LEFT | RIGHT | FULL [OUTER] | CROSS] JOIN`, if that stands here.
    fn join_words(&mut self) -> Result<Option<(bool, JoinKind)>, Error> {
        let natural = self.eat_word("NATURAL");
        let kind = match self.word_at(self.peek()).to_ascii_uppercase().as_str() {
            "JOIN" => None,
            "INNER" => Some(JoinKind::Inner),
            "LEFT" => Some(JoinKind::Left),
            "RIGHT" => Some(JoinKind::Right),
            "FULL" => Some(JoinKind::Full),
            "CROSS" if !natural => Some(JoinKind::Cross),
            _ if natural => return Err(self.unexpected("JOIN after NATURAL")),
            _ => return Ok(None),
        };
        if let Some(kind) = kind {
            self.advance();
            let outer = matches!(kind, JoinKind::Left | JoinKind::Right | JoinKind::Full);
            let _ = outer && self.eat_word("OUTER");
        }
        self.expect_word("JOIN")?;
        Ok(Some((natural, kind.unwrap_or(JoinKind::Inner))))
    }

    /// What stands after JOIN.
    fn join(&mut self, natural: bool, kind: JoinKind) -> Result<Join, Error> {
        let start = self.previous();
        let source = self.operand_of_join()?;
        let bare = natural || kind == JoinKind::Cross;
        if bare && (self.at_word("ON") || self.at_word("USING")) {
            let word = if natural { "NATURAL" } else { "CROSS" };
            let message = format!("a {word} JOIN has no condition");
            return Err(Error::new(Code::Syntax, self.peek().span(), message).hint(format!("take {word} away, or the condition")));
        }
        let condition = if self.eat_word("ON") {
            JoinCondition::On(self.condition()?)
        } else if self.eat_word("USING") {
            self.using()?
        } else {
            JoinCondition::None
        };
        Ok(Join { kind, natural, source, condition, span: self.since(start) })
    }

    fn using(&mut self) -> Result<JoinCondition, Error> {
        if !self.at(Kind::Open) {
            return Err(self.unexpected("an opening parenthesis after USING").hint("write USING (column)"));
        }
        let names = self.name_list("a column name");
        let dotted = self.at(Kind::Dot);
        let advise = |error: Error| if dotted { error.hint("USING takes the bare names of columns that both tables have") } else { error };
        names.map(JoinCondition::Using).map_err(advise)
    }

    /// A table, a query, or joins in parentheses.
    fn operand_of_join(&mut self) -> Result<From, Error> {
        match self.peek().kind {
            Kind::OpenQuery => self.derived(),
            Kind::Open => self.nested(Self::joins_in_parentheses),
            Kind::Word | Kind::Delimited => self.table(),
            Kind::String => Err(self.unexpected("a table").hint("names stand in double quotes, or in none")),
            _ => Err(self.unexpected("a table or a query in parentheses")),
        }
    }

    fn derived(&mut self) -> Result<From, Error> {
        let start = self.peek().span();
        let query = Box::new(self.query_in_parentheses("a query")?);
        match self.alias()? {
            Some(alias) => Ok(From::Derived { query, alias, span: self.since(start) }),
            None if words::is_reserved(self.word_at(self.peek())) && !words::is_structure(self.word_at(self.peek())) => {
                Err(self.reserved("a name for the query"))
            }
            None => Err(Error::new(Code::Syntax, self.since(start), "a query in FROM needs a name").hint("write ( ... ) AS t")),
        }
    }

    fn joins_in_parentheses(&mut self) -> Result<From, Error> {
        let start = self.advance().span();
        let source = self.source()?;
        self.expect(Kind::Close, "a join or a closing parenthesis")?;
        if !matches!(source, From::Joins { .. }) {
            return Err(
                Error::new(Code::Syntax, self.since(start), "parentheses in FROM hold a join or a query").hint("take the parentheses away")
            );
        }
        let begin = self.peek().span();
        if self.alias()?.is_some() {
            let message = "a join in parentheses takes no name";
            return Err(
                Error::new(Code::NotInAdql, self.since(begin), message).hint("name the tables within, or write (SELECT ... FROM ...) AS t")
            );
        }
        Ok(source)
    }

    fn table(&mut self) -> Result<From, Error> {
        let name = self.name("a table")?;
        let start = name.span;
        let path = self.path_from(name)?;
        match self.peek().kind {
            Kind::Open | Kind::OpenQuery => {
                return Err(Error::new(Code::NotInAdql, path.span, "a function cannot stand in FROM")
                    .hint("name a table, or a query in parentheses"));
            }
            Kind::Slash | Kind::Minus | Kind::Plus => {
                return Err(self
                    .unexpected("the end of the table's name")
                    .hint("a table's name with other characters stands in double quotes: \"J/A+A/1\""));
            }
            _ => {}
        }
        if path.parts.len() > 3 {
            return Err(Error::new(Code::Syntax, path.span, "a table's name has three parts at most: catalogue.schema.table"));
        }
        let alias = self.alias()?;
        Ok(From::Table { path, alias, span: self.since(start) })
    }
}
