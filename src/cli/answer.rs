//! Where an answer goes: format, file or stdout, and what Ctrl-C does to the query behind it.

use crate::format::{self, Kind};
use crate::schema::{Catalog, Rows};
use anyhow::Context;
use std::io::{BufWriter, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::{CancelToken, NoTls};

/// Where and how to write.
#[derive(Debug, Clone, clap::Args)]
pub struct Output {
    /// Format of the answer [default: by the ending of --output, else csv]
    #[arg(long, value_enum)]
    pub format: Option<Kind>,
    /// Write to this file; it appears when it is complete
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl Output {
    /// Did the user ask for the rows to be written?
    pub fn is_asked_for(&self) -> bool {
        self.format.is_some() || self.output.is_some()
    }

    fn kind(&self) -> Kind {
        let ending = self.output.as_ref().and_then(|path| path.extension()).map(|ending| ending.to_string_lossy().to_lowercase());
        self.format.unwrap_or(match ending.as_deref() {
            Some("parquet") => Kind::Parquet,
            Some("json") => Kind::Records,
            Some("txt") => Kind::Table,
            Some("tsv") => Kind::Tsv,
            Some("fits") => Kind::Fits,
            Some("vot" | "votable" | "xml") => Kind::Binary2,
            Some("html") => Kind::Html,
            Some("arrow" | "arrows") => Kind::Arrow,
            _ => Kind::Csv,
        })
    }

    /// Refuses what cannot be written before the query has cost anything.
    pub fn check(&self) -> anyhow::Result<()> {
        let to_terminal = self.output.is_none() && std::io::stdout().is_terminal();
        let binary = match self.kind() {
            Kind::Parquet => Some("Parquet"),
            Kind::Fits => Some("FITS"),
            Kind::Arrow => Some("Arrow"),
            _ => None,
        };
        if let (Some(name), true) = (binary, to_terminal) {
            anyhow::bail!("{name} is binary and would garble the terminal: add --output FILE, or pipe it somewhere");
        }
        Ok(())
    }

    /// Writes the rows. A reader that went away (`| head`) is no error.
    pub async fn write(&self, rows: Rows, cancel: &CancelToken) -> anyhow::Result<()> {
        let written = match &self.output {
            Some(path) => write_file(path, |file| async { self.write_to(rows, None, file).await }).await,
            None => {
                let width = comfy_table::Table::new().width().map(usize::from);
                let out = BufWriter::with_capacity(1 << 16, std::io::stdout());
                self.write_to(rows, width, out).await.map_err(anyhow::Error::from)
            }
        };
        match written {
            Err(error) if is_broken_pipe(&error) => Ok(cancel.cancel_query(NoTls).await?),
            other => other,
        }
    }

    async fn write_to(&self, rows: Rows, width: Option<usize>, out: impl Write + Send) -> Result<(), format::Error> {
        match self.kind() {
            Kind::Table => format::table::write(rows, format::table::Limits { width, ..Default::default() }, out).await?,
            kind => format::write(rows, kind, out).await?,
        };
        Ok(())
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Writes beside the target and renames, so that nobody ever sees half a file.
async fn write_file<Writing>(path: &Path, write: impl FnOnce(BufWriter<std::fs::File>) -> Writing) -> anyhow::Result<()>
where
    Writing: Future<Output = Result<(), format::Error>>,
{
    let cannot = || format!("cannot write {}", path.display());
    let temporary = beside(path).with_context(cannot)?;
    write(BufWriter::with_capacity(1 << 20, temporary.reopen().with_context(cannot)?)).await?;
    temporary.persist(path).with_context(cannot)?;
    Ok(())
}

/// Writes a finished picture.
pub fn write_png(path: &Path, png: &[u8]) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let mut temporary = beside(path).with_context(cannot)?;
    temporary.write_all(png).with_context(cannot)?;
    temporary.persist(path).with_context(cannot)?;
    Ok(())
}

/// A temporary file in the same folder, with the mode of an ordinary new file.
pub fn beside(path: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".brickyard-").permissions(std::fs::Permissions::from_mode(0o666)).tempfile_in(folder)
}

/// How long an interrupted query may take to end before the process leaves it alone.
const PATIENCE: Duration = Duration::from_secs(3);
/// 128 + SIGINT, as shells report it.
const INTERRUPTED: u8 = 130;

/// Does the work; Ctrl-C or SIGTERM cancels the query on the server, and the work ends with its error.
pub async fn interruptible(cancel: CancelToken, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // A task of its own: the work may be blocked in a write to a pager that waits for a key.
    let watcher = tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        let cancelled = cancel.cancel_query(NoTls).await;
        tokio::time::sleep(PATIENCE).await;
        if let Err(error) = cancelled {
            eprintln!("warning: could not cancel the query on the server: {error}");
        }
        std::process::exit(i32::from(INTERRUPTED));
    });
    let done = work.await;
    watcher.abort();
    match done {
        Err(error) if is_cancelled(&error) => {
            eprintln!("cancelled");
            Ok(ExitCode::from(INTERRUPTED))
        }
        other => other.map(|()| ExitCode::SUCCESS),
    }
}

fn is_cancelled(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| code(cause) == Some(&tokio_postgres::error::SqlState::QUERY_CANCELED))
}

/// The server's SQLSTATE behind an error, through the layers that pass it on.
pub fn code<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a tokio_postgres::error::SqlState> {
    use crate::{db, explore};
    if let Some(error) = error.downcast_ref::<db::query::Error>() {
        return error.code();
    }
    if let Some(error) = error.downcast_ref::<db::Error>() {
        return error.code();
    }
    if let Some(explore::Error::Query(error)) = error.downcast_ref::<explore::Error>() {
        return error.code();
    }
    if let Some(explore::Error::Rows(error)) = error.downcast_ref::<explore::Error>() {
        return code(error.as_ref());
    }
    if let Some(format::Error::Rows(error)) = error.downcast_ref::<format::Error>() {
        return code(error.as_ref());
    }
    None
}

/// The catalogue's table of that name, if there is one: units and descriptions are a gift, not a condition.
pub fn known_table(config: &crate::config::Config, name: &crate::explore::TableName) -> Option<crate::schema::Table> {
    Catalog::load(&config.schema_dir, &name.schema).ok()?.table(&name.table).cloned()
}

/// For clap: `value_parser = text::<T>` of anything that reads itself from text.
pub fn text<T>(text: &str) -> Result<T, String>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}
