//! What the pages share: their frame, buttons, states, numbers, and what is shown instead of a page.

use super::{PAGES, Site};
use crate::db::pool::Sessions;
use crate::pipeline::Error;
use crate::pipeline::master::Master;
use crate::tap::xml::escape;
use crate::web::access;
use crate::web::front;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use std::sync::Arc;
use tokio::sync::SemaphorePermit;

/// Beside the style of all pages.
const STYLE: &str = "\
main{max-width:76rem}nav{font-size:.93rem;color:var(--soft);margin-bottom:1rem;display:flex;gap:.3rem 1rem;flex-wrap:wrap;align-items:baseline}nav .right{margin-left:auto}\
form{display:inline}button{font:inherit;font-size:.88rem;padding:.15rem .65rem;border:1px solid var(--line);border-radius:5px;background:var(--bed);color:var(--ink);cursor:pointer}\
button:hover{border-color:var(--soft)}:focus-visible{outline:2px solid var(--link);outline-offset:2px}input,select{font:inherit;font-size:.93rem;padding:.15rem .4rem;\
border:1px solid var(--line);border-radius:5px;background:var(--page);color:var(--ink)}label{margin-right:.6rem}.acts{display:flex;gap:.5rem;flex-wrap:wrap;align-items:center;margin:.6rem 0}\
.s{font-weight:600}.s-failed,.s-lost{color:#c0271d}.s-running{color:#0b6fb8}.s-done{color:#247a3a}.s-ready,.s-retry_wait,.s-blocked,.s-cancelled,.s-skipped,.s-held{color:var(--soft)}\
@media(prefers-color-scheme:dark){.s-failed,.s-lost{color:#ff8379}.s-running{color:#6db9f5}.s-done{color:#6fce86}}\
.bar{display:flex;height:.5rem;width:9rem;border-radius:3px;overflow:hidden;background:var(--line)}.bar i{display:block}.b-done{background:#3f9a56}.b-running{background:#2f8fd6}.b-failed{background:#d2453b}\
table.wide{font-size:.88rem}table.wide th,table.wide td{padding-right:1rem}td.n0{color:var(--line)}.scroll{overflow-x:auto}.zero{opacity:.35}\
ul.tree,ul.tree ul{list-style:none;margin:0;padding-left:1.4rem;border-left:1px solid var(--line)}ul.tree{border:0;padding-left:0}ul.tree li{margin:.18rem 0}\
.ev{color:var(--soft)}.ev b{color:var(--ink);font-weight:600}dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.2rem;font-size:.93rem;margin:.6rem 0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\
pre.log{max-height:26rem}.told{padding:.4rem .8rem;border:1px solid var(--line);border-radius:6px;background:var(--bed)}td code{overflow-wrap:anywhere}";
/// Our own script and nothing else; it may ask this server.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page with its headers: of this origin only, kept by nobody.
pub struct Page(String);

impl Page {
    /// A page that shows what goes on.
    pub fn live(site: &Site, title: &str, body: String) -> Page {
        let script = format!("<script src=\"{}\" defer></script>", escape(&site.url("/pipeline/watch.js")));
        Page::framed(title, &script, body)
    }

    /// A page that is as it is.
    pub fn still(title: &str, body: String) -> Page {
        Page::framed(title, "", body)
    }

    fn framed(title: &str, script: &str, body: String) -> Page {
        let live = if script.is_empty() {
            ""
        } else {
            "<p class=\"lead\" id=\"live\" role=\"status\" style=\"text-align:center;max-width:none\"></p>"
        };
        Page(front::dressed(&escape(title), &format!("<style>{STYLE}</style>{script}"), &body, live))
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let headers: [(HeaderName, HeaderValue); 5] = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            // so that a POST of these pages says whence it comes
            (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
            access::OWN_PAGES,
        ];
        (headers, self.0).into_response()
    }
}

/// The script of live pages.
pub async fn script() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("max-age=300")),
        access::OWN_PAGES,
    ];
    (headers, include_str!("watch.js")).into_response()
}

/// What is shown instead of a page.
#[derive(Debug)]
pub enum Trouble {
    /// Who asks must sign in.
    Stranger,
    WrongHost,
    OtherSite,
    /// There is no pipeline in the database.
    Nothing,
    NotUnderstood(String),
    /// What is asked for stands there.
    Elsewhere(String),
    Of(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Of(error)
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Trouble::Elsewhere(url) => return Redirect::to(&url).into_response(),
            Trouble::Stranger => {
                let text = "Sign in first: /pipeline/login. Addresses that need not are listed in [pipeline] readers.";
                (StatusCode::UNAUTHORIZED, text.to_owned())
            }
            Trouble::WrongHost => {
                (StatusCode::MISDIRECTED_REQUEST, "This server does not go by that name; [web] base_url says by which.".to_owned())
            }
            Trouble::OtherSite => (StatusCode::FORBIDDEN, "This was not sent by a page of this server.".to_owned()),
            Trouble::Nothing => (StatusCode::NOT_FOUND, "The database has no pipeline yet: brickyard pipeline run create.".to_owned()),
            Trouble::NotUnderstood(why) => (StatusCode::BAD_REQUEST, why),
            Trouble::Of(error @ (Error::NoRun { .. } | Error::NoJob { .. })) => (StatusCode::NOT_FOUND, error.to_string()),
            Trouble::Of(Error::Refused(why)) => (StatusCode::BAD_REQUEST, why),
            // what the database says is for our log, not for the net
            Trouble::Of(error) => {
                tracing::warn!(%error, "a page of the pipeline could not be made");
                (StatusCode::SERVICE_UNAVAILABLE, "The pipeline's books cannot be read at the moment; try again.".to_owned())
            }
        };
        let body = format!("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n", status.canonical_reason().unwrap_or("Error"), escape(&text));
        (status, Page::framed("Pipeline", "", body)).into_response()
    }
}

/// A session for a page, and its turn.
pub struct Desk<'a> {
    pub session: bb8::PooledConnection<'a, Sessions>,
    _turn: SemaphorePermit<'a>,
}

/// Waits for one of the few turns.
pub async fn desk<'a>(site: &'a Site, master: &'a Arc<Master>) -> Result<Desk<'a>, Trouble> {
    let closed = |_| Trouble::Of(Error::Pool(format!("{PAGES} turns are closed")));
    let turn = site.pages.acquire().await.map_err(closed)?;
    Ok(Desk { session: master.queue.borrow().await?, _turn: turn })
}

/// The master, or the page that says that there is none.
pub async fn master(site: &Site) -> Result<Arc<Master>, Trouble> {
    site.master().await?.ok_or(Trouble::Nothing)
}

/// `<a href="...">text</a>`; the text is HTML already.
pub fn link(site: &Site, path: &str, html: &str) -> String {
    format!("<a href=\"{}\">{html}</a>", escape(&site.url(path)))
}

/// A text in a URL's path or query.
pub fn in_url(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The line above every page: where one is, and who one is.
pub fn navigation(site: &Site, operator: Option<&str>, places: &[(String, &str)]) -> String {
    let places: String = places.iter().map(|(path, name)| format!("<span>› {}</span>", link(site, path, &escape(name)))).collect();
    let who = match operator {
        Some(name) => {
            let action = escape(&site.url("/pipeline/logout"));
            format!("{} <form method=\"post\" action=\"{action}\"><button>sign out</button></form>", escape(name))
        }
        None => link(site, "/pipeline/login", "sign in to change something"),
    };
    format!(
        "<nav aria-label=\"place\">{} {}{places}<span class=\"right\">{} · {who}</span></nav>\n",
        link(site, "/", "brickyard"),
        link(site, "/pipeline", "pipeline"),
        link(site, "/pipeline/workers", "workers"),
    )
}

/// A state with its colour; the word says it too.
pub fn state(name: &str) -> String {
    format!("<span class=\"s s-{0}\">{0}</span>", escape(name))
}

/// A button that does something to what the fields name; nothing for those who may not.
pub fn button(site: &Site, operator: Option<&str>, text: &str, back: &str, fields: &[(&str, &str)]) -> String {
    if operator.is_none() {
        return String::new();
    }
    let hidden = |(name, value): &(&str, &str)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
    let place: String = [text].into_iter().chain(fields.iter().map(|(_, value)| *value)).collect::<Vec<_>>().join(" ");
    let fields: String = fields.iter().chain(&[("back", back)]).map(hidden).collect();
    format!(
        "<form method=\"post\" action=\"{}\">{fields}<button data-place=\"{}\">{}</button></form>",
        escape(&site.url("/pipeline/act")),
        escape(&place),
        escape(text)
    )
}

/// The same behind a second step, for what cannot be undone.
pub fn asking_button(site: &Site, operator: Option<&str>, text: &str, what: &str, back: &str, fields: &[(&str, &str)]) -> String {
    if operator.is_none() {
        return String::new();
    }
    let button = button(site, operator, text, back, fields);
    format!("<details class=\"asks\"><summary>{}…</summary><p>{}</p>{button}</details>", escape(text), escape(what))
}

/// `4.2 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0);
    let whole = s.round() as u64;
    match whole {
        0..10 => format!("{s:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {:02} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// `12 B`, `4.1 kB`, `3.2 GB`.
pub fn size(bytes: i64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A count in a cell; zeros step back.
pub fn count(number: i64) -> String {
    let zero = if number == 0 { " zero" } else { "" };
    format!("<td class=\"n{zero}\">{}</td>", front::grouped(u64::try_from(number).unwrap_or(0)))
}

/// What a button did, when the page is the one after it: `?did=retry&jobs=3`.
pub fn told(did: Option<&str>, jobs: Option<u64>) -> String {
    match (did.filter(|did| super::act::VERBS.contains(did)), jobs) {
        (Some(did), Some(jobs)) => format!("<p class=\"told\" role=\"status\">{did}: {jobs} changed</p>\n"),
        _ => String::new(),
    }
}

/// To a page of ours, after a POST.
pub fn back_to(site: &Site, path: &str) -> Redirect {
    Redirect::to(&site.url(path))
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_and_sizes_read_well() {
        assert_eq!([0.04, 12.4, 125.0, 7620.0, 273_600.0].map(super::duration), ["0.0 s", "12 s", "2 min 05 s", "2 h 07 min", "3 d 04 h"]);
        assert_eq!([12, 4100, 3_200_000_000].map(super::size), ["12 B", "4.1 kB", "3.2 GB"]);
    }
}
