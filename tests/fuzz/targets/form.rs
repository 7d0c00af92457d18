//! Any bytes as a multipart form, whole and cut into pieces of the size that the first byte tells: the same events.
#![no_main]

use brickyard::web::multipart::{Error, Event, Head, Parser};
use libfuzzer_sys::fuzz_target;

/// The parts with their bytes, and how it ended.
type Parts = (Vec<(Head, Vec<u8>)>, Result<(), Error>);

fn taken_apart(body: &[u8], piece: usize) -> Parts {
    let (mut parser, mut parts) = (Parser::new("b=<-->"), Vec::<(Head, Vec<u8>)>::new());
    for bytes in body.chunks(piece) {
        parser.feed(bytes);
        loop {
            match parser.event() {
                Ok(Some(Event::Part(head))) => parts.push((head, Vec::new())),
                Ok(Some(Event::Data(data))) => parts.last_mut().expect("data belong to a part").1.extend_from_slice(&data),
                Ok(Some(Event::Whole)) => {}
                Ok(Some(Event::End)) => return (parts, Ok(())),
                Ok(None) => break,
                Err(error) => return (parts, Err(error)),
            }
        }
    }
    (parts, parser.finish())
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, body)) = data.split_first() else { return };
    let (whole, pieces) = (taken_apart(body, body.len().max(1)), taken_apart(body, usize::from(first).max(1)));
    // a fault may come before or after the data that stand before it in the same part
    match (whole.1, pieces.1) {
        (Ok(()), Ok(())) => assert_eq!(whole.0, pieces.0),
        (whole, pieces) => assert_eq!(whole, pieces),
    }
});
