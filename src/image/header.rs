//! FITS header cards: read, asked, edited and written again, the untouched ones byte for byte.
//!
//! FITS standard 4.0, section 4: cards of 80 characters, the long-string convention (`CONTINUE`) and `HIERARCH` keys.
//! Headers of strangers are long, broken and lowercase: reading never fails on a card, only on a header without an end or
//! beyond [`MOST_CARDS`]; what no key can be made of is commentary. Where a key occurs twice, the first counts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// Bytes of a card.
pub const CARD: usize = 80;
/// Bytes of a block; headers and data are whole blocks.
pub const BLOCK: usize = 2880;
/// The longest header that is read; the longest seen in archives have some 3,000 cards.
pub const MOST_CARDS: usize = 50_000;
/// Characters of text that fit between the quotes of a card that another continues.
const PIECE: usize = 67;

type Raw = [u8; CARD];

/// A header without its END card.
#[derive(Debug, Clone, Default)]
pub struct Header {
    cards: Vec<Raw>,
    /// The first card of each key that has a value.
    index: HashMap<String, usize>,
}

/// The value of a card.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Logical(bool),
    Integer(i64),
    Float(f64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl Header {
    /// Reads cards until END and tells whether it was there.
    pub fn parse(bytes: &[u8]) -> (Header, bool) {
        let (cards, _) = bytes.as_chunks::<CARD>();
        let end = cards.iter().position(is_end);
        let header = Header::from_cards(cards[..end.unwrap_or(cards.len())].to_vec());
        (header, end.is_some())
    }

    fn from_cards(cards: Vec<Raw>) -> Header {
        let mut header = Header { cards, index: HashMap::new() };
        header.index_from(0);
        header
    }

    fn reindex(&mut self) {
        self.index.clear();
        self.index_from(0);
    }

    /// Takes cards into the index that were added from `first` on.
    fn index_from(&mut self, first: usize) {
        for (at, card) in self.cards.iter().enumerate().skip(first) {
            if let Some((key, _)) = split(card)
                && !self.index.contains_key(key.as_ref())
            {
                self.index.insert(key.into_owned(), at);
            }
        }
    }

    pub fn len(&self) -> usize {
        self.cards.len()
    }

    pub fn is_empty(&self) -> bool {
        self.cards.is_empty()
    }

    /// Every card with its key; commentary has the key COMMENT, HISTORY or none.
    pub fn cards(&self) -> impl Iterator<Item = (String, &Raw)> {
        self.cards.iter().map(|card| (key_of(card).into_owned(), card))
    }

    /// Every key that has a value, once.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    pub fn has(&self, key: &str) -> bool {
        self.index.contains_key(key)
    }

    /// The value as text: what stands between the quotes, or the word.
    pub fn text(&self, key: &str) -> Option<String> {
        let at = *self.index.get(key)?;
        let (_, rest) = split(&self.cards[at])?;
        Some(match quoted(rest) {
            Some(first) => self.continued(at, first),
            None => bare(rest).to_owned(),
        })
    }

    /// A long string goes on in CONTINUE cards while its text ends in `&`.
    fn continued(&self, at: usize, mut text: String) -> String {
        for card in &self.cards[at + 1..] {
            if !text.ends_with('&') || !card.starts_with(b"CONTINUE") {
                break;
            }
            let Some(piece) = std::str::from_utf8(&card[8..]).ok().and_then(|rest| quoted(rest.trim_start())) else { break };
            text.pop();
            text.push_str(&piece);
        }
        text
    }

    /// A finite number; Fortran's D exponent is one too.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.text(key).as_deref().and_then(number)
    }

    pub fn integer(&self, key: &str) -> Option<i64> {
        let text = self.text(key)?;
        // some writers put 2048. for 2048
        text.trim().parse().ok().or_else(|| number(&text).filter(|n| n.fract() == 0.0 && n.abs() < 9e15).map(|n| n as i64))
    }

    pub fn logical(&self, key: &str) -> Option<bool> {
        match self.text(key)?.trim() {
            "T" => Some(true),
            "F" => Some(false),
            _ => None,
        }
    }

    /// The record-valued cards `key = 'field: value'` (the distortion papers' `DP1`, `D2IM1`) as (field, value), in order.
    pub fn records(&self, key: &str) -> Vec<(String, f64)> {
        let mut records = Vec::new();
        for card in &self.cards {
            let Some((found, rest)) = split(card) else { continue };
            let Some(text) = quoted(rest).filter(|_| found == key) else { continue };
            if let Some((field, value)) = text.split_once(':').and_then(|(field, value)| Some((field.trim().to_owned(), number(value)?))) {
                records.push((field, value));
            }
        }
        records
    }

    /// Gives `key` this value, in its place or at the end; a comment that stands there stays if `comment` is empty.
    pub fn set(&mut self, key: &str, value: Value, comment: &str) {
        let at = self.index.get(key).copied();
        let old = at.map(|at| comment_of(&self.cards[at])).unwrap_or_default();
        let comment = if comment.is_empty() { old.as_str() } else { comment };
        let made = make_cards(key, &value, comment);
        match at {
            Some(at) => {
                let range = self.whole(at);
                let moves_others = range.len() != made.len();
                self.cards.splice(range, made);
                if moves_others {
                    self.reindex();
                }
            }
            None => {
                let first = self.cards.len();
                self.cards.extend(made);
                self.index_from(first);
            }
        }
    }

    /// Puts cards before all others, in this order; those of the same keys go.
    pub fn lead(&mut self, cards: &[(&str, Value, &str)]) {
        self.remove(|found| cards.iter().any(|(key, ..)| *key == found));
        self.cards.splice(0..0, cards.iter().flat_map(|(key, value, comment)| make_cards(key, value, comment)));
        self.reindex();
    }

    /// A card and those that continue it.
    fn whole(&self, at: usize) -> Range<usize> {
        let more = self.cards[at + 1..].iter().take_while(|card| card.starts_with(b"CONTINUE")).count();
        at..at + 1 + more
    }

    /// Removes every card whose key is meant, with what continues it.
    pub fn remove(&mut self, is_meant: impl Fn(&str) -> bool) {
        let (mut going, before) = (false, self.cards.len());
        self.cards.retain(|card| {
            if !(going && card.starts_with(b"CONTINUE")) {
                going = split(card).is_some_and(|(key, _)| is_meant(&key));
            }
            !going
        });
        if self.cards.len() < before {
            self.reindex();
        }
    }

    /// Appends the cards of another header that `is_wanted` picks by key; a key that is here already stays as it is here.
    pub fn inherit(&mut self, other: &Header, is_wanted: impl Fn(&str) -> bool) {
        let (mut going, first) = (false, self.cards.len());
        for card in &other.cards {
            if !card.starts_with(b"CONTINUE") {
                let key = key_of(card);
                going = is_wanted(&key) && !self.index.contains_key(key.as_ref());
            }
            if going {
                self.cards.push(*card);
            }
        }
        self.index_from(first);
    }

    /// Adds commentary (`HISTORY`, `COMMENT`), as many cards as it takes.
    pub fn comment(&mut self, key: &str, text: &str) {
        let clean: Vec<u8> = text.bytes().map(printable).collect();
        self.cards.extend(clean.chunks(CARD - 8).map(|piece| padded(&[format!("{key:<8}").as_bytes(), piece].concat())));
    }

    /// The header as it stands in a file: every card legal, END, blanks to the end of a block.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity((self.cards.len() + 1).next_multiple_of(36) * CARD);
        for card in &self.cards {
            bytes.extend_from_slice(&legal(card));
        }
        bytes.extend_from_slice(&padded(b"END"));
        bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
        bytes
    }
}

/// A finite number in FITS' or Fortran's spelling.
pub fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'E' | b'e' | b'D' | b'd'));
    let value: f64 = if plain { text.replace(['D', 'd'], "E").parse().ok()? } else { return None };
    value.is_finite().then_some(value)
}

fn is_end(card: &Raw) -> bool {
    card.starts_with(b"END") && card[3..8].iter().all(|&b| b == b' ')
}

/// Key and the text after `=` of a card that has a value.
fn split(card: &Raw) -> Option<(Cow<'_, str>, &str)> {
    let text = std::str::from_utf8(card).ok()?;
    if card.starts_with(b"HIERARCH ") {
        let (key, rest) = text[9..].split_once('=')?;
        return Some((Cow::Owned(format!("HIERARCH {}", key.trim())), rest.trim_start()));
    }
    let rest = text.get(8..)?.strip_prefix('=')?;
    let key = text[..8].trim_end();
    let is_lower = key.bytes().any(|byte| byte.is_ascii_lowercase());
    let named = || if is_lower { Cow::Owned(key.to_ascii_uppercase()) } else { Cow::Borrowed(key) };
    (!key.is_empty() && !matches!(key, "COMMENT" | "HISTORY")).then(|| (named(), rest.trim_start()))
}

fn key_of(card: &Raw) -> Cow<'_, str> {
    split(card).map_or_else(|| Cow::Owned(String::from_utf8_lossy(&card[..8]).trim_end().to_owned()), |(key, _)| key)
}

/// The text between quotes, doubled ones as one, without trailing blanks.
fn quoted(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = rest.strip_prefix('\'')?.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\'' {
            text.push(c);
        } else if chars.next_if_eq(&'\'').is_some() {
            text.push('\'');
        } else {
            break;
        }
    }
    text.truncate(text.trim_end().len());
    Some(text)
}

fn bare(rest: &str) -> &str {
    rest.split('/').next().unwrap_or("").trim()
}

/// The comment after the value, if any.
fn comment_of(card: &Raw) -> String {
    let Some((_, rest)) = split(card) else { return String::new() };
    let after = match rest.strip_prefix('\'') {
        Some(inner) => {
            let mut chars = inner.char_indices().peekable();
            let mut end = inner.len();
            while let Some((at, c)) = chars.next() {
                if c == '\'' && chars.next_if(|(_, next)| *next == '\'').is_none() {
                    end = at + 1;
                    break;
                }
            }
            inner.get(end..).unwrap_or("")
        }
        None => rest,
    };
    after.split_once('/').map(|(_, comment)| comment.trim().to_owned()).unwrap_or_default()
}

fn padded(bytes: &[u8]) -> Raw {
    let mut card = [b' '; CARD];
    let length = bytes.len().min(CARD);
    card[..length].copy_from_slice(&bytes[..length]);
    card
}

fn printable(byte: u8) -> u8 {
    if (32..127).contains(&byte) { byte } else { b'?' }
}

/// The cards of a value; a comment that does not fit is cut, a text that does not fit goes on in CONTINUE cards.
fn make_cards(key: &str, value: &Value, comment: &str) -> Vec<Raw> {
    let start = if key.len() > 8 { format!("{key} = ") } else { format!("{key:<8}= ") };
    let word = match value {
        Value::Text(text) => return text_cards(&start, text, comment),
        Value::Logical(yes) => if *yes { "T" } else { "F" }.to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => float(*number),
    };
    let comment = if comment.is_empty() { String::new() } else { format!(" / {comment}") };
    vec![padded(&clean(&format!("{start}{word:>20}{comment}")))]
}

fn text_cards(start: &str, text: &str, comment: &str) -> Vec<Raw> {
    let doubled: Vec<char> = text.chars().map(|c| if c.is_ascii() && (' '..='~').contains(&c) { c } else { '?' }).collect();
    let escape = |piece: &[char]| piece.iter().collect::<String>().replace('\'', "''");
    let whole = escape(&doubled);
    if start.len() + whole.len() + 2 <= CARD {
        let comment = if comment.is_empty() { String::new() } else { format!(" / {comment}") };
        return vec![padded(&clean(&format!("{start}{:<20}{comment}", format!("'{whole:<8}'"))))];
    }
    let (mut cards, mut rest, mut head) = (Vec::new(), doubled.as_slice(), start.to_owned());
    while !rest.is_empty() {
        let room = (CARD - 3).saturating_sub(head.len()).min(PIECE);
        let mut count = room.min(rest.len());
        while escape(&rest[..count]).len() > room {
            count -= 1;
        }
        let more = if count < rest.len() { "&" } else { "" };
        cards.push(padded(&clean(&format!("{head}'{}{more}'", escape(&rest[..count])))));
        rest = &rest[count..];
        head = "CONTINUE  ".to_owned();
    }
    cards
}

fn clean(text: &str) -> Vec<u8> {
    text.bytes().map(printable).collect()
}

/// The shortest decimal that reads back as the same number, always with a point or an exponent.
fn float(number: f64) -> String {
    let plain = format!("{number}");
    let size = number.abs();
    if size != 0.0 && !(1e-5..1e15).contains(&size) {
        let text = format!("{number:E}");
        return if text.contains('.') { text } else { text.replacen('E', ".0E", 1) };
    }
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

/// The card as the standard allows it; what has no legal key becomes a COMMENT.
fn legal(card: &Raw) -> Raw {
    let mut card = *card;
    for byte in &mut card {
        *byte = if (32..127).contains(byte) { *byte } else { b' ' };
    }
    card[..8].make_ascii_uppercase();
    let key = card[..8].trim_ascii_end();
    let is_legal = key.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    if is_legal && !is_end(&card) {
        return quoted_if_odd(card);
    }
    let mut comment = *b"COMMENT                                                                         ";
    comment[8..].copy_from_slice(&card[..CARD - 8]);
    comment
}

/// A value that is no value of the standard (`1.5, 2.5`) as the text that it is.
fn quoted_if_odd(card: Raw) -> Raw {
    let Some((key, rest)) = split(&card).filter(|(key, _)| !key.starts_with("HIERARCH")) else { return card };
    let word = bare(rest);
    let is_value = rest.starts_with('\'') || word.is_empty() || matches!(word, "T" | "F") || number(word).is_some() || complex(word);
    let text = Value::Text(word.to_owned());
    let made = if is_value { Vec::new() } else { make_cards(&key, &text, &comment_of(&card)) };
    match made.as_slice() {
        [only] => *only,
        _ => card,
    }
}

fn complex(word: &str) -> bool {
    let parts = word.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).and_then(|rest| rest.split_once(','));
    parts.is_some_and(|(re, im)| number(re).is_some() && number(im).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(lines: &[&str]) -> Header {
        let bytes: Vec<u8> = lines.iter().flat_map(|line| padded(line.as_bytes())).collect();
        Header::parse(&bytes).0
    }

    #[test]
    fn values_of_every_kind() {
        let h = header(&[
            "SIMPLE  =                    T / yes",
            "A       =              -1.5D+3",
            "B       = 'it''s  ' / a / comment",
            "HIERARCH ESO DET CHIP = 'x' / deep",
            "DP1     = 'EXTVER: 1.0'",
            "DP1     = 'AXIS.2: 2'",
            "N       =                  12.",
            "NANS    = NaN",
        ]);
        assert_eq!(h.logical("SIMPLE"), Some(true));
        assert_eq!(h.number("A"), Some(-1500.0));
        assert_eq!(h.text("B").as_deref(), Some("it's"));
        assert_eq!(h.text("HIERARCH ESO DET CHIP").as_deref(), Some("x"));
        assert_eq!(h.records("DP1"), [("EXTVER".to_owned(), 1.0), ("AXIS.2".to_owned(), 2.0)]);
        assert_eq!(h.integer("N"), Some(12));
        assert_eq!(h.number("NANS"), None);
    }

    #[test]
    fn long_strings_go_on_and_come_back() {
        let mut h = header(&["A       = 1 / one"]);
        let long = "it's ".repeat(60) + "end";
        h.set("LONG", Value::Text(long.clone()), "");
        assert_eq!(h.text("LONG"), Some(long.clone()));
        let (again, ended) = Header::parse(&h.bytes());
        assert!(ended);
        assert_eq!(again.text("LONG"), Some(long));
        h.set("LONG", "short".into(), "now");
        assert_eq!(h.len(), 2);
        h.set("A", Value::Float(2e-7), "");
        assert_eq!(h.text("A").as_deref(), Some("2.0E-7"));
        assert!(String::from_utf8_lossy(&h.bytes()).contains("/ one"));
    }

    #[test]
    fn what_is_no_card_is_written_as_a_comment() {
        let h = header(&["B@D     = 1", "lower   = 2", "\u{1}\u{2}"]);
        let text = String::from_utf8(h.bytes()).expect("ASCII");
        assert!(text.starts_with("COMMENT B@D     = 1"));
        assert!(text[80..].starts_with("LOWER   = 2"));
        assert_eq!(h.integer("LOWER"), Some(2));
        let odd = header(&["SKEW    = -1.3E+00, -1.6 / of skew", "PAIR    = (1.0, 2.0)"]);
        let text = String::from_utf8(odd.bytes()).expect("ASCII");
        assert!(text.starts_with("SKEW    = '-1.3E+00, -1.6'     / of skew"), "{text}");
        assert!(text[80..].starts_with("PAIR    = (1.0, 2.0)"));
    }
}
