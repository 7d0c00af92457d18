//! SODA 1.0, asynchronous: every image of a job with every region of it; BAND and TIME choose among the images.
//!
//! One image with one region, or none, gives the piece itself. More give a tar, written while the pieces are made, and what became of
//! each stands in its `index.csv`. A piece that cannot be made is a line there; a job fails if all of its pieces do.
//!
//! Limits: `images.job_pieces` pieces, `jobs.result_bytes` of all together, and the job's duration. Memory: pieces are made one after
//! another, so that a job holds one, as [`Cutter`] bounds it.

use super::cutter::{Cutter, Made};
use super::soda::{SHAPES, in_words_of_soda, interval_of, overlap, region_of, values};
use super::wish::Form;
use crate::archive::{self, Shape};
use crate::tap::jobs::{Execute, Fault, Job, Jobs, Outcome, Writer};
use crate::tap::query::shown;
use crate::web::{Error, Parameters};
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two attempts while the service is busy: a job can wait.
const PAUSE: Duration = Duration::from_secs(1);
/// A tar is made of blocks of so many bytes.
const BLOCK: usize = 512;
/// Letters of a file's name in a tar, which has room for 100.
const NAME: usize = 90;

/// How jobs of pieces are run.
pub fn worker(cutter: Cutter) -> Execute {
    Arc::new(move |jobs, job| {
        let cutter = cutter.clone();
        Box::pin(async move { run(&cutter, &jobs, &job).await })
    })
}

async fn run(cutter: &Cutter, jobs: &Arc<Jobs>, job: &Job) -> Result<Outcome, Fault> {
    let wishes = Wishes::read(&Parameters(job.parameters.clone()), &cutter.archive.options).map_err(fault)?;
    match (&wishes.ids[..], &wishes.regions[..]) {
        ([id], [region]) => single(cutter, jobs, job, &wishes, (id, region)).await,
        _ => many(cutter, jobs, job, &wishes).await,
    }
}

/// The piece itself; no bytes if nothing overlaps.
async fn single(cutter: &Cutter, jobs: &Jobs, job: &Job, wishes: &Wishes, (id, region): (&str, &Region)) -> Result<Outcome, Fault> {
    let made = wishes.make(cutter, id, region).await.map_err(fault)?;
    let mut writer = jobs.disk().writer(&job.id);
    if let Some(made) = made {
        send(&mut writer, made).await?;
    }
    let bytes = writer.finish().await?;
    Ok(Outcome { bytes, mime: wishes.form.mime().to_owned(), ending: wishes.form.ending().to_owned() })
}

/// A tar of all pieces and their index.
async fn many(cutter: &Cutter, jobs: &Arc<Jobs>, job: &Job, wishes: &Wishes) -> Result<Outcome, Fault> {
    let mut tar = Tar { writer: jobs.disk().writer(&job.id), seconds: u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0) };
    let mut index = csv::Writer::from_writer(Vec::new());
    let broken = |error: csv::Error| fault(Error::internal(&error));
    index.write_record(["id", "region", "file", "outcome"]).map_err(broken)?;
    let begun = Instant::now();
    let (all, mut done, mut failed, mut first) = (wishes.pieces(), 0_usize, 0_usize, None);
    for id in &wishes.ids {
        for region in &wishes.regions {
            done += 1;
            let (mut file, outcome) = (String::new(), wishes.make(cutter, id, region).await);
            let outcome = match outcome {
                Ok(Some(made)) => {
                    file = format!("{done:05}_{}", tail(&made.file_name));
                    tar.piece(&file, made).await?;
                    "cut".to_owned()
                }
                Ok(None) => "no overlap".to_owned(),
                Err(error) => {
                    failed += 1;
                    let fault = fault(error);
                    let message = fault.message.replace('\n', " ");
                    first.get_or_insert(fault);
                    message
                }
            };
            index.write_record([id, &region.text, &file, &outcome]).map_err(broken)?;
            let left = (all - done) as f64;
            jobs.quote(&job.id, begun.elapsed().as_secs_f64() / done as f64 * left);
        }
    }
    if let Some(first) = first.filter(|_| failed == all) {
        return Err(Fault { message: format!("none of {all} pieces could be made; the first: {}", first.message), ..first });
    }
    let index = index.into_inner().map_err(|error| fault(Error::internal(&error)))?;
    let bytes = tar.finish(index).await?;
    Ok(Outcome { bytes, mime: "application/x-tar".to_owned(), ending: "tar".to_owned() })
}

/// The end of a name, where its ending is.
fn tail(name: &str) -> &str {
    // names are ASCII
    &name[name.len().saturating_sub(NAME)..]
}

async fn send(writer: &mut Writer, made: Made) -> Result<(), Fault> {
    let mut chunks = made.chunks();
    while let Some(chunk) = chunks.next().await {
        writer.write(chunk.map_err(|error| fault(Error::internal(&error)))?).await?;
    }
    Ok(())
}

/// A tar on its way to the disk.
struct Tar {
    writer: Writer,
    /// The time of its files.
    seconds: u64,
}

impl Tar {
    async fn piece(&mut self, name: &str, made: Made) -> Result<(), Fault> {
        let bytes = made.bytes;
        self.head(name, bytes).await?;
        send(&mut self.writer, made).await?;
        self.pad(bytes).await
    }

    /// With the index as the last file.
    async fn finish(mut self, index: Vec<u8>) -> Result<u64, Fault> {
        let bytes = index.len() as u64;
        self.head("index.csv", bytes).await?;
        self.writer.write(index.into()).await?;
        self.pad(bytes).await?;
        // two blocks of nothing are the end
        self.writer.write(Bytes::from_static(&[0; 2 * BLOCK])).await?;
        Ok(self.writer.finish().await?)
    }

    async fn head(&mut self, name: &str, bytes: u64) -> Result<(), Fault> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).map_err(|error| fault(Error::internal(&error)))?;
        header.set_size(bytes);
        header.set_mode(0o644);
        header.set_mtime(self.seconds);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        Ok(self.writer.write(Bytes::copy_from_slice(header.as_bytes())).await?)
    }

    async fn pad(&mut self, bytes: u64) -> Result<(), Fault> {
        static NOTHING: [u8; BLOCK] = [0; BLOCK];
        let over = (bytes % BLOCK as u64) as usize;
        match over {
            0 => Ok(()),
            _ => Ok(self.writer.write(Bytes::from_static(&NOTHING[over..])).await?),
        }
    }
}

/// What a job asks.
#[derive(Debug)]
struct Wishes {
    ids: Vec<String>,
    /// One that is no shape if there is none.
    regions: Vec<Region>,
    bands_m: Vec<[f64; 2]>,
    times_mjd: Vec<[f64; 2]>,
    form: Form,
}

/// A region of a job; none is the whole image.
#[derive(Debug, Default)]
struct Region {
    /// Parameter and value, as they came.
    text: String,
    shape: Option<Shape>,
}

impl Wishes {
    fn read(parameters: &Parameters, options: &archive::Options) -> Result<Wishes, Error> {
        let ids: Vec<String> = values(parameters, "ID").map(str::to_owned).collect();
        if ids.is_empty() {
            return Err(Error::usage("the parameter ID is missing: the identifier of an image, or several"));
        }
        let mut regions = Vec::new();
        for (name, read) in SHAPES {
            for text in values(parameters, name) {
                regions.push(Region { text: format!("{name} {text}"), shape: Some(region_of(name, read, text)?) });
            }
        }
        if regions.is_empty() {
            regions.push(Region::default());
        }
        let intervals = |name: &str| values(parameters, name).map(|text| interval_of(name, text)).collect::<Result<Vec<_>, _>>();
        let form = Form::read(parameters, options)?;
        let wishes = Wishes { ids, regions, bands_m: intervals("BAND")?, times_mjd: intervals("TIME")?, form };
        let (pieces, most) = (wishes.pieces(), options.job_pieces);
        if pieces > most {
            let (images, regions) = (wishes.ids.len(), wishes.regions.len());
            let what = format!("{images} images with {regions} regions are {pieces} pieces, and {most} are the most of one job");
            return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, "limit-pieces", what).hint("make several jobs"));
        }
        Ok(wishes)
    }

    fn pieces(&self) -> usize {
        self.ids.len() * self.regions.len()
    }

    /// A piece, when the service has time for it; `None` if nothing overlaps.
    async fn make(&self, cutter: &Cutter, id: &str, region: &Region) -> Result<Option<Made>, Error> {
        loop {
            match self.try_make(cutter, id, region).await {
                Err(error) if error.status == StatusCode::SERVICE_UNAVAILABLE => tokio::time::sleep(PAUSE).await,
                made => return made,
            }
        }
    }

    async fn try_make(&self, cutter: &Cutter, id: &str, region: &Region) -> Result<Option<Made>, Error> {
        let missing = || Error::not_found(format!("there is no image {}", shown(id, 200)));
        let entry = cutter.by_identifier(id).await?.ok_or_else(missing)?;
        let is_chosen = |wanted: &[[f64; 2]], there| wanted.is_empty() || wanted.iter().any(|wanted| overlap(Some(*wanted), there));
        if !is_chosen(&self.bands_m, entry.band_m) || !is_chosen(&self.times_mjd, entry.times_mjd) {
            return Ok(None);
        }
        cutter.cut(entry, region.shape.as_ref().map(Shape::piece), &self.form).await
    }
}

fn fault(error: Error) -> Fault {
    let transient = matches!(error.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT);
    let code = error.code.to_owned();
    Fault { message: in_words_of_soda(error).text(), code, transient }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Wishes, Error> {
        Wishes::read(&Parameters::decode(query.as_bytes()).expect("UTF-8"), &archive::Options { job_pieces: 6, ..Default::default() })
    }

    #[test]
    fn every_image_goes_with_every_region() {
        let wishes = read("ID=a&ID=b&CIRCLE=1+2+0.1&POS=CIRCLE+1+2+0.2&POLYGON=1+2+1.1+2+1+2.1&BAND=4e-7&BAND=8e-7+9e-7").unwrap();
        assert_eq!((wishes.pieces(), wishes.bands_m.len()), (6, 2));
        let texts: Vec<&str> = wishes.regions.iter().map(|region| region.text.as_str()).collect();
        assert_eq!(texts, ["POS CIRCLE 1 2 0.2", "CIRCLE 1 2 0.1", "POLYGON 1 2 1.1 2 1 2.1"]);
        let wishes = read("ID=a").unwrap();
        assert!(wishes.pieces() == 1 && wishes.regions[0].shape.is_none());
        let many = read("ID=a&ID=b&ID=c&ID=d&CIRCLE=1+2+0.1&CIRCLE=1+2+0.2").unwrap_err();
        assert!(many.message.contains("8 pieces, and 6 are the most"), "{}", many.message);
        for wrong in ["CIRCLE=1+2+3", "ID=a&CIRCLE=1+2", "ID=a&BAND=x", "ID=a&RESPONSEFORMAT=gif"] {
            assert_eq!(read(wrong).unwrap_err().code, "usage", "{wrong}");
        }
    }

    #[test]
    fn names_keep_their_ending() {
        let name = format!("{}_cutout.fits", "x".repeat(300));
        assert!(tail(&name).len() == NAME && tail(&name).ends_with("x_cutout.fits"));
        assert_eq!(tail("a.fits"), "a.fits");
    }
}
