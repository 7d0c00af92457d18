//! Manifests of images: `loaders/<catalogue>/images/<name>.toml`, which say what the names of a survey's image files tell, and where its
//! bands begin and end. `loaders/README.md` shows the grammar by example.
//!
//! What a header says of a filter or a proposal goes before what the name says. Unknown keys are errors, and all faults of a manifest are
//! listed at once.

use crate::schema::Pattern;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The built-in manifests, compiled in.
static BUILT_IN: include_dir::Dir<'_> = include_dir::include_dir!("$CARGO_MANIFEST_DIR/loaders");
/// The folder of a catalogue that holds them.
const FOLDER: &str = "images";

/// Why manifests cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{place}: {message}")]
    Toml { place: String, message: String },
    #[error("{place}: {} fault{}:\n{}", faults.len(), if faults.len() == 1 { "" } else { "s" }, faults.join("\n"))]
    Faults { place: String, faults: Vec<String> },
}

/// A manifest as it stands in its file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    collection: String,
    #[serde(rename = "description")]
    _description: String,
    calib_level: Option<i32>,
    #[serde(default)]
    bands_m: BTreeMap<String, [f64; 2]>,
    #[serde(default)]
    names: Vec<NameInFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NameInFile {
    files: Vec<String>,
    filter: Option<String>,
    obs_id: Option<String>,
    title: Option<String>,
}

/// What is known of one survey's images.
#[derive(Debug, Clone, PartialEq)]
struct Survey {
    /// `phat_v2.images.mast`
    name: String,
    collection: String,
    calib_level: Option<i32>,
    /// By the filter's name in capitals.
    bands_m: BTreeMap<String, [f64; 2]>,
    names: Vec<Name>,
}

/// A kind of name, and what is made of its digits.
#[derive(Debug, Clone, PartialEq)]
struct Name {
    files: Vec<Pattern>,
    filter: Option<Template>,
    obs_id: Option<Template>,
    title: Option<Template>,
}

/// The surveys whose images are known by their names.
#[derive(Debug, Clone, Default)]
pub struct Surveys(Vec<Survey>);

/// What the name of a file says.
#[derive(Debug, Clone)]
pub struct Named<'a> {
    survey: &'a Survey,
    name: &'a Name,
    kept: BTreeMap<String, String>,
}

impl Surveys {
    /// The built-in ones.
    pub fn built_in() -> Result<Surveys, Error> {
        Surveys::load(&[])
    }

    /// Those of `dirs` (`DIR/<catalogue>/images/<name>.toml`), before the built-in ones of the same name.
    pub fn load(dirs: &[PathBuf]) -> Result<Surveys, Error> {
        let mut texts = Vec::new();
        for dir in dirs {
            collect(dir, &mut texts)?;
        }
        let built_in = BUILT_IN.dirs().flat_map(|catalogue| catalogue.dirs()).filter(|dir| dir.path().ends_with(FOLDER));
        for file in built_in.flat_map(|dir| dir.files()).filter(|file| is_toml(file.path())) {
            if let Some(text) = file.contents_utf8() {
                texts.push((dotted(file.path()), format!("loaders/{}", file.path().display()), text.to_owned()));
            }
        }
        let mut surveys: Vec<Survey> = Vec::new();
        for (name, place, text) in texts {
            if !surveys.iter().any(|survey| survey.name == name) {
                surveys.push(Survey::parse(&name, &place, &text)?);
            }
        }
        Ok(Surveys(surveys))
    }

    /// What a file's name says, if it is an image of one of them.
    pub fn named(&self, file: &str) -> Option<Named<'_>> {
        self.0.iter().find_map(|survey| {
            survey.names.iter().find_map(|name| {
                let kept = name.files.iter().find_map(|pattern| pattern.matches(file))?;
                Some(Named { survey, name, kept })
            })
        })
    }

    /// Where a filter of this name begins and ends, in metres, with the first survey that knows it.
    pub fn band_m(&self, filter: &str) -> Option<[f64; 2]> {
        self.0.iter().find_map(|survey| survey.band_m(filter))
    }
}

impl Survey {
    fn parse(name: &str, place: &str, text: &str) -> Result<Survey, Error> {
        let toml = |error: toml::de::Error| {
            let line = error.span().map_or(String::new(), |span| format!(":{}", text[..span.start].matches('\n').count() + 1));
            Error::Toml { place: format!("{place}{line}"), message: error.message().to_owned() }
        };
        let file: File = toml::from_str(text).map_err(toml)?;
        let mut faults = Vec::new();
        if !is_word(&file.collection) {
            faults.push("  collection: wanted up to 64 printable ASCII characters".to_owned());
        }
        if file.calib_level.is_some_and(|level| !(1..=4).contains(&level)) {
            faults.push("  calib_level: wanted 1 to 4".to_owned());
        }
        for (filter, [low, high]) in &file.bands_m {
            if !(is_word(filter) && *low > 0.0 && low < high && high.is_finite()) {
                faults.push(format!("  bands_m.{filter}: wanted the short and the long end in metres, as [3.9e-7, 5.6e-7]"));
            }
        }
        if file.names.is_empty() && file.bands_m.is_empty() {
            faults.push("  neither [[names]] nor [bands_m]: it says nothing".to_owned());
        }
        let names = (1..).zip(&file.names).map(|(number, name)| Name::parse(number, name, &mut faults)).collect();
        if !faults.is_empty() {
            return Err(Error::Faults { place: place.to_owned(), faults });
        }
        let bands_m = file.bands_m.into_iter().map(|(filter, ends)| (filter.to_ascii_uppercase(), ends)).collect();
        Ok(Survey { name: name.to_owned(), collection: file.collection, calib_level: file.calib_level, bands_m, names })
    }

    fn band_m(&self, filter: &str) -> Option<[f64; 2]> {
        self.bands_m.get(&filter.to_ascii_uppercase()).copied()
    }
}

impl Name {
    fn parse(number: usize, name: &NameInFile, faults: &mut Vec<String>) -> Name {
        let mut files = Vec::new();
        for text in &name.files {
            match Pattern::parse(text) {
                Ok(pattern) => files.push(pattern),
                Err(what) => faults.push(format!("  names[{number}].files: {text:?}: {what}")),
            }
        }
        if name.files.is_empty() {
            faults.push(format!("  names[{number}].files: wanted patterns of file names, as [\"smc_{{field}}_*_drz.fits*\"]"));
        }
        let mut template = |key: &str, text: &Option<String>| {
            let text = text.as_ref()?;
            let parsed = Template::parse(text).and_then(|template| {
                let unknown = template.keys().find(|key| files.iter().any(|pattern| !pattern.keys().any(|kept| kept == *key)));
                unknown.map_or(Ok(()), |key| Err(format!("not all of its files have {{{key}}}")))?;
                Ok(template)
            });
            parsed.map_err(|what| faults.push(format!("  names[{number}].{key}: {text:?}: {what}"))).ok()
        };
        let (filter, obs_id, title) = (template("filter", &name.filter), template("obs_id", &name.obs_id), template("title", &name.title));
        Name { files, filter, obs_id, title }
    }
}

impl Named<'_> {
    pub fn collection(&self) -> &str {
        &self.survey.collection
    }

    pub fn calib_level(&self) -> Option<i32> {
        self.survey.calib_level
    }

    pub fn brick(&self) -> Option<i16> {
        self.kept.get("brick")?.parse().ok()
    }

    pub fn field(&self) -> Option<i16> {
        self.kept.get("field")?.parse().ok()
    }

    pub fn proposal(&self) -> Option<String> {
        self.kept.get("proposal").cloned()
    }

    pub fn filter(&self) -> Option<String> {
        self.name.filter.as_ref().map(|template| template.filled(&self.kept))
    }

    pub fn obs_id(&self) -> Option<String> {
        self.name.obs_id.as_ref().map(|template| template.filled(&self.kept))
    }

    pub fn title(&self) -> Option<String> {
        self.name.title.as_ref().map(|template| template.filled(&self.kept))
    }

    /// Where a filter of this survey begins and ends, in metres.
    pub fn band_m(&self, filter: &str) -> Option<[f64; 2]> {
        self.survey.band_m(filter)
    }
}

/// A text with `{brick}` for what a name says, or `{brick:02}` for two digits at least.
#[derive(Debug, Clone, PartialEq)]
struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Digits { key: String, width: usize },
}

impl Template {
    fn parse(text: &str) -> Result<Template, String> {
        if !is_word(text) {
            return Err("wanted up to 64 printable ASCII characters".to_owned());
        }
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, after) = after.split_once('}').ok_or("a { without its }")?;
            let (key, width) = inside.split_once(":0").unwrap_or((inside, "1"));
            let width = width.parse().ok().filter(|width| (1..=9).contains(width));
            let width = width.ok_or_else(|| format!("{{{inside}}} is neither {{{key}}} nor as {{{key}:02}}"))?;
            pieces.extend([Piece::Text(before.to_owned()), Piece::Digits { key: key.to_owned(), width }]);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Template(pieces))
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Digits { key, .. } => Some(key.as_str()),
            Piece::Text(_) => None,
        })
    }

    fn filled(&self, kept: &BTreeMap<String, String>) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Digits { key, width } => format!("{:0>width$}", kept.get(key).map_or("", String::as_str)),
        });
        pieces.collect()
    }
}

/// May it stand in documents and identifiers?
fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "toml")
}

/// `phat_v2/images/mast.toml` -> `phat_v2.images.mast`.
fn dotted(path: &Path) -> String {
    path.with_extension("").components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join(".")
}

fn collect(dir: &Path, texts: &mut Vec<(String, String, String)>) -> Result<(), Error> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    for catalogue in std::fs::read_dir(dir).map_err(io(dir))? {
        let folder = catalogue.map_err(io(dir))?.path().join(FOLDER);
        if !folder.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&folder).map_err(io(&folder))? {
            let path = file.map_err(io(&folder))?.path();
            if is_toml(&path) {
                let text = std::fs::read_to_string(&path).map_err(io(&path))?;
                texts.push((dotted(path.strip_prefix(dir).unwrap_or(&path)), path.display().to_string(), text));
            }
        }
    }
    texts.sort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_bricks_and_fields_are_read_and_others_are_not() {
        let surveys = Surveys::built_in().unwrap();
        let brick = surveys.named("hlsp_phat_hst_acs-wfc_12056-m31-b15_f475w_v1_drz.fits").unwrap();
        assert_eq!((brick.brick(), brick.field(), brick.proposal().as_deref()), (Some(15), None, Some("12056")));
        assert_eq!((brick.obs_id().as_deref(), brick.title().as_deref()), (Some("phat-b15-f475w"), Some("PHAT brick 15 F475W")));
        assert_eq!((brick.collection(), brick.calib_level(), brick.band_m("f475w")), ("PHAT", Some(3), Some([3.9e-7, 5.6e-7])));
        let field = surveys.named("HLSP_phat_hst_wfc3-ir_12058-m31-b01-f08_f110w_v1_drz.fits.gz").unwrap();
        assert_eq!((field.brick(), field.field(), field.filter().as_deref()), (Some(1), Some(8), Some("F110W")));
        assert_eq!(field.obs_id().as_deref(), Some("phat-b01-f08-f110w"));
        for name in ["m31.fits", "hlsp_phat_hst_acs-wfc_12056-m33-b15_f475w_v1_drz.fits", "hlsp_phat_hst_acs-wfc_x-m31-b15_f475w_v1.fits"] {
            assert!(surveys.named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn all_faults_are_listed_with_what_was_wanted() {
        let told = |text: &str| Survey::parse("smc.images.a", "a.toml", text).unwrap_err().to_string();
        let head = "collection = \"SMC\"\ndescription = \"\"\n";
        assert!(told(&format!("{head}colour = 1")).contains("a.toml:3: unknown field `colour`"));
        assert!(told(head).contains("it says nothing"));
        let many = "calib_level = 9\nbands_m = { g = [5.0, 4.0] }\n[[names]]\nfiles = [\"b{brick\"]\n[[names]]\nfiles = [\"b{brick}.fits\"]\n\
                    obs_id = \"f{field}\"\ntitle = \"b{brick:x}\"\n[[names]]\nfiles = []";
        let told = told(&format!("{head}{many}"));
        let wanted = [
            "6 faults",
            "calib_level",
            "bands_m.g",
            "names[1].files",
            "names[2].obs_id",
            "have {field}",
            "names[2].title",
            "names[3].files",
        ];
        for word in wanted {
            assert!(told.contains(word), "{word}: {told}");
        }
    }
}
