//! The XML of UWS 1.1: job, list of jobs, parameters, results. Values in, text out.

use crate::tap::jobs::{Job, Listed};
use crate::tap::xml::escape;
use std::fmt::Write;
use std::time::SystemTime;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const NAMESPACES: &str = "xmlns:uws=\"http://www.ivoa.net/xml/UWS/v1.0\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
                          xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"";

/// UTC to the millisecond, as DALI writes it.
pub fn time(at: SystemTime) -> String {
    match jiff::Timestamp::try_from(at) {
        Ok(at) => at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        Err(_) => "9999-12-31T23:59:59.999Z".to_owned(), // beyond the calendar's end
    }
}

/// The XML declaration, which may be sent ahead of a document.
pub const fn head() -> &'static str {
    HEAD
}

/// `<uws:job>` without the XML declaration; `url` is the job's own.
pub fn job(job: &Job, url: &str) -> String {
    let mut out = format!("<uws:job version=\"1.1\" {NAMESPACES}>\n");
    element(&mut out, "jobId", Some(&job.id));
    if let Some(run_id) = &job.run_id {
        element(&mut out, "runId", Some(run_id));
    }
    element(&mut out, "ownerId", job.owner.as_deref());
    element(&mut out, "phase", Some(job.phase.name()));
    element(&mut out, "quote", job.quote.map(time).as_deref());
    element(&mut out, "creationTime", Some(&time(job.creation)));
    element(&mut out, "startTime", job.started.map(time).as_deref());
    element(&mut out, "endTime", job.ended.map(time).as_deref());
    element(&mut out, "executionDuration", Some(&job.duration.as_secs().to_string()));
    element(&mut out, "destruction", Some(&time(job.destruction)));
    out += &parameters_element(job, "");
    out += &results_element(job, url, "");
    if let Some(fault) = &job.fault {
        let kind = if fault.transient { "transient" } else { "fatal" };
        let message = escape(&fault.message);
        let _ =
            writeln!(out, "<uws:errorSummary type=\"{kind}\" hasDetail=\"true\"><uws:message>{message}</uws:message></uws:errorSummary>");
    }
    if let Some(position) = job.position {
        let _ = writeln!(out, "<uws:jobInfo><queuePosition>{position}</queuePosition></uws:jobInfo>");
    }
    out + "</uws:job>\n"
}

/// `<uws:jobs>`, whole; `url` is the list's own.
pub fn list(jobs: &[Listed], url: &str) -> String {
    let mut out = format!("{HEAD}<uws:jobs version=\"1.1\" {NAMESPACES}>\n");
    for job in jobs {
        let _ = writeln!(out, "<uws:jobref id=\"{}\" xlink:type=\"simple\" xlink:href=\"{}/{}\">", job.id, escape(url), job.id);
        element(&mut out, "phase", Some(job.phase.name()));
        if let Some(run_id) = &job.run_id {
            element(&mut out, "runId", Some(run_id));
        }
        element(&mut out, "ownerId", job.owner.as_deref());
        element(&mut out, "creationTime", Some(&time(job.creation)));
        out += "</uws:jobref>\n";
    }
    out + "</uws:jobs>\n"
}

/// `<uws:parameters>`, whole.
pub fn parameters(job: &Job) -> String {
    HEAD.to_owned() + &parameters_element(job, NAMESPACES)
}

/// `<uws:results>`, whole.
pub fn results(job: &Job, url: &str) -> String {
    HEAD.to_owned() + &results_element(job, url, NAMESPACES)
}

fn parameters_element(job: &Job, attributes: &str) -> String {
    let mut out = open("parameters", attributes);
    for (name, value) in &job.parameters {
        let _ = writeln!(out, "<uws:parameter id=\"{}\">{}</uws:parameter>", escape(name), escape(value));
    }
    out + "</uws:parameters>\n"
}

fn results_element(job: &Job, url: &str, attributes: &str) -> String {
    let mut out = open("results", attributes);
    if let Some(result) = &job.result {
        let (href, mime) = (escape(url), escape(&result.mime));
        let _ = writeln!(
            out,
            "<uws:result id=\"result\" xlink:type=\"simple\" xlink:href=\"{href}/results/result\" size=\"{}\" mime-type=\"{mime}\"/>",
            result.bytes
        );
    }
    out + "</uws:results>\n"
}

fn open(name: &str, attributes: &str) -> String {
    let space = if attributes.is_empty() { "" } else { " " };
    format!("<uws:{name}{space}{attributes}>\n")
}

/// An element, nil when there is no value.
fn element(out: &mut String, name: &str, value: Option<&str>) {
    let _ = match value {
        Some(value) => writeln!(out, "<uws:{name}>{}</uws:{name}>", escape(value)),
        None => writeln!(out, "<uws:{name} xsi:nil=\"true\"/>"),
    };
}
