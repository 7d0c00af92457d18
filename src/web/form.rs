//! The form of a request with its files: URL-encoded, or multipart with uploaded tables.
//!
//! Text parts become parameters; parts with a file name, or with a type that is not text, become files: scratch files without a name on the
//! disk of the results, so that neither memory nor a killed service keeps them. Limits on parts, bytes and time each have their message.

use super::multipart::{self, Event, Head, Parser};
use super::{App, Error, Parameters};
use crate::tap::upload::{self, Content, Source};
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use futures_util::StreamExt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::time::Duration;
use tokio::time::Instant;

/// Parts of one form at most.
const PARTS: usize = 256;

/// What a request brings.
#[derive(Debug, Default)]
pub struct Form {
    pub parameters: Parameters,
    pub files: Vec<Part>,
}

/// A file of a form.
#[derive(Debug)]
pub struct Part {
    pub head: Head,
    pub file: File,
    pub bytes: u64,
}

impl FromRequest<App> for Form {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Form, Error> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match multipart::boundary(kind) {
            None => Ok(Form { parameters: Parameters::from_request(request, app).await?, files: Vec::new() }),
            Some(boundary) => {
                let mut reader = Reader::new(boundary.map_err(broken)?, &request, app)?;
                reader.read(request.into_body()).await?;
                Ok(reader.form)
            }
        }
    }
}

/// The tables that UPLOAD names, from the files of the form, from its texts, or by URL.
pub async fn tables(app: &App, parameters: &Parameters, files: Vec<Part>) -> Result<Vec<(String, Content)>, upload::Error> {
    let named = upload::parse(parameters.all("UPLOAD"))?;
    let mut parts: Vec<(String, Content)> = files.into_iter().map(|part| (part.head.name, Content { file: part.file })).collect();
    let texts = named.iter().filter_map(|table| match &table.source {
        Source::Part(part) if parts.iter().all(|(name, _)| !name.eq_ignore_ascii_case(part)) => Some(part),
        Source::Part(_) | Source::Url(_) => None,
    });
    let scratch = || app.jobs.disk().scratch().map_err(|error| io::Error::other(error.to_string()));
    let texts: Vec<&String> = texts.collect();
    for part in texts {
        // a script that names no file sends its table as a text
        if let Some(text) = parameters.all(&part.to_uppercase()).last() {
            let mut file = scratch()?;
            file.write_all(text.as_bytes())?;
            parts.push((part.clone(), Content { file }));
        }
    }
    upload::collect(named, parts, scratch, app.jobs.uploads()).await
}

fn broken(error: multipart::Error) -> Error {
    Error::new(StatusCode::BAD_REQUEST, "form", error.to_string())
}

/// A multipart form on its way in.
struct Reader<'a> {
    app: &'a App,
    parser: Parser,
    form: Form,
    open: Option<Open>,
    parts: usize,
    text_bytes: usize,
    file_bytes: u64,
}

/// The part that is coming.
enum Open {
    Text(Head, Vec<u8>),
    File(Part),
}

impl<'a> Reader<'a> {
    fn new(boundary: String, request: &Request, app: &'a App) -> Result<Reader<'a>, Error> {
        let parameters = Parameters::decode(request.uri().query().unwrap_or_default().as_bytes())?;
        let most = app.jobs.uploads().bytes + app.options.form_bytes as u64;
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > most) {
            return Err(too_many_bytes(app.jobs.uploads().bytes));
        }
        let form = Form { parameters, files: Vec::new() };
        Ok(Reader { app, parser: Parser::new(&boundary), form, open: None, parts: 0, text_bytes: 0, file_bytes: 0 })
    }

    async fn read(&mut self, body: Body) -> Result<(), Error> {
        let stall = Duration::from_secs(self.app.options.stall_timeout_s);
        let (mut body, began) = (body.into_data_stream(), Instant::now());
        let mut bytes = 0_u64;
        loop {
            let chunk = tokio::time::timeout(stall, body.next()).await.map_err(|_| too_slow(stall))?;
            let Some(chunk) = chunk else { break };
            let chunk = chunk.map_err(|_| Error::usage("the form broke off"))?;
            bytes += chunk.len() as u64;
            let slowest = Duration::from_secs(self.app.options.body_timeout_s + bytes / self.app.options.slowest_read.max(1));
            if began.elapsed() > slowest {
                return Err(too_slow(slowest));
            }
            self.parser.feed(&chunk);
            while let Some(event) = self.parser.event().map_err(broken)? {
                self.take(event)?;
            }
        }
        self.parser.finish().map_err(broken)
    }

    fn take(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Part(head) => self.begin(head),
            Event::Data(data) => self.data(&data),
            Event::Whole => self.end(),
            Event::End => Ok(()),
        }
    }

    fn begin(&mut self, head: Head) -> Result<(), Error> {
        self.parts += 1;
        if self.parts > PARTS {
            return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, "limit-parts", format!("the form has more than {PARTS} parts")));
        }
        let text = head.file_name.is_none() && head.content_type.as_deref().is_none_or(is_plain);
        self.open = Some(match text {
            true => Open::Text(head, Vec::new()),
            false => Open::File(Part { head, file: self.app.jobs.disk().scratch()?, bytes: 0 }),
        });
        Ok(())
    }

    fn data(&mut self, data: &[u8]) -> Result<(), Error> {
        match &mut self.open {
            Some(Open::Text(_, text)) => {
                self.text_bytes += data.len();
                let limit = self.app.options.form_bytes;
                if self.text_bytes > limit {
                    let message = format!("the texts of the form are larger than {limit} bytes");
                    let hint = "give the part of an uploaded table a file name, so that it is taken for a file";
                    return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, "limit-form", message).hint(hint));
                }
                text.extend_from_slice(data);
            }
            Some(Open::File(part)) => {
                self.file_bytes += data.len() as u64;
                if self.file_bytes > self.app.jobs.uploads().bytes {
                    return Err(too_many_bytes(self.app.jobs.uploads().bytes));
                }
                part.bytes += data.len() as u64;
                part.file.write_all(data).map_err(crate::tap::jobs::DiskError::from)?;
            }
            None => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        match self.open.take() {
            Some(Open::Text(head, text)) => {
                let value = decode(&head, text)?;
                self.form.parameters.0.push((head.name.to_uppercase(), value));
            }
            Some(Open::File(mut part)) => {
                part.file.seek(SeekFrom::Start(0)).map_err(crate::tap::jobs::DiskError::from)?;
                self.form.files.push(part);
            }
            None => {}
        }
        Ok(())
    }
}

fn is_plain(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/plain"))
}

/// The text of a part in its charset: UTF-8 unless it says Latin-1.
fn decode(head: &Head, text: Vec<u8>) -> Result<String, Error> {
    let latin = head.content_type.as_deref().is_some_and(|kind| kind.to_ascii_lowercase().contains("iso-8859-1"));
    if latin {
        return Ok(text.into_iter().map(char::from).collect());
    }
    String::from_utf8(text).map_err(|_| Error::usage(format!("the part `{}` of the form is not UTF-8", printable(&head.name))))
}

fn printable(text: &str) -> String {
    text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn too_many_bytes(limit: u64) -> Error {
    Error::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "limit-upload",
        format!("the uploaded files are larger than {limit} bytes, the most that this service takes"),
    )
    .hint("upload only the columns that the query needs, or the table in parts")
}

fn too_slow(wait: Duration) -> Error {
    Error::new(StatusCode::REQUEST_TIMEOUT, "slow-request", format!("the form did not arrive in {} s", wait.as_secs()))
}
