//! What can be set about images: where they lie, and what a client may ask of them.

use crate::settings::settings;
use std::path::PathBuf;

settings! {
    /// Images: the folders and buckets that they lie in, and how large a piece of one may be.
    Options in "images" {
        /// Folders, or s3://bucket/prefix, whose images may be registered and served, those below included; no other file is ever opened.
        roots: Vec<PathBuf> = Vec::new(),
        /// Folder of HiPS that are served at /hips, as brickyard images hips makes them; none is served where it is empty.
        hips: PathBuf = PathBuf::new(),
        /// Bytes of pixels that one piece may have.
        piece_bytes: u64 = 512 << 20,
        /// Pieces that are cut at the same moment; more wait for their turn.
        at_once: usize = 4,
        /// Seconds that a piece waits for its turn before it is refused (503).
        wait_s: u64 = 20,
        /// Seconds that cutting one piece may take before its request is refused (408).
        piece_s: u64 = 120,
        /// Pieces that one job of /soda/async may make: its images times its regions.
        job_pieces: usize = 1000,
        /// Bytes of pieces in memory that clients are still reading; what is beyond waits on disk.
        unread_bytes: u64 = 1 << 30,
        /// Bytes of inflated .fits.gz that are kept on disk for the next piece.
        inflated_bytes: u64 = 32 << 30,
        /// Bytes that one .fits.gz may inflate to.
        inflated_file_bytes: u64 = 8 << 30,
        /// Stars of a catalogue that are drawn on one picture, the brightest first.
        overlay_stars: u64 = 2000,
    }
}
