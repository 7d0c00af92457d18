//! `brickyard config`: the settings in force, as a file.

use crate::config::Config;
use std::io::Write;
use std::process::ExitCode;

/// Print the settings in force, with their documentation
///
/// The output is a configuration file: every key with its meaning as a comment and the value that flags, environment and
/// file give it. Passwords in database URLs are left out.
#[derive(clap::Args)]
pub struct Args {}

pub async fn run(config: &Config, _args: Args) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(config.document()?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
