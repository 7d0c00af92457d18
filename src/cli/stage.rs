//! `brickyard stage`: the stages of a reduction as programs, for workers and for hands.

use crate::config::Config;
use crate::db::usage;
use crate::stage::stars::Cut;
use crate::stage::{self, Dolphot, ast_list, ast_merge, ast_run, catalogue, diagrams, merge, photometry, prepare, sort, tag};
use anyhow::Context;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Run one stage of a reduction here: exposures to catalogues, file by file
///
/// The stages are what the tasks of the built-in pipeline `phat` run (brickyard pipeline graph phat). Each reads the files that it is
/// given and writes into the current folder, whole or not at all.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    stage: Stage,
}

const EXAMPLES: &str = "\
Examples:
  brickyard stage sort raw/*_flt.fits 12056_M31-B15-F10_F475W_drz.hdr
  brickyard stage prepare --target 12056_M31-B15-F10 --dolphot /opt/dolphot/bin *_flt.fits *_drz.fits
  brickyard stage catalogue 12056_M31-B15-F10.phot --brick 15 --field 10 \\
      --cut F475W=0.20,2.25 --cut F814W=0.20,2.25 --phot-out a_phot.fits --st-out a_st.fits";

#[derive(clap::Subcommand)]
enum Stage {
    /// Exposures to fields, by their headers; an event a field in events.ndjson
    Sort {
        /// Exposures (_flt.fits, _flc.fits) and the reference images of their targets (_drz.fits, or the header as _drz.hdr)
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The filter whose drizzled image is the reference, where there are several
        #[arg(long, value_name = "FILTER", default_value = "F475W")]
        reference: String,
    },
    /// Exposures of a field under their working names, tagged in their headers
    Tag {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Programme and target, 12056_M31-B15-F10
        #[arg(long, value_name = "NAME")]
        target: String,
    },
    /// Tagged exposures to masked chips, their sky, and DOLPHOT's parameter file
    Prepare {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[arg(long, value_name = "NAME")]
        target: String,
        #[command(flatten)]
        dolphot: DolphotArg,
        /// How DOLPHOT is told to work [default: built in, loaders/phat_v2/pipeline/dolphot.toml]
        #[arg(long, value_name = "FILE")]
        parameters: Option<PathBuf>,
        #[command(flatten)]
        threads: Threads,
    },
    /// DOLPHOT on a prepared stack
    Photometry {
        /// The parameter file, chips and their sky, the reference image
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[arg(long, value_name = "NAME")]
        target: String,
        #[arg(long, value_name = "N")]
        brick: u8,
        #[arg(long, value_name = "N")]
        field: u8,
        #[command(flatten)]
        dolphot: DolphotArg,
    },
    /// DOLPHOT's text to _phot.fits and _st.fits, with positions and star flags
    Catalogue {
        /// DOLPHOT's text, .phot; what stands beside it may be named too
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[arg(long, value_name = "FILE")]
        phot_out: PathBuf,
        #[arg(long, value_name = "FILE")]
        st_out: PathBuf,
        #[command(flatten)]
        good: Good,
        /// Write columns <filter>_st too
        #[arg(long)]
        star_flags: bool,
        /// Leave out of _st.fits what is a star in no filter
        #[arg(long)]
        only_stars: bool,
        #[arg(long, value_name = "N")]
        brick: Option<i64>,
        #[arg(long, value_name = "N")]
        field: Option<i64>,
        /// Print counts, seconds and the most memory as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        threads: Threads,
    },
    /// Artificial-star tests: draw the stars of a field, cut into lists; an event a list in events.ndjson
    AstList {
        /// DOLPHOT's text, .phot; what stands beside it may be named too
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[arg(long, value_name = "NAME")]
        target: String,
        /// Stars in all; 0 for no tests
        #[arg(long, value_name = "N")]
        stars: usize,
        /// Stars of a list
        #[arg(long, value_name = "N", default_value_t = 100)]
        list: usize,
        /// Another number draws other stars
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
    },
    /// Artificial-star tests: DOLPHOT on the stack with the stars of one list in it, to .fake
    AstRun {
        /// The list, what `prepare` made, and what `photometry` measured
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[arg(long, value_name = "N")]
        brick: u8,
        #[arg(long, value_name = "N")]
        field: u8,
        #[command(flatten)]
        dolphot: DolphotArg,
    },
    /// Artificial-star tests: .fake files to one table, and to the table of completeness by filter and magnitude
    AstMerge {
        /// DOLPHOT's .fake files, and the photometry with what stands beside it
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[arg(long, value_name = "FILE")]
        asts_out: PathBuf,
        #[arg(long, value_name = "FILE")]
        completeness_out: PathBuf,
        #[command(flatten)]
        good: Good,
    },
    /// A _st.fits as colour-magnitude diagrams and a map of its stars, PNG
    Diagrams {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// A blue and a red filter, F475W-F814W [default: neighbours in wavelength]
        #[arg(long = "pair", value_name = "BLUE-RED", value_parser = pair)]
        pairs: Vec<(String, String)>,
    },
    /// The _st.fits of fields to that of their brick, with the inside_* flags
    Merge {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[arg(long, value_name = "N")]
        brick: u8,
        #[arg(long, value_enum, default_value = "footprint")]
        keep: merge::Keep,
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Where DOLPHOT is.
#[derive(clap::Args)]
struct DolphotArg {
    /// The folder of DOLPHOT's programs, or `simulated` for exposures that brickyard simulate wrote [default: on the PATH]
    #[arg(long = "dolphot", value_name = "DIR", default_value = "")]
    place: String,
}

impl DolphotArg {
    fn find(&self) -> Dolphot {
        match self.place.as_str() {
            "simulated" => Dolphot::Simulated,
            "" => Dolphot::In(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect()),
            // programs run in other folders
            folder => Dolphot::In(vec![std::path::absolute(folder).unwrap_or_else(|_| folder.into())]),
        }
    }
}

/// What a good star is.
#[derive(clap::Args)]
struct Good {
    /// The cuts of a filter: sharpness squared and crowding of good stars; in the order of the flags
    #[arg(long = "cut", value_name = "FILTER=SHARP2,CROWD", required = true)]
    cuts: Vec<Cut>,
    /// The least signal to noise of a star
    #[arg(long, value_name = "RATIO", default_value_t = 4.0)]
    snr: f64,
}

#[derive(clap::Args)]
struct Threads {
    /// Threads to work with [default: one per core]
    #[arg(long = "threads", value_name = "N")]
    many: Option<usize>,
}

impl Threads {
    fn count(&self) -> usize {
        self.many.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1)
    }
}

pub async fn run(_config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    let dir = std::env::current_dir().context("the current folder")?;
    let said = tokio::task::spawn_blocking(move || act(args.stage, dir)).await.context("the stage stopped")??;
    println!("{said}");
    Ok(ExitCode::SUCCESS)
}

/// Runs the stage; gives a line to print.
fn act(stage: Stage, dir: PathBuf) -> anyhow::Result<String> {
    Ok(match stage {
        Stage::Sort { files, reference } => format!("{} fields", sort::run(&sort::Options { files, reference, dir })?),
        Stage::Tag { files, target } => format!("{} exposures", tag::run(&tag::Options { files, target, dir })?.len()),
        Stage::Prepare { files, target, dolphot, parameters, threads } => {
            let (place, text) = match &parameters {
                Some(path) => {
                    (path.display().to_string(), std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?)
                }
                None => ("loaders/phat_v2/pipeline/dolphot.toml".to_owned(), prepare::PARAMETERS.to_owned()),
            };
            let parameters = prepare::Parameters::parse(&place, &text)?;
            let options = prepare::Options { files, target, dolphot: dolphot.find(), parameters, threads: threads.count(), dir };
            format!("{} images", prepare::run_stage(&options)?)
        }
        Stage::Photometry { files, target, brick, field, dolphot } => {
            let options = photometry::Options { files, target, brick, field, dolphot: dolphot.find(), dir };
            format!("{} bytes of photometry", photometry::run_stage(&options)?)
        }
        Stage::Catalogue { files, phot_out, st_out, good, star_flags, only_stars, brick, field, json, threads } => {
            let begun = Instant::now();
            let phot = one_text(&files)?;
            let options = catalogue::Options {
                phot,
                phot_out,
                st_out,
                cuts: good.cuts,
                snr_min: good.snr,
                star_flags,
                only_stars,
                brick,
                field,
                threads: threads.count(),
            };
            let report = catalogue::run(&options)?;
            if json {
                let mut told = serde_json::to_value(report)?;
                told["seconds"] = begun.elapsed().as_secs_f64().into();
                told["peak_memory_bytes"] = usage::own().peak_bytes.into();
                return Ok(told.to_string());
            }
            format!("{} objects, {} stars, of {:.1} MB of text", report.objects, report.stars, report.text_bytes as f64 / 1e6)
        }
        Stage::AstList { files, target, stars, list, seed } => {
            let options = ast_list::Options { phot: one_text(&files)?, target, stars, list, seed, dir };
            format!("{} lists of artificial stars", ast_list::run(&options)?)
        }
        Stage::AstRun { files, brick, field, dolphot } => {
            let options = ast_run::Options { files, brick, field, dolphot: dolphot.find(), dir };
            format!("{} artificial stars", ast_run::run_stage(&options)?)
        }
        Stage::AstMerge { files, asts_out, completeness_out, good } => {
            let options = ast_merge::Options { files, asts_out, completeness_out, cuts: good.cuts, snr_min: good.snr };
            match ast_merge::run(&options)? {
                Some(report) => {
                    let half = report.half.iter().map(|(filter, half)| match half {
                        Some(mag) => format!("{filter} half complete at {mag:.2}"),
                        None => format!("{filter} nowhere half complete within the tests"),
                    });
                    let found = format!("{} artificial stars, {} found", report.stars, report.found);
                    [found].into_iter().chain(half).collect::<Vec<_>>().join("\n")
                }
                None => "no tests".to_owned(),
            }
        }
        Stage::Diagrams { file, pairs } => {
            let report = diagrams::run(&diagrams::Options { st: file, pairs, dir })?;
            let drawn = report.pictures.iter().map(|picture| format!("{} stars in {}", picture.stars, picture.name));
            let empty = report.empty.iter().map(|pair| format!("no star is good in both filters of {pair}"));
            drawn.chain(empty).collect::<Vec<_>>().join("\n")
        }
        Stage::Merge { files, brick, keep, out } => {
            let report = merge::run(&merge::Options { files, brick, keep, out })?;
            format!("{} fields, {} of {} objects", report.fields, report.kept, report.read)
        }
    })
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (blue, red) = text.split_once('-').ok_or_else(|| "wanted BLUE-RED such as F475W-F814W".to_owned())?;
    Ok((blue.to_ascii_uppercase(), red.to_ascii_uppercase()))
}

/// The photometry among its side files.
fn one_text(files: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let texts: Vec<&PathBuf> = files.iter().filter(|path| path.extension().is_some_and(|end| end == "phot")).collect();
    match (&texts[..], files) {
        ([one], _) => Ok((*one).clone()),
        // any name will do for one that stands alone
        ([], [one]) => Ok(one.clone()),
        _ => Err(stage::Error::Asked(format!("{} .phot files: wanted one, a field at a time", texts.len())).into()),
    }
}
