//! UCD1+ words: is a string like `phot.mag;em.opt.B` made of controlled words, each in a place that it may take?
//!
//! The words are version 1.6 of the IVOA's list ("The UCD1+ controlled vocabulary", put into the public domain as CC-0)
//! in `ucd_words.txt`, with the letter that says where a word may stand: P only first, S only after the first,
//! Q, E (photometric), C (colour) and V (vector) anywhere.

use std::collections::HashMap;
use std::sync::LazyLock;

static WORDS: LazyLock<HashMap<&'static str, char>> = LazyLock::new(|| {
    let lines = include_str!("ucd_words.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('|').zip(line.chars().next())).map(|((_, rest), place)| (word(rest), place)).collect()
});

fn word(rest: &str) -> &str {
    rest.split('|').next().unwrap_or(rest).trim()
}

/// What is wrong with a UCD, in words.
pub fn check(ucd: &str) -> Result<(), String> {
    for (i, word) in ucd.split(';').enumerate() {
        match (WORDS.get(word), i) {
            (None, _) => return Err(format!("{word:?} is no word of UCD1+{}", near(word))),
            (Some('S'), 0) => return Err(format!("UCD word {word:?} cannot be the first")),
            (Some('P'), 1..) => return Err(format!("UCD word {word:?} can only be the first")),
            _ => {}
        }
    }
    Ok(())
}

/// A word that differs in letter case, or the parent's words, as a hint.
fn near(word: &str) -> String {
    match WORDS.keys().find(|known| known.eq_ignore_ascii_case(word)) {
        Some(known) => format!("; did you mean {known:?}?"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_is_a_word() {
        assert_eq!(WORDS.len(), include_str!("ucd_words.txt").lines().filter(|line| !line.starts_with('#')).count());
        assert_eq!(WORDS["phot.color"], 'C');
    }

    #[test]
    fn words_stand_only_where_they_may() {
        assert_eq!(check("pos.eq.ra;meta.main"), Ok(()));
        assert_eq!(check("stat.error;phot.mag;em.opt.B"), Ok(()));
        assert_eq!(check("meta.main;pos.eq.ra"), Err("UCD word \"meta.main\" cannot be the first".into()));
        assert_eq!(check("phot.mag;stat.error"), Err("UCD word \"stat.error\" can only be the first".into()));
        assert_eq!(check("phot.mag;em.opt.b"), Err("\"em.opt.b\" is no word of UCD1+; did you mean \"em.opt.B\"?".into()));
        assert_eq!(check(""), Err("\"\" is no word of UCD1+".into()));
    }
}
