//! `/hips`: tiles and what belongs to them, as `brickyard images hips` wrote them.
//!
//! A path becomes a file only if it is spelt as one of a HiPS is: numbers are read and written anew, so that nothing else of a request
//! reaches the file system.

use crate::web::{App, Error};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use std::path::PathBuf;
use std::time::UNIX_EPOCH;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// Tiles hardly change, and a new one has another ETag.
const KEEP: &str = "public, max-age=3600";
/// The page fetches Aladin Lite, which is WebAssembly and asks for surveys anywhere.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob: https://aladin.cds.unistra.fr; \
    style-src 'unsafe-inline' https:; img-src * data: blob:; font-src https: data:; connect-src * data: blob:; worker-src blob:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The deepest order of HEALPix.
const DEEPEST: u8 = 29;

/// `/hips/{filter}`: to the page.
pub async fn root(State(app): State<App>, Path(filter): Path<String>) -> Result<Redirect, Error> {
    let name = folder(&filter).ok_or_else(nothing)?;
    Ok(Redirect::permanent(&app.url(&format!("/hips/{name}/"))))
}

/// `/hips/{filter}/`
pub async fn page(state: State<App>, Path(filter): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    file(state, Path((filter, "index.html".to_owned())), headers).await
}

/// `/hips/{filter}/{*path}`
pub async fn file(State(app): State<App>, Path((filter, path)): Path<(String, String)>, headers: HeaderMap) -> Result<Response, Error> {
    let hips = &app.archive.options.hips;
    if hips.as_os_str().is_empty() {
        return Err(Error::not_found("this service has no HiPS"));
    }
    let (folder, (inner, mime)) = folder(&filter).zip(named(&path)).ok_or_else(nothing)?;
    let opened = tokio::fs::File::open(hips.join(folder).join(inner)).await.map_err(|_| nothing())?;
    let metadata = opened.metadata().await.map_err(|error| Error::internal(&error))?;
    if !metadata.is_file() {
        return Err(nothing());
    }
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos());
    let tag = format!("\"{:x}-{modified:x}\"", metadata.len());
    let is_known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|tags| tags.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag));
    let caching = [(header::CACHE_CONTROL, KEEP.to_owned()), (header::ETAG, tag)];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let length = metadata.len();
    let kind = [(header::CONTENT_TYPE, mime.to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    let mut response = (caching, kind, Body::from_stream(ReaderStream::new(opened.take(length)))).into_response();
    if mime.starts_with("text/html") {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    }
    Ok(response)
}

fn nothing() -> Error {
    Error::not_found("there is no such file of a HiPS")
}

/// The folder of a filter: a plain word.
fn folder(filter: &str) -> Option<&str> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_+".contains(&b);
    (!filter.is_empty() && filter.len() <= 64 && filter.bytes().all(is_plain)).then_some(filter)
}

/// The file within a HiPS that a path names, and its MIME type.
fn named(path: &str) -> Option<(PathBuf, &'static str)> {
    const TEXT: &str = "text/plain; charset=utf-8";
    const FITS: &str = "image/fits";
    match path {
        "properties" => return Some((path.into(), TEXT)),
        "index.html" => return Some((path.into(), "text/html; charset=utf-8")),
        "Moc.fits" => return Some((path.into(), "application/fits")),
        _ => {}
    }
    let mut parts = path.split('/');
    let order = number(parts.next()?.strip_prefix("Norder")?).filter(|order| *order <= DEEPEST.into())?;
    let (second, third, rest) = (parts.next()?, parts.next(), parts.next());
    let (stem, ending) = third.unwrap_or(second).split_once('.')?;
    let mime = match ending {
        "fits" => FITS,
        "png" => "image/png",
        _ => return None,
    };
    match (third, rest) {
        (None, None) if stem == "Allsky" => Some((format!("Norder{order}/Allsky.{ending}").into(), mime)),
        (Some(_), None) => {
            let (dir, pix) = (number(second.strip_prefix("Dir")?)?, number(stem.strip_prefix("Npix")?)?);
            (dir == pix / 10_000 * 10_000).then(|| (format!("Norder{order}/Dir{dir}/Npix{pix}.{ending}").into(), mime))
        }
        _ => None,
    }
}

/// A number as it is written: digits, no sign, no zero in front.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_hips_has_is_a_file() {
        let of = |path: &str| named(path).map(|(path, _)| path.display().to_string());
        for path in
            ["properties", "index.html", "Moc.fits", "Norder3/Allsky.png", "Norder13/Dir120000/Npix123456.fits", "Norder0/Dir0/Npix4.png"]
        {
            assert_eq!(of(path).as_deref(), Some(path));
        }
        for path in [
            "",
            "..",
            "../x",
            "images.json",
            ".lock",
            "Norder3",
            "Norder3/",
            "Norder30/Allsky.png",
            "Norder03/Allsky.png",
            "Norder+3/Allsky.png",
            "Norder3/Allsky.jpg",
            "Norder3/../properties",
            "Norder3/Dir0/Npix1.fits.part",
            "Norder3/Dir0/Npix1.fits/",
            "Norder3/Dir0/../x.fits",
            "Norder3/Dir10000/Npix1.fits",
            "Norder3/Dir0/Npix-1.fits",
            "Norder3/Dir0//Npix1.fits",
            "/etc/passwd",
            "Norder3/Npix1.fits",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
        assert!(folder("F475W").is_some() && ["", "..", ".", "a/b", "a\0b", "é"].iter().all(|name| folder(name).is_none()));
    }
}
