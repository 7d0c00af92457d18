//! What can be set about uploads.

use crate::settings::settings;

settings! {
    /// Uploaded tables (TAP_UPLOAD).
    Options in "upload" {
        /// Rows of one uploaded table at most; advertised in the capabilities.
        rows: u64 = 2_000_000,
        /// Bytes of all uploaded files of a request at most; advertised in the capabilities.
        bytes: u64 = 256 << 20,
        /// Bytes of an uploaded file at most when its compression is taken off.
        inflated_bytes: u64 = 1 << 30,
        /// Hosts (name, or name:port) that files may be fetched from by URL; empty fetches nothing. A private or loopback address is
        /// fetched from only if it stands here itself, as a number.
        hosts: Vec<String> = Vec::new(),
        /// Seconds that fetching a file may take.
        fetch_s: u64 = 60,
    }
}

impl Options {
    /// What a file may be.
    pub fn limits(&self) -> crate::format::read::Limits {
        crate::format::read::Limits { bytes: self.inflated_bytes, rows: self.rows, ..Default::default() }
    }
}
