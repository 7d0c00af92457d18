//! `brickyard cone`: the rows of a table around a position.

use super::answer::{self, Output};
use crate::config::Config;
use crate::db;
use crate::explore::position::{self, Unit};
use crate::explore::{self, Cone, TableName};
use std::process::ExitCode;

/// Print the rows within a radius of a position
///
/// Any table with a Q3C index will do. The circle is turned into a few ranges of the index, so small circles are found
/// in well under a millisecond in tables of any size.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Right ascension: degrees (11.02203) or hours (00:44:05.29, 00h44m05.29s)
    #[arg(allow_hyphen_values = true)]
    ra: String,
    /// Declination: degrees (41.23451, -5.2) or sexagesimal (+41:14:04.2, 41d14m04.2s)
    #[arg(allow_hyphen_values = true)]
    dec: String,
    /// Radius, of --unit or with its own: 0.2arcsec, 1arcmin, 0.01deg
    #[arg(allow_hyphen_values = true)]
    radius: String,
    /// Unit of a bare RADIUS: arcsec, arcmin or deg
    #[arg(long, default_value = "arcsec", value_parser = answer::text::<Unit>)]
    unit: Unit,
    /// Table to look in
    #[arg(long, default_value = "phat_v2.phot_mod", value_parser = answer::text::<TableName>)]
    table: TableName,
    /// Columns to return, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    columns: Vec<String>,
    /// The table's columns with right ascension and declination [default: the catalogue's, else ra,dec]
    #[arg(long, value_delimiter = ',', num_args = 1, value_name = "RA,DEC")]
    position: Vec<String>,
    #[command(flatten)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  brickyard cone 11.02203 41.23451 2 --format table
  brickyard cone 00:44:05.29 +41:14:04.2 1arcmin --columns objid,ra,dec,f475w_vega
  brickyard cone 11.02203 41.23451 0.2 --table phat_v2.phot_meas --output star.parquet";

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    args.output.check()?;
    let known = answer::known_table(config, &args.table);
    let cone = Cone {
        position: position_columns(&args, known.as_ref())?,
        columns: args.columns.clone(),
        ra_deg: position::ra_deg(&args.ra)?,
        dec_deg: position::dec_deg(&args.dec)?,
        radius_deg: position::radius_deg(&args.radius, args.unit)?,
        table: args.table.clone(),
    };
    let connection = db::connect(&config.db()).await?;
    answer::interruptible(connection.cancel_token(), async {
        let mut rows = cone.ask(&connection).await?;
        if let Some(table) = &known {
            explore::enrich(&mut rows.columns, table);
        }
        args.output.write(rows, &connection.cancel_token()).await
    })
    .await
}

fn position_columns(args: &Args, known: Option<&crate::schema::Table>) -> anyhow::Result<(String, String)> {
    match args.position.as_slice() {
        [ra, dec] => Ok((ra.clone(), dec.clone())),
        [] => Ok(known.and_then(|table| table.position.clone()).unwrap_or_else(|| ("ra".into(), "dec".into()))),
        [_] | [_, _, _, ..] => anyhow::bail!("--position takes two column names, such as ra,dec"),
    }
}
