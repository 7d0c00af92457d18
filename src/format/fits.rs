//! FITS binary tables through CFITSIO: headers, column layouts, and rows as raw big-endian bytes.
//!
//! All of CFITSIO is behind this file. Files are opened with `ffdkopn`, which takes the name as it is, so that
//! CFITSIO's extended syntax (`x.fits[1][col ..]`, `http://`, `!`) never sees a user's string. The `fitsio` crate gives
//! the error texts; its `hdu()` panics on variable-length, complex and double complex columns, so tables are walked
//! with the C functions that it binds. CFITSIO inflates a `.gz` whole into memory and is therefore only ever handed
//! plain files ([`super::open`]).
//!
//! Memory: a header and the caller's buffer.

use super::layout::{Layout, RawColumn, RawKind};
use fitsio_sys as c;
use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

const IMAGE_HDU: i32 = 0;
const ASCII_TBL: i32 = 1;
const BINARY_TBL: i32 = 2;
/// The file ends within a block.
const READ_ERROR: i32 = 108;
/// The widest row that is read; 999 columns of a thousand doubles have 8 MB.
const MOST_ROW_BYTES: usize = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {doing}: {message}", path.display())]
    Cfitsio { path: PathBuf, doing: String, message: String },
    #[error("{}: no table in HDU {hdu}: it is {found}; {}", path.display(), tables_hint(tables))]
    NotATable { path: PathBuf, hdu: String, found: &'static str, tables: Vec<String> },
    #[error("{}: there is no HDU {wanted}; {}", path.display(), tables_hint(tables))]
    NoSuchHdu { path: PathBuf, wanted: String, tables: Vec<String> },
    #[error("{}: HDU {hdu}: truncated: the header promises {rows} rows of {row_bytes} bytes up to byte {wanted}, the file ends at {found} (after {whole} whole rows); fetch it again", path.display())]
    Truncated { path: PathBuf, hdu: usize, rows: u64, row_bytes: usize, wanted: u64, found: u64, whole: u64 },
    #[error("{}: HDU {hdu}: column {column}: bad TFORM {form:?}", path.display())]
    BadForm { path: PathBuf, hdu: usize, column: String, form: String },
    #[error("{}: HDU {hdu}: {what}", path.display())]
    BadHeader { path: PathBuf, hdu: usize, what: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

fn tables_hint(tables: &[String]) -> String {
    if tables.is_empty() { "the file has no binary table".to_owned() } else { format!("binary tables are in HDU {}", tables.join(", ")) }
}

/// Which HDU to read: by number (0 is the primary) or by EXTNAME.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(untagged)]
pub enum Hdu {
    Number(usize),
    Name(String),
}

impl std::fmt::Display for Hdu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Hdu::Number(n) => write!(f, "{n}"),
            Hdu::Name(name) => write!(f, "{name:?}"),
        }
    }
}

/// The value cards of a header, in order, strings without their quotes.
#[derive(Debug, Clone, Default)]
pub struct Header {
    cards: std::collections::HashMap<String, String>,
}

impl Header {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.cards.get(key).map(String::as_str)
    }

    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        // FITS allows Fortran's D exponent
        self.get(key).and_then(|v| v.trim().replace('D', "E").parse().ok())
    }

    /// An empty header that other sources fill ([`super::dolphot`]).
    pub fn insert(&mut self, key: &str, value: &str) {
        self.cards.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
}

/// An open binary table.
pub struct Table {
    handle: Handle,
    pub hdu: usize,
    pub rows: u64,
    pub layout: Layout,
    pub header: Header,
    /// Byte of the file where the first row begins; the others follow without gaps.
    pub start: u64,
}

/// An owned CFITSIO file; it may move between threads, but is used by one at a time.
struct Handle {
    fptr: *mut c::fitsfile,
    path: PathBuf,
}

// SAFETY: a fitsfile holds no thread-local state; `Handle` is not `Sync`, so one thread uses it at a time.
unsafe impl Send for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: `fptr` came from ffdkopn and is closed once; a failing close of a read-only file loses nothing.
        unsafe { c::ffclos(self.fptr, &mut status) };
    }
}

impl Table {
    /// Opens the table `hdu` of a plain FITS file and checks that all its rows are there.
    ///
    /// `path` is the file to read, `shown` the name for messages (the compressed original).
    pub fn open(path: &Path, shown: &Path, hdu: &Hdu) -> Result<Table, Error> {
        let handle = Handle::open(path, shown)?;
        let number = handle.find(hdu)?;
        let header = handle.header(number)?;
        let (rows, layout) = read_layout(&header, shown, number)?;
        let mut table = Table { handle, hdu: number, rows, layout, header, start: 0 };
        table.start = table.check_length(path)?;
        Ok(table)
    }

    /// Is this a tile-compressed table (ZTABLE)?
    pub fn is_tile_compressed(&self) -> bool {
        self.header.get("ZTABLE").is_some_and(|v| v.trim() == "T")
    }

    /// Writes this tile-compressed table uncompressed, as HDU 1 of a new file.
    pub fn uncompress_to(&mut self, target: &Path) -> Result<(), Error> {
        let name = CString::new(target.as_os_str().as_encoded_bytes()).map_err(|_| self.handle.error("a NUL in the name", 0))?;
        let (mut status, mut out) = (0, null_mut());
        // SAFETY: `name` outlives the call; `out` is closed below in every case where it was opened.
        unsafe {
            c::ffdkinit(&mut out, name.as_ptr(), &mut status);
            if status == 0 {
                c::fits_uncompress_table(self.handle.fptr, out, &mut status);
                let mut closing = 0;
                c::ffclos(out, &mut closing);
                if status == 0 {
                    status = closing;
                }
            }
        }
        self.handle.check(status, "uncompressing the table's tiles")
    }

    /// Appends `rows` whole rows from row `first` (0-based) to `buffer`.
    pub fn append_rows(&mut self, first: u64, rows: usize, buffer: &mut Vec<u8>) -> Result<(), Error> {
        let bytes = rows * self.layout.row_bytes;
        buffer.reserve(bytes);
        let room = &mut buffer.spare_capacity_mut()[..bytes];
        let mut status = 0;
        // SAFETY: `room` is valid for `bytes` bytes; CFITSIO checks the position against the table.
        unsafe { c::ffgtbb(self.handle.fptr, first as i64 + 1, 1, bytes as i64, room.as_mut_ptr().cast(), &mut status) };
        self.handle.check(status, &format!("HDU {}: reading rows from {first}", self.hdu))?;
        // SAFETY: CFITSIO has filled all of `room`.
        unsafe { buffer.set_len(buffer.len() + bytes) };
        Ok(())
    }

    /// CFITSIO pads a short file with an error only when the missing rows are read; we say it before the first row.
    /// Gives the byte where the rows begin.
    fn check_length(&self, path: &Path) -> Result<u64, Error> {
        let (mut head, mut data, mut end, mut status) = (0, 0, 0, 0);
        // SAFETY: plain out-parameters.
        unsafe { c::ffghadll(self.handle.fptr, &mut head, &mut data, &mut end, &mut status) };
        self.handle.check(status, "finding the table's bytes")?;
        let found = std::fs::metadata(path).map_err(|source| Error::Io { path: self.handle.path.clone(), source })?.len();
        let row_bytes = self.layout.row_bytes;
        let wanted = (data as u64).saturating_add(self.rows.saturating_mul(row_bytes as u64));
        if found >= wanted {
            return Ok(data as u64);
        }
        let whole = found.saturating_sub(data as u64) / row_bytes.max(1) as u64;
        Err(Error::Truncated { path: self.handle.path.clone(), hdu: self.hdu, rows: self.rows, row_bytes, wanted, found, whole })
    }
}

impl Handle {
    fn open(path: &Path, shown: &Path) -> Result<Handle, Error> {
        let fail = |message: String| Error::Cfitsio { path: shown.to_owned(), doing: "opening as FITS".into(), message };
        let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| fail("the name holds a NUL".into()))?;
        let (mut fptr, mut status) = (null_mut(), 0);
        // SAFETY: `name` outlives the call; on success `fptr` is owned by the handle.
        unsafe { c::ffdkopn(&mut fptr, name.as_ptr(), 0, &mut status) };
        if status != 0 {
            return Err(fail(message(status)));
        }
        Ok(Handle { fptr, path: shown.to_owned() })
    }

    fn error(&self, doing: &str, status: i32) -> Error {
        Error::Cfitsio { path: self.path.clone(), doing: doing.to_owned(), message: message(status) }
    }

    fn check(&self, status: i32, doing: &str) -> Result<(), Error> {
        if status == 0 { Ok(()) } else { Err(self.error(doing, status)) }
    }

    /// Moves to the HDU and gives its 0-based number; the error lists the tables that there are.
    fn find(&self, wanted: &Hdu) -> Result<usize, Error> {
        let mut tables = Vec::new();
        let mut found = None;
        let (mut kind, mut status) = (0, 0);
        // HDUs are walked one by one: ffthdu stops silently at a damaged HDU, a walk tells which one
        for number in 0.. {
            // SAFETY: plain out-parameters.
            unsafe { c::ffmahd(self.fptr, number as i32 + 1, &mut kind, &mut status) };
            if status == 107 {
                unsafe { c::ffcmsg() };
                break; // END_OF_FILE: no such HDU
            }
            if status == READ_ERROR {
                unsafe { c::ffcmsg() };
                let what = "truncated: the file ends within the header; fetch it again".to_owned();
                return Err(Error::BadHeader { path: self.path.clone(), hdu: number, what });
            }
            self.check(status, &format!("moving to HDU {number}"))?;
            let name = self.key("EXTNAME");
            let hit = match wanted {
                Hdu::Number(n) => *n == number,
                Hdu::Name(n) => name.as_deref().is_some_and(|name| name.trim_end().eq_ignore_ascii_case(n)),
            };
            if kind == BINARY_TBL {
                tables.push(name.map_or_else(|| number.to_string(), |name| format!("{number} ({})", name.trim_end())));
            }
            if hit && found.is_none() {
                found = Some((number, kind));
                if kind == BINARY_TBL {
                    break;
                }
            }
        }
        match found {
            Some((number, BINARY_TBL)) => {
                unsafe { c::ffmahd(self.fptr, number as i32 + 1, &mut kind, &mut status) };
                if status == 107 {
                    status = 0;
                    unsafe { c::ffmahd(self.fptr, number as i32 + 1, &mut kind, &mut status) };
                }
                self.check(status, "moving to the table")?;
                Ok(number)
            }
            Some((_, kind)) => Err(Error::NotATable { path: self.path.clone(), hdu: wanted.to_string(), found: describe(kind), tables }),
            None => Err(Error::NoSuchHdu { path: self.path.clone(), wanted: wanted.to_string(), tables }),
        }
    }

    /// The value of one key of the current HDU.
    fn key(&self, key: &str) -> Option<String> {
        let name = CString::new(key).ok()?;
        let (mut card, mut status) = ([0 as std::os::raw::c_char; 81], 0);
        // SAFETY: CFITSIO writes at most 81 bytes.
        unsafe { c::ffgcrd(self.fptr, name.as_ptr(), card.as_mut_ptr(), &mut status) };
        if status != 0 {
            unsafe { c::ffcmsg() };
            return None;
        }
        let text = unsafe { CStr::from_ptr(card.as_ptr()) }.to_string_lossy().into_owned();
        parse_card(&text).map(|(_, value)| value)
    }

    fn header(&self, hdu: usize) -> Result<Header, Error> {
        let (mut count, mut more, mut status) = (0, 0, 0);
        // SAFETY: plain out-parameters.
        unsafe { c::ffghsp(self.fptr, &mut count, &mut more, &mut status) };
        self.check(status, &format!("HDU {hdu}: reading the header"))?;
        let mut header = Header::default();
        let mut card = [0 as std::os::raw::c_char; 81];
        for n in 1..=count {
            // SAFETY: CFITSIO writes at most 81 bytes.
            unsafe { c::ffgrec(self.fptr, n, card.as_mut_ptr(), &mut status) };
            self.check(status, &format!("HDU {hdu}: reading header card {n}"))?;
            let text = unsafe { CStr::from_ptr(card.as_ptr()) }.to_string_lossy();
            if let Some((key, value)) = parse_card(&text) {
                header.insert(&key, &value);
            }
        }
        Ok(header)
    }
}

fn describe(kind: i32) -> &'static str {
    match kind {
        IMAGE_HDU => "an image",
        ASCII_TBL => "an ASCII table, which brickyard does not read (make it a binary table, for example with stilts tcopy)",
        _ => "not a table",
    }
}

/// CFITSIO's text for a status and the messages that it stacked.
fn message(status: i32) -> String {
    let text = fitsio::errors::check_status(status).err().map_or_else(String::new, |e| match e {
        fitsio::errors::Error::Fits(e) => e.message,
        other => other.to_string(),
    });
    let mut stacked = Vec::new();
    let mut line = [0 as std::os::raw::c_char; 81];
    // SAFETY: CFITSIO writes at most 81 bytes a message.
    while stacked.len() < 3 && unsafe { c::ffgmsg(line.as_mut_ptr()) } != 0 {
        stacked.push(unsafe { CStr::from_ptr(line.as_ptr()) }.to_string_lossy().trim().to_owned());
    }
    unsafe { c::ffcmsg() };
    let detail = if stacked.is_empty() { String::new() } else { format!(" ({})", stacked.join("; ")) };
    format!("{text} [CFITSIO {status}]{detail}")
}

/// Key and value of a `KEY     = value / comment` card; `None` for commentary.
pub fn parse_card(card: &str) -> Option<(String, String)> {
    let (key, rest) = card.split_at_checked(8)?;
    let rest = rest.strip_prefix("= ").or_else(|| rest.strip_prefix('='))?;
    let rest = rest.trim_start();
    let value = match rest.strip_prefix('\'') {
        Some(quoted) => unquote(quoted),
        None => rest.split('/').next().unwrap_or("").trim().to_owned(),
    };
    Some((key.trim_end().to_owned(), value))
}

/// The text up to the closing quote, doubled quotes as one, without trailing blanks.
fn unquote(quoted: &str) -> String {
    let mut value = String::new();
    let mut chars = quoted.chars().peekable();
    while let Some(ch) = chars.next() {
        if ch != '\'' {
            value.push(ch);
        } else if chars.next_if_eq(&'\'').is_some() {
            value.push('\'');
        } else {
            break;
        }
    }
    value.truncate(value.trim_end().len());
    value
}

/// The number of rows and the columns that a table's header describes.
fn read_layout(header: &Header, path: &Path, hdu: usize) -> Result<(u64, Layout), Error> {
    let bad = |what: String| Error::BadHeader { path: path.to_owned(), hdu, what };
    let count = |key: &str| header.number::<u64>(key).ok_or_else(|| bad(format!("{key} is missing or not a whole number")));
    let (row_bytes, rows, fields) = (count("NAXIS1")? as usize, count("NAXIS2")?, count("TFIELDS")?);
    // CFITSIO believes any width; buffers are made from it
    if row_bytes > MOST_ROW_BYTES {
        return Err(bad(format!("NAXIS1 says that a row has {row_bytes} bytes, more than {MOST_ROW_BYTES}")));
    }
    let mut offset = 0;
    let mut columns = Vec::new();
    for n in 1..=fields {
        let name = header.get(&format!("TTYPE{n}")).map_or_else(|| format!("col{n}"), |s| s.trim().to_owned());
        let form = header.get(&format!("TFORM{n}")).ok_or_else(|| bad(format!("TFORM{n} is missing")))?;
        let (kind, repeat) =
            parse_form(form).ok_or_else(|| Error::BadForm { path: path.to_owned(), hdu, column: name.clone(), form: form.to_owned() })?;
        let column = RawColumn {
            name,
            kind,
            repeat,
            offset,
            scale: header.number(&format!("TSCAL{n}")).unwrap_or(1.0),
            zero: header.number(&format!("TZERO{n}")).unwrap_or(0.0),
            null: header.number(&format!("TNULL{n}")),
            unit: header.get(&format!("TUNIT{n}")).unwrap_or("").to_owned(),
        };
        offset += kind.bytes(repeat);
        columns.push(column);
    }
    if offset > row_bytes {
        return Err(bad(format!("the columns take {offset} bytes, NAXIS1 says that a row has {row_bytes}")));
    }
    Ok((rows, Layout::new(columns, row_bytes)))
}

/// `rT` with an optional tail: kind and repeat count.
fn parse_form(form: &str) -> Option<(RawKind, usize)> {
    let form = form.trim();
    let digits = form.len() - form.trim_start_matches(|ch: char| ch.is_ascii_digit()).len();
    let repeat = if digits == 0 { 1 } else { form[..digits].parse().ok().filter(|&r| r <= 1 << 30)? };
    Some((RawKind::from_letter(form[digits..].chars().next()?.to_ascii_uppercase())?, repeat))
}
