//! The one integration-test binary; its modules are an annotated index.
#![allow(clippy::unwrap_used)] // a test may fall where it stands

mod adql; // the front of ADQL: the gold sample, error texts, linear time
mod adql_answers; // ADQL answered by a server: geometry against great circles, plans, semantics, attacks
mod adql_functions; // the SQL functions behind ADQL: the catalogue's examples, HEALPix, frames, histograms
mod chaos; // the stage runner when things go wrong around it: full disks, a store that fails, clocks an hour off
mod cluster; // the embedded PostgreSQL: start, share, crash, refuse
mod demo; // one command: simulate, load, ask, stop
mod explore; // sql, cone, map, lightcurve through the binary
mod formats; // FITS and DOLPHOT readers, CSV, JSON, Parquet writers, the FITS zoo
mod harness; // one managed server for all tests, scratch folders, the binary, the oracles' Python
mod hips; // HiPS of images: values, coverage, breaking off, changed images, served; healpy and astropy as judges
mod image; // world coordinates, pixels and cutouts against astropy, pictures, hostile files
mod images; // the image archive: registered, found by SIA 2, linked, cut by SODA; pyvo, astropy and STILTS as judges
mod load; // files to tables: equality with the server's own parsing, ledger, rejects, duplicates, kill -9
mod notebook; // the notebooks against a service
mod pieces; // pieces over HTTP: every kind of file to the bit, pictures, planes, jobs, S3, hostile files; astropy as judge
mod pilot; // workers that a real Slurm, a real sshd and the autoscale hook start; systemd judges the unit
mod pipeline; // the stage runner: SQL against its model, barriers, plans, chaos with real workers
mod readers; // FITS and DOLPHOT readers against the zoo and damaged files
mod schema; // TOML faults, DDL, drift, Felis, the real column lists
mod security; // how services are attacked: each way is refused, quickly and without a word too many
mod simulate; // the synthetic survey against the facts
mod sky; // HTM, HEALPix, Q3C and covers against the vectors and the server
mod stages; // the stages of a reduction: byte-equal to the truth's files, damage, real master and worker from exposures to rows
mod store; // bytes in a folder and in S3
mod tap; // the query service as clients ask it; pyvo, astropy and taplint as judges
mod tidy; // the rules of the house that can be read off its files: floors, file heads, static SQL, reasons
mod upload; // uploaded tables: formats, limits, attacks, clients, speed
mod uploads; // tables of strangers: values, types, limits, places of errors, damage
mod uws; // asynchronous jobs: the UWS tree, the queue, crashes, hostile values, real clients
mod votable; // answers of every kind, judged by astropy, STILTS and pyarrow: values, NULLs, how they end
mod watch; // the pages of the stage runner: what they show, who may press what, in a browser
