//! File-name patterns: literal text (whatever the case), `*` for anything, `{name}` for digits that are kept.

use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Any,
    Digits(String),
}

/// A parsed pattern: `*-m31-b{brick}-f{field}_*_v2_phot.fits.gz`.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(Vec<Piece>);

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['*', '{']) {
            if at > 0 {
                pieces.push(Piece::Text(rest[..at].to_ascii_lowercase()));
            }
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix('*') {
                pieces.push(Piece::Any);
                rest = after;
            } else {
                let (name, after) = rest[1..].split_once('}').ok_or("a { without its }")?;
                if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                    return Err(format!("{{{name}}} is not a name of small letters"));
                }
                pieces.push(Piece::Digits(name.to_owned()));
                rest = after;
            }
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_ascii_lowercase()));
        }
        Ok(Pattern(pieces))
    }

    /// The names of what is kept.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Digits(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The kept digits by name, without leading zeros, if the whole of `name` matches.
    pub fn matches(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let mut kept = BTreeMap::new();
        walk(&self.0, &name.to_ascii_lowercase(), &mut kept).then_some(kept)
    }
}

fn walk(pieces: &[Piece], text: &str, kept: &mut BTreeMap<String, String>) -> bool {
    let Some((piece, later)) = pieces.split_first() else { return text.is_empty() };
    match piece {
        Piece::Text(wanted) => text.strip_prefix(wanted.as_str()).is_some_and(|rest| walk(later, rest, kept)),
        Piece::Any => text.char_indices().map(|(i, _)| i).chain([text.len()]).any(|i| walk(later, &text[i..], kept)),
        Piece::Digits(name) => {
            let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if digits == 0 || !walk(later, &text[digits..], kept) {
                return false;
            }
            let value = text[..digits].trim_start_matches('0');
            kept.insert(name.clone(), if value.is_empty() { "0" } else { value }.to_owned());
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_keeps_the_digits_it_names() {
        let pattern = Pattern::parse("*-m31-b{brick}-f{field}_*_v2_phot.fits.gz").unwrap();
        let kept = pattern.matches("hlsp_phat_hst_wfc3_12058-m31-b01-f18_f275w_v2_phot.fits.gz").unwrap();
        assert_eq!(kept["brick"], "1");
        assert_eq!(kept["field"], "18");
        assert!(pattern.matches("hlsp_12058-m31-b01_f275w_v2_phot.fits.gz").is_none());
        assert!(Pattern::parse("b{brick").is_err());
        assert!(Pattern::parse("b{}").is_err());
    }
}
