//! The rules of the house that can be read off its files: floors, file heads, static SQL, who may do what, reasons.
//!
//! Each test lists every breach at once, as `file:line: what is wrong`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up: a module names modules of lower floors only, never one of its own floor.
const FLOORS: [&[&str]; 11] = [
    &["sky", "settings"],
    &["schema"],
    &["adql", "db", "format", "image", "plot", "store"],
    &["ingest", "simulate", "explore", "tap", "cutout", "archive", "hips", "pipeline"],
    &["stage"],
    &["web"],
    &["bench"],
    &["config"],
    &["cli"],
    &["main"],
    &["lib"], // names every module to declare it, and nothing else
];

/// Who may put SQL into a string, a piece of what it writes, and why that cannot stand in a file. All else is in `sql/`.
const SQL_AUTHORS: [(&str, &str, &str); 18] = [
    ("schema/ddl.rs", "CREATE TABLE IF NOT EXISTS {}", "tables, keys, indices and comments, out of the TOML of a catalogue"),
    ("adql/emit.rs", "SELECT DISTINCT", "statements out of checked queries"),
    ("sky/cover.rs", "q3c_ang2ipix({", "conditions on index ranges, as many as the region needs"),
    (
        "ingest/job.rs",
        "COPY {} ({}) FROM {source}",
        "tables and columns of any catalogue: COPY lists, replacing rows, looking for known ones",
    ),
    ("ingest/index.rs", "SET max_parallel_maintenance_workers", "a setting of one session"),
    ("ingest/mod.rs", "CLUSTER {} USING {}", "DDL of any catalogue in one transaction, ANALYZE and CLUSTER of any table"),
    ("bench/tap.rs", "SELECT TOP {rows} {COLUMNS}", "the queries are the experiment: made and timed there"),
    ("bench/load.rs", "COPY {table} TO", "the statements are the experiment: made, varied and timed there"),
    ("db/cluster.rs", "alter role {OWNER}", "a password told to a server in single-user mode, which takes no parameters"),
    ("cli/sql.rs", "SELECT 1", "examples in help texts"),
    ("cli/adql.rs", "SELECT TOP 10 ra", "examples in help texts"),
    ("cli/cutout.rs", "SELECT ra, dec", "examples in help texts"),
    ("cli/demo.rs", "brickyard sql", "an example to copy"),
    ("tap/upload/mod.rs", "COPY {} ({}) FROM STDIN", "temporary tables with the columns that a user uploaded"),
    ("web/scs.rs", "SELECT {list} FROM {}", "a cone in ADQL, which the translator reads like any other query"),
    ("web/images/sia2.rs", "SELECT * FROM {TABLE}", "a search for images in ADQL, which the translator reads like any other query"),
    ("web/images/overlay.rs", "SELECT TOP {stars}", "the stars of a picture in ADQL, which the translator reads like any other query"),
    ("web/front.rs", "SELECT TOP 10", "examples to copy"),
];

/// Who reads queries and so knows their words; none of them writes a statement.
const SQL_READERS: [&str; 4] = ["adql/parse/", "adql/token.rs", "adql/words.rs", "adql/check/"];

/// Statements that are words of the protocol rather than questions.
const CONTROL: [&str; 5] = ["BEGIN", "COMMIT", "ROLLBACK", "SET ", "CHECKPOINT"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder` with this ending, by path.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the project's folders are readable") {
            let path = entry.expect("their entries too").path();
            if path.is_dir() {
                walk(&path, ending, found);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), ending, &mut found);
    found.sort();
    assert!(!found.is_empty(), "no {ending} in {folder}: this test looks in the wrong place");
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The path as messages and lists spell it, relative to `folder`.
fn relative(path: &Path, folder: &str) -> String {
    path.strip_prefix(root().join(folder)).expect("a path below it").to_string_lossy().into_owned()
}

/// Source lines (numbered from 1) without comments and without the unit tests, which end a file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate();
    code.map(|(i, line)| (i + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn assert_none(breaches: &[String], rule: &str) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}

/// Breaches of a rule about single lines of `src`: `is_breach` is given the file (relative to src) and the line.
fn lines_of_src(is_breach: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut breaches = Vec::new();
    for path in files("src", ".rs") {
        let name = relative(&path, "src");
        let text = read(&path);
        let found = code(&text).filter(|(_, line)| is_breach(&name, line));
        breaches.extend(found.map(|(number, line)| format!("src/{name}:{number}: {}", line.trim())));
    }
    breaches
}

/// `sky/htm.rs` -> `sky`, `config.rs` -> `config`.
fn module(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The modules that a text names by `crate::x`, `crate::{x, y::z}`, and by `super` where that is the crate.
fn named_modules(text: &str, file: &str) -> BTreeSet<String> {
    let depth = file.matches('/').count() - usize::from(file.ends_with("/mod.rs"));
    let roots = ["crate::".to_owned(), format!(" {}", "super::".repeat(depth + 1))];
    let mut named = BTreeSet::new();
    for (place, found) in roots.iter().flat_map(|path| text.match_indices(path.as_str())) {
        let rest = &text[place + found.len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => top_level(list),
            None => vec![rest],
        };
        let word = |name: &str| name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        named.extend(names.into_iter().map(word).filter(|name| floor(name).is_some()));
    }
    named
}

/// The items of a `{list}` whose opening brace is gone, inner lists kept whole.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0_usize, 0, Vec::new());
    for (i, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                items.push(&list[start..i]);
                break;
            }
            ',' if depth == 0 => {
                items.push(&list[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    items
}

#[test]
fn imports_only_go_down() {
    let mut breaches = Vec::new();
    for path in files("src", ".rs") {
        let file = relative(&path, "src");
        let own = module(&file);
        let Some(height) = floor(own) else {
            breaches.push(format!("src/{file}: module {own} is on no floor; add it to the list in tests/tidy.rs and to src/README.md"));
            continue;
        };
        // unit tests too: they are compiled with the module that they test
        let text: String = read(&path).lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for named in named_modules(&text, &file).iter().filter(|named| *named != own) {
            if floor(named).is_some_and(|below| below >= height) {
                breaches.push(format!("src/{file}: {own} names {named}, which is not on a floor below"));
            }
        }
    }
    assert_none(&breaches, "imports only go down");
}

#[test]
fn the_reader_of_imports_sees_every_form() {
    let text = "use crate::db;\nuse crate::{format::{open, fits}, explore};\nlet x = crate::plot::map();\nuse super::super::sky::htm;";
    let named: Vec<String> = named_modules(text, "ingest/job.rs").into_iter().collect();
    assert_eq!(named, ["db", "explore", "format", "plot", "sky"]);
    assert_eq!(named_modules("pub use super::db::ident;", "explore/mod.rs").into_iter().collect::<Vec<_>>(), ["db"]);
    assert!(named_modules("use super::sql;", "explore/cone.rs").is_empty());
}

#[test]
fn every_source_file_opens_with_what_it_is() {
    let mut breaches = Vec::new();
    for path in files("src", ".rs").into_iter().chain(files("tests", ".rs")) {
        let text = read(&path);
        // lib.rs takes its page from src/README.md
        if !text.starts_with("//! ") && !text.starts_with("#![doc = include_str!(\"README.md\")]") {
            breaches.push(format!("{}: the first line is not `//! ` and a sentence", relative(&path, "")));
        }
    }
    assert_none(&breaches, "every source file opens with //!");
}

#[test]
fn nothing_is_left_for_later() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("(being ", "written)"),
    ];
    let folders = [
        ("src", ".rs"),
        ("tests", ".rs"),
        ("sql", ".sql"),
        ("schema", ".toml"),
        ("loaders", ".toml"),
        ("src", ".md"),
        ("loaders", ".md"),
        ("schema", ".md"),
    ];
    let mut breaches = Vec::new();
    for path in folders.iter().flat_map(|(folder, ending)| files(folder, ending)).chain([root().join("README.md")]) {
        for (i, line) in read(&path).lines().enumerate() {
            breaches
                .extend(words.iter().filter(|word| line.contains(**word)).map(|word| format!("{}:{}: {word}", relative(&path, ""), i + 1)));
        }
    }
    assert_none(&breaches, "what is there is finished");
}

#[test]
fn only_tests_unwrap() {
    assert_none(&lines_of_src(|_, line| line.contains(".unwrap()")), "an invariant is an expect that says why, all else is an error");
}

#[test]
fn only_the_command_line_knows_the_terminal_and_anyhow() {
    let prints = |line: &str| ["println!(", "eprintln!(", " print!(", "eprint!(", "dbg!("].iter().any(|word| line.contains(word));
    let is_breach = |file: &str, line: &str| !matches!(module(file), "cli" | "main") && (prints(line) || line.contains("anyhow"));
    assert_none(&lines_of_src(is_breach), "only cli prints; anyhow stays in cli and main");
}

#[test]
fn only_config_and_the_command_line_read_the_environment() {
    let reads =
        |line: &str| ["env::var", "env::args", "env::home_dir", "env::temp_dir", "env::current_dir"].iter().any(|word| line.contains(word));
    let is_breach = |file: &str, line: &str| !matches!(module(file), "cli" | "config") && reads(line);
    assert_none(&lines_of_src(is_breach), "the environment is read in config and cli");
}

#[test]
fn the_lowest_floors_are_pure() {
    let acts = |line: &str| [".await", "std::net", "tokio", "File::", "fs::"].iter().any(|word| line.contains(word));
    // schema::catalog finds the TOML of the user's own folders
    let is_breach = |file: &str, line: &str| matches!(module(file), "sky" | "schema") && file != "schema/catalog.rs" && acts(line);
    assert_none(&lines_of_src(is_breach), "sky and schema open no file and no connection");
}

/// The string literals that begin in this line with a statement's first word in capitals, from there to the line's end.
fn sql_literals(line: &str) -> impl Iterator<Item = &str> {
    const VERBS: [&str; 20] = [
        "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "WITH", "COPY", "GRANT", "REVOKE", "TRUNCATE", "CLUSTER",
        "ANALYZE", "VACUUM", "BEGIN", "COMMIT", "ROLLBACK", "REINDEX", "SET",
    ];
    let is_sql = |text: &&str| VERBS.iter().any(|verb| text.strip_prefix(verb).is_some_and(|rest| rest.starts_with([' ', ';', '"'])));
    line.match_indices('"').map(|(i, _)| &line[i + 1..]).filter(is_sql)
}

#[test]
fn sql_stands_in_files_or_has_a_listed_author() {
    let listed =
        |file: &str| SQL_AUTHORS.iter().any(|(author, ..)| *author == file) || SQL_READERS.iter().any(|reader| file.starts_with(reader));
    let is_breach = |file: &str, line: &str| sql_literals(line).next().is_some() && !listed(file);
    assert_none(&lines_of_src(is_breach), "SQL goes into sql/<module>/<what>.sql, or its author into the list in tests/tidy.rs");
    for (author, piece, _) in SQL_AUTHORS {
        assert!(read(&root().join("src").join(author)).contains(piece), "{author} does not write {piece:?} any more; take it off the list");
    }
}

#[test]
fn what_an_author_of_sql_writes_is_generated() {
    let generated = |text: &str| text.contains('{') || CONTROL.iter().any(|word| text.starts_with(word));
    // experiments, and examples in help texts
    let reads = |file: &str| SQL_READERS.iter().any(|reader| file.starts_with(reader));
    let exempt = |file: &str| file == "adql/emit.rs" || module(file) == "bench" || module(file) == "cli" || reads(file);
    let is_breach = |file: &str, line: &str| !exempt(file) && sql_literals(line).any(|text| !generated(text));
    assert_none(&lines_of_src(is_breach), "a statement that is always the same goes into sql/");
}

#[test]
fn every_sql_file_says_what_it_does_and_is_used() {
    let sources: String = files("src", ".rs").iter().map(|path| read(path)).collect();
    let mut breaches = Vec::new();
    for path in files("sql", ".sql") {
        let name = relative(&path, "");
        if !read(&path).starts_with("-- ") {
            breaches.push(format!("{name}: no contract comment at its head"));
        }
        if !sources.contains(&format!("/{name}\"")) {
            breaches.push(format!("{name}: no include_str! takes it"));
        }
    }
    assert_none(&breaches, "SQL files");
}

#[test]
fn every_folder_has_a_readme() {
    let mut breaches = Vec::new();
    for entry in fs::read_dir(root()).expect("the root is readable") {
        let path = entry.expect("its entries too").path();
        let name = relative(&path, "");
        // cargo's and proptest's own folders are theirs
        let is_tools = name.starts_with('.') || name == "target" || name == "proptest-regressions";
        if path.is_dir() && !is_tools && !path.join("README.md").is_file() {
            breaches.push(format!("{name}/README.md is missing"));
        }
    }
    assert_none(&breaches, "every top-level folder has a README");
}

#[test]
fn every_dependency_is_used_and_says_why() {
    let manifest = read(&root().join("Cargo.toml"));
    let sources: String = files("src", ".rs").into_iter().chain(files("tests", ".rs")).map(|path| read(&path)).collect();
    let mut breaches = Vec::new();
    let (mut within, mut before) = (false, "");
    for line in manifest.lines() {
        if line.starts_with('[') {
            within = line.ends_with("dependencies]");
        } else if let (true, Some((name, _))) = (within, line.split_once(" = ")) {
            if !before.starts_with("# ") {
                breaches.push(format!("{name}: no comment above it says what it is for"));
            }
            let used = |end: &str| sources.contains(&format!("{}{end}", name.replace('-', "_")));
            if !used("::") && !used("!") && !used(" as ") {
                breaches.push(format!("{name}: nothing uses it"));
            }
        }
        before = line;
    }
    assert_none(&breaches, "dependencies in Cargo.toml");
}
