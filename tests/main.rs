//! The one integration-test binary; its modules are an annotated index.
#![allow(clippy::unwrap_used)] // a test may fall where it stands

mod cluster; // the embedded PostgreSQL: start, share, crash, refuse
mod demo; // one command: simulate, load, ask, stop
mod explore; // sql, cone, map, lightcurve through the binary
mod formats; // FITS and DOLPHOT readers, CSV, JSON, Parquet writers, the FITS zoo
mod harness; // one managed server for all tests, scratch folders, the binary, the oracles' Python
mod image; // world coordinates, pixels and cutouts against astropy, pictures, hostile files
mod load; // files to tables: equality with the server's own parsing, ledger, rejects, duplicates, kill -9
mod readers; // FITS and DOLPHOT readers against the zoo and damaged files
mod schema; // TOML faults, DDL, drift, Felis, the real column lists
mod simulate; // the synthetic survey against the facts
mod sky; // HTM, HEALPix, Q3C and covers against the vectors and the server
mod tidy; // the rules of the house that can be read off its files: floors, file heads, static SQL, reasons
