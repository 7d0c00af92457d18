//! `brickyard map`: a HEALPix aggregate map, as rows and as a picture.

use super::answer::{self, Output};
use crate::config::Config;
use crate::explore::map::{self, Resolution, Value};
use crate::explore::{Map, TableName};
use crate::schema::Rows;
use crate::{db, explore};
use std::path::PathBuf;
use std::process::ExitCode;

/// Make a HEALPix map of a count or a mean, as rows and as a picture
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What stands in a cell: count, or mean:COLUMN, or mean:SQL-EXPRESSION
    #[arg(long, default_value = "count", value_parser = answer::text::<Value>)]
    value: Value,
    /// Only rows that meet this SQL condition
    #[arg(long = "where", value_name = "CONDITION", allow_hyphen_values = true)]
    condition: Option<String>,
    /// Cells: 4096 (pix4096, 0.86 arcmin) or 256 (pix256, 13.7 arcmin)
    #[arg(long, default_value = "4096", value_parser = resolution)]
    nside: Resolution,
    /// Table to map; it has the columns pix4096 and pix256
    #[arg(long, default_value = "phat_v2.phot_mod", value_parser = answer::text::<TableName>)]
    table: TableName,
    /// Draw the map into this PNG; the rows are then written only if --format or --output asks for them
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  brickyard map --png stars.png
  brickyard map --value mean:\"f475w_vega - f814w_vega\" --png colour.png \\
      --where \"f475w_gst = 1 AND f814w_gst = 1 AND f475w_vega < 50 AND f814w_vega < 50\"
  brickyard map --nside 256 --format table
In phat_v2 the magnitude 99.999 says \"not measured\": leave it out with --where, or it goes into the mean.";

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    args.output.check()?;
    let map = Map { table: args.table.clone(), resolution: args.nside, value: args.value.clone(), condition: args.condition.clone() };
    warn_of_sentinel(config, &map);
    let connection = db::connect(&config.db()).await?;
    answer::interruptible(connection.cancel_token(), async {
        let mut rows = map.ask(&connection).await?;
        let Some(png) = &args.png else {
            return args.output.write(rows, &connection.cancel_token()).await;
        };
        let cells = map::collect(&mut rows).await?;
        answer::write_png(png, &map.draw(&cells)?)?;
        eprintln!("drew {} cells into {}", cells.iter().map(|batch| batch.num_rows()).sum::<usize>(), png.display());
        if args.output.is_asked_for() {
            let batches = Box::pin(futures_util::stream::iter(cells.into_iter().map(Ok)));
            args.output.write(Rows { columns: rows.columns, batches }, &connection.cancel_token()).await?;
        }
        Ok(())
    })
    .await
}

fn resolution(text: &str) -> Result<Resolution, String> {
    let nside = text.parse().ok().and_then(Resolution::of_nside);
    nside.ok_or_else(|| "the tables have cell numbers for NSIDE 4096 and 256".to_owned())
}

/// The mean of a column with 99.999 among its values is a number that looks right and is not.
fn warn_of_sentinel(config: &Config, map: &Map) {
    let Value::Mean(expression) = &map.value else { return };
    let Some(table) = answer::known_table(config, &map.table) else { return };
    for column in explore::map::sentinel_columns(&table, expression, map.condition.as_deref().unwrap_or_default()) {
        let sentinel = column.sentinel.unwrap_or_default();
        eprintln!("warning: {} is {sentinel} where it was not measured, and the mean takes that in: add --where \"{0} < 90\"", column.name);
    }
}
