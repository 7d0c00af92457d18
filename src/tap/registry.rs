//! Records for the registry: the TAP service, and each catalogue with its cone searches (VOResource 1.1, VODataService 1.2).

use super::published::{Published, Relation};
use super::vosi::{self, Detail, Limits};
use super::xml::{element, escape};
use super::{coverage, names};
use crate::schema::Catalog;
use std::fmt::Write;

const OPENING: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ri:VOResources xmlns:ri=\"http://www.ivoa.net/xml/RegistryInterface/v1.0\" \
    xmlns:vr=\"http://www.ivoa.net/xml/VOResource/v1.0\" xmlns:vs=\"http://www.ivoa.net/xml/VODataService/v1.1\" \
    xmlns:tr=\"http://www.ivoa.net/xml/TAPRegExt/v1.0\" xmlns:cs=\"http://www.ivoa.net/xml/ConeSearch/v1.0\" \
    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"";

/// All records. `has_cone` says which tables have a cone search.
pub fn records(
    published: &Published,
    base_url: &str,
    limits: &Limits<'_>,
    since: jiff::Timestamp,
    has_cone: impl Fn(&Relation) -> bool,
) -> String {
    let when = since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let site = Site {
        base_url,
        authority: authority(&limits.tap.authority, base_url),
        publisher: &limits.tap.publisher,
        contact: &limits.tap.contact,
        when,
    };
    let has_images = published.find(IMAGES).is_some();
    let catalogs: Vec<&Catalog> = published.catalogs.iter().filter(|catalog| catalog.name != super::published::TAP_SCHEMA).collect();
    let mut text = format!("{OPENING} numberReturned=\"{}\" more=\"false\">\n", catalogs.len() + 1 + usize::from(has_images));
    let capabilities = vosi::capability_list(base_url, published, limits);
    text += &site.record("tap", "TAP service", "All published tables by ADQL.", base_url, &capabilities, "");
    if has_images {
        let about = "Images by position, band and time, and pieces of them as FITS, PNG or JPEG.";
        text += &site.record("images", "Image services", about, base_url, &image_services(base_url), "");
    }
    for catalog in catalogs {
        let relations: Vec<&Relation> = published.of_schema(&catalog.name).collect();
        let cones: String =
            relations.iter().filter(|relation| has_cone(relation)).map(|relation| cone(base_url, relation, limits)).collect();
        let auxiliary = format!(
            "<capability standardID=\"ivo://ivoa.net/std/TAP#aux\"><interface xsi:type=\"vs:ParamHTTP\" role=\"std\" version=\"1.1\">\
             <accessURL use=\"base\">{}</accessURL></interface></capability>\n",
            escape(&format!("{base_url}/tap"))
        );
        let rest = coverage(&relations) + "<tableset>\n" + &vosi::schema(published, catalog, Detail::Max) + "</tableset>\n";
        let title = if catalog.title.is_empty() { &catalog.name } else { &catalog.title };
        let url = if catalog.reference_url.is_empty() { base_url } else { &catalog.reference_url };
        text += &site.record(&catalog.name, title, &catalog.description, url, &(auxiliary + &cones), &rest);
    }
    text + "</ri:VOResources>\n"
}

/// What all records of a site share.
struct Site<'a> {
    base_url: &'a str,
    authority: String,
    publisher: &'a str,
    contact: &'a str,
    when: String,
}

impl Site<'_> {
    fn record(&self, path: &str, title: &str, description: &str, url: &str, capabilities: &str, rest: &str) -> String {
        let publisher = if self.publisher.is_empty() { self.base_url } else { self.publisher };
        let contact = if self.contact.is_empty() { String::new() } else { element("email", self.contact) };
        format!(
            "<ri:Resource xsi:type=\"vs:CatalogService\" created=\"{when}\" updated=\"{when}\" status=\"active\">\n{}{}{}\n\
             <curation>{}<contact>{}{contact}</contact></curation>\n\
             <content><subject>surveys</subject>{}{}<type>Catalog</type></content>\n{capabilities}{rest}</ri:Resource>\n",
            element("title", title),
            element("shortName", &path.chars().take(16).collect::<String>()),
            element("identifier", &format!("ivo://{}/{path}", self.authority)),
            element("publisher", publisher),
            element("name", publisher),
            element("description", description),
            element("referenceURL", url),
            when = self.when,
        )
    }
}

/// The table that is there when there are images.
const IMAGES: &str = "ivoa.obscore";

/// The protocols that find, describe and cut images.
fn image_services(base_url: &str) -> String {
    const SERVICES: [(&str, &str, &str); 5] = [
        ("SIA", "1.0", "sia?"),
        ("SIA#query-2.0", "2.0", "sia2/query"),
        ("DataLink#links-1.1", "1.1", "datalink/links"),
        ("SODA#sync-1.0", "1.0", "soda/sync"),
        ("SODA#async-1.0", "1.0", "soda/async"),
    ];
    let capability = |(standard, version, path): &(&str, &str, &str)| {
        format!(
            "<capability standardID=\"ivo://ivoa.net/std/{standard}\"><interface xsi:type=\"vs:ParamHTTP\" role=\"std\" version=\"{version}\">\
             <accessURL use=\"base\">{}</accessURL></interface></capability>\n",
            escape(&format!("{base_url}/{path}"))
        )
    };
    SERVICES.iter().map(capability).collect()
}

fn cone(base_url: &str, relation: &Relation, limits: &Limits<'_>) -> String {
    let url = format!("{base_url}/scs/{}?", relation.table.full_name());
    format!(
        "<capability xsi:type=\"cs:ConeSearch\" standardID=\"ivo://ivoa.net/std/ConeSearch\">{}\
         <interface xsi:type=\"vs:ParamHTTP\" role=\"std\" version=\"1.03\"><accessURL use=\"base\">{}</accessURL>\
         <queryType>GET</queryType><resultType>application/x-votable+xml</resultType></interface>\
         <maxSR>180</maxSR><maxRecords>{}</maxRecords><verbosity>true</verbosity>\
         <testQuery><ra>11.02203</ra><dec>41.23451</dec><sr>0.001</sr></testQuery></capability>\n",
        element("description", &format!("Cone search on {}", names::table(&relation.table))),
        escape(&url),
        limits.tap.most_rows.min(i32::MAX as u64)
    )
}

/// Where on the sky any of the tables has rows.
fn coverage(relations: &[&Relation]) -> String {
    let mocs = relations.iter().filter_map(|relation| coverage::parse(relation.moc.as_deref()?));
    let Some(all) = mocs.reduce(|a, b| coverage::union(&a, &b)) else { return String::new() };
    let mut text = String::from("<coverage>");
    // The registry wants to know roughly where; the files know exactly.
    write!(text, "<spatial>{}</spatial>", escape(&coverage::ascii(&coverage::coarse(&all, 7)))).expect("a String takes everything");
    text + "<waveband>Optical</waveband><waveband>Infrared</waveband><waveband>UV</waveband></coverage>\n"
}

/// The naming authority: as configured, else made of the host's name.
pub fn authority(configured: &str, base_url: &str) -> String {
    if !configured.is_empty() {
        return configured.trim_start_matches("ivo://").trim_end_matches('/').to_owned();
    }
    let host = base_url.split("://").nth(1).unwrap_or_default().split(['/', ':']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let host: String = host.chars().filter(|c| plain(*c)).collect();
    if host.len() < 3 { "brickyard.invalid".to_owned() } else { host }
}
