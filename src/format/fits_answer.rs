//! An answer as a FITS binary table.
//!
//! The table's header says how many rows follow and how wide their texts are, which is known only when the last row has come. So the
//! rows are kept as they came, up to 4 MiB in memory, beyond that in a scratch file without a name, and written when their number is
//! known; the primary header goes out at once. Asking the server for the number first would run the query twice and not be true
//! for longer than a moment; several tables of known length would not be what readers look for.
//!
//! | value | becomes |
//! | --- | --- |
//! | NULL of an integer | the type's least value, which TNULL declares; a value equal to it is an error that names the column |
//! | NULL of a float, a boolean, a text | NaN, 0, empty |
//! | text, timestamp | `rA`, as wide as the widest; UTF-8 where it is not ASCII |
//! | array of texts or timestamps | one text, `{a,"b c"}` |
//! | other array | `rE` where all have one length, else `PE(max)` with a heap |
//!
//! Memory: 4 MiB and a chunk. Disk: the rows, at most `scratch_bytes` of the head.

use super::Error;
use super::answer::Encoder;
use super::head::{Ending, Head};
use super::number;
use super::value::{self, SPELLED};
use super::votable::least;
use crate::schema::rows::WireChunk;
use crate::schema::wire::{self, Elements, fixed, since_1970};
use crate::schema::{Column, DataType};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

const BLOCK: usize = 2880;
/// Rows that are kept in memory, in bytes.
const IN_MEMORY: usize = 4 << 20;
/// FITS 4.0, section 7.3.1.
const MOST_COLUMNS: usize = 999;

/// Writes one file.
pub struct Fits {
    head: Arc<Head>,
    columns: Arc<[Column]>,
    extents: Vec<Extent>,
    rows: u64,
    spool: Spool,
    scratch: Vec<u8>,
    stage: Stage,
}

/// What has been seen of a column's values: bytes of texts, elements of arrays.
#[derive(Debug, Clone, Copy)]
struct Extent {
    least: usize,
    most: usize,
    /// Elements of all rows together.
    total: u64,
}

/// Where the writing is, once all rows are there.
enum Stage {
    Header,
    Rows { at: u64, heap: u64 },
    Heap { at: u64 },
    Padding,
}

/// How a column lies in a row.
#[derive(Debug, Clone, Copy)]
enum Layout {
    Scalar,
    Text { width: usize },
    Fixed { length: usize },
    Heap { most: usize, is_wide: bool },
}

impl Fits {
    pub fn new(head: Arc<Head>, columns: Arc<[Column]>) -> Fits {
        let extents = vec![Extent { least: usize::MAX, most: 0, total: 0 }; columns.len()];
        let spool = Spool { memory: Vec::new(), file: None, bytes: 0, head: head.clone() };
        Fits { head, columns, extents, rows: 0, spool, scratch: Vec::new(), stage: Stage::Header }
    }

    /// Checks the values of a row and notes how large they are.
    fn measure(&mut self, rest: &mut &[u8]) -> Result<(), Error> {
        for (column, extent) in self.columns.iter().zip(&mut self.extents) {
            let value = wire::take(rest)?;
            let size = match value {
                Some(value) => size(column, value, &mut self.scratch)?,
                None => 0,
            };
            extent.least = extent.least.min(size);
            extent.most = extent.most.max(size);
            extent.total += size as u64;
        }
        Ok(())
    }

    fn layouts(&self) -> Vec<Layout> {
        let heap_bytes: u64 =
            self.columns.iter().zip(&self.extents).map(|(column, extent)| extent.total * width(column.datatype) as u64).sum();
        let layout = |(column, extent): (&Column, &Extent)| match (is_text(column), column.array) {
            (true, _) => Layout::Text { width: extent.most.max(1) },
            (false, false) => Layout::Scalar,
            (false, true) if extent.least == extent.most && extent.most > 0 => Layout::Fixed { length: extent.most },
            (false, true) => Layout::Heap { most: extent.most, is_wide: heap_bytes > i32::MAX as u64 },
        };
        self.columns.iter().zip(&self.extents).map(layout).collect()
    }

    fn heap_bytes(&self, layouts: &[Layout]) -> u64 {
        let of = |((column, extent), layout): ((&Column, &Extent), &Layout)| match layout {
            Layout::Heap { .. } => extent.total * width(column.datatype) as u64,
            Layout::Scalar | Layout::Text { .. } | Layout::Fixed { .. } => 0,
        };
        self.columns.iter().zip(&self.extents).zip(layouts).map(of).sum()
    }
}

/// Is the column written as a text?
fn is_text(column: &Column) -> bool {
    matches!(column.datatype, DataType::Text | DataType::Timestamp)
}

/// Bytes of a number or boolean.
fn width(datatype: DataType) -> usize {
    match datatype {
        DataType::Text | DataType::Timestamp => 0,
        DataType::Boolean | DataType::Smallint | DataType::Integer | DataType::Bigint | DataType::Real | DataType::Double => {
            datatype.width().unwrap_or(0)
        }
    }
}

/// The text of a text column's value.
fn text_of<'a>(column: &Column, value: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8], Error> {
    if !column.array && column.datatype == DataType::Text {
        return Ok(value);
    }
    scratch.clear();
    match column.array {
        true => value::push_braces(scratch, column.datatype, value, SPELLED).map_err(|error| wire::named(error, column))?,
        false => number::push_timestamp(scratch, since_1970(i64::from_be_bytes(fixed(value, column.datatype)?))),
    }
    Ok(scratch)
}

/// Bytes of a text, elements of an array, 1 for a scalar; checks that no value says NULL.
fn size(column: &Column, value: &[u8], scratch: &mut Vec<u8>) -> Result<usize, Error> {
    if is_text(column) {
        return Ok(text_of(column, value, scratch)?.len());
    }
    let check = |value: &[u8]| match (value.len() == width(column.datatype), least(column.datatype)) {
        (false, _) => Err(Error::Wire(wire::Error::Short)),
        (true, Some(least)) if least.to_be_bytes()[8 - value.len()..] == *value && value[0] == 0x80 => {
            Err(Error::Null { column: column.name.clone(), value: least })
        }
        (true, _) => Ok(()),
    };
    if !column.array {
        return check(value).map(|()| 1);
    }
    let elements = Elements::of(value).map_err(|error| wire::named(error, column))?;
    let length = elements.length;
    for element in elements {
        element?.map_or(Ok(()), check)?;
    }
    Ok(length)
}

/// Appends a number or boolean, or what stands for NULL.
fn push_scalar(out: &mut Vec<u8>, datatype: DataType, value: Option<&[u8]>) {
    match (datatype, value) {
        (DataType::Boolean, Some(value)) => out.push(if value == [0] { b'F' } else { b'T' }),
        (DataType::Boolean, None) => out.push(0),
        (_, Some(value)) => out.extend_from_slice(value),
        (DataType::Smallint, None) => out.extend_from_slice(&i16::MIN.to_be_bytes()),
        (DataType::Integer, None) => out.extend_from_slice(&i32::MIN.to_be_bytes()),
        (DataType::Bigint, None) => out.extend_from_slice(&i64::MIN.to_be_bytes()),
        (DataType::Real, None) => out.extend_from_slice(&f32::NAN.to_be_bytes()),
        (DataType::Double, None) => out.extend_from_slice(&f64::NAN.to_be_bytes()),
        (DataType::Text | DataType::Timestamp, None) => {}
    }
}

impl Encoder for Fits {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.columns.len() > MOST_COLUMNS {
            return Err(Error::TooManyColumns { columns: self.columns.len(), most: MOST_COLUMNS });
        }
        let mut cards = Cards::default();
        cards.raw("SIMPLE", "T");
        cards.raw("BITPIX", "8");
        cards.raw("NAXIS", "0");
        cards.raw("EXTEND", "T");
        cards.push_header(out);
        Ok(())
    }

    fn rows(&mut self, chunk: &WireChunk, _: &mut Vec<u8>) -> Result<(), Error> {
        let all = chunk.bytes.as_slice();
        let mut rest = all;
        let mut good = 0;
        let measured = (0..chunk.rows).try_for_each(|_| {
            self.measure(&mut rest)?;
            good += 1;
            Ok(())
        });
        let bytes = match measured.is_ok() {
            true => all.len() - rest.len(),
            false => whole_rows(all, good * self.columns.len()),
        };
        self.spool.push(&all[..bytes], good)?;
        self.rows += good as u64;
        measured
    }

    fn end(&mut self, ending: &Ending, out: &mut Vec<u8>) -> Result<bool, Error> {
        let layouts = self.layouts();
        match self.stage {
            Stage::Header => {
                self.push_table_header(&layouts, ending, out);
                self.stage = Stage::Rows { at: 0, heap: 0 };
            }
            Stage::Rows { at, mut heap } => {
                self.stage = match self.spool.frame(at)? {
                    Some((rows, bytes, next)) => {
                        push_rows(&self.columns, &layouts, rows, &bytes, &mut heap, &mut self.scratch, out)?;
                        Stage::Rows { at: next, heap }
                    }
                    None if heap > 0 => Stage::Heap { at: 0 },
                    None => Stage::Padding,
                }
            }
            Stage::Heap { at } => {
                self.stage = match self.spool.frame(at)? {
                    Some((rows, bytes, next)) => {
                        push_heap(&self.columns, &layouts, rows, &bytes, out)?;
                        Stage::Heap { at: next }
                    }
                    None => Stage::Padding,
                }
            }
            Stage::Padding => {
                let bytes = self.rows * row_width(&self.columns, &layouts) as u64 + self.heap_bytes(&layouts);
                out.resize((bytes.next_multiple_of(BLOCK as u64) - bytes) as usize, 0);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Bytes of so many values at the beginning.
fn whole_rows(all: &[u8], values: usize) -> usize {
    let mut rest = all;
    (0..values).for_each(|_| {
        let _ = wire::take(&mut rest); // they were taken before
    });
    all.len() - rest.len()
}

fn row_width(columns: &[Column], layouts: &[Layout]) -> usize {
    let of = |(column, layout): (&Column, &Layout)| match layout {
        Layout::Scalar => width(column.datatype),
        Layout::Text { width } => *width,
        Layout::Fixed { length } => length * width(column.datatype),
        Layout::Heap { is_wide, .. } => {
            if *is_wide {
                16
            } else {
                8
            }
        }
    };
    columns.iter().zip(layouts).map(of).sum()
}

fn push_rows(
    columns: &[Column],
    layouts: &[Layout],
    rows: usize,
    mut rest: &[u8],
    heap: &mut u64,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    for _ in 0..rows {
        for (column, layout) in columns.iter().zip(layouts) {
            let value = wire::take(&mut rest)?;
            match *layout {
                Layout::Scalar => push_scalar(out, column.datatype, value),
                Layout::Text { width } => {
                    let end = out.len() + width;
                    if let Some(value) = value {
                        out.extend_from_slice(text_of(column, value, scratch)?);
                    }
                    out.resize(end, 0);
                }
                Layout::Fixed { .. } => push_elements(out, column.datatype, value)?,
                Layout::Heap { is_wide, .. } => {
                    let length = value.map(Elements::of).transpose()?.map_or(0, |elements| elements.length as u64);
                    for word in [length, *heap] {
                        match is_wide {
                            true => out.extend_from_slice(&word.to_be_bytes()),
                            false => out.extend_from_slice(&(word as u32).to_be_bytes()),
                        }
                    }
                    *heap += length * width(column.datatype) as u64;
                }
            }
        }
    }
    Ok(())
}

fn push_heap(columns: &[Column], layouts: &[Layout], rows: usize, mut rest: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    for _ in 0..rows {
        for (column, layout) in columns.iter().zip(layouts) {
            let value = wire::take(&mut rest)?;
            if let Layout::Heap { .. } = layout {
                push_elements(out, column.datatype, value)?;
            }
        }
    }
    Ok(())
}

fn push_elements(out: &mut Vec<u8>, datatype: DataType, value: Option<&[u8]>) -> Result<(), Error> {
    let Some(value) = value else { return Ok(()) };
    for element in Elements::of(value)? {
        push_scalar(out, datatype, element?);
    }
    Ok(())
}

impl Fits {
    fn push_table_header(&self, layouts: &[Layout], ending: &Ending, out: &mut Vec<u8>) {
        let mut cards = Cards::default();
        cards.text("XTENSION", "BINTABLE");
        for (key, value) in [
            ("BITPIX", 8),
            ("NAXIS", 2),
            ("NAXIS1", row_width(&self.columns, layouts) as u64),
            ("NAXIS2", self.rows),
            ("PCOUNT", self.heap_bytes(layouts)),
            ("GCOUNT", 1),
            ("TFIELDS", self.columns.len() as u64),
        ] {
            cards.raw(key, &value.to_string());
        }
        for (n, (column, layout)) in (1..).zip(self.columns.iter().zip(layouts)) {
            push_column(&mut cards, n, column, *layout);
        }
        if !self.head.name.is_empty() {
            cards.text("EXTNAME", &self.head.name);
        }
        if self.columns.iter().any(|column| column.ucd.starts_with("pos.eq")) {
            cards.text("RADESYS", &self.head.frame.system);
        }
        if self.columns.iter().any(|column| column.datatype == DataType::Timestamp || column.ucd.starts_with("time.epoch")) {
            cards.text("TIMESYS", &self.head.frame.timescale);
        }
        cards.text("QSTATUS", ending.status());
        if *ending != Ending::Complete {
            cards.text("QSTATEXT", ending.text(&self.head));
        }
        cards.comment(&self.head.description);
        for info in &self.head.infos {
            cards.comment(format!("{}: {} {}", info.name, info.value, info.text).trim());
        }
        cards.push_header(out);
    }
}

fn push_column(cards: &mut Cards, n: usize, column: &Column, layout: Layout) {
    let letter = column.datatype.fits();
    let form = match layout {
        Layout::Scalar => letter.to_string(),
        Layout::Text { width } => format!("{width}A"),
        Layout::Fixed { length } => format!("{length}{letter}"),
        Layout::Heap { most, is_wide } => format!("1{}{letter}({most})", if is_wide { 'Q' } else { 'P' }),
    };
    cards.text(&format!("TTYPE{n}"), &column.name);
    cards.text(&format!("TFORM{n}"), &form);
    if let Some(least) = least(column.datatype) {
        cards.raw(&format!("TNULL{n}"), &least.to_string());
    }
    let (.., xtype) = column.votable();
    for (key, text) in
        [("TUNIT", column.unit.as_str()), ("TUCD", &column.ucd), ("TUTYP", &column.utype), ("TXTYP", xtype), ("TCOMM", &column.description)]
    {
        if !text.is_empty() {
            cards.text(&format!("{key}{n}"), text);
        }
    }
}

/// Header cards, 80 characters each.
#[derive(Default)]
struct Cards(Vec<u8>);

impl Cards {
    fn line(&mut self, text: &str) {
        let end = self.0.len() + 80;
        self.0.extend(text.bytes().take(80));
        self.0.resize(end, b' ');
    }

    /// A number or logical.
    fn raw(&mut self, key: &str, value: &str) {
        self.line(&format!("{key:<8}= {value:>20}"));
    }

    /// A text, continued on further cards where it is long (FITS 4.0, section 4.2.1.2); what is not ASCII becomes `?`.
    fn text(&mut self, key: &str, text: &str) {
        let plain = ascii(text).replace('\'', "''");
        let mut rest = plain.as_str();
        let mut begin = format!("{key:<8}= ");
        while rest.len() > 68 {
            // a doubled quote stays whole
            let quotes = rest[..67].bytes().rev().take_while(|&byte| byte == b'\'').count();
            let (piece, tail) = rest.split_at(67 - quotes % 2);
            self.line(&format!("{begin}'{piece}&'"));
            rest = tail;
            "CONTINUE  ".clone_into(&mut begin);
        }
        self.line(&format!("{begin}'{rest:<8}'"));
    }

    fn comment(&mut self, text: &str) {
        for line in text.lines() {
            for piece in ascii(line).as_bytes().chunks(72) {
                self.line(&format!("COMMENT {}", String::from_utf8_lossy(piece)));
            }
        }
    }

    fn push_header(mut self, out: &mut Vec<u8>) {
        self.line("END");
        out.extend_from_slice(&self.0);
        out.resize(out.len().next_multiple_of(BLOCK), b' ');
    }
}

/// Printable ASCII.
fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| {
            if matches!(c, ' '..='~') {
                c
            } else if c.is_whitespace() {
                ' '
            } else {
                '?'
            }
        })
        .collect()
}

/// Frames of rows: their number, their bytes, each with eight bytes before.
struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    bytes: u64,
    head: Arc<Head>,
}

impl Spool {
    fn push(&mut self, rows: &[u8], count: usize) -> Result<(), Error> {
        let cannot = |source| Error::Scratch { dir: self.head.scratch_dir.clone(), source };
        if count == 0 {
            return Ok(());
        }
        if self.bytes + rows.len() as u64 > self.head.scratch_bytes {
            return Err(Error::ScratchFull { most: self.head.scratch_bytes });
        }
        let mut frame = [0; 8];
        frame[..4].copy_from_slice(&(count as u32).to_be_bytes());
        frame[4..].copy_from_slice(&(rows.len() as u32).to_be_bytes());
        self.bytes += 8 + rows.len() as u64;
        if let Some(file) = &mut self.file {
            file.write_all(&frame).map_err(cannot)?;
            return file.write_all(rows).map_err(cannot);
        }
        self.memory.extend_from_slice(&frame);
        self.memory.extend_from_slice(rows);
        if self.memory.len() > IN_MEMORY {
            let mut file = tempfile::tempfile_in(&self.head.scratch_dir).map_err(cannot)?;
            file.write_all(&self.memory).map_err(cannot)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        Ok(())
    }

    /// The frame that begins at a byte: rows, bytes, where the next one begins. `None` at the end.
    fn frame(&self, at: u64) -> Result<Option<(usize, Vec<u8>, u64)>, Error> {
        if at >= self.bytes {
            return Ok(None);
        }
        let mut frame = [0; 8];
        self.read(at, &mut frame)?;
        let word = |range: std::ops::Range<usize>| frame[range].iter().fold(0usize, |word, &byte| word << 8 | usize::from(byte));
        let (rows, length) = (word(0..4), word(4..8));
        let mut bytes = vec![0; length];
        self.read(at + 8, &mut bytes)?;
        Ok(Some((rows, bytes, at + 8 + length as u64)))
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), Error> {
        match &self.file {
            Some(file) => file.read_exact_at(bytes, at).map_err(|source| Error::Scratch { dir: self.head.scratch_dir.clone(), source }),
            None => {
                bytes.copy_from_slice(&self.memory[at as usize..][..bytes.len()]);
                Ok(())
            }
        }
    }
}
