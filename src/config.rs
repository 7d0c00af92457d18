//! Gathers every floor's options from the command line and the environment.

use std::path::PathBuf;

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Config {
    /// Where the database and scratch files live [default: ~/.local/share/brickyard, for root /var/lib/brickyard]
    #[arg(long, global = true, env = "BRICKYARD_DATA_DIR", hide_env_values = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Use your own PostgreSQL server, postgresql://user@host/db, instead of the embedded one
    #[arg(long, global = true, env = "BRICKYARD_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Folder of the PostgreSQL server programs (initdb, postgres, pg_ctl) [default: the newest found]
    #[arg(long, global = true, env = "BRICKYARD_PG_BIN", hide_env_values = true, value_name = "DIR")]
    pub pg_bin: Option<PathBuf>,
    /// The account that runs the embedded server when root starts it [default: postgres]
    #[arg(long, global = true, env = "BRICKYARD_PG_USER", hide_env_values = true, value_name = "NAME")]
    pub pg_user: Option<String>,
    /// A folder of your own tables, `DIR/<catalogue>/<table>.toml`, before the built-in ones
    #[arg(long, global = true, env = "BRICKYARD_SCHEMA", hide_env_values = true, value_name = "DIR", value_delimiter = ':')]
    pub schema_dir: Vec<PathBuf>,
    /// A folder of your own loaders, `DIR/<catalogue>/<loader>.toml`, before the built-in ones
    #[arg(long, global = true, env = "BRICKYARD_LOADERS", hide_env_values = true, value_name = "DIR", value_delimiter = ':')]
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

    /// How to get into S3, from the environment variables that every S3 client knows.
    pub fn store_credentials(&self) -> crate::store::Credentials {
        let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        crate::store::Credentials {
            access_key_id: of("AWS_ACCESS_KEY_ID"),
            secret_access_key: of("AWS_SECRET_ACCESS_KEY"),
            session_token: of("AWS_SESSION_TOKEN"),
            region: of("AWS_REGION").or_else(|| of("AWS_DEFAULT_REGION")),
            endpoint: of("AWS_ENDPOINT_URL_S3").or_else(|| of("AWS_ENDPOINT_URL")),
        }
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
