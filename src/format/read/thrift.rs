//! A look over Thrift's compact protocol, in which Parquet writes its footer and page headers, before a library believes it:
//! a few bytes can announce lists of 2^31 elements that take none, and pages that inflate to anything.
//!
//! The encoding is that of Apache Thrift's `thrift-compact-protocol.md`, the structures those of `parquet.thrift`.

use std::ops::Range;

/// Levels of structures and lists.
const DEPTH_MAX: usize = 32;
/// Longest header of a page that is read; writers put statistics with two values into it.
const HEADER_MAX: usize = 1 << 20;

/// What a page announces of itself.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    header_bytes: usize,
    stored_bytes: usize,
    inflated_bytes: u64,
}

/// The footer of a Parquet file, `None` where there is none. Its own reader says what is wrong with other bytes.
pub fn footer(file: &[u8]) -> Option<&[u8]> {
    let before = file.len().checked_sub(8)?;
    let length = u32::from_le_bytes(file[before..before + 4].try_into().ok()?) as usize;
    file[before..].ends_with(b"PAR1").then(|| file.get(before.checked_sub(length)?..before))?
}

/// Whether a structure has no more list elements than bytes.
pub fn is_sound(structure: &[u8]) -> bool {
    Walk { rest: structure, elements: structure.len() }.structure(0, |_, _| {}).is_some()
}

/// Bytes to which the pages of a column chunk say that they inflate; `None` if a page's header cannot be read, or does not
/// fit its chunk.
pub fn inflated_bytes(file: &[u8], chunk: Range<usize>) -> Option<u64> {
    let mut rest = file.get(chunk)?;
    let mut sum = 0u64;
    while !rest.is_empty() {
        let page = page(&rest[..rest.len().min(HEADER_MAX)])?;
        sum = sum.saturating_add(page.inflated_bytes);
        rest = rest.get(page.header_bytes.checked_add(page.stored_bytes)?..)?;
    }
    Some(sum)
}

fn page(bytes: &[u8]) -> Option<Page> {
    let (mut stored, mut inflated) = (None, None);
    let mut walk = Walk { rest: bytes, elements: bytes.len() };
    walk.structure(0, |id, value| match id {
        2 => inflated = u64::try_from(value).ok(),
        3 => stored = usize::try_from(value).ok(),
        _ => {}
    })?;
    Some(Page { header_bytes: bytes.len() - walk.rest.len(), stored_bytes: stored?, inflated_bytes: inflated? })
}

struct Walk<'a> {
    rest: &'a [u8],
    /// List elements that may still come.
    elements: usize,
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A structure up to its end; `integer` sees the integers right in it, with the ids of their fields.
    fn structure(&mut self, depth: usize, mut integer: impl FnMut(i64, i64)) -> Option<()> {
        let mut id = 0;
        loop {
            let head = self.byte()?;
            let kind = head & 0x0f;
            if kind == 0 {
                return Some(());
            }
            id = if head >> 4 == 0 { self.zigzag()? } else { i64::from(head >> 4).wrapping_add(id) };
            match kind {
                4..=6 => integer(id, self.zigzag()?),
                _ => self.value(kind, depth)?,
            }
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match kind {
            // a boolean is in its type
            1 | 2 => Some(()),
            3 => self.skip(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip(8),
            8 => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.skip(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { usize::try_from(self.varint()?).ok()? } else { usize::from(head >> 4) };
                self.elements = self.elements.checked_sub(count)?;
                (0..count).try_for_each(|_| self.value(head & 0x0f, depth + 1))
            }
            12 => self.structure(depth + 1, |_, _| {}),
            13 => self.skip(16),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_longer_than_their_bytes_are_not_sound() {
        // field 1: a list of 3 i32; stop
        assert!(is_sound(&[0x19, 0x35, 1, 2, 3, 0]));
        assert!(!is_sound(&[0x19, 0x35, 1, 2, 0]));
        // 2^28 booleans, which take no byte each
        assert!(!is_sound(&[0x19, 0xf1, 0x80, 0x80, 0x80, 0x80, 0x01, 0]));
        // lists of lists of booleans
        assert!(!is_sound(&[0x19, 0x29, 0x71, 0x71, 0]));
        assert!(!is_sound(&[vec![0x19; 1], vec![0x19; 100], vec![0x15, 0, 0]].concat()), "too deep");
    }

    #[test]
    fn pages_say_what_they_take() {
        // type 0, inflated 1000, stored 5, then five bytes; twice
        let page = [0x15, 0x00, 0x15, 0xd0, 0x0f, 0x15, 0x0a, 0x00, 9, 9, 9, 9, 9];
        let file = [&page[..], &page[..]].concat();
        assert_eq!(inflated_bytes(&file, 0..file.len()), Some(2000));
        assert_eq!(inflated_bytes(&file, 0..file.len() - 1), None, "its end is missing");
        assert_eq!(inflated_bytes(&file, 1..file.len() + 1), None);
    }
}
