#![doc = include_str!("README.md")]

pub mod adql;
pub mod bench;
pub mod cli;
pub mod config;
pub mod cutout;
pub mod db;
pub mod explore;
pub mod format;
pub mod image;
pub mod ingest;
pub mod plot;
pub mod schema;
pub mod simulate;
pub mod sky;
