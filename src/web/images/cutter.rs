//! Makes pieces: an image of the archive, a region, a form; bytes.
//!
//! Memory: at most `at_once` pieces are being cut, each of `piece_bytes` at most (pictures: that for each of three filters, and for what is
//! drawn), besides one tile of a compressed image for each core. Of what is ready and not read yet `unread_bytes` stay in memory, the rest
//! waits in a file without a name: readers that dawdle hold no memory.

use super::overlay;
use super::wish::{Form, Picture, Plain};
use crate::archive::{self, Archive, Entry, Name, companions, registry};
use crate::cutout::{self as pictures, Look, Origin};
use crate::image::{self, FitsFile, Piece, Rect, Select, cut};
use crate::sky::Region;
use crate::store;
use crate::tap::{Service, query::shown};
use crate::web::Error;
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::io::ReaderStream;

/// Bytes that are sent at a time.
const CHUNK: usize = 256 << 10;
/// Bytes of a piece that is cut on a thread of the runtime: some 0.2 ms.
const AT_ONCE_BYTES: u64 = 512 << 10;

/// What pieces are made with.
#[derive(Clone)]
pub struct Cutter {
    pub tap: Arc<Service>,
    pub archive: Arc<Archive>,
    pub base_url: String,
}

/// A piece that is ready.
pub struct Made {
    pub bytes: u64,
    pub mime: &'static str,
    /// For saving it: letters, digits and `-_.`.
    pub file_name: String,
    held: Held,
}

enum Held {
    Memory(Vec<Vec<u8>>, OwnedSemaphorePermit),
    Disk(File),
}

impl Made {
    pub fn chunks(self) -> BoxStream<'static, io::Result<Bytes>> {
        match self.held {
            Held::Memory(parts, room) => {
                // a little at a time: what is under way to the socket is copied there
                let cut = |part: Bytes| (0..part.len()).step_by(CHUNK).map(move |at| part.slice(at..part.len().min(at + CHUNK)));
                let chunks = parts.into_iter().map(Bytes::from).flat_map(cut).map(move |chunk| {
                    // the room is taken until all is sent
                    let _held = &room;
                    Ok(chunk)
                });
                futures_util::stream::iter(chunks).boxed()
            }
            Held::Disk(file) => ReaderStream::with_capacity(tokio::fs::File::from_std(file), CHUNK).boxed(),
        }
    }
}

impl Cutter {
    /// Cuts a piece (none means the whole image); `None` if the image has nothing of it.
    pub async fn cut(&self, entry: Entry, piece: Option<Piece>, form: &Form) -> Result<Option<Made>, Error> {
        let (mime, file_name) = (form.mime(), format!("{}_cutout.{}", stem(&entry.file), form.ending()));
        let held = match form {
            Form::Fits(plain) => self.fits(entry, piece, plain.clone()).await?,
            Form::Picture(picture) => self.picture(entry, piece, picture).await?,
        };
        Ok(held.map(|(held, bytes)| Made { bytes, mime, file_name, held }))
    }

    async fn fits(&self, entry: Entry, piece: Option<Piece>, plain: Plain) -> Result<Option<(Held, u64)>, Error> {
        let cards = vec![("SERVICE".to_owned(), self.base_url.as_str().into(), "who cut this piece".to_owned())];
        let date = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string();
        let options = cut::Options { pad: plain.pad, planes: plain.planes, limit_bytes: self.archive.options.piece_bytes, date, cards };
        if let Some(made) = piece.as_ref().and_then(|piece| self.fits_now(&entry, piece, &options)) {
            return Ok(Some(made));
        }
        self.held(vec![entry], move |files| {
            let [(file, select)] = files else { return Err(image::Error::Wish { what: "a piece is of one image".into() }.into()) };
            let piece = match piece {
                Some(piece) => piece,
                None => whole(file, select)?,
            };
            Ok(image::cut(file, select, &piece, &options)?.parts)
        })
        .await
    }

    /// A small rectangle of pixels that are in memory as they are, cut here and now: two threads less to wake. `None` for any other, and for
    /// what has anything wrong with it.
    fn fits_now(&self, entry: &Entry, piece: &Piece, options: &cut::Options) -> Option<(Held, u64)> {
        let options = cut::Options { limit_bytes: options.limit_bytes.min(AT_ONCE_BYTES), ..options.clone() };
        // regions have many points, planes may be compressed, lookup tables may be large: they take longer than a moment
        if !matches!(piece, Piece::Frame { .. }) || !options.planes.is_empty() {
            return None;
        }
        let select = Select::Number(usize::try_from(entry.hdu).ok()?);
        self.archive.try_now(entry, |file| {
            let image = file.image(&select).ok()?;
            let has_tables = ["CPDIS1", "CPDIS2", "D2IMDIS1", "D2IMDIS2"].iter().any(|key| image.header.has(key));
            if image.is_compressed() || has_tables {
                return None;
            }
            let parts = image::cut(file, &select, piece, &options).ok()?.parts;
            let bytes = parts.iter().map(|part| part.len() as u64).sum();
            Some((Held::Memory(parts, self.archive.room(bytes)?), bytes))
        })
    }

    async fn picture(&self, entry: Entry, piece: Option<Piece>, wish: &Picture) -> Result<Option<(Held, u64)>, Error> {
        let mut look = Look { limit_bytes: self.archive.options.piece_bytes, ..wish.look.clone() };
        let filter = wish.bands.as_ref().map(|[red, ..]| red.clone()).or_else(|| entry.filter.clone());
        let piece = match (piece, &wish.bands) {
            // the whole of one image is a region of the others
            (None, Some(_)) => Some(Piece::Region(Region::Polygon(entry.footprint_deg.clone()))),
            (piece, _) => piece,
        };
        if let Some(overlay) = &wish.overlay {
            let (asked, at) = (piece.clone(), look.clone());
            let corners = self.work(vec![entry.clone()], move |files| {
                let [(file, select)] = files else { return Ok(Vec::new()) };
                let asked = asked.map_or_else(|| whole(file, select), Ok)?;
                pictures::corners(Origin { file, select }, &asked, &at)
            });
            let Some(corners) = corners.await? else { return Ok(None) };
            look.overlay = overlay::stars(&self.tap, overlay, filter.as_deref(), &corners).await?;
        }
        let entries = match (&wish.bands, &piece) {
            (Some(bands), Some(piece)) => match self.companions(&entry, piece, bands).await? {
                Some(entries) => entries,
                None => return Ok(None),
            },
            _ => vec![entry],
        };
        self.held(entries, move |files| {
            let bytes = match files {
                [(file, select)] => {
                    let piece = piece.map_or_else(|| whole(file, select), Ok)?;
                    pictures::grey(Origin { file, select }, &piece, &look)?
                }
                [(red, a), (green, b), (blue, c)] => {
                    let origins = [Origin { file: red, select: a }, Origin { file: green, select: b }, Origin { file: blue, select: c }];
                    let piece = piece.ok_or_else(|| image::Error::Wish { what: "a colour picture is of a region".into() })?;
                    pictures::colour(origins, &piece, &look)?
                }
                _ => return Err(image::Error::Wish { what: "a picture is of one filter or of three".into() }.into()),
            };
            Ok(vec![bytes])
        })
        .await
    }

    /// The images of three filters that show a piece; `None` if there is nothing of it in `entry` itself.
    async fn companions(&self, entry: &Entry, piece: &Piece, bands: &[String; 3]) -> Result<Option<Vec<Entry>>, Error> {
        let asked = piece.clone();
        let middle = self.work(vec![entry.clone()], move |files| {
            let [(file, select)] = files else { return Ok(None) };
            let corners = pictures::corners(Origin { file, select }, &asked, &Look { limit_bytes: u64::MAX, ..Look::default() })?;
            Ok(middle(&corners))
        });
        let Some(Some(middle)) = middle.await? else { return Ok(None) };
        let mut chosen = Vec::new();
        for filter in bands {
            let candidates = companions::through(&*self.tap.session().await?, entry, filter, middle).await.map_err(Error::from)?;
            let mut found = None;
            for candidate in candidates {
                if self.shows(&candidate, piece).await? {
                    found = Some(candidate);
                    break;
                }
            }
            let Some(found) = found else {
                let there = companions::filters(&*self.tap.session().await?, entry, middle).await.map_err(Error::from)?;
                let what = format!("there is no image through {} at this place", shown(filter, 40));
                return Err(Error::not_found(what).hint(format!("there are images through {}", there.join(", "))));
            };
            chosen.push(found);
        }
        Ok(Some(chosen))
    }

    /// Whether an image has anything of a piece.
    async fn shows(&self, entry: &Entry, piece: &Piece) -> Result<bool, Error> {
        let piece = piece.clone();
        let placed = self.work(vec![entry.clone()], move |files| {
            let [(file, select)] = files else { return Ok(()) };
            let image = file.image(select)?;
            cut::place(file, &image, &piece)?;
            Ok(())
        });
        Ok(placed.await?.is_some())
    }

    /// Cuts when the turn has come, and keeps the bytes where there is room.
    async fn held(
        &self,
        entries: Vec<Entry>,
        act: impl FnOnce(&mut [(FitsFile, Select)]) -> Result<Vec<Vec<u8>>, pictures::Error> + Send + 'static,
    ) -> Result<Option<(Held, u64)>, Error> {
        let (archive, scratch) = (self.archive.clone(), self.tap.scratch_dir());
        let kept = self.work(entries, move |files| {
            let parts = act(files)?;
            let bytes = parts.iter().map(|part| part.len() as u64).sum();
            let held = match archive.room(bytes) {
                Some(room) => Held::Memory(parts, room),
                None => {
                    Held::Disk(spooled(&parts, &scratch).map_err(|source| image::Error::Io { name: "the scratch folder".into(), source })?)
                }
            };
            Ok((held, bytes))
        });
        kept.await
    }

    /// Works on the open files of images; `None` if what was asked for is not on them.
    async fn work<T: Send + 'static>(
        &self,
        entries: Vec<Entry>,
        act: impl FnOnce(&mut [(FitsFile, Select)]) -> Result<T, pictures::Error> + Send + 'static,
    ) -> Result<Option<T>, Error> {
        let asked: Vec<Asked> = entries.iter().map(Asked::of).collect();
        let worked = self.archive.work(move |archive| {
            let select = |entry: &Entry| Select::Number(usize::try_from(entry.hdu).unwrap_or_default());
            let open = |entry: &Entry| Ok::<_, archive::Error>((archive.file(entry)?, select(entry)));
            let mut files = entries.iter().map(open).collect::<Result<Vec<_>, _>>()?;
            let made = act(&mut files);
            files.iter().for_each(|(file, _)| archive.keep(file));
            Ok(made)
        });
        match worked.await {
            Ok(Ok(made)) => Ok(Some(made)),
            Ok(Err(pictures::Error::Image(image::Error::Outside { .. }))) => Ok(None),
            Ok(Err(pictures::Error::Image(error))) | Err(archive::Error::Image(error)) => Err(refused(error, &asked)),
            Ok(Err(error)) => Err(Error::internal(&error)),
            Err(error) => Err(error.into()),
        }
    }
}

fn whole(file: &mut FitsFile, select: &Select) -> Result<Piece, image::Error> {
    let image = file.image(select)?;
    Ok(Piece::Pixels(Rect { x: 0, y: 0, width: image.axes[0], height: image.axes[1] }))
}

/// The mean direction of corners.
fn middle(corners: &[(f64, f64)]) -> Option<[f64; 2]> {
    let unit = |(ra, dec): &(f64, f64)| image::wcs::frame::unit(*ra, *dec);
    let sum = corners.iter().map(unit).fold([0.0; 3], |a, b| [0, 1, 2].map(|k| a[k] + b[k]));
    (!corners.is_empty()).then(|| image::wcs::frame::position(sum))
}

/// A file without a name that holds the bytes.
fn spooled(parts: &[Vec<u8>], scratch: &Path) -> io::Result<File> {
    std::fs::create_dir_all(scratch)?;
    let mut file = tempfile::tempfile_in(scratch)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.rewind()?;
    Ok(file)
}

/// A file's name without what all image files end in.
fn stem(file: &str) -> String {
    super::safe([".gz", ".fz", ".fits", ".fit"].into_iter().fold(file, |name, end| name.strip_suffix(end).unwrap_or(name)))
}

/// An image that work was about, for what is said of it.
struct Asked {
    root: String,
    title: String,
    select: String,
}

impl Asked {
    fn of(entry: &Entry) -> Asked {
        let select = Select::Number(usize::try_from(entry.hdu).unwrap_or_default());
        Asked { root: entry.place.root.clone(), title: entry.title.clone(), select: select.to_string() }
    }
}

/// Why there is no piece, without a path of this machine.
fn refused(error: image::Error, of: &[Asked]) -> Error {
    // errors name files by their path; a client knows them below their root
    let told = |error: &image::Error| {
        of.iter().fold(error.to_string(), |text, Asked { root, .. }| text.replace(&format!("{}/", root.trim_end_matches('/')), ""))
    };
    match &error {
        image::Error::TooLarge { .. } => Error::new(StatusCode::PAYLOAD_TOO_LARGE, "limit-piece", error.to_string()),
        image::Error::Inflated { .. } => Error::new(StatusCode::PAYLOAD_TOO_LARGE, "limit-inflated", told(&error)),
        image::Error::Wish { what } => Error::usage(what.clone()),
        // a plane of the request, if not the image itself
        image::Error::NoImage { wanted, .. } if of.iter().all(|asked| asked.select != *wanted) => Error::usage(told(&error)),
        image::Error::Io { source, .. } if source.get_ref().is_some_and(|cause| cause.is::<store::Error>()) => super::storage(&error),
        image::Error::Io { source, .. } if source.kind() != io::ErrorKind::UnexpectedEof => Error::internal(&error),
        image::Error::Io { .. }
        | image::Error::NoImage { .. }
        | image::Error::NotFits { .. }
        | image::Error::Header { .. }
        | image::Error::Truncated { .. }
        | image::Error::Tile { .. }
        | image::Error::Wcs { .. }
        | image::Error::Gzip { .. } => {
            tracing::error!(cause = %error, "a registered file is damaged");
            let titles = of.iter().map(|asked| asked.title.as_str()).collect::<Vec<_>>().join(", ");
            Error::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged-image", format!("{titles} is damaged here: {}", told(&error)))
                .hint("tell the operators, who find it with brickyard images check; other images are not concerned")
        }
        image::Error::Outside { .. } => Error::internal(&error),
    }
}

impl Cutter {
    /// The image of an identifier; `None` if it is none of ours.
    pub async fn by_identifier(&self, id: &str) -> Result<Option<Entry>, Error> {
        let prefix = super::prefix(&self.tap);
        let is_ours = id.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(&prefix));
        if !is_ours || !super::can_name(id) {
            return Ok(None);
        }
        let name = Name::Identifier(id[prefix.len()..].to_owned());
        let found = self.archive.find(name, async |name| self.look_up(name).await).await?;
        Ok(found.into_iter().next())
    }

    /// The images that a client means by a file's name, its HDU and its collection: two say that the question was not clear.
    pub async fn by_file(&self, file: &str, hdu: Option<i32>, collection: Option<&str>) -> Result<Vec<Entry>, Error> {
        if !super::can_name(file) || !collection.is_none_or(super::can_name) {
            return Ok(Vec::new());
        }
        let name = Name::File { file: file.to_owned(), hdu, collection: collection.map(str::to_owned) };
        self.archive.find(name, async |name| self.look_up(name).await).await
    }

    async fn look_up(&self, name: &Name) -> Result<Vec<Entry>, Error> {
        let session = self.tap.session().await?;
        Ok(match name {
            Name::Identifier(name) => registry::by_name(&session, name).await?.into_iter().collect(),
            Name::File { file, hdu, collection } => registry::by_file(&session, file, *hdu, collection.as_deref()).await?,
        })
    }
}
