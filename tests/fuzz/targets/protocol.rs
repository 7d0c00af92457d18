//! Any bytes as a worker's request, the first byte tells which: refused, or a value that the books can hold and that says the same when it
//! is written and read again.
#![no_main]

use brickyard::pipeline::protocol::{Bounded, Claim, Complete, Fail, Heartbeat, Register, Stage, Told, Urls};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fn read<T: Serialize + DeserializeOwned>(body: &[u8], check: fn(&T) -> Result<(), String>) {
    let Ok(value) = serde_json::from_slice::<T>(body) else { return };
    if check(&value).is_err() {
        return;
    }
    let written = serde_json::to_string(&value).expect("what was read can be written");
    assert!(!written.contains("\\u0000"), "a text of the database cannot hold it");
    let again: T = serde_json::from_str(&written).expect("what was written can be read");
    assert!(check(&again).is_ok());
    assert_eq!(serde_json::to_string(&again).expect("it can be written"), written);
}

fuzz_target!(|data: &[u8]| {
    let Some((&kind, body)) = data.split_first() else { return };
    match kind % 8 {
        0 => read::<Register>(body, Bounded::check),
        1 => read::<Claim>(body, Bounded::check),
        2 => read::<Heartbeat>(body, Bounded::check),
        3 => read::<Complete>(body, Bounded::check),
        4 => read::<Fail>(body, Bounded::check),
        5 => read::<Stage>(body, Bounded::check),
        6 => read::<Urls>(body, Bounded::check),
        _ => read::<Told>(body, Told::check),
    }
});
