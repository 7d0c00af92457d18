//! What can be set about the HTTP server.

use crate::settings::settings;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Log {
    /// One line to read
    Text,
    /// One JSON object a line
    Json,
}

settings! {
    /// The HTTP server.
    Options in "web" {
        /// The address to listen on: 127.0.0.1 is this machine only, 0.0.0.0 or :: every network.
        address: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST),
        /// The port to listen on; 0 takes a free one.
        port: u16 = 8080,
        /// How clients reach the service, such as https://archive.example.org/phat behind a reverse proxy; empty is the address and port.
        base_url: String = String::new(),
        /// Addresses of reverse proxies whose X-Forwarded-For is believed.
        trusted_proxies: Vec<IpAddr> = Vec::new(),
        /// Addresses that may read /metrics.
        metrics_clients: Vec<IpAddr> = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        /// How log lines are written to standard error: text or json.
        log: Log = Log::Text,
        /// What is logged: error, warn, info, debug, or filters such as brickyard::web=debug.
        log_level: String = "info".to_owned(),
        /// Connections at once; more wait to be accepted.
        connections: usize = 1024,
        /// Connections at once from one address; more are closed. Behind a proxy, raise it.
        connections_per_client: usize = 256,
        /// Seconds that a client may take to send the head of a request.
        header_timeout_s: u64 = 15,
        /// Bytes of the head of a request at most; at least 8192.
        header_bytes: usize = 65_536,
        /// Seconds that a client may take to send the body of a request.
        body_timeout_s: u64 = 300,
        /// Bytes of a form (a query and its parameters) at most; uploads have limits of their own.
        form_bytes: usize = 16 * 1024 * 1024,
        /// Seconds that a client may read nothing of an answer before it is given up.
        stall_timeout_s: u64 = 60,
        /// Bytes a second that a client must read, over each minute of waiting for it.
        slowest_read: u64 = 1024,
        /// Seconds that running requests get to finish when the service stops.
        drain_s: u64 = 30,
    }
}
