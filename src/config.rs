//! Gathers every floor's options from the command line and the environment.

use std::path::PathBuf;

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where the embedded database, scratch files and results live [default: /var/lib/brickyard as root, else ~/.local/share/brickyard]
    #[arg(long, global = true, env = "BRICKYARD_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Use this PostgreSQL server (postgresql://user@host/db) instead of the embedded one
    #[arg(long, global = true, env = "BRICKYARD_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Folder with the PostgreSQL server programs (initdb, postgres, pg_ctl)
    #[arg(long, global = true, env = "BRICKYARD_PG_BIN", value_name = "DIR")]
    pub pg_bin: Option<PathBuf>,
    /// The account that runs the embedded server when brickyard is started as root [default: postgres]
    #[arg(long, global = true, env = "BRICKYARD_PG_USER", value_name = "NAME")]
    pub pg_user: Option<String>,
    /// More folders with catalogues (DIR/<catalogue>/<table>.toml); they come before the built-in ones
    #[arg(long, global = true, env = "BRICKYARD_SCHEMA", value_name = "DIR", value_delimiter = ':')]
    pub schema_dir: Vec<PathBuf>,
    /// More folders with loader manifests (DIR/<catalogue>/<loader>.toml); they come before the built-in ones
    #[arg(long, global = true, env = "BRICKYARD_LOADERS", value_name = "DIR", value_delimiter = ':')]
    pub loader_dir: Vec<PathBuf>,
}

impl Config {
    /// The data directory in force.
    pub fn data_dir(&self) -> PathBuf {
        if let Some(dir) = &self.data_dir {
            return dir.clone();
        }
        if rustix::process::geteuid().is_root() {
            return PathBuf::from("/var/lib/brickyard");
        }
        let share = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(|| std::env::home_dir().map(|h| h.join(".local/share")));
        share.unwrap_or_else(std::env::temp_dir).join("brickyard")
    }

    /// What the database floor needs.
    pub fn db(&self) -> crate::db::Options {
        crate::db::Options {
            data_dir: self.data_dir(),
            database_url: self.database_url.clone(),
            pg_bin: self.pg_bin.clone(),
            path: std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
            pg_user: self.pg_user.clone(),
        }
    }
}
