//! The documents of VOSI 1.1: tables, capabilities (with TAPRegExt 1.0), availability; and the examples of DALI.
//!
//! All are texts made of what is published and of the options in force, so that what is advertised is what is done.

use super::published::{Published, Relation};
use super::xml::{attribute, element, escape};
use super::{Options, features, jobs, names, tap_schema, upload};
use crate::format::Kind;
use crate::schema::catalog::ForeignKey;
use crate::schema::{Catalog, Column, Table};
use std::fmt::Write;

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const NAMESPACES: &str = concat!(
    " xmlns:vs=\"http://www.ivoa.net/xml/VODataService/v1.1\"",
    " xmlns:vr=\"http://www.ivoa.net/xml/VOResource/v1.0\"",
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""
);
const TABLES: &str = "xmlns:vosi=\"http://www.ivoa.net/xml/VOSITables/v1.0\"";

/// How much `/tables` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Schemas and tables.
    Min,
    /// Columns and keys too.
    Max,
}

/// `/tables`.
pub fn tables(published: &Published, detail: Detail) -> String {
    let schemas: String = published.catalogs.iter().map(|catalog| schema(published, catalog, detail)).collect();
    format!("{XML}<vosi:tableset {TABLES}{NAMESPACES}>\n{schemas}</vosi:tableset>\n")
}

/// `/tables/{name}`: a table with its columns, or a schema with its tables; `None` if there is neither.
pub fn tables_of(published: &Published, name: &str) -> Option<String> {
    let plain = name.replace('"', "");
    if let Some(relation) = published.find(&plain) {
        let catalog = published.catalogs.iter().find(|catalog| catalog.name == relation.table.schema)?;
        let inner = table_content(catalog, relation, Detail::Max);
        let kind = tap_schema::kind(relation);
        return Some(format!("{XML}<vosi:table {TABLES}{NAMESPACES} type=\"{kind}\">\n{inner}</vosi:table>\n"));
    }
    let catalog = published.catalogs.iter().find(|catalog| catalog.name.eq_ignore_ascii_case(&plain))?;
    let schema = schema(published, catalog, Detail::Max);
    Some(format!("{XML}<vosi:tableset {TABLES}{NAMESPACES}>\n{schema}</vosi:tableset>\n"))
}

/// A `<schema>` for `/tables` and for registry records.
pub fn schema(published: &Published, catalog: &Catalog, detail: Detail) -> String {
    let mut text = format!("<schema>{}{}\n", element("name", &names::written(&catalog.name)), element("description", &catalog.description));
    for relation in published.of_schema(&catalog.name) {
        let inner = table_content(catalog, relation, detail);
        writeln!(text, "<table type=\"{}\">{inner}</table>", tap_schema::kind(relation)).expect("a String takes everything");
    }
    text + "</schema>\n"
}

fn table_content(catalog: &Catalog, relation: &Relation, detail: Detail) -> String {
    let table = &relation.table;
    let mut text = element("name", &names::table(table)) + &element("description", &table.description);
    if let Some(rows) = relation.rows {
        text += &element("nrows", &rows.to_string());
    }
    text.push('\n');
    if detail == Detail::Max {
        text.extend(table.columns.iter().map(|c| column(table, c)));
        text.extend(catalog.foreign_keys.iter().filter(|key| key.from.0 == table.name).map(|key| foreign_key(catalog, key)));
    }
    text
}

fn column(table: &Table, column: &Column) -> String {
    let (datatype, arraysize, xtype) = names::votable(column);
    let flags = [
        (tap_schema::is_principal(table, column), "principal"),
        (tap_schema::is_indexed(table, column), "indexed"),
        (table.key.contains(&column.name), "primary"),
        (column.nullable, "nullable"),
    ];
    let flags: String = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| element("flag", flag)).collect();
    format!(
        "<column std=\"{}\">{}{}{}{}{}<dataType xsi:type=\"vs:VOTableType\"{}{}>{datatype}</dataType>{flags}</column>\n",
        tap_schema::is_standard(table, column),
        element("name", &names::written(&column.name)),
        element("description", &column.description),
        element("unit", &column.unit),
        element("ucd", &column.ucd),
        element("utype", &column.utype),
        attribute("arraysize", arraysize),
        attribute("extendedType", xtype),
    )
}

fn foreign_key(catalog: &Catalog, key: &ForeignKey) -> String {
    let target = format!("{}.{}", names::written(&catalog.name), names::written(&key.to.0));
    let (from, to) = (element("fromColumn", &names::written(&key.from.1)), element("targetColumn", &names::written(&key.to.1)));
    let description = element("description", &key.description);
    format!("<foreignKey>{}<fkColumn>{from}{to}</fkColumn>{description}</foreignKey>\n", element("targetTable", &target))
}

/// What capabilities tell about limits.
pub struct Limits<'a> {
    pub tap: &'a Options,
    pub jobs: &'a jobs::Options,
    pub upload: &'a upload::Options,
}

/// `/capabilities`; `base_url` is that of the service's root.
pub fn capabilities(base_url: &str, published: &Published, limits: &Limits<'_>) -> String {
    in_capabilities(&capability_list(base_url, published, limits))
}

/// The `/capabilities` of another service: its interfaces at `url` by standard, version and path, and those of VOSI.
pub fn capabilities_of(url: &str, interfaces: &[(&str, &str, &str)]) -> String {
    let capability = |standard: &str, version: &str, path: &str, is_full: bool| {
        let usage = if is_full { "full" } else { "base" };
        format!(
            "<capability standardID=\"ivo://ivoa.net/std/{standard}\"><interface xsi:type=\"vs:ParamHTTP\" role=\"std\" version=\"{version}\">\
             <accessURL use=\"{usage}\">{}</accessURL></interface></capability>\n",
            escape(&format!("{url}/{path}"))
        )
    };
    let own: String = interfaces.iter().map(|(standard, version, path)| capability(standard, version, path, false)).collect();
    let vosi = ["capabilities", "availability"].map(|path| capability(&format!("VOSI#{path}"), "1.1", path, true));
    in_capabilities(&(own + &vosi.concat()))
}

fn in_capabilities(list: &str) -> String {
    format!(
        "{XML}<vosi:capabilities xmlns:vosi=\"http://www.ivoa.net/xml/VOSICapabilities/v1.0\" \
         xmlns:tr=\"http://www.ivoa.net/xml/TAPRegExt/v1.0\"{NAMESPACES}>\n{list}</vosi:capabilities>\n"
    )
}

/// The `<capability>` elements of the TAP service, for `/capabilities` and the registry record.
pub fn capability_list(base_url: &str, published: &Published, limits: &Limits<'_>) -> String {
    let tap = format!("{base_url}/tap");
    let plain = |id: &str, path: &str| {
        format!(
            "<capability standardID=\"ivo://ivoa.net/std/{id}\"><interface xsi:type=\"vs:ParamHTTP\" role=\"std\" version=\"1.1\">\
             <accessURL use=\"full\">{}</accessURL></interface></capability>\n",
            escape(&format!("{tap}/{path}"))
        )
    };
    format!(
        "<capability standardID=\"ivo://ivoa.net/std/TAP\" xsi:type=\"tr:TableAccess\">\n\
         <interface xsi:type=\"vs:ParamHTTP\" role=\"std\" version=\"1.1\"><accessURL use=\"base\">{}</accessURL></interface>\n\
         {}{}{}{}{}</capability>\n{}{}{}{}",
        escape(&tap),
        data_models(published),
        language(),
        formats(),
        upload_methods(),
        numbers(limits),
        plain("VOSI#capabilities", "capabilities"),
        plain("VOSI#availability", "availability"),
        plain("VOSI#tables-1.1", "tables"),
        plain("DALI#examples", "examples"),
    )
}

/// ObsCore, where there are images.
fn data_models(published: &Published) -> &'static str {
    match published.find("ivoa.obscore") {
        Some(_) => "<dataModel ivo-id=\"ivo://ivoa.net/std/ObsCore#core-1.1\">ObsCore-1.1</dataModel>\n",
        None => "",
    }
}

/// The language with everything that the translator can do beyond the core.
fn language() -> String {
    let mut text = String::from(
        "<language><name>ADQL</name>\
         <version ivo-id=\"ivo://ivoa.net/std/ADQL#v2.1\">2.1</version>\
         <version ivo-id=\"ivo://ivoa.net/std/ADQL#v2.0\">2.0</version>\
         <description>ADQL 2.1, and 2.0 with it; geometry runs on the index of the positions</description>\n",
    );
    for (kind, features) in features::features() {
        write!(text, "<languageFeatures type=\"{}\">", escape(&kind)).expect("a String takes everything");
        for (form, description) in features {
            write!(text, "<feature>{}{}</feature>", element("form", &form), element("description", &description))
                .expect("a String takes everything");
        }
        text += "</languageFeatures>\n";
    }
    text + "</language>\n"
}

fn formats() -> String {
    let one = |kind: &Kind| {
        let aliases: String = kind.aliases().iter().take(1).map(|alias| element("alias", alias)).collect();
        let id = attribute("ivo-id", kind.ivo_id().unwrap_or_default());
        format!("<outputFormat{id}>{}{aliases}</outputFormat>\n", element("mime", kind.declared()))
    };
    Kind::ALL.iter().map(one).collect()
}

/// TAP 1.1 makes both mandatory; which hosts are fetched from is the operator's choice.
fn upload_methods() -> String {
    ["inline", "http"].iter().map(|method| format!("<uploadMethod ivo-id=\"ivo://ivoa.net/std/TAPRegExt#upload-{method}\"/>\n")).collect()
}

fn numbers(limits: &Limits<'_>) -> String {
    let (tap, jobs) = (limits.tap, limits.jobs);
    format!(
        "<retentionPeriod><default>{}</default><hard>{}</hard></retentionPeriod>\n\
         <executionDuration><default>{}</default><hard>{}</hard></executionDuration>\n\
         <outputLimit><default unit=\"row\">{}</default><hard unit=\"row\">{}</hard></outputLimit>\n\
         <uploadLimit><hard unit=\"byte\">{}</hard></uploadLimit>\n",
        jobs.retention_s, jobs.retention_most_s, tap.async_limit_s, tap.async_limit_s, tap.default_rows, tap.most_rows, limits.upload.bytes
    )
}

/// `/availability`.
pub fn availability(is_available: bool, up_since: jiff::Timestamp, notes: &[String]) -> String {
    let notes: String = notes.iter().map(|note| element("vosi:note", note)).collect();
    format!(
        "{XML}<vosi:availability xmlns:vosi=\"http://www.ivoa.net/xml/VOSIAvailability/v1.0\">\n\
         <vosi:available>{is_available}</vosi:available>\n<vosi:upSince>{}</vosi:upSince>\n{notes}</vosi:availability>\n",
        up_since.strftime("%Y-%m-%dT%H:%M:%SZ")
    )
}

/// `/examples`: XHTML with RDFa, as DALI wants it; readable too.
pub fn examples(published: &Published, base_url: &str) -> String {
    let mut text = format!(
        "{XML}<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head><title>Examples</title></head>\n\
         <body vocab=\"ivo://ivoa.net/std/DALI#examples\" style=\"font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em\">\n\
         <h1>Examples</h1>\n<p>Queries for <code>{}</code>, to copy or to load by TOPCAT's Examples menu.</p>\n",
        escape(&format!("{base_url}/tap"))
    );
    for (catalog, example) in published.catalogs.iter().flat_map(|c| c.examples.iter().map(move |e| (c, e))) {
        let id = format!("{}-{}", catalog.name, slug(&example.name));
        write!(
            text,
            "<div typeof=\"example\" id=\"{id}\" resource=\"#{id}\">\n<h2 property=\"name\">{}</h2>\n<p property=\"description\">{}</p>\n\
             <pre property=\"query\" style=\"background:#f4f4f2;padding:.8em;overflow:auto\">{}</pre>\n</div>\n",
            escape(&example.name),
            escape(&example.description),
            escape(example.query.trim())
        )
        .expect("a String takes everything");
    }
    text + "</body>\n</html>\n"
}

/// Letters and digits of a name, the rest one dash.
fn slug(name: &str) -> String {
    let words: Vec<String> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    words.join("-")
}
