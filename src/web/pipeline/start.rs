//! `/pipeline`: the runs; `/pipeline/workers`: who works on them.

use super::Site;
use super::page::{self, Page, Trouble, button, count, duration, in_url, link, navigation, state, told};
use super::run::Did;
use super::visitor::Visitor;
use crate::pipeline::admin::{self, RunLine, WorkerLine};
use crate::tap::xml::escape;
use axum::extract::{Query, State};
use std::sync::Arc;

/// The list of runs.
pub async fn runs(State(site): State<Arc<Site>>, visitor: Visitor) -> Result<Page, Trouble> {
    let operator = visitor.operator.as_deref();
    let Some(master) = site.master().await? else {
        let body = format!(
            "{}<h1>Pipeline</h1>\n<p class=\"lead\">There is no run yet.</p>\n<pre>brickyard pipeline run create m31 phat\nbrickyard pipeline fire m31 exposures \
             --key first --file raw=exposure_flc.fits\nbrickyard pipeline token create here\nbrickyard worker --url URL --token-file FILE</pre>\n",
            navigation(&site, operator, &[])
        );
        return Ok(Page::live(&site, "Pipeline", body));
    };
    let desk = page::desk(&site, &master).await?;
    let (runs, workers) = (admin::runs(&desk.session).await?, admin::workers(&desk.session).await?);
    let row = |run: &RunLine| {
        let path = format!("/pipeline/runs/{}", in_url(&run.name));
        format!(
            "<tr><td>{}</td><td>{}</td>{}<td class=\"n\">{}</td><td class=\"k\">{}</td><td class=\"k\">{}</td></tr>\n",
            link(&site, &path, &escape(&run.name)),
            state(&run.state),
            count(run.jobs),
            run.priority,
            escape(run.created.split('.').next().unwrap_or_default()),
            link(&site, &format!("{path}/tree"), "tree"),
        )
    };
    let rows: String = runs.iter().map(row).collect();
    let running: i64 = workers.iter().map(|worker| worker.running).sum();
    let body = format!(
        "{}<h1>Pipeline</h1>\n<p class=\"lead\">{} at work on {running} jobs.</p>\n\
         <table><tr><th>Run</th><th>State</th><th class=\"n\">Jobs</th><th class=\"n\">Priority</th><th>Made</th><th></th></tr>\n{rows}</table>\n",
        navigation(&site, operator, &[]),
        link(&site, "/pipeline/workers", &format!("{} worker{}", workers.len(), if workers.len() == 1 { "" } else { "s" })),
    );
    Ok(Page::live(&site, "Pipeline", body))
}

/// Workers that are here, those in trouble first.
pub async fn workers(State(site): State<Arc<Site>>, visitor: Visitor, Query(did): Query<Did>) -> Result<Page, Trouble> {
    let operator = visitor.operator.as_deref();
    let master = page::master(&site).await?;
    let mut workers = admin::workers(&page::desk(&site, &master).await?.session).await?;
    workers.sort_by_key(|worker| worker.quarantined.is_none());
    let row = |worker: &WorkerLine| {
        let mut told = state(&worker.state);
        if let Some(why) = &worker.quarantined {
            let fields = [("verb", "release"), ("node", worker.node.as_str())];
            let release = button(&site, operator, "release node", "/pipeline/workers", &fields);
            told = format!("<span class=\"s s-failed\">node in quarantine</span>: {} {release}", escape(why));
        }
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{} / {}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td>{told}</td></tr>\n",
            escape(&worker.name),
            escape(&worker.node),
            escape(&worker.classes.join(", ")),
            worker.running,
            worker.slots,
            page::size(i64::from(worker.mem_mb) * 1_048_576),
            duration(worker.seen_s),
            escape(&worker.version),
        )
    };
    let rows: String = workers.iter().map(row).collect();
    let table = match rows.is_empty() {
        true => {
            "<p class=\"lead\">No worker is here. <code>brickyard worker --url URL --token-file FILE</code> starts one.</p>\n".to_owned()
        }
        false => format!(
            "<div class=\"scroll\"><table class=\"wide\"><tr><th>Worker</th><th>Node</th><th>Classes</th><th class=\"n\">Running / slots</th><th class=\"n\">Memory</th>\
             <th class=\"n\">Heard of, ago</th><th>Version</th><th>State</th></tr>\n{rows}</table></div>\n"
        ),
    };
    let places = [("/pipeline/workers".to_owned(), "workers")];
    let body = format!("{}<h1>Workers</h1>\n{}{table}", navigation(&site, operator, &places), told(did.did.as_deref(), did.changed));
    Ok(Page::live(&site, "Workers", body))
}
