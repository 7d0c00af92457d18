//! `/pipeline/runs/{run}`: the table of a run, its failures first.

use super::Site;
use super::page::{self, Page, Trouble, asking_button, button, count, duration, in_url, link, navigation, state, told};
use super::search;
use super::visitor::Visitor;
use crate::pipeline::admin::{self, RunLine, Selector, TaskLine};
use crate::tap::xml::escape;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use std::sync::Arc;

/// Failed jobs on the page.
const FAILED: i64 = 10;

/// What a button did before this page.
#[derive(Debug, Default, Deserialize)]
pub struct Did {
    pub did: Option<String>,
    pub changed: Option<u64>,
}

pub async fn page(
    State(site): State<Arc<Site>>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(did): Query<Did>,
) -> Result<Page, Trouble> {
    let operator = visitor.operator.as_deref();
    let master = page::master(&site).await?;
    let desk = page::desk(&site, &master).await?;
    let run = admin::run(&desk.session, &name).await?;
    let lines = admin::status(&desk.session, run.run_id).await?;
    let any_failed = lines.iter().any(|line| line.failed > 0);
    let failed = match any_failed {
        true => admin::jobs(&desk.session, run.run_id, Some("failed"), &Selector::default(), 0, FAILED).await?,
        false => Vec::new(),
    };
    drop(desk);
    let home = format!("/pipeline/runs/{}", in_url(&run.name));
    let failures = match failed.is_empty() {
        true => String::new(),
        false => format!(
            "<h2>Failed</h2>\n{}<p class=\"acts\">{} {}</p>\n",
            search::table(&site, &failed),
            link(&site, &format!("{home}/jobs?state=failed"), "all failed jobs"),
            button(&site, operator, "retry all failed", &home, &[("verb", "retry"), ("run", &run.name)]),
        ),
    };
    let body = format!(
        "{}<h1>{} {}</h1>\n{}{}{}{failures}<h2>Tasks</h2>\n{}<p>{} · {}</p>\n<h2>Find jobs</h2>\n{}",
        navigation(&site, operator, &[(home.clone(), &run.name)]),
        escape(&run.name),
        state(&run.state),
        told(did.did.as_deref(), did.changed),
        summary(&lines),
        acts(&site, operator, &run, &home),
        tasks(&site, operator, &run, &home, &lines),
        link(&site, &format!("{home}/tree"), "tree of events and jobs"),
        link(&site, &format!("{home}/jobs"), "all jobs"),
        search::form(&site, &run.name, &search::Asked::default()),
    );
    Ok(Page::live(&site, &run.name, body))
}

/// One line that says how far it is.
fn summary(lines: &[TaskLine]) -> String {
    let sum = |of: fn(&TaskLine) -> i64| lines.iter().map(of).sum::<i64>();
    let (jobs, done, left, running, failed) =
        (sum(|l| l.jobs), sum(|l| l.done), sum(TaskLine::left), sum(|l| l.running), sum(|l| l.failed));
    let mut told = format!("{done} of {jobs} jobs done, {running} running, {left} left");
    if failed > 0 {
        told += &format!(", <b class=\"s-failed\">{failed} failed</b>");
    }
    if let Some(time) = admin::left(lines) {
        let word = if time.at_least { "at least" } else { "about" };
        told += &format!("; {word} {} left for the jobs that are there", duration(time.seconds));
    }
    let costs: Vec<f64> = lines.iter().filter_map(|line| line.cost).collect();
    if !costs.is_empty() {
        told += &format!("; about {:.2} spent on done jobs", costs.iter().sum::<f64>());
    }
    format!("<p class=\"lead\">{told}.</p>\n")
}

fn acts(site: &Site, operator: Option<&str>, run: &RunLine, home: &str) -> String {
    let fields = |verb| [("verb", verb), ("run", run.name.as_str())];
    let acts = match run.state.as_str() {
        "active" => button(site, operator, "hold run", home, &fields("hold")),
        "held" => button(site, operator, "release run", home, &fields("release")),
        _ => return String::new(),
    };
    let what = "Ends all jobs that have not ended; the run starts no more. This cannot be undone.";
    let cancel = asking_button(site, operator, "cancel run", what, home, &fields("cancel"));
    if acts.is_empty() { acts } else { format!("<div class=\"acts\">{acts}{cancel}</div>\n") }
}

fn tasks(site: &Site, operator: Option<&str>, run: &RunLine, home: &str, lines: &[TaskLine]) -> String {
    let cell = |line: &TaskLine, number: i64, name: &str| match number {
        0 => count(0),
        number => {
            let path = format!("{home}/jobs?state={name}&task={}", in_url(&line.task));
            let text = crate::web::front::grouped(u64::try_from(number).unwrap_or(0));
            format!("<td class=\"n\">{}</td>", link(site, &path, &format!("<span class=\"s s-{name}\">{text}</span>")))
        }
    };
    let seconds = |s: Option<f64>| s.map(duration).unwrap_or_default();
    let row = |line: &TaskLine| {
        let (verb, word) = if line.held { ("release", "release") } else { ("hold", "hold") };
        let fields = [("verb", verb), ("run", run.name.as_str()), ("task", line.task.as_str())];
        let mut acts = button(site, operator, word, home, &fields);
        if line.failed > 0 {
            let fields = [("verb", "retry"), ("run", run.name.as_str()), ("task", line.task.as_str())];
            acts = format!("{} {acts}", button(site, operator, "retry failed", home, &fields));
        }
        let held = if line.held { format!(" {}", state("held")) } else { String::new() };
        let cells = [
            cell(line, line.failed, "failed"),
            cell(line, line.running, "running"),
            cell(line, line.ready, "ready"),
            cell(line, line.retry_wait, "retry_wait"),
            cell(line, line.blocked, "blocked"),
            cell(line, line.done, "done"),
            cell(line, line.cancelled, "cancelled"),
            cell(line, line.skipped, "skipped"),
            count(line.lost),
        ];
        format!(
            "<tr><td class=\"k\">{}{held}</td><td>{}</td>{}{}<td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"k\">{acts}</td></tr>\n",
            link(site, &format!("{home}/jobs?task={}", in_url(&line.task)), &escape(&line.task)),
            bar(line),
            count(line.jobs),
            cells.concat(),
            seconds(line.p50_s),
            seconds(line.p95_s),
            line.cost.map(|cost| format!("{cost:.2}")).unwrap_or_default(),
        )
    };
    let heads =
        ["Jobs", "Failed", "Running", "Ready", "Waiting", "Blocked", "Done", "Cancelled", "Skipped", "Lost/h", "p50", "p95", "Cost"];
    let heads: String = heads.map(|head| format!("<th class=\"n\">{head}</th>")).concat();
    let rows: String = lines.iter().map(row).collect();
    format!("<div class=\"scroll\"><table class=\"wide\"><tr><th>Task</th><th></th>{heads}<th></th></tr>\n{rows}</table></div>\n")
}

/// How far a task is, as a bar; the numbers stand beside it.
fn bar(line: &TaskLine) -> String {
    let part = |number: i64, class: &str| match line.jobs {
        0 => String::new(),
        jobs => format!("<i class=\"b-{class}\" style=\"width:{:.1}%\"></i>", number as f64 * 100.0 / jobs as f64),
    };
    let parts = [part(line.done + line.skipped, "done"), part(line.running, "running"), part(line.failed, "failed")].concat();
    format!("<div class=\"bar\" aria-hidden=\"true\">{parts}</div>")
}
