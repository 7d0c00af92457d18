//! PLIO_1: IRAF's pixel lists, run lengths of masks.
//!
//! FITS standard 4.0, section 10.4.3: words of 16 bits, four of them the instruction and twelve its number. A list keeps a
//! current value, begins with 1, and writes runs of zeros and of that value.

/// The decoded pixels of a tile.
pub fn decode(bytes: &[u8], count: usize) -> Result<Vec<i32>, String> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let words: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    let word = |at: usize| words.get(at).copied().map(|word| word as i16).ok_or("PLIO_1 data are cut off");
    // the old list has its length in the third word, the new one its own header's length there
    let (first, length) = match word(2)? {
        length if length > 0 => (3, i64::from(length)),
        _ => (i64::from(word(1)?), i64::from(word(4)?) << 15 | i64::from(word(3)?)),
    };
    let first = usize::try_from(first).map_err(|_| "PLIO_1 list with a negative header")?;
    let end = usize::try_from(length).unwrap_or(0).min(words.len());
    let mut pixels: Vec<i32> = Vec::with_capacity(count);
    let mut value: i32 = 1;
    let mut at = first;
    while at < end && pixels.len() < count {
        let (instruction, number) = (words[at] >> 12, i32::from(words[at] & 0xfff));
        let whole = (pixels.len() + number as usize).min(count);
        match instruction {
            // zeros; the current value; zeros and the current value once
            0 => pixels.resize(whole, 0),
            4 => pixels.resize(whole, value),
            5 => {
                let full = pixels.len() + number as usize <= count;
                pixels.resize(whole, 0);
                if let (Some(last), true, true) = (pixels.last_mut(), full, number > 0) {
                    *last = value;
                }
            }
            1 => {
                at += 1;
                value = i32::from(words.get(at).copied().ok_or("PLIO_1 data are cut off")?) << 12 | number;
            }
            2 => value = value.wrapping_add(number),
            3 => value = value.wrapping_sub(number),
            6 | 7 => {
                value = if instruction == 6 { value.wrapping_add(number) } else { value.wrapping_sub(number) };
                pixels.push(value);
            }
            other => return Err(format!("PLIO_1 instruction {other}")),
        }
        at += 1;
    }
    // what a list does not mention is 0
    pixels.resize(count, 0);
    Ok(pixels)
}
