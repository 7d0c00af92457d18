//! Gathers every floor's options from the command line, the environment and one TOML file, in this order of precedence.
//!
//! The file's top level has the keys of [`Config`], each of its tables is a [`Section`] that a floor declares. A key that nobody knows is an
//! error with its place. Every key of a section can be given by the environment too: `BRICKYARD_WEB_PORT` is `port` of `[web]`.

use crate::settings::Section;
use crate::{archive, pipeline, tap, web};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Config {
    /// Settings from this TOML file [default: brickyard.toml in the data directory, if it is there]
    #[arg(long, global = true, env = "BRICKYARD_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
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
    #[arg(skip)]
    pub web: web::Options,
    #[arg(skip)]
    pub tap: tap::Options,
    #[arg(skip)]
    pub jobs: tap::jobs::Options,
    #[arg(skip)]
    pub upload: tap::upload::Options,
    #[arg(skip)]
    pub images: archive::Options,
    #[arg(skip)]
    pub pipeline: pipeline::Options,
}

/// The configuration file: first the keys that are flags of every command too, then a table for each section.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    data_dir: Option<PathBuf>,
    database_url: Option<String>,
    pg_bin: Option<PathBuf>,
    pg_user: Option<String>,
    schema_dir: Vec<PathBuf>,
    loader_dir: Vec<PathBuf>,
    web: web::Options,
    tap: tap::Options,
    jobs: tap::jobs::Options,
    upload: tap::upload::Options,
    images: archive::Options,
    pipeline: pipeline::Options,
}

/// Why the settings cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the configuration file {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {why}")]
    File { path: PathBuf, why: String },
    #[error("environment variable {name}: {why}")]
    Variable { name: String, why: String },
    #[error("cannot write the settings as TOML")]
    Write(#[from] toml::ser::Error),
}

/// A section's name and its keys, for reading the environment.
type Known = (&'static str, &'static [(&'static str, &'static str)]);
const SECTIONS: [Known; 6] = [
    section::<web::Options>(),
    section::<tap::Options>(),
    section::<tap::jobs::Options>(),
    section::<tap::upload::Options>(),
    section::<archive::Options>(),
    section::<pipeline::Options>(),
];

const fn section<S: Section>() -> Known {
    (S::NAME, S::KEYS)
}

impl Config {
    /// Fills what flags left open from the file and the environment.
    pub fn complete(mut self) -> Result<Config, Error> {
        let found = self.config.clone().or_else(|| Some(self.data_dir().join("brickyard.toml")).filter(|path| path.is_file()));
        let mut values = match &found {
            Some(path) => read(path)?,
            None => toml::Table::new(),
        };
        overlay(&mut values, std::env::vars().collect())?;
        let file: File = values
            .try_into()
            .map_err(|error: toml::de::Error| Error::Variable { name: "BRICKYARD_...".into(), why: error.message().to_owned() })?;
        self.data_dir = self.data_dir.or(file.data_dir);
        self.database_url = self.database_url.or(file.database_url);
        self.pg_bin = self.pg_bin.or(file.pg_bin);
        self.pg_user = self.pg_user.or(file.pg_user);
        if self.schema_dir.is_empty() {
            self.schema_dir = file.schema_dir;
        }
        if self.loader_dir.is_empty() {
            self.loader_dir = file.loader_dir;
        }
        (self.web, self.tap, self.jobs, self.upload) = (file.web, file.tap, file.jobs, file.upload);
        (self.images, self.pipeline) = (file.images, file.pipeline);
        Ok(self)
    }

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

    /// The settings in force as a configuration file, with their documentation; passwords are left out.
    pub fn document(&self) -> Result<String, Error> {
        let mut text = String::from("# Settings of brickyard: flags come before the environment, the environment before this file.\n\n");
        let quoted = |value: &str| toml::Value::from(value).to_string();
        let path = |value: &Path| quoted(&value.display().to_string());
        let list = |dirs: &[PathBuf]| format!("[{}]", dirs.iter().map(|dir| path(dir)).collect::<Vec<_>>().join(", "));
        let top = [
            ("data_dir", "Where the database and scratch files live.", Some(path(&self.data_dir()))),
            (
                "database_url",
                "Your own PostgreSQL server instead of the embedded one; a password is better kept in the environment (BRICKYARD_DATABASE_URL).",
                self.database_url.as_deref().map(|url| quoted(&without_password(url))),
            ),
            ("pg_bin", "Folder of the PostgreSQL server programs; by default the newest found.", self.pg_bin.as_deref().map(path)),
            (
                "pg_user",
                "The account that runs the embedded server when root starts it; by default postgres.",
                self.pg_user.as_deref().map(quoted),
            ),
            ("schema_dir", "Folders of your own tables, before the built-in ones.", Some(list(&self.schema_dir))),
            ("loader_dir", "Folders of your own loaders, before the built-in ones.", Some(list(&self.loader_dir))),
        ];
        for (name, doc, value) in top {
            let line = value.map_or_else(|| format!("# {name} = \"\""), |value| format!("{name} = {value}"));
            write!(text, "# {doc}\n{line}\n").expect("a String takes everything");
        }
        describe(&self.web, &mut text)?;
        describe(&self.tap, &mut text)?;
        describe(&self.jobs, &mut text)?;
        describe(&self.upload, &mut text)?;
        describe(&self.images, &mut text)?;
        describe(&self.pipeline, &mut text)?;
        Ok(text)
    }
}

/// A section as TOML with its documentation as comments.
fn describe<S: Section>(section: &S, text: &mut String) -> Result<(), Error> {
    let values = toml::Table::try_from(section)?;
    writeln!(text).expect("a String takes everything");
    comment(S::ABOUT, text);
    writeln!(text, "[{}]", S::NAME).expect("a String takes everything");
    for (name, doc) in S::KEYS {
        comment(doc, text);
        if let Some(value) = values.get(*name) {
            writeln!(text, "{name} = {value}").expect("a String takes everything");
        }
    }
    Ok(())
}

fn comment(doc: &str, text: &mut String) {
    for line in doc.lines() {
        writeln!(text, "# {}", line.trim()).expect("a String takes everything");
    }
}

/// `postgresql://user:secret@host/db` without the secret.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        let plain = |word: &&str| !word.to_lowercase().starts_with("password");
        return url.split_whitespace().filter(plain).collect::<Vec<_>>().join(" ");
    };
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let place = match place.rsplit_once('@') {
        Some((user, host)) => format!("{}@{host}", user.split(':').next().unwrap_or_default()),
        None => place.to_owned(),
    };
    let query = query.map(|query| query.split('&').filter(|pair| !pair.starts_with("password=")).collect::<Vec<_>>().join("&"));
    format!("{scheme}://{place}{}", query.filter(|query| !query.is_empty()).map(|query| format!("?{query}")).unwrap_or_default())
}

/// The file as a table, after a check of all its keys and types, whose faults have places.
fn read(path: &Path) -> Result<toml::Table, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let fault = |error: toml::de::Error| Error::File { path: path.into(), why: error.to_string().trim_end().to_owned() };
    toml::from_str::<File>(&text).map_err(fault)?;
    toml::from_str(&text).map_err(fault)
}

/// Puts `BRICKYARD_<SECTION>_<KEY>` over the file's values. A value is read as TOML where it is some, else as a text.
fn overlay(values: &mut toml::Table, variables: BTreeMap<String, String>) -> Result<(), Error> {
    for (section, keys) in SECTIONS {
        let prefix = format!("BRICKYARD_{}_", section.to_uppercase());
        for (name, text) in variables.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix)) {
            let fault = |why: String| Error::Variable { name: name.clone(), why };
            let key = name[prefix.len()..].to_lowercase();
            if !keys.iter().any(|(known, _)| *known == key) {
                return Err(fault(format!("[{section}] has no key {key}; brickyard config lists them")));
            }
            let value = toml::from_str::<toml::Table>(&format!("value = {text}")).ok().and_then(|mut table| table.remove("value"));
            let value = value.unwrap_or_else(|| toml::Value::from(text.as_str()));
            let mut trial = toml::Table::new();
            trial.insert(section.to_owned(), toml::Table::from_iter([(key.clone(), value.clone())]).into());
            trial.try_into::<File>().map_err(|error| fault(error.message().to_owned()))?;
            let table = values.entry(section).or_insert_with(|| toml::Table::new().into());
            if let Some(table) = table.as_table_mut() {
                table.insert(key, value);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_leave() {
        for (url, shown) in [
            ("postgresql://me:se:cr@et@host:5/db?host=/tmp&password=x", "postgresql://me@host:5/db?host=/tmp"),
            ("postgresql://host/db", "postgresql://host/db"),
            ("host=/tmp user=me password=secret", "host=/tmp user=me"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn the_environment_is_read_as_toml_or_as_text_and_unknown_keys_are_refused() {
        let set = |pairs: &[(&str, &str)]| {
            let mut values = toml::Table::new();
            let variables = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            overlay(&mut values, variables).map(|()| values.try_into::<File>().expect("checked"))
        };
        let file = set(&[("BRICKYARD_WEB_PORT", "81"), ("BRICKYARD_WEB_ADDRESS", "::1"), ("BRICKYARD_TAP_PUBLISH", "['a']")]).unwrap();
        assert_eq!((file.web.port, file.web.address.to_string(), &file.tap.publish[..]), (81, "::1".into(), &["a".to_owned()][..]));
        assert!(set(&[("BRICKYARD_WEB_PROT", "81")]).unwrap_err().to_string().contains("BRICKYARD_WEB_PROT"));
        assert!(set(&[("BRICKYARD_WEB_PORT", "x")]).unwrap_err().to_string().contains("BRICKYARD_WEB_PORT"));
        assert_eq!(set(&[("BRICKYARD_SHARED", "x")]).unwrap().web, web::Options::default());
    }
}
