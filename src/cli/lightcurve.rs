//! `brickyard lightcurve`: all measurements of a star over time, folded by a period if there is one.

use super::answer::{self, Output};
use crate::config::Config;
use crate::db;
use crate::explore::position::{self, Unit};
use crate::explore::{self, Lightcurve, Star, TableName};
use std::path::PathBuf;
use std::process::ExitCode;

/// Print or draw the light curve of a star, in all filters
///
/// Measurements without a magnitude (99.999) are left out.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Right ascension: degrees (11.02203) or hours (00:44:05.29, 00h44m05.29s)
    #[arg(allow_hyphen_values = true, required_unless_present = "objid", conflicts_with = "objid", requires = "dec")]
    ra: Option<String>,
    /// Declination: degrees (41.23451, -5.2) or sexagesimal (+41:14:04.2, 41d14m04.2s)
    #[arg(allow_hyphen_values = true)]
    dec: Option<String>,
    /// The star by its object id, instead of a position
    #[arg(long, value_name = "ID")]
    objid: Option<String>,
    /// Radius around the position: arcsec, or with its unit
    #[arg(long, default_value = "0.2arcsec", conflicts_with = "objid")]
    radius: String,
    /// Fold by this period, in days
    #[arg(long, value_name = "DAYS")]
    period: Option<f64>,
    /// Table of measurements
    #[arg(long, default_value = "phat_v2.phot_meas", value_parser = answer::text::<TableName>)]
    table: TableName,
    /// Draw the light curve into this PNG; the rows are then written only if --format or --output asks for them
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples (the Cepheid V5343):
  brickyard lightcurve 11.02203 41.23451 --period 10.29 --png v5343.png
  brickyard lightcurve 00:44:05.29 +41:14:04.2 --format table
  brickyard lightcurve --objid PHAT_11.0220304+41.234515 --output v5343.parquet";

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    args.output.check()?;
    let lightcurve = Lightcurve { table: args.table.clone(), star: star(&args)?, period_d: args.period };
    let connection = db::connect(&config.db()).await?;
    answer::interruptible(connection.cancel_token(), async {
        let mut answer = lightcurve.ask(&connection).await?;
        if let Some(table) = answer::known_table(config, &args.table) {
            explore::enrich(&mut answer.columns, &table);
        }
        if answer.measurements.is_empty() {
            anyhow::bail!("no measurement with a magnitude in {} for {}", lightcurve.table, lightcurve.star);
        }
        if answer.objids.len() > 1 {
            eprintln!("note: {} objects lie there, {}: choose one with --objid", answer.objids.len(), answer.objids.join(", "));
        }
        if let Some(png) = &args.png {
            answer::write_png(png, &lightcurve.draw(&answer)?)?;
            eprintln!("drew {} measurements into {}", answer.measurements.len(), png.display());
        }
        if args.png.is_none() || args.output.is_asked_for() {
            args.output.write(answer.into_rows(), &connection.cancel_token()).await?;
        }
        Ok(())
    })
    .await
}

fn star(args: &Args) -> Result<Star, explore::Error> {
    match (&args.objid, &args.ra, &args.dec) {
        (None, Some(ra), Some(dec)) => Ok(Star::Near {
            ra_deg: position::ra_deg(ra)?,
            dec_deg: position::dec_deg(dec)?,
            radius_deg: position::radius_deg(&args.radius, Unit::Arcsec)?,
        }),
        (objid, _, _) => Ok(Star::Objid(objid.clone().unwrap_or_default())),
    }
}
