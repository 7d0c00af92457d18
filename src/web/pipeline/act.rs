//! `POST /pipeline/act`: what buttons do. Only operators press them, and the audit has their token's name.

use super::Site;
use super::page::{self, Trouble, back_to};
use super::visitor::Operator;
use crate::pipeline::admin::{self, Selector};
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::Redirect;
use serde::Deserialize;
use std::sync::Arc;

/// What can be done.
pub const VERBS: [&str; 6] = ["retry", "skip", "cancel", "hold", "release", "memory"];

/// The fields of a button.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    verb: String,
    /// The page to go back to.
    back: String,
    run: Option<String>,
    task: Option<String>,
    job: Option<i64>,
    node: Option<String>,
}

/// Does it and goes back to the page, which says what was done.
pub async fn act(
    State(site): State<Arc<Site>>,
    Operator(name): Operator,
    form: Result<Form<Act>, FormRejection>,
) -> Result<Redirect, Trouble> {
    let Form(act) = form.map_err(|why| Trouble::NotUnderstood(why.body_text()))?;
    let ours = act.back == "/pipeline" || act.back.starts_with("/pipeline/") || act.back.starts_with("/pipeline?");
    if !ours || act.back.chars().any(char::is_control) {
        return Err(Trouble::NotUnderstood("`back` is a page of the pipeline".into()));
    }
    let Some(verb) = VERBS.into_iter().find(|verb| *verb == act.verb) else {
        return Err(Trouble::NotUnderstood(format!("`verb` is one of {}", VERBS.join(", "))));
    };
    let master = page::master(&site).await?;
    let changed = {
        let desk = page::desk(&site, &master).await?;
        done(&desk.session, &name, verb, &act).await?
    };
    let joint = if act.back.contains('?') { '&' } else { '?' };
    Ok(back_to(&site, &format!("{}{joint}did={verb}&changed={changed}", act.back)))
}

/// How much was changed.
async fn done(connection: &crate::db::Connection, actor: &str, verb: &str, act: &Act) -> Result<u64, Trouble> {
    let wanted = |what: &str| Trouble::NotUnderstood(format!("{verb}: say {what}"));
    if let Some(node) = &act.node {
        return match verb {
            "release" => Ok(u64::from(admin::clear_node(connection, actor, node).await?)),
            _ => Err(Trouble::NotUnderstood("a node can only be released".into())),
        };
    }
    let (verb, factor) = if verb == "memory" { ("retry", Some(2.0)) } else { (verb, None) };
    if let Some(job) = act.job {
        return match verb {
            "retry" | "skip" | "cancel" => Ok(admin::change_jobs(connection, actor, verb, &[job], factor).await?.len() as u64),
            _ => Err(Trouble::NotUnderstood("tasks and runs are held and released, not jobs".into())),
        };
    }
    let run = admin::run_id(connection, act.run.as_deref().ok_or_else(|| wanted("which run, job or node"))?).await?;
    match (verb, &act.task) {
        ("hold" | "release", Some(task)) => match admin::hold_task(connection, actor, run, task, verb == "hold").await? {
            true => Ok(1),
            false => Err(Trouble::NotUnderstood(format!("the run has no task {task:?}"))),
        },
        ("hold" | "release", None) => {
            let state = if verb == "hold" { "held" } else { "active" };
            Ok(u64::from(admin::set_run(connection, actor, run, state).await?))
        }
        ("retry", task) => {
            let which = Selector { task: task.clone(), ..Selector::default() };
            let failed = admin::select(connection, run, &["failed"], &which).await?;
            Ok(admin::change_jobs(connection, actor, verb, &failed, factor).await?.len() as u64)
        }
        ("cancel", None) => {
            admin::set_run(connection, actor, run, "cancelled").await?;
            let left = admin::select(connection, run, &["blocked", "ready", "running", "retry_wait"], &Selector::default()).await?;
            Ok(admin::change_jobs(connection, actor, verb, &left, None).await?.len() as u64)
        }
        _ => Err(wanted("which job")),
    }
}
