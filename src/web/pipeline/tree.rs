//! `/pipeline/runs/{run}/tree`: events, the jobs that they started, the events that those told, and so on; as in Figure 4 of Williams
//! et al. (2014), ApJS 215, 9.
//!
//! Children come on demand: `open=12,b3` names the jobs (and barriers) whose children are shown in place, `at=12` the place where the page begins.
//! At each place those that failed, or under which something failed, come first.

use super::Site;
use super::page::{self, Page, Trouble, in_url, link, navigation, state};
use super::search::short;
use super::visitor::Visitor;
use crate::db::Connection;
use crate::pipeline::admin::{self, BarrierLine, Branch, RunLine, TreeLine};
use crate::tap::xml::escape;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use std::collections::HashSet;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;

/// Lines of a place on a page.
const MOST: i64 = 50;
/// Places that are open at once.
const OPEN: usize = 20;

#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    at: String,
    #[serde(default)]
    open: String,
    /// `event.job`: lines after this one.
    #[serde(default)]
    after: String,
}

/// What making the tree needs.
struct Drawing<'a> {
    site: &'a Site,
    connection: &'a Connection,
    run: &'a RunLine,
    at: String,
    open: Vec<String>,
}

pub async fn page(
    State(site): State<Arc<Site>>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Page, Trouble> {
    let operator = visitor.operator.as_deref();
    let master = page::master(&site).await?;
    let desk = page::desk(&site, &master).await?;
    let run = admin::run(&desk.session, &name).await?;
    let branch = place(&asked.at)?;
    let open: Vec<String> = asked.open.split(',').filter(|place| !place.is_empty()).map(str::to_owned).take(OPEN).collect();
    for name in &open {
        place(name)?;
    }
    let drawing = Drawing { site: &site, connection: &desk.session, run: &run, at: asked.at.clone(), open };
    let home = format!("/pipeline/runs/{}", in_url(&run.name));
    let trail = drawing.trail(branch, &home).await?;
    let mut tree = drawing.branch(branch, after(&asked.after)?, 0).await?;
    if branch == Branch::Outside && asked.after.is_empty() {
        tree += &drawing.barriers().await?;
    }
    if tree.is_empty() {
        tree = "<p class=\"lead\">No event has been told here.</p>\n".into();
    }
    let body = format!(
        "{}<h1>Tree of {}</h1>\n{trail}{tree}",
        navigation(&site, operator, &[(home.clone(), &run.name), (format!("{home}/tree"), "tree")]),
        escape(&run.name),
    );
    Ok(Page::live(&site, &format!("Tree of {}", run.name), body))
}

/// `12` is a job, `b3` a barrier, nothing what came from outside.
fn place(text: &str) -> Result<Branch, Trouble> {
    let bad = || Trouble::NotUnderstood(format!("{text:?} is no place in the tree: a job's number, or b and a barrier's"));
    match (text, text.strip_prefix('b')) {
        ("", _) => Ok(Branch::Outside),
        (_, Some(barrier)) => Ok(Branch::Barrier(barrier.parse().map_err(|_| bad())?)),
        (job, None) => Ok(Branch::Job(job.parse().map_err(|_| bad())?)),
    }
}

fn after(text: &str) -> Result<(i64, i64), Trouble> {
    if text.is_empty() {
        return Ok((0, 0));
    }
    let pair = text.split_once('.').and_then(|(event, job)| Some((event.parse().ok()?, job.parse().ok()?)));
    pair.ok_or_else(|| Trouble::NotUnderstood("`after` is event.job".into()))
}

fn name_of(branch: Branch) -> String {
    match branch {
        Branch::Outside => String::new(),
        Branch::Job(job) => job.to_string(),
        Branch::Barrier(barrier) => format!("b{barrier}"),
    }
}

impl Drawing<'_> {
    fn path(&self, at: &str, open: &[&str], after: &str) -> String {
        let mut path = format!("/pipeline/runs/{}/tree", in_url(&self.run.name));
        let mut joint = '?';
        for (name, value) in [("at", at.to_owned()), ("open", open.join(",")), ("after", after.to_owned())] {
            if !value.is_empty() {
                path += &format!("{joint}{name}={value}");
                joint = '&';
            }
        }
        path
    }

    /// The way from the top to a place.
    async fn trail(&self, branch: Branch, home: &str) -> Result<String, Trouble> {
        let Branch::Job(job) = branch else {
            let text = match branch {
                Branch::Barrier(barrier) => format!("barrier {barrier}"),
                _ => return Ok(String::new()),
            };
            return Ok(format!("<p>{} › {text}</p>\n", link(self.site, &format!("{home}/tree"), "top")));
        };
        let path = admin::path_of(self.connection, job).await?;
        let mut trail = link(self.site, &format!("{home}/tree"), "top");
        for step in path.iter().rev() {
            if let Some((barrier, name, key)) = &step.barrier {
                let text = format!("barrier {} {}", escape(name), escape(key));
                write!(trail, " › {}", link(self.site, &self.path(&format!("b{barrier}"), &[], ""), &text))
                    .expect("a String takes everything");
            }
            let text = format!("{} {} {}", escape(&step.task), escape(&short(&step.key, 40)), state(&step.state));
            write!(trail, " › {}", link(self.site, &self.path(&step.job.to_string(), &[], ""), &text)).expect("a String takes everything");
        }
        Ok(format!("<p>{trail}</p>\n"))
    }

    /// The lines of a place, with those of places that are open; boxed, because it calls itself.
    fn branch(
        &self,
        branch: Branch,
        after: (i64, i64),
        level: usize,
    ) -> Pin<Box<dyn Future<Output = Result<String, Trouble>> + Send + '_>> {
        Box::pin(async move {
            let failures = admin::failures(self.connection, self.run.run_id, branch).await?;
            let first: HashSet<Option<i64>> = failures.iter().map(|line| line.job).collect();
            let mut lines = admin::tree(self.connection, self.run.run_id, branch, after, MOST + 1).await?;
            let more = lines.len() as i64 > MOST;
            lines.truncate(MOST as usize);
            let end = lines.last().map(|line| (line.event_id, line.job.unwrap_or(0)));
            lines.retain(|line| line.job.is_none() || !first.contains(&line.job));
            let mut html = String::new();
            let mut event = None;
            for line in failures.iter().chain(&lines) {
                html += &self.line(line, &mut event, level).await?;
            }
            if event.is_some() {
                html += "</ul></li>\n";
            }
            if let (true, Some((event, job))) = (more, end) {
                let next = self.path(&name_of(branch), &[], &format!("{event}.{job}"));
                html += &format!("<li>{}</li>\n", link(self.site, &next, "more events"));
            }
            Ok(if html.is_empty() { html } else { format!("<ul{}>\n{html}</ul>\n", if level == 0 { " class=\"tree\"" } else { "" }) })
        })
    }

    /// An event where it is a new one, and a job of it.
    async fn line(&self, line: &TreeLine, event: &mut Option<i64>, level: usize) -> Result<String, Trouble> {
        let mut html = String::new();
        if *event != Some(line.event_id) {
            if event.is_some() {
                html += "</ul></li>\n";
            }
            *event = Some(line.event_id);
            let key = escape(&short(&line.key, 120));
            html += &format!("<li><span class=\"ev\"><b>{}</b> <code>{key}</code></span><ul>\n", escape(&line.event));
        }
        let (Some(job), Some(task), Some(name)) = (line.job, &line.task, &line.state) else {
            return Ok(format!("{html}<li class=\"ev\">started no job</li>\n"));
        };
        let mut told = format!("{} {}", link(self.site, &format!("/pipeline/jobs/{job}"), &format!("{} {job}", escape(task))), state(name));
        if let Some(outcome) = line.outcome.as_deref().filter(|outcome| *outcome != name) {
            told += &format!(" ({})", escape(outcome));
        }
        if line.attempt.unwrap_or(0) > 1 {
            told += &format!(", attempt {}", line.attempt.unwrap_or(0));
        }
        if line.failed_below > 0 {
            told += &format!(" · <span class=\"s s-failed\">{} failed below</span>", line.failed_below);
        }
        html += &format!("<li>{told}{}</li>\n", self.children(&job.to_string(), Branch::Job(job), line.children, level).await?);
        Ok(html)
    }

    /// The link that opens or closes a place, and the lines of one that is open.
    async fn children(&self, name: &str, branch: Branch, children: i64, level: usize) -> Result<String, Trouble> {
        if children == 0 {
            return Ok(String::new());
        }
        let is_open = self.open.iter().any(|open| open == name);
        let number = if children > 1000 { "more than 1,000".to_owned() } else { children.to_string() };
        let events = format!("{number} event{}", if children == 1 { "" } else { "s" });
        let mut open: Vec<&str> = self.open.iter().map(String::as_str).filter(|open| *open != name).collect();
        if !is_open {
            open.push(name);
        }
        let path = match open.len() > OPEN {
            true => self.path(name, &[], ""),
            false => self.path(&self.at, &open, ""),
        };
        let (sign, verb) = if is_open { ("▾", "hide") } else { ("▸", "show") };
        let toggle = format!(
            " <a id=\"t{name}\" href=\"{}\" aria-expanded=\"{is_open}\" aria-label=\"{verb} {events}\">{sign} {events}</a>",
            escape(&self.site.url(&path))
        );
        match is_open {
            true => Ok(toggle + &self.branch(branch, (0, 0), level + 1).await?),
            false => Ok(toggle),
        }
    }

    /// The barriers of the run, with what they told.
    async fn barriers(&self) -> Result<String, Trouble> {
        let barriers: Vec<BarrierLine> = admin::barriers(self.connection, self.run.run_id, 0, MOST).await?;
        if barriers.is_empty() {
            return Ok(String::new());
        }
        let mut html = String::from("<h2>Barriers</h2>\n<ul class=\"tree\">\n");
        for barrier in &barriers {
            let name = format!("b{}", barrier.barrier);
            let told = if barrier.fired { state("done").replace(">done<", ">fired<") } else { state("ready").replace(">ready<", ">open<") };
            let children = if barrier.fired { self.children(&name, Branch::Barrier(barrier.barrier), 1, 0).await? } else { String::new() };
            let members = if barrier.members > 10_000 { "more than 10,000".to_owned() } else { barrier.members.to_string() };
            html += &format!(
                "<li><span class=\"ev\"><b>{}</b> <code>{}</code></span> {told}, {} of {members} members done{children}</li>\n",
                escape(&barrier.name),
                escape(&short(&barrier.key, 120)),
                barrier.done,
            );
        }
        Ok(html + "</ul>\n")
    }
}
