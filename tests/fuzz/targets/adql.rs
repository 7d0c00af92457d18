//! Any bytes as an ADQL query: no panic, no hang, spans within the text, and an error that can be shown.
#![no_main]

use brickyard::adql;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(error) = adql::parse(text) {
        let span = error.span;
        assert!(span.start <= span.end && span.end <= text.len());
        assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
        assert!(error.render(text).contains('^'));
    }
});
