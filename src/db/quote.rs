//! The one way for a name into SQL text: always in double quotes, doubled inside.

use std::fmt::Write;

/// `name` as an SQL identifier. PostgreSQL cuts names at 63 bytes and has no NUL in text; both are left to it.
pub fn ident(name: &str) -> String {
    crate::schema::ddl::quote(name)
}

/// `schema.table`, both quoted; an empty schema is left out, so that the search path decides.
pub fn qualified(schema: &str, table: &str) -> String {
    let mut name = String::new();
    if !schema.is_empty() {
        write!(name, "{}.", ident(schema)).expect("a String takes everything");
    }
    name + &ident(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_case_is_kept() {
        assert_eq!(ident("Ra"), "\"Ra\"");
        assert_eq!(ident("a\"; drop table b; --"), "\"a\"\"; drop table b; --\"");
        assert_eq!(qualified("phat_v2", "phot_mod"), "\"phat_v2\".\"phot_mod\"");
        assert_eq!(qualified("", "tbl_stat"), "\"tbl_stat\"");
    }
}
