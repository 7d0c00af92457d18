//! The lexer: a query's text to tokens, in one pass, with the remedy for characters that come from word processors and other dialects.
//!
//! Comments (`--` to the end of the line, and SQL's `/* */`, which nests) and white space are passed over. A parenthesis
//! that opens a query is told from one that groups before parsing begins, so that the parser never tries twice.

use super::error::{Code, Error};
use super::tree::Span;

/// The longest text that is read, in bytes.
pub const MAX_LENGTH: usize = 10_000_000;

/// The most tokens that are read: bounds the memory of a tree.
pub const MAX_TOKENS: usize = 2_000_000;

/// What a token is; its text is in the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or a regular identifier.
    Word,
    /// `"..."`
    Delimited,
    Integer,
    Decimal,
    /// `'...'`
    String,
    Open,
    /// `(` before a query.
    OpenQuery,
    Close,
    Comma,
    Dot,
    Semicolon,
    Star,
    Slash,
    Plus,
    Minus,
    /// `||`
    Concatenate,
    Equal,
    /// `<>` and `!=`
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// `::`
    Cast,
    /// The end of the text.
    End,
}

/// A token and its bytes in the text, which is shorter than 4 GB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    start: u32,
    end: u32,
}

impl Token {
    pub fn span(self) -> Span {
        Span::new(self.start as usize, self.end as usize)
    }

    pub fn text(self, query: &str) -> &str {
        &query[self.start as usize..self.end as usize]
    }
}

/// All tokens of the text, the last one being [`Kind::End`].
pub fn tokens(text: &str) -> Result<Vec<Token>, Error> {
    if text.len() > MAX_LENGTH {
        let end = text.floor_char_boundary(MAX_LENGTH);
        let message = format!("the query has {} bytes; {MAX_LENGTH} are read at most", text.len());
        return Err(Error::new(Code::LimitLength, Span::new(end, end), message)
            .hint("upload the long list as a table (TAP_UPLOAD) and join with it"));
    }
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    while lexer.next()? {
        if lexer.tokens.len() >= MAX_TOKENS {
            let message = format!("the query has more than {MAX_TOKENS} words and signs");
            return Err(Error::new(Code::LimitTokens, Span::new(lexer.at, lexer.at), message)
                .hint("upload the long list as a table (TAP_UPLOAD) and join with it"));
        }
    }
    let mut tokens = lexer.tokens;
    mark_queries(text, &mut tokens);
    Ok(tokens)
}

/// The value of a `'...'` or `"..."` token's text.
pub fn unquote(quoted: &str) -> String {
    let quote = &quoted[..1];
    quoted[1..quoted.len() - 1].replace(&quote.repeat(2), quote)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    /// Reads one token; false after the end.
    fn next(&mut self) -> Result<bool, Error> {
        self.skip()?;
        let start = self.at;
        let Some(byte) = self.byte(0) else {
            self.push(Kind::End, start);
            return Ok(false);
        };
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => self.word(start)?,
            b'0'..=b'9' => self.number(start)?,
            b'.' if self.byte(1).is_some_and(|next| next.is_ascii_digit()) => self.number(start)?,
            b'\'' => self.quoted(start, Kind::String)?,
            b'"' => self.quoted(start, Kind::Delimited)?,
            _ => self.sign(start, byte)?,
        }
        Ok(true)
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn push(&mut self, kind: Kind, start: usize) {
        self.tokens.push(Token { kind, start: start as u32, end: self.at as u32 });
    }

    /// Passes over white space and comments.
    fn skip(&mut self) -> Result<(), Error> {
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c'), _) => self.at += 1,
                (Some(b'-'), Some(b'-')) => {
                    let line = self.text.as_bytes()[self.at..].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                    self.at = line.map_or(self.text.len(), |length| self.at + length);
                }
                (Some(b'/'), Some(b'*')) => self.bracketed_comment()?,
                (Some(128..), _) => match self.text[self.at..].chars().next() {
                    Some(c) if is_blank(c) => self.at += c.len_utf8(),
                    _ => return Ok(()),
                },
                _ => return Ok(()),
            }
        }
    }

    /// `/* */`, which nests.
    fn bracketed_comment(&mut self) -> Result<(), Error> {
        let start = self.at;
        let mut depth = 0_usize;
        while let (Some(byte), next) = (self.byte(0), self.byte(1)) {
            match (byte, next) {
                (b'/', Some(b'*')) => depth += 1,
                (b'*', Some(b'/')) => depth -= 1,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            self.at += 2;
            if depth == 0 {
                return Ok(());
            }
        }
        Err(Error::new(Code::Unterminated, Span::new(start, start + 2), "this comment has no end").hint("close it with */"))
    }

    fn word(&mut self, start: usize) -> Result<(), Error> {
        let word = self.text.as_bytes()[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        self.at += word;
        if word == 1
            && self.byte(0) == Some(b'\'')
            && matches!(self.text.as_bytes()[start], b'e' | b'E' | b'b' | b'B' | b'n' | b'N' | b'x' | b'X')
        {
            let message = "strings with a letter before the quote are not part of ADQL";
            return Err(Error::new(Code::NotInAdql, Span::new(start, self.at + 1), message)
                .hint("write the text between single quotes; a backslash means itself, a quote is doubled ('')"));
        }
        let beyond = self.text[self.at..].chars().next().filter(|c| c.is_alphanumeric());
        if beyond.is_some() {
            return Err(self.strange_name(start));
        }
        self.push(Kind::Word, start);
        Ok(())
    }

    /// A regular name with letters that only delimited ones may have.
    fn strange_name(&self, start: usize) -> Error {
        let rest = &self.text[start..];
        let name = &rest[..rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())];
        let message = format!("the name {name} needs quotes: without them it has letters a-z, digits and _, a letter first");
        Error::new(Code::Character, Span::new(start, start + name.len()), message).hint(format!("write \"{name}\""))
    }

    fn digits(&mut self) -> usize {
        let count = self.text.as_bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn number(&mut self, start: usize) -> Result<(), Error> {
        let mut kind = Kind::Integer;
        self.digits();
        if self.byte(0) == Some(b'.') {
            kind = Kind::Decimal;
            self.at += 1;
            self.digits();
        }
        let sign = usize::from(matches!(self.byte(1), Some(b'+' | b'-')));
        if matches!(self.byte(0), Some(b'e' | b'E')) && self.byte(1 + sign).is_some_and(|byte| byte.is_ascii_digit()) {
            kind = Kind::Decimal;
            self.at += 1 + sign;
            self.digits();
        }
        let rest = &self.text[self.at..];
        let beyond = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if beyond > 0 {
            return Err(bad_number(&self.text[start..self.at + beyond], Span::new(start, self.at + beyond), self.at - start));
        }
        self.push(kind, start);
        Ok(())
    }

    fn quoted(&mut self, start: usize, kind: Kind) -> Result<(), Error> {
        let bytes = self.text.as_bytes();
        let quote = bytes[start];
        let mut at = start + 1;
        loop {
            match bytes.get(at) {
                Some(&byte) if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
                Some(&byte) if byte == quote => break,
                Some(0) => return Err(control(Span::new(at, at + 1), '\0')),
                Some(_) => at += 1,
                None => return Err(unterminated(self.text, start, kind)),
            }
        }
        if kind == Kind::Delimited && at == start + 1 {
            return Err(Error::new(Code::Syntax, Span::new(start, at + 1), "a name in quotes has at least one character")
                .hint("an empty text is written with single quotes: ''"));
        }
        self.at = at + 1;
        self.push(kind, start);
        Ok(())
    }

    fn sign(&mut self, start: usize, byte: u8) -> Result<(), Error> {
        let next = self.byte(1);
        let (kind, length) = match (byte, next) {
            (b'(', _) => (Kind::Open, 1),
            (b')', _) => (Kind::Close, 1),
            (b',', _) => (Kind::Comma, 1),
            (b'.', _) => (Kind::Dot, 1),
            (b';', _) => (Kind::Semicolon, 1),
            (b'*', _) => (Kind::Star, 1),
            (b'/', _) => (Kind::Slash, 1),
            (b'+', _) => (Kind::Plus, 1),
            (b'-', _) => (Kind::Minus, 1),
            (b'|', Some(b'|')) => (Kind::Concatenate, 2),
            (b'=', Some(b'=' | b'>' | b'<')) => return Err(self.strange()),
            (b'=', _) => (Kind::Equal, 1),
            (b'<', Some(b'>')) | (b'!', Some(b'=')) => (Kind::NotEqual, 2),
            (b'<', Some(b'=')) => (Kind::LessEqual, 2),
            (b'<', Some(b'<')) | (b'>', Some(b'>')) => return Err(self.strange()),
            (b'<', _) => (Kind::Less, 1),
            (b'>', Some(b'=')) => (Kind::GreaterEqual, 2),
            (b'>', _) => (Kind::Greater, 1),
            (b':', Some(b':')) => (Kind::Cast, 2),
            (b'_', _) => return Err(self.strange_name(start)),
            _ => return Err(self.strange()),
        };
        self.at += length;
        self.push(kind, start);
        Ok(())
    }

    /// The error for what stands here and is no token.
    fn strange(&self) -> Error {
        let rest = &self.text[self.at..];
        for (sign, code, hint) in STRANGE {
            if rest.starts_with(sign) {
                return Error::new(code, Span::new(self.at, self.at + sign.len()), format!("{sign} is not part of ADQL")).hint(hint);
            }
        }
        let c = rest.chars().next().unwrap_or_default();
        let span = Span::new(self.at, self.at + c.len_utf8());
        match c {
            '`' => quotes(rest, span, &['`'], '"', "names stand in double quotes"),
            '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}' | '\u{2032}' | '\u{00b4}' => quotes(
                rest,
                span,
                &['\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}', '\u{2032}', '\u{00b4}', '\''],
                '\'',
                "text stands in straight single quotes",
            ),
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{201f}' | '\u{2033}' | '\u{00ab}' | '\u{00bb}' => {
                let error = quotes(
                    rest,
                    span,
                    &['\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}', '\u{2033}', '\u{00ab}', '\u{00bb}', '"'],
                    '"',
                    "names stand in straight double quotes",
                );
                error.hint("text stands in straight single quotes")
            }
            '\u{2010}'..='\u{2015}' | '\u{2212}' => unknown_character(c, span).hint("write the minus sign of the keyboard: -"),
            '\u{2264}' => unknown_character(c, span).hint("write <="),
            '\u{2265}' => unknown_character(c, span).hint("write >="),
            '\u{2260}' => unknown_character(c, span).hint("write <>"),
            '\u{00d7}' => unknown_character(c, span).hint("write *"),
            _ if c.is_alphabetic() => self.strange_name(self.at),
            _ if c.is_control() || is_direction(c) => control(span, c),
            _ => unknown_character(c, span),
        }
    }
}

/// Signs of other dialects, longer ones first, and what ADQL has for them.
const STRANGE: [(&str, Code, &str); 20] = [
    ("==", Code::NotInAdql, "write = to compare"),
    ("=>", Code::NotInAdql, "write >="),
    ("=<", Code::NotInAdql, "write <="),
    ("<<", Code::NotInAdql, "multiply by a power of two: x * POWER(2, n)"),
    (">>", Code::NotInAdql, "divide by a power of two: FLOOR(x / POWER(2, n))"),
    ("&&", Code::NotInAdql, "write AND"),
    ("|", Code::NotInAdql, "text is joined by ||, conditions by OR; there are no bitwise operators"),
    ("&", Code::NotInAdql, "conditions are joined by AND; there are no bitwise operators"),
    ("!", Code::NotInAdql, "write NOT, or <> for unequal"),
    ("%", Code::NotInAdql, "the remainder is MOD(x, y)"),
    ("^", Code::NotInAdql, "powers are POWER(x, y)"),
    ("~", Code::NotInAdql, "patterns are written with LIKE, as in name LIKE 'NGC%'"),
    ("#", Code::NotInAdql, "comments begin with --"),
    ("[", Code::NotInAdql, "there are no arrays; names with special characters stand in double quotes"),
    ("]", Code::NotInAdql, "there are no arrays; names with special characters stand in double quotes"),
    ("{", Code::NotInAdql, "fill in the place-holder before sending the query"),
    ("?", Code::NotInAdql, "there are no parameters: write the value"),
    (":", Code::NotInAdql, "there are no parameters: write the value"),
    ("@", Code::NotInAdql, "there are no variables: write the value"),
    ("$", Code::NotInAdql, "text stands in single quotes; names with special characters in double quotes"),
];

/// `rest` opens with a wrong quote: shows the same text with right ones, if it closes on this line.
fn quotes(rest: &str, first: Span, closing: &[char], right: char, rule: &str) -> Error {
    let c = rest.chars().next().unwrap_or_default();
    let inner = &rest[c.len_utf8()..];
    let end = inner.find(|c| c == '\n' || closing.contains(&c)).filter(|end| !inner[*end..].starts_with('\n') && *end <= 60);
    let hint = match end {
        Some(end) => format!("{rule}: {right}{}{right}", inner[..end].replace(right, &format!("{right}{right}"))),
        None => rule.to_owned(),
    };
    unknown_character(c, first).hint(hint)
}

fn unknown_character(c: char, span: Span) -> Error {
    Error::new(Code::Character, span, format!("the character {c} (U+{:04X}) has no meaning here", u32::from(c)))
}

fn control(span: Span, c: char) -> Error {
    let message = format!("the invisible character U+{:04X} cannot stand here", u32::from(c));
    Error::new(Code::Character, span, message).hint("delete it; it often comes from copying out of a document")
}

fn bad_number(number: &str, span: Span, digits: usize) -> Error {
    let lower = number.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        let error = Error::new(Code::Number, span, "hexadecimal numbers are not part of ADQL");
        return match u64::from_str_radix(hex, 16) {
            Ok(value) => error.hint(format!("write {value}")),
            Err(_) => error,
        };
    }
    let shown: String = number.chars().take(40).collect();
    let error = Error::new(Code::Number, span, format!("{shown} is neither a number nor a name"));
    match number[digits..].chars().next() {
        Some('e' | 'E') => error.hint("an exponent has digits, as in 1e-3"),
        _ => error.hint(format!("put a space after the number, or write the name in quotes: \"{shown}\"")),
    }
}

fn unterminated(text: &str, start: usize, kind: Kind) -> Error {
    let line = text[start..].find('\n').map_or(text.len(), |length| start + length);
    let span = Span::new(start, line);
    match kind {
        Kind::String => Error::new(Code::Unterminated, span, "this text has no closing quote")
            .hint("end it with ', and double a quote within it: 'Barnard''s star'"),
        _ => Error::new(Code::Unterminated, span, "this name has no closing quote")
            .hint("end it with \"; text stands in single quotes: 'M31'"),
    }
}

/// White space beyond ASCII, and characters without width that copying leaves behind.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}')
}

/// Marks that change the direction of text, and other invisible ones.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

/// Turns the parentheses that open a query into [`Kind::OpenQuery`], from the last to the first: before SELECT or WITH; and
/// before another one that opens a query, if after the end of that a query goes on or ends.
fn mark_queries(text: &str, tokens: &mut [Token]) {
    const GO_ON: [&str; 6] = ["UNION", "EXCEPT", "INTERSECT", "ORDER", "OFFSET", "LIMIT"];
    let is_word =
        |token: Token, words: &[&str]| token.kind == Kind::Word && words.iter().any(|word| token.text(text).eq_ignore_ascii_case(word));
    let goes_on = |tokens: &[Token], close: usize| {
        let after = tokens[close + 1];
        after.kind == Kind::Close || is_word(after, &GO_ON)
    };
    let mut closing: Vec<usize> = Vec::new();
    // the end of the parenthesis that was seen last, which is the next one in the text
    let mut end_of_next = None;
    for i in (0..tokens.len()).rev() {
        match tokens[i].kind {
            Kind::Close => closing.push(i),
            Kind::Open => {
                let next = tokens[i + 1];
                let nested = || next.kind == Kind::OpenQuery && end_of_next.is_some_and(|end| goes_on(tokens, end));
                if is_word(next, &["SELECT", "WITH"]) || nested() {
                    tokens[i].kind = Kind::OpenQuery;
                }
                end_of_next = closing.pop();
            }
            _ => {}
        }
    }
}
