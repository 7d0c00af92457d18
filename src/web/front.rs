//! The front page, and what stands where nothing is.

use super::{App, Error, images, scs};
use crate::tap::published::Relation;
use crate::tap::xml::escape;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Html;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2530;--soft:#5b6675;--line:#dfe3e8;--bed:#f6f7f9;--link:#0b5cad;--page:#fff}\
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#9aa5b4;--line:#333b46;--bed:#1b2129;--link:#79b4f2;--page:#12161c}}\
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe UI',sans-serif}\
main{max-width:60rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}h1{font-size:1.9rem;margin:0 0 .3rem;letter-spacing:-.01em}\
h2{font-size:1.15rem;margin:2.4rem 0 .6rem;padding-bottom:.3rem;border-bottom:1px solid var(--line)}h3{font-size:1rem;margin:1.3rem 0 .3rem}\
p{margin:.4rem 0}.lead{color:var(--soft);max-width:46rem}a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}\
table{border-collapse:collapse;width:100%;font-size:.93rem}th,td{text-align:left;padding:.42rem .8rem .42rem 0;border-bottom:1px solid var(--line);vertical-align:top}\
th{color:var(--soft);font-weight:600}td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}th.n{text-align:right}td.k{white-space:nowrap}\
pre{margin:.3rem 0 0;padding:.8rem 1rem;background:var(--bed);border:1px solid var(--line);border-radius:6px;overflow:auto;font:13.5px/1.5 ui-monospace,Menlo,Consolas,monospace}\
code{font:.92em ui-monospace,Menlo,Consolas,monospace}footer{margin-top:3rem;color:var(--soft);font-size:.88rem}";

/// `/`: the endpoints, what is published, and lines to copy for the usual clients.
pub async fn page(State(app): State<App>) -> Html<String> {
    let snapshot = app.tap.snapshot();
    let published = &snapshot.published;
    let own: Vec<&Relation> = published.relations.iter().filter(|r| r.table.schema != crate::tap::published::TAP_SCHEMA).collect();
    let lead = published.catalogs.first().filter(|_| !own.is_empty()).map_or_else(
        || {
            "No catalogue is loaded yet: <code>brickyard load FOLDER</code>, or <code>brickyard demo</code> for a synthetic sample."
                .to_owned()
        },
        |_| {
            let about = published.catalogs.iter().filter(|catalog| catalog.name != crate::tap::published::TAP_SCHEMA);
            about
                .map(|catalog| format!("<b>{}</b>: {}.", escape(name_of(catalog)), escape(&catalog.description)))
                .collect::<Vec<_>>()
                .join("<br>")
        },
    );
    let rows: String = own.iter().map(|relation| row(&app, relation)).collect();
    let tables = if rows.is_empty() {
        String::new()
    } else {
        format!("<h2>Tables</h2>\n<table><tr><th>Table</th><th class=\"n\">Rows</th><th>What it is</th><th></th></tr>\n{rows}</table>\n")
    };
    let body = format!(
        "<h1>brickyard</h1>\n<p class=\"lead\">{lead}</p>\n{tables}{}{}<footer>brickyard {} · <a href=\"{}\">availability</a></footer>\n",
        endpoints(&app),
        clients(&app, &own),
        env!("CARGO_PKG_VERSION"),
        escape(&app.url("/tap/availability")),
    );
    document("brickyard", &body)
}

/// A page of this site; the title is HTML already.
pub fn document(title: &str, body: &str) -> Html<String> {
    Html(dressed(title, "", body, ""))
}

/// A page with more in its head, and something after its main part.
pub fn dressed(title: &str, head: &str, body: &str, after: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style>{head}</head>\n<body><main>\n{body}</main>{after}</body></html>\n"
    )
}

fn name_of(catalog: &crate::schema::Catalog) -> &str {
    if catalog.title.is_empty() { &catalog.name } else { &catalog.title }
}

fn row(app: &App, relation: &Relation) -> String {
    let name = relation.table.full_name();
    let link = |path: String, text: &str| format!("<a href=\"{}\">{text}</a>", escape(&app.url(&path)));
    let mut links = vec![link(format!("/tap/tables/{name}"), "columns")];
    if relation.moc.is_some() {
        links.push(link(format!("/moc/{name}"), "MOC"));
    }
    let rows = relation.rows.map(grouped).unwrap_or_default();
    format!(
        "<tr><td class=\"k\"><code>{}</code></td><td class=\"n\">{rows}</td><td>{}</td><td class=\"k\">{}</td></tr>\n",
        escape(&name),
        escape(&relation.table.description),
        links.join(" · ")
    )
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// What is there when there are images.
const IMAGES: [(&str, &str, &str); 2] = [
    ("/images", "Images", "those at a position, with pictures, pieces and files"),
    ("/sia2/query", "SIA 2", "images by position, band and time; each row leads to pieces, a preview and the file (DataLink, SODA)"),
];

fn endpoints(app: &App) -> String {
    let rows = [
        ("/tap", "TAP 1.1", "ADQL 2.1 queries, synchronous and asynchronous, with uploads"),
        ("/tap/examples", "Examples", "queries to begin with"),
        ("/tap/tables", "Tables", "all tables and columns as XML (VOSI)"),
        ("/tap/capabilities", "Capabilities", "languages, functions, formats and limits (VOSI)"),
        ("/registry", "Registry", "records of this service and its catalogues (VOResource)"),
    ];
    let row = |(path, name, what): &(&str, &str, &str)| {
        let url = app.url(path);
        let target = if *path == "/tap" { app.url("/tap/capabilities") } else { url.clone() };
        format!(
            "<tr><td class=\"k\">{name}</td><td class=\"k\"><a href=\"{}\"><code>{}</code></a></td><td>{what}</td></tr>\n",
            escape(&target),
            escape(&url)
        )
    };
    let cone = app.url("/scs/{table}?RA=&DEC=&SR=");
    let cone = format!(
        "<tr><td class=\"k\">Cone search</td><td class=\"k\"><code>{}</code></td><td>positions and radius in degrees</td></tr>\n",
        escape(&cone)
    );
    let images = match app.tap.snapshot().published.find(images::sia2::TABLE) {
        Some(_) => IMAGES.iter().map(row).collect(),
        None => String::new(),
    };
    let pipeline = match app.pipeline {
        Some(_) => row(&("/pipeline", "Pipeline", "runs of the stage runner, for this team")),
        None => String::new(),
    };
    format!("<h2>Endpoints</h2>\n<table>{}{cone}{images}{pipeline}</table>\n", rows.iter().map(row).collect::<String>())
}

/// Lines to copy, with a table that is there.
fn clients(app: &App, relations: &[&Relation]) -> String {
    let tap = app.url("/tap");
    let first = relations.iter().find(|relation| scs::can_search(relation)).or(relations.first());
    let table = first.map_or("TAP_SCHEMA.tables".to_owned(), |relation| crate::tap::names::table(&relation.table));
    let mut blocks = vec![
        ("TOPCAT", format!("topcat          # VO > Table Access Protocol (TAP) Query, TAP URL:\n{tap}")),
        (
            "pyvo",
            format!("import pyvo\ntap = pyvo.dal.TAPService(\"{tap}\")\nrows = tap.search(\"SELECT TOP 10 * FROM {table}\").to_table()"),
        ),
        ("STILTS", format!("stilts tapquery tapurl={tap} \\\n    adql=\"SELECT TOP 10 * FROM {table}\" omode=out ofmt=ascii")),
        ("curl", format!("curl {tap}/sync -d LANG=ADQL -d FORMAT=csv \\\n    --data-urlencode \"QUERY=SELECT TOP 10 * FROM {table}\"")),
    ];
    if let Some(relation) = relations.iter().find(|relation| scs::can_search(relation)) {
        let url = app.url(&format!("/scs/{}?RA=11.02203&DEC=41.23451&SR=0.001&RESPONSEFORMAT=csv", relation.table.full_name()));
        blocks.push(("Cone search", format!("curl '{url}'")));
    }
    let block = |(name, text): &(&str, String)| format!("<h3>{name}</h3>\n<pre>{}</pre>\n", escape(text));
    format!("<h2>Lines to copy</h2>\n{}", blocks.iter().map(block).collect::<String>())
}

/// Where nothing is.
pub async fn nowhere(State(app): State<App>, uri: Uri) -> Error {
    let path: String = uri.path().chars().take(100).collect();
    Error::not_found(format!("there is nothing at {path}")).hint(format!("the endpoints are listed at {}/", app.base_url))
}

/// Where something is, but not for this method.
pub async fn not_that_way(method: Method) -> Error {
    Error::new(StatusCode::METHOD_NOT_ALLOWED, "method", format!("{method} is not for this resource"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(super::grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
