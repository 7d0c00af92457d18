//! Fetches an uploaded table by URL, from hosts that the operator allows, over addresses that were checked.
//!
//! The name is resolved here, once; every address must be public, or be written in the allow-list itself; the connection goes to those very
//! addresses, so that a second answer of the name server cannot lead elsewhere. Redirects are refused, size and time are limited, and no
//! byte of the answer stands in an error.

use super::{Content, Error, Options};
use futures_util::StreamExt;
use reqwest::{Client, Url, redirect};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Fetches `url` for the table `name` into `to`, at most `limit` bytes.
pub async fn fetch(name: &str, url: &str, mut to: File, limit: u64, options: &Options) -> Result<Content, Error> {
    let problem = |problem: String| Error::Fetch { name: name.to_owned(), problem };
    let url: Url = url.parse().map_err(|_| problem("its URL does not parse".into()))?;
    let (host, addresses) = allowed(&url, &options.hosts).await.map_err(problem)?;
    // Done twice it is refused, and the first one holds.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .resolve_to_addrs(&host, &addresses)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(options.fetch_s))
        .user_agent(concat!("brickyard/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|_| problem("no client for it can be made".into()))?;
    let answer = client.get(url).send().await.map_err(|error| problem(why(&error)))?;
    if !answer.status().is_success() {
        return Err(problem(format!("its server answers {}", answer.status().as_u16())));
    }
    let too_large = || Error::TooLarge { name: name.to_owned(), problem: format!("it is larger than {limit} bytes, the limit here") };
    if answer.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let (mut bytes, mut body) = (0_u64, answer.bytes_stream());
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| problem(why(&error)))?;
        bytes += chunk.len() as u64;
        if bytes > limit {
            return Err(too_large());
        }
        to.write_all(&chunk)?;
    }
    to.seek(SeekFrom::Start(0))?;
    Ok(Content { file: to })
}

fn why(error: &reqwest::Error) -> String {
    match error {
        error if error.is_timeout() => "its server is too slow".into(),
        error if error.is_connect() => "its server cannot be reached".into(),
        _ => "its server broke off".into(),
    }
}

/// The host of the URL with its addresses, if the operator allows it and they are not private.
async fn allowed(url: &Url, hosts: &[String]) -> Result<(String, Vec<SocketAddr>), String> {
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return Err("only plain http and https URLs are taken".into());
    }
    let host = url.host_str().ok_or("its URL has no host")?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().ok_or("its URL has no port")?;
    if hosts.is_empty() {
        return Err("this service takes no uploads by URL; send the file in the form, with param:".into());
    }
    let names = |entry: &&String| is_entry(entry, &host, url.port());
    let entry = hosts.iter().find(names).ok_or_else(|| format!("this service takes URLs of {} only", hosts.join(", ")))?;
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => tokio::net::lookup_host((host.as_str(), port)).await.map_err(|_| "its host is not known")?.collect(),
    };
    let written = |address: &SocketAddr| is_entry(entry, &address.ip().to_string(), url.port()) && host.parse::<IpAddr>().is_ok();
    match addresses.iter().all(|address| is_public(address.ip()) || written(address)) {
        true if !addresses.is_empty() => Ok((host, addresses)),
        _ => Err("its host has an address that is not public".into()),
    }
}

/// Does an entry of the allow-list (`host` or `host:port`) name this host and port? Without a port it means the scheme's own.
fn is_entry(entry: &str, host: &str, port: Option<u16>) -> bool {
    let (name, its_port) = match entry.rsplit_once(':') {
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => (name, digits.parse::<u16>().ok()),
        _ => (entry, None),
    };
    name.trim_matches(['[', ']']).eq_ignore_ascii_case(host.trim_end_matches('.')) && its_port == port
}

/// Is this an address of the public internet? (RFC 6890 and its successors, shortened to what routes nowhere or to oneself.)
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let special = (a == 192 && b == 0 && c == 0) || (a == 198 && (b == 18 || b == 19)) || a >= 224 || a == 0;
    !(address.is_private() || address.is_loopback() || address.is_link_local() || address.is_documentation() || shared || special)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let embeds_v4 = first == 0x2002 || (first == 0x64 && second == 0xff9b) || (first == 0x2001 && second == 0);
    first & 0xe000 == 0x2000 && !embeds_v4 && !(first == 0x2001 && second == 0xdb8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "ff02::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(private.parse().expect("an address")), "{private}");
        }
        for public in ["192.0.34.65", "8.8.8.8", "2606:4700::1111"] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
    }

    #[tokio::test]
    async fn only_the_list_is_fetched_from() {
        let ask = async |url: &str, hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            allowed(&url.parse().expect("a URL"), &hosts).await.map(|(_, addresses)| addresses[0].to_string())
        };
        assert!(ask("http://127.0.0.1/x", &[]).await.expect_err("off").contains("no uploads by URL"));
        assert!(ask("http://127.0.0.1:8000/x", &["example.org"]).await.expect_err("not listed").contains("of example.org only"));
        assert!(ask("http://127.0.0.1:8000/x", &["127.0.0.1"]).await.is_err(), "another port");
        assert_eq!(ask("http://127.0.0.1:8000/x", &["127.0.0.1:8000"]).await.expect("listed"), "127.0.0.1:8000");
        assert!(ask("http://localhost:8000/x", &["localhost:8000"]).await.expect_err("private").contains("not public"));
        assert!(ask("http://0x7f000001:8000/x", &["localhost:8000"]).await.is_err());
        assert!(ask("ftp://127.0.0.1/x", &["127.0.0.1"]).await.is_err());
        assert!(ask("http://user:pw@127.0.0.1/x", &["127.0.0.1"]).await.is_err());
    }
}
