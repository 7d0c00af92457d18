//! `/pipeline/jobs/{job}`: everything about a job; `/pipeline/jobs/{job}/log`: what an attempt wrote.

use super::Site;
use super::page::{self, Page, Trouble, asking_button, button, duration, in_url, link, navigation, size, state, told};
use super::run::Did;
use super::search::short;
use super::visitor::Visitor;
use crate::pipeline::admin;
use crate::pipeline::pilot::quoted;
use crate::pipeline::provenance::File;
use crate::pipeline::sheet::{self, Attempt, Sheet};
use crate::store;
use crate::tap::xml::escape;
use crate::web::access;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

/// Bytes of a log that the page shows.
const TAIL: u64 = 16 * 1024;

pub async fn page(State(site): State<Arc<Site>>, visitor: Visitor, Path(job): Path<i64>, Query(did): Query<Did>) -> Result<Page, Trouble> {
    let operator = visitor.operator.as_deref();
    let master = page::master(&site).await?;
    let (sheet, path) = {
        let desk = page::desk(&site, &master).await?;
        (sheet::of(&desk.session, job).await?, admin::path_of(&desk.session, job).await?)
    };
    let log = match sheet.attempts.last() {
        Some(last) => tail(master.log_file(job, last.attempt)).await,
        None => None,
    };
    let home = format!("/pipeline/runs/{}", in_url(&sheet.run));
    let title = format!("{} {job}", sheet.task);
    let parents: Vec<String> = path
        .iter()
        .skip(1)
        .rev()
        .map(|step| link(&site, &format!("/pipeline/jobs/{}", step.job), &format!("{} {}", escape(&step.task), step.job)))
        .collect();
    let came = match parents.is_empty() {
        true => String::new(),
        false => format!("<dt>Came from</dt><dd>{}</dd>", parents.join(" › ")),
    };
    let body = format!(
        "{}<h1>{} {}</h1>\n{}{}{}{}{}{}{}{}",
        navigation(&site, operator, &[(home.clone(), &sheet.run), (format!("{home}/tree?at={job}"), "its branch of the tree")]),
        escape(&title),
        state(&sheet.state),
        told(did.did.as_deref(), did.changed),
        acts(&site, operator, &sheet),
        facts(&sheet, &came),
        command(&sheet),
        attempts(&site, &sheet),
        log.map(|log| log_part(&site, &sheet, &log)).unwrap_or_default(),
        files(&site, "Inputs", &sheet.inputs),
        files(&site, "Outputs", &sheet.outputs),
    );
    Ok(Page::live(&site, &title, body))
}

fn acts(site: &Site, operator: Option<&str>, sheet: &Sheet) -> String {
    let (job, back) = (sheet.job.to_string(), format!("/pipeline/jobs/{}", sheet.job));
    let fields = |verb| [("verb", verb), ("job", job.as_str())];
    let mut acts = String::new();
    if matches!(sheet.state.as_str(), "failed" | "cancelled" | "retry_wait") {
        acts += &button(site, operator, "retry", &back, &fields("retry"));
        acts += &button(site, operator, "retry with twice the memory", &back, &fields("memory"));
    }
    if matches!(sheet.state.as_str(), "blocked" | "ready" | "running" | "retry_wait") {
        acts += &asking_button(site, operator, "cancel", "A running program is stopped at its next heartbeat.", &back, &fields("cancel"));
    }
    if matches!(sheet.state.as_str(), "blocked" | "ready" | "retry_wait" | "failed" | "cancelled") {
        let what = "It counts as done for barriers without having run; what it would have told is not told.";
        acts += &asking_button(site, operator, "skip", what, &back, &fields("skip"));
    }
    if acts.is_empty() { acts } else { format!("<div class=\"acts\">{acts}</div>\n") }
}

fn facts(sheet: &Sheet, came: &str) -> String {
    let mut why = String::new();
    if sheet.held || sheet.run_state == "held" {
        why = " (held: it starts no jobs)".into();
    }
    if let Some(seconds) = sheet.waits_s.filter(|_| sheet.state == "retry_wait") {
        why = format!(" (tried again in {})", duration(seconds));
    }
    let payload = serde_json::to_string_pretty(&sheet.event.payload).unwrap_or_default();
    format!(
        "<dl>{came}<dt>Event</dt><dd><b>{}</b> <code>{}</code></dd><dt>Payload</dt><dd><code>{}</code></dd><dt>State</dt><dd>{}{}, attempt {}</dd>\
         <dt>Resources</dt><dd>{} core{}, {} memory, {} disk, at most {}</dd><dt>Class, priority</dt><dd>{}, {}</dd><dt>Version of the task</dt><dd><code>{}</code></dd></dl>\n",
        escape(&sheet.event.name),
        escape(&sheet.event.key),
        escape(&short(&payload, 2000)),
        state(&sheet.state),
        escape(&why),
        sheet.attempt,
        sheet.cpu,
        if sheet.cpu == 1 { "" } else { "s" },
        size(i64::from(sheet.mem_mb) * 1_048_576),
        size(i64::from(sheet.disk_mb) * 1_048_576),
        duration(sheet.timeout_s as f64),
        escape(&sheet.class),
        sheet.priority,
        escape(&sheet.task_version),
    )
}

fn command(sheet: &Sheet) -> String {
    let text = match &sheet.command {
        Ok(command) => {
            let env: String = sheet.env.iter().map(|(name, value)| format!("{name}={} ", quoted(value))).collect();
            format!("<pre>{}{}</pre>", escape(&env), escape(&command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")))
        }
        Err(why) => format!("<p class=\"lead\">Not known yet: {}</p>", escape(why)),
    };
    format!("<h2>Command</h2>\n{text}\n")
}

fn attempts(site: &Site, sheet: &Sheet) -> String {
    let row = |attempt: &Attempt| {
        let end = match (attempt.exit_code, attempt.signal) {
            (_, Some(signal)) => format!("signal {signal}"),
            (Some(code), None) => format!("exit {code}"),
            (None, None) => String::new(),
        };
        let log = format!("/pipeline/jobs/{}/log?attempt={}", sheet.job, attempt.attempt);
        format!(
            "<tr><td class=\"n\">{}</td><td class=\"k\">{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"k\">{end}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td>{}</td><td>{}</td><td>{}</td></tr>\n",
            attempt.attempt,
            escape(&attempt.started),
            duration(attempt.seconds),
            state(attempt.outcome.as_deref().unwrap_or("running")),
            attempt.cpu_s.map(|s| duration(f64::from(s))).unwrap_or_default(),
            attempt.max_rss_mb.map(|mb| size(i64::from(mb) * 1_048_576)).unwrap_or_default(),
            escape(&[attempt.worker.as_deref(), attempt.node.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" on ")),
            escape(attempt.message.as_deref().unwrap_or_default()),
            link(site, &log, "log"),
        )
    };
    if sheet.attempts.is_empty() {
        return "<h2>Attempts</h2>\n<p class=\"lead\">It was not tried yet.</p>\n".into();
    }
    let rows: String = sheet.attempts.iter().rev().map(row).collect();
    format!(
        "<h2>Attempts</h2>\n<div class=\"scroll\"><table class=\"wide\"><tr><th class=\"n\">Attempt</th><th>Started (UTC)</th><th class=\"n\">Time</th><th>Ended</th><th></th>\
         <th class=\"n\">CPU</th><th class=\"n\">Memory</th><th>Worker</th><th>Message</th><th></th></tr>\n{rows}</table></div>\n"
    )
}

fn log_part(site: &Site, sheet: &Sheet, log: &str) -> String {
    let attempt = sheet.attempts.last().map_or(0, |last| last.attempt);
    let all = link(site, &format!("/pipeline/jobs/{}/log?attempt={attempt}", sheet.job), "all of it");
    format!("<h2>Log of attempt {attempt}</h2>\n<p>Its end; {all}.</p>\n<pre class=\"log\" tabindex=\"0\">{}</pre>\n", escape(log))
}

fn files(site: &Site, title: &str, files: &[File]) -> String {
    if files.is_empty() {
        return String::new();
    }
    let row = |file: &File| {
        let maker = file.made_by.map(|job| link(site, &format!("/pipeline/jobs/{job}"), &format!("job {job}"))).unwrap_or_default();
        format!(
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td>{maker}</td><td><code>{}</code></td></tr>\n",
            escape(&file.role),
            escape(&file.name),
            size(file.bytes),
            escape(&file.sha256)
        )
    };
    let rows: String = files.iter().map(row).collect();
    let cut = if files.len() as i64 == sheet::FILES { "<p>The first of them.</p>\n" } else { "" };
    format!(
        "<h2>{title}</h2>\n<div class=\"scroll\"><table class=\"wide\"><tr><th>Role</th><th>Name</th><th class=\"n\">Size</th><th>Made by</th><th>SHA-256</th></tr>\n\
         {rows}</table></div>\n{cut}"
    )
}

/// The last lines of a log; `None` where there is none.
async fn tail(path: std::path::PathBuf) -> Option<String> {
    let read = move || -> std::io::Result<String> {
        let mut file = std::fs::File::open(path)?;
        let begin = file.metadata()?.len().saturating_sub(TAIL);
        file.seek(SeekFrom::Start(begin))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(match (begin, text.split_once('\n')) {
            (1.., Some((_, whole))) => whole.to_owned(),
            _ => text,
        })
    };
    tokio::task::spawn_blocking(read).await.ok()?.ok()
}

#[derive(Debug, Deserialize)]
pub struct Which {
    attempt: i32,
}

/// The log as a file of text.
pub async fn log(State(site): State<Arc<Site>>, _: Visitor, Path(job): Path<i64>, Query(which): Query<Which>) -> Result<Response, Trouble> {
    let master = page::master(&site).await?;
    let path = master.log_file(job, which.attempt);
    let file = tokio::fs::File::open(&path).await.map_err(|_| Trouble::NotUnderstood("this attempt wrote no log here".into()))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        access::OWN_PAGES,
    ];
    Ok((headers, Body::from_stream(tokio_util::io::ReaderStream::with_capacity(file, store::CHUNK))).into_response())
}
