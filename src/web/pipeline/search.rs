//! `/pipeline/runs/{run}/jobs`: jobs by state, task, key and how they ended.

use super::Site;
use super::page::{self, Page, Trouble, duration, in_url, link, navigation, state, told};
use super::visitor::Visitor;
use crate::pipeline::admin::{self, JobLine, Selector};
use crate::pipeline::sheet;
use crate::pipeline::state::State as JobState;
use crate::tap::xml::escape;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use std::sync::Arc;

/// Jobs of a page.
const MOST: i64 = 100;
const STATES: [&str; 8] = ["failed", "running", "ready", "retry_wait", "blocked", "done", "cancelled", "skipped"];
const OUTCOMES: [&str; 9] = ["done", "lost", "preempted", "oom", "exit", "fatal", "timeout", "staging", "cancelled"];

/// What is asked for; empty fields do not matter.
#[derive(Debug, Default, Clone, Deserialize)]
pub struct Asked {
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub task: String,
    #[serde(default)]
    pub key: String,
    #[serde(default)]
    pub outcome: String,
    /// Jobs after this one.
    #[serde(default)]
    pub after: i64,
    did: Option<String>,
    changed: Option<u64>,
}

pub async fn page(
    State(site): State<Arc<Site>>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Page, Trouble> {
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let wanted = given(&asked.state);
    if let Some(state) = &wanted
        && JobState::from_name(state).is_none()
    {
        return Err(Trouble::NotUnderstood(format!("there is no state {state:?}: {}", STATES.join(", "))));
    }
    let operator = visitor.operator.as_deref();
    let master = page::master(&site).await?;
    let desk = page::desk(&site, &master).await?;
    let run = admin::run(&desk.session, &name).await?;
    // a number may be a job's
    if let Ok(job) = asked.key.trim().parse::<i64>()
        && sheet::of(&desk.session, job).await.is_ok_and(|sheet| sheet.run == run.name)
    {
        return Err(Trouble::Elsewhere(site.url(&format!("/pipeline/jobs/{job}"))));
    }
    let which = Selector { task: given(&asked.task), outcome: given(&asked.outcome), key: given(&asked.key).map(|key| pattern(&key)) };
    let mut jobs = admin::jobs(&desk.session, run.run_id, wanted.as_deref(), &which, asked.after, MOST + 1).await?;
    drop(desk);
    let more = jobs.len() as i64 > MOST;
    jobs.truncate(MOST as usize);
    let home = format!("/pipeline/runs/{}", in_url(&run.name));
    let next = match (more, jobs.last()) {
        (true, Some(last)) => {
            format!("<p>{}</p>\n", link(&site, &format!("{home}/jobs?{}&after={}", query(&asked), last.job), "next jobs"))
        }
        _ => String::new(),
    };
    let list = match jobs.is_empty() {
        true => "<p class=\"lead\">No job is like that.</p>\n".to_owned(),
        false => table(&site, &jobs),
    };
    let body = format!(
        "{}<h1>Jobs of {}</h1>\n{}{}{list}{next}",
        navigation(&site, operator, &[(home.clone(), &run.name), (format!("{home}/jobs"), "jobs")]),
        escape(&run.name),
        told(asked.did.as_deref(), asked.changed),
        form(&site, &run.name, &asked),
    );
    Ok(Page::live(&site, &format!("Jobs of {}", run.name), body))
}

/// `*` is any text; without one, the key begins like that.
fn pattern(key: &str) -> String {
    let literal = key.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    if key.contains('*') { literal.replace('*', "%") } else { format!("{literal}%") }
}

fn query(asked: &Asked) -> String {
    let fields = [("state", &asked.state), ("task", &asked.task), ("key", &asked.key), ("outcome", &asked.outcome)];
    let given = fields.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={}", in_url(value)));
    given.collect::<Vec<_>>().join("&")
}

/// Asks for jobs of a run.
pub fn form(site: &Site, run: &str, asked: &Asked) -> String {
    let options = |names: &[&str], chosen: &str| {
        let option = |name: &&str| format!("<option{}>{name}</option>", if *name == chosen { " selected" } else { "" });
        format!("<option value=\"\">any</option>{}", names.iter().map(option).collect::<String>())
    };
    format!(
        "<form method=\"get\" action=\"{}\" role=\"search\"><p><label>Key <input name=\"key\" value=\"{}\" placeholder=\"b15-f10, *f10*, or a job's number\" size=\"26\"></label>\
         <label>Task <input name=\"task\" value=\"{}\" size=\"12\"></label><label>State <select name=\"state\">{}</select></label>\
         <label>Ended <select name=\"outcome\">{}</select></label><button>Find</button></p></form>\n",
        escape(&site.url(&format!("/pipeline/runs/{}/jobs", in_url(run)))),
        escape(&asked.key),
        escape(&asked.task),
        options(&STATES, &asked.state),
        options(&OUTCOMES, &asked.outcome),
    )
}

/// Jobs with their last attempt.
pub fn table(site: &Site, jobs: &[JobLine]) -> String {
    let row = |job: &JobLine| {
        let end = match (&job.outcome, job.exit_code) {
            (Some(outcome), Some(code)) if code != 0 => format!("{outcome} {code}"),
            (outcome, _) => outcome.clone().unwrap_or_default(),
        };
        format!(
            "<tr><td class=\"n\">{}</td><td>{}</td><td><code>{}</code></td><td>{}</td><td class=\"n\">{}</td><td class=\"k\">{}</td><td class=\"n\">{}</td>\
             <td>{}</td><td>{}</td></tr>\n",
            link(site, &format!("/pipeline/jobs/{}", job.job), &job.job.to_string()),
            escape(&job.task),
            escape(&short(&job.key, 80)),
            state(&job.state),
            job.attempt,
            escape(&end),
            job.seconds.map(duration).unwrap_or_default(),
            escape(job.worker.as_deref().unwrap_or_default()),
            escape(&short(job.message.as_deref().unwrap_or_default(), 200)),
        )
    };
    let rows: String = jobs.iter().map(row).collect();
    format!(
        "<div class=\"scroll\"><table class=\"wide\"><tr><th class=\"n\">Job</th><th>Task</th><th>Key</th><th>State</th><th class=\"n\">Attempt</th><th>Ended</th>\
         <th class=\"n\">Time</th><th>Worker</th><th>Message</th></tr>\n{rows}</table></div>\n"
    )
}

/// At most so many characters.
pub fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_is_a_beginning_or_has_stars() {
        assert_eq!(super::pattern("b15_f10"), "b15\\_f10%");
        assert_eq!(super::pattern("*f10*"), "%f10%");
        assert_eq!(super::short("äöü", 2), "äö…");
    }
}
