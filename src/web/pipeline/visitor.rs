//! Who looks: nobody, a reader, or an operator.
//!
//! A reader comes from an address of `[pipeline] readers`, straight (a request that a proxy handed on is from elsewhere, unless
//! `[web] trusted_proxies` names the proxy, and then from where it says). An operator has a token of the class `operator`; a browser keeps
//! it in a cookie that no script and no other site can use. A name that is not this server's in `Host` is refused (DNS rebinding), and so
//! is a POST that another site's page sent.

use super::Site;
use super::page::{Page, Trouble};
use crate::tap::xml::escape;
use crate::web::Request as Known;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::net::IpAddr;
use std::sync::Arc;

const COOKIE: &str = "brickyard_operator";
/// A working day.
const COOKIE_LASTS_S: u32 = 12 * 3600;

/// Somebody who may read.
pub struct Visitor {
    /// The name of the operator's token.
    pub operator: Option<String>,
}

/// Somebody who may change things, by a request of our own pages.
pub struct Operator(pub String);

impl FromRequestParts<Arc<Site>> for Visitor {
    type Rejection = Trouble;
    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Visitor, Trouble> {
        if !is_our_name(&parts.headers, &site.base) {
            return Err(Trouble::WrongHost);
        }
        let operator = operator(&parts.headers, site).await?;
        let forwarded = ["x-forwarded-for", "forwarded"].iter().any(|name| parts.headers.contains_key(*name));
        let reads = |known: &Known| site.readers.contains(&known.client) && !(forwarded && known.client.is_loopback());
        match operator.is_some() || parts.extensions.get::<Known>().is_some_and(reads) {
            true => Ok(Visitor { operator }),
            // a browser is led to the form
            false if text(&parts.headers, header::ACCEPT).is_some_and(|kinds| kinds.contains("text/html")) => {
                Err(Trouble::Elsewhere(site.url("/pipeline/login")))
            }
            false => Err(Trouble::Stranger),
        }
    }
}

impl FromRequestParts<Arc<Site>> for Operator {
    type Rejection = Trouble;
    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Operator, Trouble> {
        if !is_our_name(&parts.headers, &site.base) {
            return Err(Trouble::WrongHost);
        }
        if !is_our_page(&parts.headers) {
            return Err(Trouble::OtherSite);
        }
        operator(&parts.headers, site).await?.map(Operator).ok_or(Trouble::Stranger)
    }
}

/// The name of the operator whose token comes in the cookie, or as a program sends it.
async fn operator(headers: &HeaderMap, site: &Site) -> Result<Option<String>, Trouble> {
    let Some(token) = cookie(headers).or_else(|| text(headers, header::AUTHORIZATION)?.strip_prefix("Bearer ")) else {
        return Ok(None);
    };
    operator_of(token, site).await
}

async fn operator_of(token: &str, site: &Site) -> Result<Option<String>, Trouble> {
    let Some(master) = site.master().await? else { return Ok(None) };
    match master.authorize(token).await {
        Ok(bearer) => Ok(bearer.is_operator().then_some(bearer.name)),
        Err(crate::pipeline::Error::Unauthorized) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// `host` of `host:port`.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// A number or `localhost` leads to no other server than this; another name must be the one of the base URL.
fn is_our_name(headers: &HeaderMap, base: &str) -> bool {
    let Some(host) = text(headers, header::HOST).map(without_port) else { return true };
    let number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let ours = base.split_once("://").map(|(_, rest)| without_port(rest.split('/').next().unwrap_or_default()));
    number || host.eq_ignore_ascii_case("localhost") || ours.is_some_and(|ours| host.eq_ignore_ascii_case(ours))
}

/// Browsers tell with every POST whose page sent it; programs tell nothing.
fn is_our_page(headers: &HeaderMap) -> bool {
    let same_site = text(headers, header::HeaderName::from_static("sec-fetch-site")).is_none_or(|site| site == "same-origin");
    let same_origin = match (text(headers, header::ORIGIN), text(headers, header::HOST)) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host)),
        (Some(_), None) => false,
    };
    same_site && same_origin
}

/// What a browser is told to keep.
fn cookie_line(site: &Site, token: &str, lasts_s: u32) -> Option<HeaderValue> {
    let path = site.base.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or(String::new(), |(_, path)| format!("/{path}"));
    let secure = if site.base.starts_with("https://") { "; Secure" } else { "" };
    let line = format!("{COOKIE}={token}; Path={path}/pipeline; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&line).ok()
}

/// The form that asks for a token.
pub async fn form(State(site): State<Arc<Site>>) -> Page {
    login(&site, "")
}

fn login(site: &Site, trouble: &str) -> Page {
    let trouble = if trouble.is_empty() { String::new() } else { format!("<p role=\"alert\"><b>{}</b></p>", escape(trouble)) };
    let body = format!(
        "<h1>Sign in</h1>\n{trouble}<form method=\"post\" action=\"{}\"><p><label>Token of the class operator \
         <input type=\"password\" name=\"token\" size=\"40\" autocomplete=\"current-password\" autofocus required></label> <button>Sign in</button></p></form>\n\
         <p class=\"lead\">Whoever can reach the database makes one: <code>brickyard pipeline token create {{your name}} --class operator</code></p>\n",
        escape(&site.url("/pipeline/login"))
    );
    Page::still("Sign in", body)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    token: String,
}

/// Keeps a token that is good.
pub async fn enter(State(site): State<Arc<Site>>, headers: HeaderMap, axum::Form(given): axum::Form<Given>) -> Result<Response, Trouble> {
    if !is_our_name(&headers, &site.base) {
        return Err(Trouble::WrongHost);
    }
    if !is_our_page(&headers) {
        return Err(Trouble::OtherSite);
    }
    let token = given.token.trim();
    let line = match operator_of(token, &site).await? {
        Some(_) => cookie_line(&site, token, COOKIE_LASTS_S),
        None => None,
    };
    match line {
        Some(line) => Ok(([(header::SET_COOKIE, line)], Redirect::to(&site.url("/pipeline"))).into_response()),
        None => {
            Ok((axum::http::StatusCode::UNAUTHORIZED, login(&site, "This is no token of an operator that is in force.")).into_response())
        }
    }
}

/// Forgets it.
pub async fn leave(State(site): State<Arc<Site>>, headers: HeaderMap) -> Result<Response, Trouble> {
    if !is_our_page(&headers) {
        return Err(Trouble::OtherSite);
    }
    let line = cookie_line(&site, "", 0);
    Ok((line.map(|line| [(header::SET_COOKIE, line)]), Redirect::to(&site.url("/pipeline"))).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_name_that_leads_here_from_elsewhere_is_refused() {
        let base = "https://archive.example.org/phat";
        for (host, ours) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("localhost:8080", true),
            ("archive.example.org", true),
            ("archive.example.org:443", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example:8080", false),
        ] {
            assert_eq!(is_our_name(&headers(&[("host", host)]), base), ours, "{host}");
        }
    }

    #[test]
    fn a_page_of_another_site_presses_no_button() {
        let host = ("host", "127.0.0.1:8080");
        assert!(is_our_page(&headers(&[host])));
        assert!(is_our_page(&headers(&[host, ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")])));
        assert!(!is_our_page(&headers(&[host, ("origin", "http://127.0.0.1:9090")])));
        assert!(!is_our_page(&headers(&[host, ("origin", "null")])));
        assert!(!is_our_page(&headers(&[host, ("sec-fetch-site", "cross-site")])));
    }
}
