//! A provenance as RO-Crate metadata: JSON-LD that other programs read, RO-Crate 1.1 with the profile Process Run Crate 0.5.
//!
//! The file and what led to it are `File`s, each job is a `CreateAction` with its command as description, each task and brickyard itself a
//! `SoftwareApplication`. Files that lie in the crate are named by their path (`data/<SHA-256>/<name>`) and are parts of it; the others are
//! named by their hash and only mentioned.

use super::provenance::{File, Provenance, Step};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The name that the standard gives to the metadata.
pub const METADATA: &str = "ro-crate-metadata.json";
const CONTEXT: &str = "https://w3id.org/ro/crate/1.1/context";
/// SHA-256 of a file, which the context of RO-Crate 1.1 does not know.
const SHA256: &str = "https://w3id.org/ro/terms/workflow-run#sha256";
const PROFILE: &str = "https://w3id.org/ro/wfrun/process/0.5";

/// What the crate says beside the provenance.
#[derive(Debug, Clone)]
pub struct About {
    /// URL or name of the licence.
    pub license: String,
    /// The bytes of every file are in the crate, not only those of the one asked for.
    pub is_complete: bool,
}

/// Where a file lies in the crate.
pub fn path_of(file: &File) -> String {
    format!("data/{}/{}", file.sha256, file.name)
}

/// Where the manifest of a run lies in the crate.
pub fn manifest_path(step: &Step) -> String {
    format!("manifests/{}.toml", step.manifest_sha256)
}

/// The metadata document.
pub fn metadata(provenance: &Provenance, about: &About) -> Value {
    let crate_of = Crate { provenance, about };
    let mut graph = vec![crate_of.descriptor(), crate_of.root()];
    graph.extend(provenance.files().into_iter().map(|file| crate_of.file(file)));
    graph.extend(crate_of.manifests());
    graph.extend(crate_of.tools());
    graph.extend(provenance.steps.iter().map(|step| crate_of.action(step)));
    graph.push(json!({"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}));
    json!({"@context": [CONTEXT, {"sha256": SHA256}], "@graph": graph})
}

struct Crate<'a> {
    provenance: &'a Provenance,
    about: &'a About,
}

fn reference(id: impl Into<String>) -> Value {
    json!({"@id": id.into()})
}

fn tool_id(step: &Step) -> String {
    format!("#task-{}-{}", step.task, step.task_version)
}

fn action_id(step: &Step) -> String {
    format!("#job-{}", step.job)
}

fn brickyard_id(version: &str) -> String {
    format!("#brickyard-{version}")
}

impl Crate<'_> {
    fn is_inside(&self, file: &File) -> bool {
        self.about.is_complete || (file.sha256 == self.provenance.file.sha256 && file.name == self.provenance.file.name)
    }

    fn id(&self, file: &File) -> String {
        if self.is_inside(file) { path_of(file) } else { format!("urn:hash::sha256:{}#{}", file.sha256, file.name) }
    }

    fn descriptor(&self) -> Value {
        json!({
            "@id": METADATA, "@type": "CreativeWork", "about": reference("./"),
            "conformsTo": reference("https://w3id.org/ro/crate/1.1"),
        })
    }

    fn root(&self) -> Value {
        let files = self.provenance.files().into_iter().filter(|file| self.is_inside(file)).map(path_of);
        let manifests = self.runs().into_values().map(manifest_path);
        let (inside, outside): (Vec<&File>, Vec<&File>) = self.provenance.files().into_iter().partition(|file| self.is_inside(file));
        let mentions = outside.iter().map(|file| self.id(file)).chain(self.provenance.steps.iter().map(action_id));
        let file = &self.provenance.file;
        let published = self.provenance.steps.last().map_or("", |step| step.ended.as_str());
        json!({
            "@id": "./", "@type": "Dataset", "name": format!("{} and where it comes from", file.name),
            "description": format!(
                "The file {} of run {} with the {} jobs that led to it; {} of {} files are in the crate",
                file.name, self.provenance.run, self.provenance.steps.len(), inside.len(), inside.len() + outside.len()
            ),
            "datePublished": published, "license": self.license(), "conformsTo": reference(PROFILE),
            "mainEntity": reference(self.id(file)),
            "hasPart": files.chain(manifests).map(reference).collect::<Vec<_>>(),
            "mentions": mentions.map(reference).collect::<Vec<_>>(),
        })
    }

    fn license(&self) -> Value {
        match self.about.license.starts_with("https://") {
            true => reference(self.about.license.as_str()),
            false => json!(self.about.license),
        }
    }

    fn file(&self, file: &File) -> Value {
        json!({
            "@id": self.id(file), "@type": "File", "name": file.name, "contentSize": file.bytes.to_string(), "sha256": file.sha256,
            "encodingFormat": encoding(&file.name),
        })
    }

    /// A step of each manifest that occurs.
    fn runs(&self) -> BTreeMap<&str, &Step> {
        self.provenance.steps.iter().map(|step| (step.manifest_sha256.as_str(), step)).collect()
    }

    fn manifests(&self) -> Vec<Value> {
        let manifest = |step: &Step| {
            json!({
                "@id": manifest_path(step), "@type": "File", "name": format!("manifest of run {}", step.run),
                "contentSize": step.manifest.len().to_string(), "sha256": step.manifest_sha256, "encodingFormat": "application/toml",
            })
        };
        self.runs().into_values().map(manifest).collect()
    }

    /// What ran: each task, and each version of brickyard that ran it.
    fn tools(&self) -> Vec<Value> {
        let mut tools: BTreeMap<String, Value> = BTreeMap::new();
        for step in &self.provenance.steps {
            let brickyard = brickyard_id(&step.brickyard);
            tools.entry(tool_id(step)).or_insert_with(|| {
                json!({
                    "@id": tool_id(step), "@type": "SoftwareApplication", "name": step.task, "softwareVersion": step.task_version,
                    "softwareRequirements": reference(brickyard.as_str()), "isPartOf": reference(manifest_path(step)),
                })
            });
            tools.entry(brickyard.clone()).or_insert_with(
                || json!({"@id": brickyard, "@type": "SoftwareApplication", "name": "brickyard", "softwareVersion": step.brickyard}),
            );
        }
        tools.into_values().collect()
    }

    fn action(&self, step: &Step) -> Value {
        let files = |files: &[File]| -> Vec<Value> { files.iter().map(|file| reference(self.id(file))).collect() };
        let command: Vec<String> = step.command.iter().map(|word| quoted(word)).collect();
        let mut action = Map::new();
        let mut put = |key: &str, value: Value| drop(action.insert(key.to_owned(), value));
        put("@id", json!(action_id(step)));
        put("@type", json!("CreateAction"));
        put(
            "name",
            json!(format!("{} of {} {:?}, job {}, attempt {}", step.task, step.event.name, step.event.key, step.job, step.attempt)),
        );
        put("description", json!(command.join(" ")));
        put("instrument", reference(tool_id(step)));
        put("object", json!(files(&step.inputs)));
        put("result", json!(files(&step.outputs)));
        put("startTime", json!(step.started));
        put("endTime", json!(step.ended));
        put("actionStatus", reference("http://schema.org/CompletedActionStatus"));
        put("location", json!(format!("worker {} on {}", step.worker, step.node)));
        Value::Object(action)
    }
}

/// The media type that a name tells.
fn encoding(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("fits") => "application/fits",
        Some("gz") => "application/gzip",
        Some("png") => "image/png",
        Some("json") => "application/json",
        Some("phot" | "columns" | "info" | "hdr" | "param" | "csv") => "text/plain",
        _ => "application/octet-stream",
    }
}

/// A word as a shell would read it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=,:@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_them_otherwise() {
        assert_eq!(quoted("--cut"), "--cut");
        assert_eq!(quoted("F475W=0.20,2.25"), "F475W=0.20,2.25");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
