//! Any bytes as an ADQL query over PHAT's tables: no panic, no hang, an error within the text that can be shown, and SQL
//! that is one statement.
#![no_main]

use brickyard::adql::{self, Catalogue, Options, Relation};
use brickyard::schema::Catalog;
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let tables = Catalog::load(&[], "phat_v2").expect("the schema is built in").tables;
    Catalogue::new(tables.into_iter().map(|table| Relation::new(Arc::new(table), Some(100_000))).collect())
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match adql::translate(text, &CATALOGUE, &Options::default()) {
        Ok(statement) => assert!(!statement.sql.contains(';') && !statement.columns.is_empty(), "{}", statement.sql),
        Err(error) => {
            let span = error.span;
            assert!(span.start <= span.end && span.end <= text.len());
            assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
            assert!(error.render(text).contains('^'));
        }
    }
});
