//! `brickyard pipeline provenance` and `export`: where a file comes from, for people and as an RO-Crate.

use crate::db::Connection;
use crate::pipeline::provenance::{self, File, Provenance, Wanted};
use crate::pipeline::ro_crate::{self, About};
use crate::pipeline::{admin, scratch};
use crate::store::Store;
use anyhow::Context;
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt;

/// The file that is meant.
#[derive(clap::Args)]
pub struct What {
    /// A file, which is known by its bytes; a SHA-256; or the name of an artifact, such as the path of a file in brickyard.ledger
    #[arg(value_name = "FILE")]
    file: String,
    /// Only of this run
    #[arg(long)]
    run: Option<String>,
}

impl What {
    async fn find(&self, connection: &Connection) -> anyhow::Result<Provenance> {
        let run = match &self.run {
            Some(name) => Some(admin::run_id(connection, name).await?),
            None => None,
        };
        let path = Path::new(&self.file);
        let wanted = match path.is_file() {
            true => Wanted::Sha256(scratch::sha256_of(path).with_context(|| format!("cannot read {}", path.display()))?.0),
            false => Wanted::of(&self.file),
        };
        Ok(provenance::of(connection, &wanted, run).await?)
    }
}

pub async fn show(connection: &Connection, what: &What, json: bool) -> anyhow::Result<()> {
    let found = what.find(connection).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&found)?);
        return Ok(());
    }
    let line = |file: &File| {
        let from = file.made_by.map_or_else(|| "came with an event".to_owned(), |job| format!("of job {job}"));
        format!("{}  {} bytes  sha256 {}  {from}", file.name, file.bytes, file.sha256)
    };
    println!("{}\nrun {}, {} jobs led to it, the last first", line(&found.file), found.run, found.steps.len());
    for step in found.steps.iter().rev() {
        let words: Vec<String> = step.command.iter().map(|word| ro_crate::quoted(word)).collect();
        println!("\njob {}: {} of {} {:?}, attempt {}", step.job, step.task, step.event.name, step.event.key, step.attempt);
        println!("  {} to {}, brickyard {}, worker {} on {}", step.started, step.ended, step.brickyard, step.worker, step.node);
        println!("  task version {}, manifest {}", step.task_version, step.manifest_sha256);
        println!("  {}", words.join(" "));
        for (kind, files) in [("in ", &step.inputs), ("out", &step.outputs)] {
            for file in files {
                println!("  {kind} {}: {}", file.role, line(file));
            }
        }
    }
    Ok(())
}

/// How a crate is written.
#[derive(clap::Args)]
pub struct Crate {
    #[command(flatten)]
    what: What,
    /// A new folder for the crate
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The bytes of every file that led to it too, not only their hashes
    #[arg(long)]
    all: bool,
    /// URL or name of the licence that the files are under
    #[arg(long, value_name = "LICENCE", default_value = "none stated")]
    license: String,
}

/// Writes the crate beside its place and renames it when it is whole.
pub async fn export(connection: &Connection, store: &Store, args: &Crate) -> anyhow::Result<()> {
    anyhow::ensure!(!args.out.exists(), "{} is there already: a crate gets a folder of its own", args.out.display());
    let found = args.what.find(connection).await?;
    let parent = args.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let part =
        tempfile::Builder::new().prefix(".crate").tempdir_in(parent).with_context(|| format!("cannot write in {}", parent.display()))?;
    let folder = part.path().join("crate");
    let files: Vec<&File> = if args.all { found.files() } else { vec![&found.file] };
    for file in &files {
        fetch(store, file, &folder.join(ro_crate::path_of(file))).await?;
    }
    let manifests: BTreeMap<String, &str> =
        found.steps.iter().map(|step| (ro_crate::manifest_path(step), step.manifest.as_str())).collect();
    for (path, text) in manifests {
        write(&folder.join(path), text.as_bytes())?;
    }
    let about = About { license: args.license.clone(), is_complete: args.all };
    write(&folder.join(ro_crate::METADATA), &serde_json::to_vec_pretty(&ro_crate::metadata(&found, &about))?)?;
    std::fs::rename(&folder, &args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    println!("{}: {} files, {} jobs", args.out.display(), files.len(), found.steps.len());
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, bytes)).with_context(|| format!("cannot write {}", path.display()))
}

/// Bytes out of the store, which must be those that the books say.
async fn fetch(store: &Store, file: &File, path: &Path) -> anyhow::Result<()> {
    write(path, b"")?;
    let mut out = tokio::fs::File::create(path).await.with_context(|| format!("cannot write {}", path.display()))?;
    let (_, mut bytes) = store.get(&file.key).await?;
    while let Some(chunk) = bytes.next().await {
        out.write_all(&chunk?).await.with_context(|| format!("cannot write {}", path.display()))?;
    }
    out.flush().await?;
    let (sha256, _) = scratch::sha256_of(path)?;
    anyhow::ensure!(sha256 == file.sha256, "{} in the store is not what the books say: its SHA-256 is {sha256}", file.key);
    Ok(())
}
