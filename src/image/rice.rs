//! RICE_1: differences of neighbouring pixels, in blocks, each with the number of low bits that are stored plainly.
//!
//! FITS standard 4.0, section 10.4.1: the first pixel comes whole; each block begins with the number of plain bits plus
//! one (0: all differences are 0; the largest: differences come whole); a difference is folded to be positive, its high
//! part is that many zeros and a one.

/// The decoded pixels of a tile, up to `count`: of 1, 2 or 4 bytes, as wrapping integers of that width.
pub fn decode(bytes: &[u8], count: usize, pixel_bytes: usize, block: usize) -> Result<Vec<i32>, String> {
    let (width_bits, most_plain) = match pixel_bytes {
        1 => (3, 6),
        2 => (4, 14),
        4 => (5, 25),
        other => return Err(format!("RICE_1 with BYTEPIX {other}")),
    };
    if block == 0 || bytes.len() < pixel_bytes {
        return Err("RICE_1 data are cut off".into());
    }
    let narrow = |value: u32| match pixel_bytes {
        1 => i32::from(value as u8),
        2 => i32::from(value as i16),
        _ => value as i32,
    };
    let mut last = bytes[..pixel_bytes].iter().fold(0_u32, |sum, &byte| sum << 8 | u32::from(byte));
    let mut bits = Bits::new(&bytes[pixel_bytes..]);
    let mut pixels = Vec::with_capacity(count);
    while pixels.len() < count {
        let length = block.min(count - pixels.len());
        let code = bits.take(width_bits);
        if bits.missing {
            return Err("RICE_1 data are cut off".into());
        }
        match code {
            0 => pixels.resize(pixels.len() + length, narrow(last)),
            code if code == most_plain + 1 => {
                for _ in 0..length {
                    last = last.wrapping_add(unfold(bits.take(8 * pixel_bytes as u32)));
                    pixels.push(narrow(last));
                }
            }
            code => {
                let plain = code - 1;
                for _ in 0..length {
                    last = last.wrapping_add(unfold(bits.number(plain)));
                    pixels.push(narrow(last));
                }
            }
        }
        if bits.missing {
            return Err("RICE_1 data are cut off".into());
        }
    }
    Ok(pixels)
}

/// 0, 1, 2, 3, 4 stand for 0, -1, 1, -2, 2.
fn unfold(folded: u32) -> u32 {
    (folded >> 1) ^ (folded & 1).wrapping_neg()
}

/// Bits from the highest of each byte on; beyond the end there are zeros, and it is noticed.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, at the top.
    held: u64,
    count: u32,
    /// Bits taken that were not there.
    missing: bool,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Bits { bytes, at: 0, held: 0, count: 0, missing: false }
    }

    /// At least 56 bits are held afterwards, but at the end.
    #[inline]
    fn fill(&mut self) {
        if let Some(chunk) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            self.held |= u64::from_be_bytes(*chunk) >> self.count;
            let whole = (63 - self.count) / 8;
            self.at += whole as usize;
            self.count += whole * 8;
            return;
        }
        while self.count <= 56 {
            let Some(byte) = self.bytes.get(self.at) else { return };
            self.held |= u64::from(*byte) << (56 - self.count);
            self.at += 1;
            self.count += 8;
        }
    }

    #[inline]
    fn take(&mut self, bits: u32) -> u32 {
        if bits == 0 {
            return 0;
        }
        if self.count < bits {
            self.fill();
        }
        let value = (self.held >> (64 - bits)) as u32;
        self.drop(bits);
        value
    }

    #[inline]
    fn drop(&mut self, bits: u32) {
        if bits > self.count {
            self.missing = true;
            self.count = 0;
            self.held = 0;
        } else {
            self.held = if bits == 64 { 0 } else { self.held << bits };
            self.count -= bits;
        }
    }

    /// Zeros that count, a one, and the lower bits as they are.
    #[inline]
    fn number(&mut self, plain: u32) -> u32 {
        if self.count < 48 {
            self.fill();
        }
        let zeros = self.held.leading_zeros();
        let bits = zeros + 1 + plain;
        if bits > self.count {
            // long, or at the end
            let high = self.zeros();
            return high << plain | self.take(plain);
        }
        let low = ((self.held << zeros << 1) >> 1 >> (63 - plain)) as u32;
        self.held <<= bits;
        self.count -= bits;
        zeros << plain | low
    }

    /// The number of zeros before the next one, which is passed too.
    #[inline]
    fn zeros(&mut self) -> u32 {
        let mut zeros = 0;
        loop {
            if self.count < 32 {
                self.fill();
            }
            // bits below `count` may be those of bytes that are read again: they are right, but not yet counted
            let here = self.held.leading_zeros();
            if here < self.count {
                self.drop(here + 1);
                return zeros + here;
            }
            if self.count == 0 {
                self.missing = true;
                return zeros;
            }
            zeros += self.count;
            self.held = 0;
            self.count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_off_data_are_an_error_and_not_a_loop() {
        assert!(decode(&[0, 0, 0, 1], 1000, 4, 32).is_err());
        assert!(decode(&[0; 9], 1_000_000, 4, 32).is_err());
        assert!(decode(&[], 1, 4, 32).is_err());
        assert_eq!(decode(&[0, 5, 0], 3, 2, 32), Ok(vec![5, 5, 5]));
    }
}
