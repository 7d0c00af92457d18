//! Turns raw big-endian rows into PostgreSQL's binary COPY rows by a short list of operations.
//!
//! FITS and binary COPY are both big-endian, so most fields are a length word and a copy; runs of neighbouring values
//! of one width are one operation. There is no trait object and no allocation per value: `BinaryCopyInWriter`, which
//! has both, took five times the CPU for the same rows in a trial before this was written.

use super::chunk::Chunk;
use crate::format::layout::RawKind;
use crate::schema::DataType;
use crate::sky::index::SkyIds;

/// The header of a binary COPY stream: signature, flags, extension length.
pub const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Its end.
pub const COPY_TRAILER: &[u8] = b"\xff\xff";

/// What a row's operations share: computed once per row of the file.
pub struct Context<'a> {
    pub row: &'a [u8],
    pub ids: SkyIds,
    pub random_id: f32,
    /// The objid field: length word and text.
    pub objid: &'a [u8],
}

/// Why a row cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Overflow { column: u16 },
    Null { column: u16 },
    Text { column: u16 },
}

impl Fault {
    /// In words, for the reject table.
    pub fn describe(&self, columns: &[crate::schema::Column]) -> String {
        let name = |c: &u16| columns.get(usize::from(*c)).map_or("?", |c| c.name.as_str());
        match self {
            Fault::Overflow { column } => format!("{}: the value does not fit the column's type", name(column)),
            Fault::Null { column } => format!("{}: undefined, and the column may not be NULL", name(column)),
            Fault::Text { column } => format!("{}: the text is not UTF-8 or holds a NUL", name(column)),
        }
    }
}

/// A number in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    pub kind: RawKind,
    pub offset: usize,
    pub scale: f64,
    pub zero: f64,
    pub null: Option<i64>,
}

/// A number that was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    Null,
    Int(i64),
    Float(f64),
    Overflow,
}

impl Number {
    /// The element at `offset` bytes into the row, scaled.
    pub fn read(&self, row: &[u8]) -> Value {
        let stored = match self.kind {
            RawKind::Float => return self.scaled(f64::from(f32::from_be_bytes(bytes(row, self.offset)))),
            RawKind::Double => return self.scaled(f64::from_be_bytes(bytes(row, self.offset))),
            RawKind::Logical => {
                return match row[self.offset] {
                    b'T' => Value::Int(1),
                    b'F' => Value::Int(0),
                    _ => Value::Null,
                };
            }
            RawKind::Bit => i64::from(row[self.offset] >> 7),
            RawKind::Byte => i64::from(row[self.offset]),
            RawKind::Short => i64::from(i16::from_be_bytes(bytes(row, self.offset))),
            RawKind::Int => i64::from(i32::from_be_bytes(bytes(row, self.offset))),
            RawKind::Long => i64::from_be_bytes(bytes(row, self.offset)),
            RawKind::Char | RawKind::Other(_) => return Value::Null,
        };
        if self.null == Some(stored) {
            return Value::Null;
        }
        if self.scale != 1.0 || self.zero.fract() != 0.0 {
            return Value::Float(self.zero + self.scale * stored as f64);
        }
        // TZERO = 2^63 makes unsigned 64-bit numbers, of which the upper half does not fit
        i64::try_from(i128::from(stored).saturating_add(self.zero as i128)).map_or(Value::Overflow, Value::Int)
    }

    fn scaled(&self, stored: f64) -> Value {
        if self.scale == 1.0 && self.zero == 0.0 { Value::Float(stored) } else { Value::Float(self.zero + self.scale * stored) }
    }

    /// As a float; NaN for null.
    #[inline]
    pub fn float(&self, row: &[u8]) -> f64 {
        if self.scale == 1.0 && self.zero == 0.0 {
            match self.kind {
                RawKind::Float => return f64::from(f32::from_be_bytes(bytes(row, self.offset))),
                RawKind::Double => return f64::from_be_bytes(bytes(row, self.offset)),
                _ => {}
            }
        }
        self.float_of_any(row)
    }

    fn float_of_any(&self, row: &[u8]) -> f64 {
        match self.read(row) {
            Value::Float(v) => v,
            Value::Int(v) => v as f64,
            Value::Null | Value::Overflow => f64::NAN,
        }
    }
}

#[inline]
fn bytes<const N: usize>(row: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&row[offset..offset + N]);
    out
}

/// What an undefined value becomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Undefined {
    Null,
    Sentinel(f64),
    Reject,
}

/// Which id of the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkyColumn {
    Htm9,
    Ring256,
    Nest4096,
}

/// One step of a row program: writes one or more fields.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// `count` neighbouring values of 2, 4 or 8 bytes, stored as they are.
    Copy2 {
        offset: usize,
        count: usize,
    },
    Copy4 {
        offset: usize,
        count: usize,
    },
    Copy8 {
        offset: usize,
        count: usize,
    },
    /// `count` neighbouring logicals as smallints; `column` is the first's.
    Logicals {
        offset: usize,
        count: usize,
        column: u16,
    },
    /// A whole field: length word and value, or the -1 of NULL.
    Constant(Box<[u8]>),
    /// A number converted to the column's type.
    Convert {
        number: Number,
        to: DataType,
        nulls: Box<[f64]>,
        undefined: Undefined,
        column: u16,
    },
    /// A string, without trailing blanks and what follows a NUL.
    Text {
        offset: usize,
        width: usize,
        undefined: Undefined,
        column: u16,
    },
    Sky(SkyColumn),
    Objid,
    RandomId,
    /// `a - b` as a real, or `undetected` where either is that.
    Difference {
        a: Number,
        b: Number,
        undetected: f32,
    },
    GoodStar {
        snr: Number,
        sharp: Number,
        crowd: Number,
        vega: Number,
        snr_min: f32,
        sharp2_max: f32,
        crowd_max: f32,
        undetected: f32,
    },
    /// An array of `elements`; `plain` ones are copied.
    Array {
        elements: Box<[Number]>,
        to: DataType,
        plain: bool,
        nulls: Box<[f64]>,
        column: u16,
    },
}

/// Runs the operations: appends the fields of one row (without the field count) to `out`, which has room for
/// [`widest`] bytes.
pub fn run(ops: &[Op], context: &Context<'_>, out: &mut Chunk) -> Result<(), Fault> {
    let row = context.row;
    for op in ops {
        match op {
            Op::Copy2 { offset, count } => copy::<2, 6>(&row[*offset..offset + 2 * count], out),
            Op::Copy4 { offset, count } => copy::<4, 8>(&row[*offset..offset + 4 * count], out),
            Op::Copy8 { offset, count } => copy::<8, 12>(&row[*offset..offset + 8 * count], out),
            Op::Logicals { offset, count, column } => put_logicals(&row[*offset..offset + count], *column, out)?,
            Op::Constant(field) => out.put(field),
            Op::Convert { number, to, nulls, undefined, column } => {
                let value = null_listed(number.read(row), nulls, number.kind);
                put(value, *to, *undefined, *column, out)?;
            }
            Op::Text { offset, width, undefined, column } => put_text(&row[*offset..offset + width], *undefined, *column, out)?,
            Op::Sky(which) => {
                let id = match which {
                    SkyColumn::Htm9 => context.ids.htm9,
                    SkyColumn::Ring256 => context.ids.ring256,
                    SkyColumn::Nest4096 => context.ids.nest4096,
                };
                put_word(id.to_be_bytes(), out);
            }
            Op::Objid => out.put(context.objid),
            Op::RandomId => put_word(context.random_id.to_be_bytes(), out),
            Op::Difference { a, b, undetected } => {
                let (a, b) = (a.float(row) as f32, b.float(row) as f32);
                let difference = if a == *undetected || b == *undetected { *undetected } else { a - b };
                put_word(difference.to_be_bytes(), out);
            }
            Op::GoodStar { snr, sharp, crowd, vega, snr_min, sharp2_max, crowd_max, undetected } => {
                let read = |n: &Number| n.float(row) as f32;
                let sharp = read(sharp);
                let good = read(snr) >= *snr_min && sharp * sharp < *sharp2_max && read(crowd) < *crowd_max || read(vega) == *undetected;
                out.field(&i16::from(good).to_be_bytes());
            }
            Op::Array { elements, to, plain, nulls, column } => put_array(elements, *to, *plain, nulls, row, *column, out)?,
        }
    }
    Ok(())
}

pub const NULL_FIELD: [u8; 4] = (-1i32).to_be_bytes();

/// A field of four bytes.
#[inline]
fn put_word(value: [u8; 4], out: &mut Chunk) {
    let [a, b, c, d] = value;
    *out.array() = [0, 0, 0, 4, a, b, c, d];
}

/// Values of N bytes as fields of M = N + 4.
#[inline]
fn copy<const N: usize, const M: usize>(values: &[u8], out: &mut Chunk) {
    let fields = out.slot(values.len() / N * M);
    for (field, value) in fields.as_chunks_mut::<M>().0.iter_mut().zip(values.as_chunks::<N>().0) {
        field[..4].copy_from_slice(&(N as u32).to_be_bytes());
        field[4..].copy_from_slice(value);
    }
}

fn put_logicals(values: &[u8], column: u16, out: &mut Chunk) -> Result<(), Fault> {
    for (i, value) in values.iter().enumerate() {
        let flag = match value {
            b'T' => 1,
            b'F' => 0,
            _ => return Err(Fault::Null { column: column + i as u16 }),
        };
        *out.array() = [0, 0, 0, 2, 0, flag];
    }
    Ok(())
}

/// Null if the manifest lists the value; float columns compare in their own precision.
fn null_listed(value: Value, nulls: &[f64], kind: RawKind) -> Value {
    let is = |v: f64| nulls.iter().any(|&n| if kind == RawKind::Float { v as f32 == n as f32 } else { v == n } || v.is_nan() && n.is_nan());
    match value {
        Value::Float(v) if is(v) => Value::Null,
        Value::Int(v) if is(v as f64) => Value::Null,
        other => other,
    }
}

fn put(value: Value, to: DataType, undefined: Undefined, column: u16, out: &mut Chunk) -> Result<(), Fault> {
    let value = match (value, undefined) {
        (Value::Null, Undefined::Null) => {
            out.put(&NULL_FIELD);
            return Ok(());
        }
        (Value::Null, Undefined::Reject) => return Err(Fault::Null { column }),
        (Value::Null, Undefined::Sentinel(s)) => Value::Float(s),
        (value, _) => value,
    };
    let mut buffer = [0; 8];
    let width = narrow(value, to, &mut buffer).ok_or(Fault::Overflow { column })?;
    out.field(&buffer[..width]);
    Ok(())
}

/// The value in the binary format of `to`, its width returned; `None` if it does not fit.
fn narrow(value: Value, to: DataType, out: &mut [u8; 8]) -> Option<usize> {
    let int = || match value {
        Value::Int(v) => Some(v),
        Value::Float(v) if v.fract() == 0.0 && v.abs() < 9.2e18 => Some(v as i64),
        _ => None,
    };
    let float = || match value {
        Value::Int(v) => Some(v as f64),
        Value::Float(v) => Some(v),
        _ => None,
    };
    match to {
        DataType::Boolean => out[0] = u8::from(int()? != 0),
        DataType::Smallint => out[..2].copy_from_slice(&i16::try_from(int()?).ok()?.to_be_bytes()),
        DataType::Integer => out[..4].copy_from_slice(&i32::try_from(int()?).ok()?.to_be_bytes()),
        DataType::Bigint => out.copy_from_slice(&int()?.to_be_bytes()),
        DataType::Real => {
            let wide = float()?;
            let real = wide as f32;
            if real.is_infinite() && wide.is_finite() {
                return None;
            }
            out[..4].copy_from_slice(&real.to_be_bytes());
        }
        DataType::Double => out.copy_from_slice(&float()?.to_be_bytes()),
        DataType::Text | DataType::Timestamp => return None,
    }
    to.width()
}

fn put_text(cell: &[u8], undefined: Undefined, column: u16, out: &mut Chunk) -> Result<(), Fault> {
    let end = cell.iter().position(|&b| b == 0).unwrap_or(cell.len());
    // an all-NUL cell is FITS's undefined string, blanks at the end do not count (FITS 4.0, section 7.3.3.1)
    if end == 0 && !cell.is_empty() && undefined == Undefined::Null {
        out.put(&NULL_FIELD);
        return Ok(());
    }
    let text = std::str::from_utf8(&cell[..end]).map_err(|_| Fault::Text { column })?;
    out.field(text.trim_end_matches(' ').as_bytes());
    Ok(())
}

/// PostgreSQL's array: dimensions, has-null flag, element oid, length, lower bound, elements as fields.
fn put_array(elements: &[Number], to: DataType, plain: bool, nulls: &[f64], row: &[u8], column: u16, out: &mut Chunk) -> Result<(), Fault> {
    let start = out.len();
    out.put(&[0; 4]);
    for word in [i32::from(!elements.is_empty()), 0, to.oid() as i32] {
        out.put(&word.to_be_bytes());
    }
    if !elements.is_empty() {
        out.put(&(elements.len() as i32).to_be_bytes());
        out.put(&1i32.to_be_bytes());
    }
    let mut has_null = false;
    for number in elements {
        if plain {
            let width = number.kind.bytes(1);
            out.field(&row[number.offset..number.offset + width]);
            continue;
        }
        let value = null_listed(number.read(row), nulls, number.kind);
        has_null |= value == Value::Null;
        put(value, to, Undefined::Null, column, out)?;
    }
    if has_null {
        out.patch(start + 8, 1);
    }
    out.patch(start, (out.len() - start - 4) as i32);
    Ok(())
}

/// The most bytes that the fields of a row can take.
pub fn widest(ops: &[Op]) -> usize {
    ops.iter()
        .map(|op| match op {
            Op::Copy2 { count, .. } | Op::Logicals { count, .. } => 6 * count,
            Op::Copy4 { count, .. } => 8 * count,
            Op::Copy8 { count, .. } => 12 * count,
            Op::Constant(field) => field.len(),
            Op::Convert { .. } => 12,
            Op::Text { width, .. } => 4 + width,
            Op::Sky(_) | Op::RandomId | Op::Difference { .. } | Op::GoodStar { .. } => 8,
            Op::Objid => MAX_OBJID,
            Op::Array { elements, .. } => 24 + 12 * elements.len(),
        })
        .sum()
}

/// Bytes of the longest objid field: length word, prefix, 12 and 10 characters of the position.
pub const MAX_OBJID: usize = 128;
