//! A FITS file as bytes at places, and the HDUs that they make.
//!
//! [`Source`] reads ranges (`pread`, or what [`Ranges`] there are) and counts them. [`FitsFile`] walks the headers from the first HDU only as far as it is
//! asked to; every size that a header states is checked against the file before it is believed.

use super::gzip::{Cache, Key};
use super::header::{BLOCK, CARD, Header, MOST_CARDS};
use super::read::{Image, Storage};
use super::wcs::{Lookup, Wcs};
use super::{Error, Rect, tile};
use rustix::io::ReadWriteFlags;
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a header that are fetched at once: ten blocks hold most headers, and are little beside a cutout.
const HEADER_CHUNK: usize = 4 * BLOCK;
/// Bytes of one request where a file is fetched whole.
const FETCHED_AT_ONCE: usize = 4 << 20;
/// HDUs that are walked; a multi-extension exposure has some 30, a mosaic camera some 200.
const MOST_HDUS: usize = 10_000;
/// Pixels of a lookup table; the largest real one has 4096 x 4096.
const MOST_TABLE_PIXELS: u64 = 1 << 25;

/// Bytes that do not lie in a file of this machine.
pub trait Ranges: std::fmt::Debug + Send + Sync {
    fn length(&self) -> u64;

    /// Fills each buffer from its place on. All are asked for together, so that the way to them is gone once.
    fn read(&self, pieces: &mut [(u64, &mut [u8])]) -> io::Result<()>;
}

/// Where the bytes of a [`Source`] are.
#[derive(Debug, Clone)]
enum Bytes {
    File(Arc<File>),
    Ranges(Arc<dyn Ranges>),
}

/// Tells whether bytes of the same name are still the same: any write makes another one of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Device, inode, bytes, and when content and inode changed, in seconds and nanoseconds.
    File { device: u64, inode: u64, bytes: u64, modified: (i64, i64), changed: (i64, i64) },
    /// The word that tells versions apart where the bytes lie.
    Version(String),
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity::File {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Bytes at places, counted.
#[derive(Debug)]
pub struct Source {
    name: String,
    identity: Identity,
    bytes: Bytes,
    length: u64,
    read: AtomicU64,
    /// Fail rather than wait for a disk.
    at_once: bool,
}

impl Source {
    /// Opens a plain file, or a gzipped one through the cache.
    pub fn open(path: &Path, cache: &Cache) -> Result<Source, Error> {
        let name = path.display().to_string();
        let io = |source| Error::Io { name: name.clone(), source };
        let (file, metadata) = opened(path).map_err(io)?;
        let mut magic = [0; 2];
        let is_gzipped = file.read_at(&mut magic, 0).map_err(io)? == 2 && magic == [0x1f, 0x8b];
        if is_gzipped {
            let key = Key::of(path, &file).map_err(io)?;
            return Source::inflated(name, key, &file, cache);
        }
        Ok(Source::of(name, Arc::new(file), &metadata))
    }

    /// Opens a file, as it is even if it is gzipped, for a thread that must not wait: to read what is not in memory is an error of the
    /// kind `WouldBlock`.
    pub fn open_at_once(path: &Path) -> io::Result<Source> {
        let (file, metadata) = opened(path)?;
        Ok(Source { at_once: true, ..Source::of(path.display().to_string(), Arc::new(file), &metadata) })
    }

    fn of(name: String, file: Arc<File>, metadata: &Metadata) -> Source {
        let (identity, length) = (Identity::of(metadata), metadata.len());
        Source { name, identity, bytes: Bytes::File(file), length, read: AtomicU64::new(0), at_once: false }
    }

    /// Bytes that lie elsewhere; gzipped ones through the cache, where `version` tells those of today from those of yesterday.
    pub fn remote(name: String, version: String, ranges: Arc<dyn Ranges>, cache: &Cache) -> Result<Source, Error> {
        let length = ranges.length();
        let mut magic = [0; 2];
        if length >= 2 {
            ranges.read(&mut [(0, &mut magic)]).map_err(|source| Error::Io { name: name.clone(), source })?;
        }
        if magic != [0x1f, 0x8b] {
            let identity = Identity::Version(version);
            return Ok(Source { name, identity, bytes: Bytes::Ranges(ranges), length, read: AtomicU64::new(0), at_once: false });
        }
        let key = Key::named(&name, version, length);
        Source::inflated(name, key, InOrder { ranges, at: 0 }, cache)
    }

    /// The same, but all of them are fetched into the cache at once: for work that reads most of a file.
    pub fn fetched(name: String, version: String, ranges: Arc<dyn Ranges>, cache: &Cache) -> Result<Source, Error> {
        let source = Source::remote(name, version.clone(), ranges, cache)?;
        let Bytes::Ranges(ranges) = source.bytes else { return Ok(source) };
        let key = Key::named(&source.name, version, source.length);
        let in_order = io::BufReader::with_capacity(FETCHED_AT_ONCE, InOrder { ranges, at: 0 });
        let file = cache.fetched(key, in_order)?;
        let metadata = file.metadata().map_err(|error| Error::Io { name: source.name.clone(), source: error })?;
        Ok(Source::of(source.name, file, &metadata))
    }

    fn inflated(name: String, key: Key, gzipped: impl Read, cache: &Cache) -> Result<Source, Error> {
        let file = cache.inflated(key, gzipped)?;
        let metadata = file.metadata().map_err(|source| Error::Io { name: name.clone(), source })?;
        Ok(Source::of(name, file, &metadata))
    }

    /// Another reader of the same bytes, with a count of its own.
    pub fn again(&self) -> Source {
        let (name, identity, bytes) = (self.name.clone(), self.identity.clone(), self.bytes.clone());
        Source { name, identity, bytes, length: self.length, read: AtomicU64::new(0), at_once: false }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many bytes have been read so far.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Fills `buffer` from `offset` on.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        self.read_all(&mut [(offset, buffer)])
    }

    /// Fills each buffer from its place on.
    pub fn read_all(&self, pieces: &mut [(u64, &mut [u8])]) -> Result<(), Error> {
        self.read.fetch_add(pieces.iter().map(|(_, buffer)| buffer.len() as u64).sum(), Ordering::Relaxed);
        let read = match &self.bytes {
            Bytes::File(file) if self.at_once => pieces.iter_mut().try_for_each(|(offset, buffer)| read_cached(file, *offset, buffer)),
            Bytes::File(file) => pieces.iter_mut().try_for_each(|(offset, buffer)| file.read_exact_at(buffer, *offset)),
            Bytes::Ranges(_) if self.at_once => Err(io::ErrorKind::WouldBlock.into()),
            Bytes::Ranges(ranges) => ranges.read(pieces),
        };
        read.map_err(|source| Error::Io { name: self.name.clone(), source })
    }
}

/// A file, and what the system knows of it.
fn opened(path: &Path) -> io::Result<(File, Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    Ok((file, metadata))
}

/// Fills a buffer from what the system holds of a file in memory.
fn read_cached(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let wanted = buffer.len();
    let read = rustix::io::preadv2(file, &mut [io::IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT)?;
    // a part of it is in memory
    if read < wanted { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
}

/// Ranges one after another, for who reads all of them.
struct InOrder {
    ranges: Arc<dyn Ranges>,
    at: u64,
}

impl Read for InOrder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.ranges.length().saturating_sub(self.at);
        let count = left.min(buffer.len() as u64) as usize;
        if count > 0 {
            self.ranges.read(&mut [(self.at, &mut buffer[..count])])?;
        }
        self.at += count as u64;
        Ok(count)
    }
}

/// Which image of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Select {
    /// The first HDU with an image that has pixels.
    #[default]
    First,
    /// By number, 0 is the primary.
    Number(usize),
    /// By EXTNAME and, if given, EXTVER.
    Name(String, Option<i64>),
}

impl std::str::FromStr for Select {
    type Err = String;

    /// `1`, `SCI`, `SCI,2`
    fn from_str(text: &str) -> Result<Select, String> {
        let text = text.trim();
        if let Ok(number) = text.parse() {
            return Ok(Select::Number(number));
        }
        let (name, version) = match text.rsplit_once(',') {
            Some((name, version)) => {
                (name, Some(version.trim().parse().map_err(|_| format!("{text:?}: wanted NAME,VERSION such as SCI,1"))?))
            }
            None => (text, None),
        };
        if name.is_empty() || name.len() > 68 {
            Err(format!("{text:?} is not a number or an EXTNAME"))
        } else {
            Ok(Select::Name(name.to_owned(), version))
        }
    }
}

impl std::fmt::Display for Select {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Select::First => write!(f, "at all"),
            Select::Number(number) => write!(f, "in HDU {number}"),
            Select::Name(name, None) => write!(f, "named {name}"),
            Select::Name(name, Some(version)) => write!(f, "named {name},{version}"),
        }
    }
}

/// One header and where its data lie.
#[derive(Debug, Clone)]
pub struct Hdu {
    pub number: usize,
    pub header: Header,
    pub data_start: u64,
    pub data_bytes: u64,
}

impl Hdu {
    pub fn name(&self) -> Option<String> {
        self.header.text("EXTNAME").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
    }

    pub fn version(&self) -> i64 {
        self.header.integer("EXTVER").unwrap_or(1)
    }

    /// Whether it holds an image, compressed or not.
    pub fn is_image(&self) -> bool {
        let kind = self.header.text("XTENSION");
        let image = match kind.as_deref().map(str::trim) {
            None => self.header.logical("GROUPS") != Some(true),
            Some("IMAGE" | "IUEIMAGE") => true,
            Some(_) => return self.header.logical("ZIMAGE") == Some(true),
        };
        image && self.header.integer("NAXIS").is_some_and(|axes| axes >= 2) && self.data_bytes > 0
    }
}

/// An open FITS file.
#[derive(Debug)]
pub struct FitsFile {
    source: Source,
    headers: Headers,
}

/// What has been read of a file's headers, and what they mean; quick to clone. It holds for a file as long as its [`Identity`] does.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    hdus: Vec<Arc<Hdu>>,
    /// Where the next header begins; `None` at the end of the file.
    next: Option<u64>,
    images: BTreeMap<usize, Arc<Image>>,
    wcs: BTreeMap<(usize, char), Arc<Wcs>>,
}

impl Headers {
    /// How much memory they take, about.
    pub fn bytes(&self) -> u64 {
        /// A card, its key in an index, and what both are held in.
        const A_CARD: usize = CARD + 100;
        let cards = self.hdus.iter().map(|hdu| hdu.header.len()).chain(self.images.values().map(|image| image.header.len()));
        let tables = self.wcs.values().map(|wcs| wcs.table_bytes() + size_of::<Wcs>());
        (cards.map(|cards| cards * A_CARD + size_of::<Image>()).sum::<usize>() + tables.sum::<usize>()) as u64
    }

    /// Whether more has been read than `other` holds.
    pub fn is_more_than(&self, other: &Headers) -> bool {
        let size = |headers: &Headers| headers.hdus.len() + headers.images.len() + headers.wcs.len();
        size(self) > size(other)
    }
}

impl FitsFile {
    pub fn open(path: &Path, cache: &Cache) -> Result<FitsFile, Error> {
        FitsFile::new(Source::open(path, cache)?)
    }

    /// Reads the primary header.
    pub fn new(source: Source) -> Result<FitsFile, Error> {
        let mut head = vec![0; source.length().min(CARD as u64) as usize];
        source.read_at(0, &mut head)?;
        if !head.starts_with(b"SIMPLE  =") {
            return Err(Error::NotFits { name: source.name().to_owned(), begins: begins(&head) });
        }
        let mut file = FitsFile { source, headers: Headers { next: Some(0), ..Headers::default() } };
        file.walk()?;
        Ok(file)
    }

    /// A file whose headers have been read before, by [`FitsFile::new`] from bytes of the same identity.
    pub fn with(source: Source, headers: Headers) -> FitsFile {
        FitsFile { source, headers }
    }

    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The primary header.
    pub fn primary(&self) -> &Hdu {
        &self.headers.hdus[0]
    }

    /// All HDUs; a damaged tail ends the list without an error.
    pub fn all(&mut self) -> &[Arc<Hdu>] {
        while self.headers.next.is_some() {
            if self.walk().is_err() {
                self.headers.next = None;
            }
        }
        &self.headers.hdus
    }

    /// The number of the HDU that satisfies, read as far as needed.
    fn find(&mut self, is_wanted: impl Fn(&Hdu) -> bool) -> Result<Option<usize>, Error> {
        let mut at = 0;
        loop {
            if at == self.headers.hdus.len() && !self.walk()? {
                return Ok(None);
            }
            if is_wanted(&self.headers.hdus[at]) {
                return Ok(Some(at));
            }
            at += 1;
        }
    }

    /// The image that is meant, with its header as if it were not compressed.
    pub fn image(&mut self, select: &Select) -> Result<Arc<Image>, Error> {
        let found = self.find(|hdu| match select {
            Select::First => hdu.is_image(),
            Select::Number(number) => hdu.number == *number,
            Select::Name(name, version) => {
                hdu.name().is_some_and(|found| found.eq_ignore_ascii_case(name)) && version.is_none_or(|version| hdu.version() == version)
            }
        })?;
        match found.map(|at| self.headers.hdus[at].clone()) {
            Some(hdu) if hdu.is_image() => {
                if let Some(image) = self.headers.images.get(&hdu.number) {
                    return Ok(image.clone());
                }
                let image = Arc::new(self.image_of(&hdu)?);
                self.headers.images.insert(hdu.number, image.clone());
                Ok(image)
            }
            _ => {
                let there: Vec<String> = self.all().iter().filter(|hdu| hdu.is_image()).map(|hdu| told(hdu)).collect();
                let there =
                    if there.is_empty() { "the file has no image".to_owned() } else { format!("images are in HDU {}", there.join(", ")) };
                Err(Error::NoImage { name: self.source.name().to_owned(), wanted: select.to_string(), there })
            }
        }
    }

    fn image_of(&self, hdu: &Hdu) -> Result<Image, Error> {
        let bad = |what| Error::Header { name: self.source.name().to_owned(), hdu: hdu.number, what };
        if hdu.header.logical("ZIMAGE") == Some(true) {
            let (header, tiled) = tile::Tiled::of(hdu).map_err(bad)?;
            return Image::new(hdu.number, header, Storage::Tiled(Box::new(tiled))).map_err(bad);
        }
        Image::new(hdu.number, hdu.header.clone(), Storage::Plain { offset: hdu.data_start }).map_err(bad)
    }

    /// The WCS `alt` of an image, with its lookup tables from the same file.
    pub fn wcs(&mut self, image: &Image, alt: char) -> Result<Arc<Wcs>, Error> {
        if let Some(wcs) = self.headers.wcs.get(&(image.hdu, alt)) {
            return Ok(wcs.clone());
        }
        let wcs = Wcs::read(&image.header, alt, &mut |name, version| self.table(name, version).map(|(_, table)| table));
        let wcs = wcs.map_err(|what| Error::Wcs { name: self.source.name().to_owned(), hdu: image.hdu, what })?;
        Ok(self.headers.wcs.entry((image.hdu, alt)).or_insert(Arc::new(wcs)).clone())
    }

    /// A lookup table and its header.
    pub fn table(&mut self, name: &str, version: i64) -> Result<(Header, Lookup), String> {
        let select = Select::Name(name.to_owned(), Some(version));
        let image = self.image(&select).map_err(|error| error.to_string())?;
        let [width, height] = [image.axes[0], image.axes[1]];
        if image.axes.len() > 2 && image.axes[2..].iter().any(|n| *n != 1) || width.saturating_mul(height) > MOST_TABLE_PIXELS {
            return Err(format!("{name} {version} has {width} x {height} pixels: not a lookup table"));
        }
        let pixels = image.read(&self.source, Rect { x: 0, y: 0, width, height }).map_err(|error| error.to_string())?;
        let table = Lookup::new(&image.header, [width as usize, height as usize], pixels.values(&image.header))?;
        Ok((image.header.clone(), table))
    }

    /// Reads the next header; false at the end of the file.
    fn walk(&mut self) -> Result<bool, Error> {
        let Some(start) = self.headers.next else { return Ok(false) };
        let number = self.headers.hdus.len();
        let bad = |what: &str| Error::Header { name: self.source.name().to_owned(), hdu: number, what: what.to_owned() };
        // the standard allows other records after the last HDU
        if number > 0 && !self.begins_extension(start)? {
            self.headers.next = None;
            return Ok(false);
        }
        if number >= MOST_HDUS {
            return Err(bad(&format!("more than {MOST_HDUS} HDUs")));
        }
        let (header, data_start) = self.read_header(start, number)?;
        let data_bytes = data_bytes(&header).map_err(|what| bad(&what))?;
        let end = data_start.checked_add(data_bytes).ok_or_else(|| bad("its size is beyond all files"))?;
        if end > self.source.length() {
            let name = self.source.name().to_owned();
            return Err(Error::Truncated { name, hdu: number, wanted: end, found: self.source.length() });
        }
        let next = end.next_multiple_of(BLOCK as u64);
        self.headers.next = (next + (BLOCK as u64) <= self.source.length()).then_some(next);
        self.headers.hdus.push(Arc::new(Hdu { number, header, data_start, data_bytes }));
        Ok(true)
    }

    fn begins_extension(&self, start: u64) -> Result<bool, Error> {
        let mut word = [0; 9];
        self.source.read_at(start, &mut word)?;
        Ok(&word == b"XTENSION=")
    }

    /// The header at `start`, and where its data begin.
    fn read_header(&self, start: u64, number: usize) -> Result<(Header, u64), Error> {
        let bad = |what: &str| Error::Header { name: self.source.name().to_owned(), hdu: number, what: what.to_owned() };
        let mut bytes = Vec::new();
        loop {
            let left = self.source.length().saturating_sub(start + bytes.len() as u64);
            let chunk = left.min(HEADER_CHUNK.max(bytes.len()) as u64) as usize;
            let whole = chunk - chunk % CARD;
            if whole == 0 {
                return Err(bad("the header has no END; the file is cut off or damaged"));
            }
            let from = bytes.len();
            bytes.resize(from + whole, 0);
            self.source.read_at(start + from as u64, &mut bytes[from..])?;
            let end = bytes[from..].chunks_exact(CARD).position(|card| card.starts_with(b"END     "));
            if let Some(end) = end.map(|at| from + (at + 1) * CARD) {
                let (header, _) = Header::parse(&bytes[..end]);
                return Ok((header, start + (end as u64).next_multiple_of(BLOCK as u64)));
            }
            if bytes.len() > MOST_CARDS * CARD {
                return Err(bad(&format!("the header is longer than {MOST_CARDS} cards")));
            }
        }
    }
}

fn told(hdu: &Hdu) -> String {
    match hdu.name() {
        Some(name) => format!("{} ({name},{})", hdu.number, hdu.version()),
        None => hdu.number.to_string(),
    }
}

/// The first bytes as a person reads them.
fn begins(head: &[u8]) -> String {
    if head.is_empty() {
        return "nothing (the file is empty)".to_owned();
    }
    let text: String = head.iter().take(24).map(|&b| if (32..127).contains(&b) { b as char } else { '.' }).collect();
    format!("{text:?}")
}

/// Bytes of the data that a header describes (FITS 4.0, eqs. 1, 2 and 4).
fn data_bytes(header: &Header) -> Result<u64, String> {
    let whole = |key: &str, default: Option<i64>| -> Result<u64, String> {
        let value = header
            .integer(key)
            .or(default)
            .ok_or_else(|| format!("{key} is {}", header.text(key).map_or("missing".to_owned(), |text| format!("{text:?}"))))?;
        u64::try_from(value).map_err(|_| format!("{key} is {value}"))
    };
    let naxis = whole("NAXIS", None)?;
    if naxis > 999 {
        return Err(format!("NAXIS is {naxis}"));
    }
    if naxis == 0 {
        return Ok(0);
    }
    let bits = header.integer("BITPIX").ok_or("BITPIX is missing")?;
    if !matches!(bits, 8 | 16 | 32 | 64 | -32 | -64) {
        return Err(format!("BITPIX is {bits}"));
    }
    let is_groups = header.logical("GROUPS") == Some(true) && whole("NAXIS1", None)? == 0;
    let mut count: u64 = 1;
    for axis in 1 + u64::from(is_groups)..=naxis {
        let length = whole(&format!("NAXIS{axis}"), None)?;
        count = count.checked_mul(length).ok_or("its axes multiply beyond all files")?;
    }
    let (extra, groups) = (whole("PCOUNT", Some(0))?, whole("GCOUNT", Some(1))?);
    let total = count.checked_add(extra).and_then(|n| n.checked_mul(groups)).and_then(|n| n.checked_mul(bits.unsigned_abs() / 8));
    total.ok_or_else(|| "its axes multiply beyond all files".to_owned())
}
