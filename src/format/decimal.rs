//! Decimal numbers out of bytes, correctly rounded, several times as fast as words for the standard library.
//!
//! Most numbers of a photometry text have few digits and small exponents. With at most 15 digits and a power of ten within 22 both are
//! exact doubles, and one multiplication or division rounds correctly (Clinger 1990, PLDI, 92). A float is that double rounded once more,
//! which is right unless the double lies half way between two floats: that case, and all that looks unusual, goes to the standard library.

/// Exact powers of ten.
const POWERS: [f64; 23] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];

/// A word, and the number that it is if it is a usual one.
#[derive(Debug, Clone, Copy)]
pub struct Word<'a> {
    pub text: &'a [u8],
    mantissa: u64,
    exponent: i32,
    is_negative: bool,
    is_usual: bool,
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_whitespace()
}

/// The next word from `at` on, which is moved behind it; `None` at the end.
#[inline]
pub fn scan<'a>(line: &'a [u8], at: &mut usize) -> Option<Word<'a>> {
    let mut i = *at;
    while i < line.len() && is_space(line[i]) {
        i += 1;
    }
    let start = i;
    if start == line.len() {
        *at = i;
        return None;
    }
    let is_negative = line[i] == b'-';
    i += usize::from(is_negative);
    let (mut mantissa, mut digits, mut exponent) = (0_u64, 0, 0);
    let mut take_digits = |i: &mut usize| {
        let from = *i;
        while let Some(digit) = line.get(*i).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            *i += 1;
        }
        *i - from
    };
    digits += take_digits(&mut i);
    if line.get(i) == Some(&b'.') {
        i += 1;
        let after = take_digits(&mut i);
        digits += after;
        exponent = -(after.min(1000) as i32);
    }
    let mut is_usual = (1..=15).contains(&digits);
    if matches!(line.get(i), Some(b'e' | b'E')) {
        let sign = line.get(i + 1).copied();
        i += 1 + usize::from(matches!(sign, Some(b'-' | b'+')));
        let (mut power, from) = (0_i32, i);
        while let Some(digit) = line.get(i).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            power = power.saturating_mul(10).saturating_add(i32::from(digit));
            i += 1;
        }
        is_usual &= i > from && power < 1000;
        exponent = exponent.saturating_add(if sign == Some(b'-') { -power } else { power });
    }
    if i < line.len() && !is_space(line[i]) {
        is_usual = false;
        while i < line.len() && !is_space(line[i]) {
            i += 1;
        }
    }
    *at = i;
    Some(Word { text: &line[start..i], mantissa, exponent, is_negative, is_usual })
}

impl Word<'_> {
    #[inline]
    fn fast(&self) -> Option<f64> {
        let power = POWERS.get(self.exponent.unsigned_abs() as usize).filter(|_| self.is_usual)?;
        let value = if self.exponent < 0 { self.mantissa as f64 / power } else { self.mantissa as f64 * power };
        Some(if self.is_negative { -value } else { value })
    }

    #[inline]
    pub fn to_f64(self) -> Option<f64> {
        self.fast().or_else(|| self.slow())
    }

    #[inline]
    pub fn to_f32(self) -> Option<f32> {
        const HALF_WAY: u64 = 1 << 28;
        match self.fast() {
            Some(value) if value.to_bits() & ((1 << 29) - 1) != HALF_WAY => Some(value as f32),
            _ => self.slow(),
        }
    }

    #[inline]
    pub fn to_i16(self) -> Option<i16> {
        if self.is_usual && self.exponent == 0 && self.text.len() <= 6 && !self.text.contains(&b'.') {
            let value = self.mantissa as i64;
            return i16::try_from(if self.is_negative { -value } else { value }).ok();
        }
        self.slow()
    }

    #[cold]
    fn slow<T: std::str::FromStr>(&self) -> Option<T> {
        std::str::from_utf8(self.text).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<Word<'_>> {
        let mut at = 0;
        std::iter::from_fn(|| scan(line.as_bytes(), &mut at)).collect()
    }

    fn same(word: &str) {
        let found = words(word);
        assert_eq!(found.len(), 1, "{word:?}");
        assert_eq!(found[0].to_f32().map(f32::to_bits), word.parse::<f32>().ok().map(f32::to_bits), "{word:?}");
        assert_eq!(found[0].to_f64().map(f64::to_bits), word.parse::<f64>().ok().map(f64::to_bits), "{word:?}");
        assert_eq!(found[0].to_i16(), word.parse::<i16>().ok(), "{word:?}");
    }

    #[test]
    fn odd_words_are_what_the_standard_library_says() {
        for word in
            ["0", "-0.0", "1.", ".5", "-", ".", "1e", "1e+", "e5", "1e400", "1e-400", "32768", "-32768", "+7", "nan", "inf", "1_0", "1e5x"]
        {
            same(word);
        }
        // a double half way between two floats, and its neighbours of more digits than a double holds
        for word in ["16777217", "16777217.000000001", "16777216.99999999", "8388608.5", "1.00000005960464477539"] {
            same(word);
        }
        assert_eq!(words("  1 -2.5e3\t7\n").iter().filter_map(|word| word.to_f64()).collect::<Vec<_>>(), [1.0, -2500.0, 7.0]);
        assert!(words(" \n").is_empty());
    }

    proptest! {
        #[test]
        fn numbers_of_any_size_are_rounded_as_by_the_standard_library(
            digits in 0_u64..10_000_000_000_000_000_000, width in 1_usize..20, point in 0_usize..20, power in -60_i32..60, minus: bool,
            form in 0..3,
        ) {
            let text = format!("{digits:020}");
            let mut text = text[text.len() - width..].to_owned();
            if form > 0 {
                text.insert(point.min(text.len()), '.');
            }
            let text = format!("{}{text}{}", if minus { "-" } else { "" }, if form == 2 { format!("e{power:+03}") } else { String::new() });
            same(&text);
        }
    }
}
