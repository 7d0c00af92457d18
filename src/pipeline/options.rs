//! What can be set about the stage runner's master inside `brickyard serve`.

use crate::settings::settings;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

settings! {
    /// The stage runner: its master for workers, and its pages at /pipeline. Both begin when the database has a pipeline.
    Options in "pipeline" {
        /// Whether brickyard serve is a master of the stage runner and shows its pages.
        serve: bool = true,
        /// Where outputs of jobs lie: a folder or s3://bucket/prefix; empty is pipeline/store in the data directory.
        store: String = String::new(),
        /// Seconds after which a worker that was not heard of has lost its jobs.
        lease_s: i32 = super::protocol::LEASE_S,
        /// Sessions with the database at most, for workers and pages together; at least 4.
        sessions: u32 = 8,
        /// A shell command that starts workers when jobs wait; it finds BRICKYARD_CLASS, _READY, _RUNNING, _WORKERS and _SLOTS in its environment.
        autoscale: String = String::new(),
        /// Seconds between its calls.
        autoscale_every_s: u64 = super::autoscale::EVERY.as_secs(),
        /// Addresses that may read the pages without a token; from elsewhere a token of the class operator is asked for, and always to change something.
        readers: Vec<IpAddr> = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
    }
}
