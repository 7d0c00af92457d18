//! Any bytes as a table that a stranger sends, read as the form that the first byte tells: no panic, no hang, memory within
//! the limits, and never more rows than they allow.
#![no_main]

use brickyard::format::read::{Form, Limits, read};
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;

const LIMITS: Limits = Limits { bytes: 4 << 20, inflation: 100, rows: 5000, columns: 99, cell_bytes: 64 << 10 };

fuzz_target!(|data: &[u8]| {
    // panics that are caught within are none; those that are not still end the run
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let Some((&first, bytes)) = data.split_first() else { return };
    let form = [None, Some(Form::Votable), Some(Form::Csv), Some(Form::Tsv), Some(Form::Fits), Some(Form::Parquet)][usize::from(first) % 6];
    let Ok(reader) = read(form, Cursor::new(bytes.to_vec()), LIMITS) else { return };
    let mut rows = 0;
    for chunk in reader {
        let Ok(chunk) = chunk else { break };
        rows += chunk.rows as u64;
    }
    assert!(rows <= LIMITS.rows);
});
