//! TOML faults, DDL, drift, Felis, and the column lists of the real tables and files.

use crate::harness::{brickyard, data_dir, python, runtime, server, shared};
use brickyard::schema::diff::{Difference, LiveColumn, LiveIndex, LiveTable, Part, diff};
use brickyard::schema::{Catalog, Column, DataType, Source, Table, ddl, doc, felis, parse, unit};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::path::Path;
use std::process::Command;

fn built_in(name: &str) -> Catalog {
    Catalog::load(&[], name).unwrap_or_else(|error| panic!("{error}"))
}

fn table(catalog: &str, name: &str) -> Table {
    built_in(catalog).table(name).expect("the table is in the catalogue").clone()
}

fn names_and_types(table: &Table) -> Vec<(String, String)> {
    table.columns.iter().map(|c| (c.name.clone(), ddl::column_type(c))).collect()
}

/// The two wanted columns of a CSV whose later fields may be quoted.
fn csv_pairs(path: &Path, name: usize, kind: usize) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(path).expect("the facts can be read");
    let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    rows.map(|fields| (fields[name].to_string(), fields[kind].to_lowercase())).collect()
}

#[test]
fn phot_mod_has_the_columns_of_the_original_in_its_order() {
    let Some(shared) = shared() else { return };
    let wanted = csv_pairs(&shared.join("facts/phot_mod_schema.csv"), 1, 2);
    assert_eq!(wanted.len(), 88);
    assert_eq!(names_and_types(&table("phat_v2", "phot_mod")), wanted);
}

#[test]
fn phot_meas_has_the_columns_of_the_original_in_its_order() {
    let Some(shared) = shared() else { return };
    let wanted = csv_pairs(&shared.join("facts/phot_meas_schema.csv"), 1, 2);
    assert_eq!(wanted.len(), 24);
    assert_eq!(names_and_types(&table("phat_v2", "phot_meas")), wanted);
}

#[test]
fn star_v2_has_the_columns_of_the_real_file() {
    let Some(shared) = shared() else { return };
    let wanted = csv_pairs(&shared.join("facts/star_v2_schema_from_real_file.csv"), 1, 3);
    assert_eq!(wanted.len(), 75);
    let star = table("phat_v2", "star_v2");
    assert_eq!(names_and_types(&star), wanted);
    let file = header(&shared.join("data/real/phat_b15_f10_v2_st_269rows.fits"));
    assert_eq!(names_and_types(&star), file.iter().map(|(name, form)| (name.clone(), stored_as(form))).collect::<Vec<_>>());
}

#[test]
fn lmc_gst_begins_with_the_columns_of_the_real_file() {
    let Some(shared) = shared() else { return };
    let file = header(&shared.join("data/real/lmc_14675_gst_500rows.fits"));
    assert_eq!(file.len(), 81);
    let wanted: Vec<_> = file.iter().map(|(name, form)| (name.to_lowercase(), stored_as(form))).collect();
    let found = names_and_types(&table("lmc", "gst"));
    assert_eq!(found[..81], wanted);
    let added: Vec<&str> = found[81..].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(added, ["htm9", "pix256", "pix4096", "random_id", "objid"]);
}

/// (TTYPE, TFORM) of the first table of a FITS file, read card by card.
fn header(path: &Path) -> Vec<(String, String)> {
    let bytes = std::fs::read(path).expect("the real file can be read");
    let cards: Vec<String> = bytes.chunks(80).take(2000).map(|card| String::from_utf8_lossy(card).into_owned()).collect();
    let values = |key: &str| -> Vec<String> {
        let found = cards.iter().filter(|card| card.starts_with(key) && card[5..6].parse::<u8>().is_ok());
        found.map(|card| card.split('\'').nth(1).expect("the card has a string").trim().to_string()).collect()
    };
    values("TTYPE").into_iter().zip(values("TFORM")).collect()
}

/// The type that a FITS column is stored as; logicals become 0 and 1, as in the original database.
fn stored_as(form: &str) -> String {
    let letter = form.trim_start_matches('1');
    let found = DataType::ALL.into_iter().find(|t| letter == t.fits().to_string()).unwrap_or_else(|| panic!("{form}"));
    if found == DataType::Boolean { DataType::Smallint } else { found }.postgres().to_string()
}

#[test]
fn phot_mod_has_45_indices_with_the_key_as_the_original_has() {
    let phot_mod = table("phat_v2", "phot_mod");
    assert_eq!(phot_mod.key, ["objid"]);
    assert_eq!(phot_mod.indexes.len() + 1, 45);
}

#[test]
fn every_index_of_phot_meas_is_there() {
    let over: Vec<String> = table("phat_v2", "phot_meas").indexes.iter().map(ddl::index_expression).collect();
    expect![[
        r#"["q3c_ang2ipix(\"ra\", \"dec\")", "\"mjd\"", "\"ra\"", "\"dec\"", "\"magvega\"", "\"filter\"", "\"brick\"", "\"objid\""]"#
    ]]
    .assert_eq(&format!("{over:?}"));
}

#[test]
fn duplicates_are_phot_mod_with_file_and_row() {
    let (original, duplicate) = (table("phat_v2", "phot_mod"), table("phat_v2", "phot_mod_duplicate"));
    assert_eq!(duplicate.columns[..88], original.columns);
    assert_eq!(names_and_types(&duplicate)[88..], [("file".into(), "text".into()), ("row".into(), "bigint".into())]);
    assert!(duplicate.key.is_empty());
}

#[test]
fn every_index_name_is_its_own_within_a_catalogue() {
    for name in Catalog::names(&[]).unwrap() {
        let catalog = built_in(&name);
        let mut names: Vec<String> = catalog.tables.iter().flat_map(|t| t.indexes.iter().map(|i| i.name.clone())).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}

/// The faults of a catalogue of one head and one table.
fn check_faults(head: &str, star: &str, expected: Expect) {
    let source = |stem: &str, text: &str| Source { stem: stem.into(), path: format!("{stem}.toml"), text: text.into() };
    let result = parse::catalog("survey", "survey", &[source("catalogue", head), source("star", star)]);
    expected.assert_eq(&match result {
        Ok(_) => "no faults".to_string(),
        Err(faults) => faults.to_string(),
    });
}

const HEAD: &str = "description = \"A survey\"\ntables = [\"star\"]\n[lists]\nband = [\"f475w\", \"f814w\"]\n";

#[test]
fn a_small_table_has_no_faults() {
    let star = r#"
description = "Stars"
columns = [{ each = { band = "band" }, name = "{band}_vega", type = "real[]", unit = "mag", ucd = "phot.mag", description = "{BAND}" }]
"#;
    check_faults(HEAD, star, expect!["no faults"]);
}

#[test]
fn all_faults_of_all_files_are_found_at_once() {
    let head = "tables = [\"star\", \"planet\", \"star\"]\nversion = 2\n";
    let star = r#"description = ""
key = ["objid"]
position = ["ra"]
colour = "red"
columns = [
  { name = "ra", type = "reel", unit = "degree", ucd = "pos.eq.RA", description = "Right ascension" },
  { name = "ra", type = "double", ucd = "meta.main", description = "Again" },
  { name = "{bnd}_vega", type = "real", ucd = "phot.mag", description = "Magnitude" },
  { each = { band = "bands" }, name = "{band}_err", type = "real", ucd = "phot.mag", description = "Error" },
  { each = { a = ["x", "y"], b = ["z"] }, name = "{a}{b}", type = "real", ucd = "phot.mag", description = "Colour" },
  { name = "Dec", type = 7, unit = "deg", nullable = "no", sentinel = "none" },
  { name = "name", type = "text", ucd = "meta.id", description = "Name", sentinel = 99.999 },
]
indexes = ["raa", { q3c = ["ra"] }, 3, "ra", "ra"]
storage = { "x) --" = "y" }
array_storage = "round"
"#;
    check_faults(
        head,
        star,
        expect![[r#"
            catalogue.toml:1:1: `description` is missing
            catalogue.toml:1:19: there is no file planet.toml beside this one
            catalogue.toml:1:29: table "star" is listed already
            catalogue.toml:2:1: unknown key `version`; the keys here are description, tables, lists, title, citation, reference_url, foreign_keys, examples
            star.toml:1:15: `description` is empty
            star.toml:2:8: `key` names "objid", which is no column of this table
            star.toml:3:13: `position` is a pair of columns: right ascension, declination
            star.toml:4:1: unknown key `colour`; the keys here are description, like, key, position, outline, columns, indexes, storage, array_storage
            star.toml:6:25: unknown type "reel"; the types are boolean, smallint, integer, bigint, real, double, text, timestamp, and arrays of them like real[]
            star.toml:6:40: "degree" is no unit of VOUnits
            star.toml:6:56: "pos.eq.RA" is no word of UCD1+; did you mean "pos.eq.ra"?
            star.toml:7:3: column "ra" is there already
            star.toml:7:41: UCD word "meta.main" cannot be the first
            star.toml:8:12: unknown placeholder {bnd}; no `each` is in force here
            star.toml:9:21: there is no list "bands" under [lists] in catalogue.toml; there are: none
            star.toml:10:12: the lists of one `each` walk together and must be equally long
            star.toml:11:3: `description` is missing
            star.toml:11:3: `ucd` is missing
            star.toml:11:12: column name "Dec" must be lower-case letters, digits and _, at most 63, not starting with a digit
            star.toml:11:26: `type` is a string, not integer
            star.toml:11:54: `nullable` is true or false, not string
            star.toml:11:71: `sentinel` is a number, not string
            star.toml:12:85: a text has no sentinel; write `nullable = true` if it can be missing
            star.toml:14:12: the index is on "raa", which is no column of this table
            star.toml:14:19: an index is on `columns = [...]` or on `q3c = [ra, dec]`
            star.toml:14:37: `indexes` is an array of column names and tables, not integer
            star.toml:14:46: index "star_ra_idx" is there already
            star.toml:15:23: `x) --` is a number, true or false, not string
            star.toml:16:17: unknown array_storage "round"; it is one of plain, main, external, extended"#]],
    );
}

#[test]
fn broken_toml_is_a_fault_with_its_place() {
    check_faults(
        HEAD,
        "description = \"Stars\"\ncolumns = [\n  { name = \"ra\" type = \"double\" },\n",
        expect![[r#"
            star.toml:3:17: not TOML: missing comma between key-value pairs, expected `,`
            star.toml:3:35: not TOML: unclosed array, expected `]`"#]],
    );
}

#[test]
fn a_table_like_another_needs_one_with_columns_of_its_own() {
    check_faults(
        HEAD,
        "description = \"Stars\"\nlike = \"stars\"\n",
        expect![[r#"star.toml:2:8: `like` names "stars", which is no readable table of this catalogue with columns of its own"#]],
    );
}

#[test]
fn the_example_of_the_readme_has_no_faults() {
    let blocks = include_str!("../schema/README.md").split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let source = |text: &str| {
        let path = text.lines().next().expect("a block has lines").trim_start_matches("# ");
        let stem = Path::new(path).file_stem().expect("the first line is the file's path");
        Source { stem: stem.to_string_lossy().into_owned(), path: path.into(), text: text.into() }
    };
    let sources: Vec<Source> = blocks.map(source).collect();
    let catalog = parse::catalog("smc", "surveys/smc", &sources).unwrap_or_else(|faults| panic!("{faults}"));
    let names: Vec<&str> = catalog.tables[0].columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["objid", "ra", "dec", "f475w_vega", "f475w_snr", "f814w_vega", "f814w_snr"]);
}

#[test]
fn a_folder_given_comes_before_the_built_in_one() {
    let dir = tempfile::tempdir().unwrap();
    let lmc = dir.path().join("lmc");
    std::fs::create_dir(&lmc).unwrap();
    std::fs::write(lmc.join("catalogue.toml"), HEAD).unwrap();
    let star = "description = \"Stars\"\ncolumns = [{ name = \"n\", type = \"bigint\", ucd = \"meta.id\", description = \"Number\" }]\n";
    std::fs::write(lmc.join("star.toml"), star).unwrap();
    let dirs = [dir.path().to_path_buf()];
    assert_eq!(Catalog::load(&dirs, "lmc").unwrap().description, "A survey");
    assert_eq!(Catalog::load(&dirs, "phat_v2").unwrap(), built_in("phat_v2"));
    assert_eq!(Catalog::names(&dirs).unwrap(), ["ivoa", "lmc", "phat_v2", "tap_schema"]);
    let unknown = Catalog::load(&dirs, "m33").unwrap_err().to_string();
    expect![[r#"there is no catalogue "m33"; there are: ivoa, lmc, phat_v2, tap_schema (--schema-dir DIR adds those in DIR)"#]]
        .assert_eq(&unknown);
}

#[test]
fn ddl_of_a_small_table() {
    let mut exposure = table("phat_v2", "exposure");
    exposure.columns.truncate(4);
    exposure.columns[3].description = "the star's name".into();
    exposure.columns.push(Column {
        name: "rates".into(),
        array: true,
        nullable: true,
        datatype: DataType::Real,
        ..exposure.columns[0].clone()
    });
    exposure.storage = vec![("toast_tuple_target".into(), "8160".into())];
    exposure.array_storage = Some("main".into());
    let text = [ddl::create_table(&exposure), ddl::primary_key(&exposure).unwrap(), ddl::comments(&exposure)].concat();
    expect![[r#"
        CREATE TABLE IF NOT EXISTS "phat_v2"."exposure" (
          "brick" smallint NOT NULL,
          "field" smallint NOT NULL,
          "block" smallint NOT NULL,
          "image" text NOT NULL,
          "rates" real[]
        ) WITH (toast_tuple_target = 8160);
        ALTER TABLE "phat_v2"."exposure"
          ALTER COLUMN "rates" SET STORAGE main;
        ALTER TABLE "phat_v2"."exposure" ADD CONSTRAINT "exposure_pkey" PRIMARY KEY ("brick", "field", "block");
        COMMENT ON TABLE "phat_v2"."exposure" IS 'What each block of phot_v2''s arrays is: one row per brick, field and exposure-chip';
        COMMENT ON COLUMN "phat_v2"."exposure"."brick" IS 'Brick, 1 to 23';
        COMMENT ON COLUMN "phat_v2"."exposure"."field" IS 'Field in the brick, 1 to 18';
        COMMENT ON COLUMN "phat_v2"."exposure"."block" IS 'Place in the arrays of phot_v2, from 1';
        COMMENT ON COLUMN "phat_v2"."exposure"."image" IS 'the star''s name';
        COMMENT ON COLUMN "phat_v2"."exposure"."rates" IS 'Brick, 1 to 23';
    "#]]
    .assert_eq(&text);
}

#[test]
fn names_are_quoted_so_that_they_stay_names() {
    assert_eq!(ddl::quote("ra\"; DROP TABLE x; --"), "\"ra\"\"; DROP TABLE x; --\"");
    assert_eq!(ddl::literal("the star's"), "'the star''s'");
}

/// A live table that is exactly as the schema says.
fn live(table: &Table) -> LiveTable {
    let column = |c: &Column| LiveColumn {
        name: c.name.clone(),
        datatype: ddl::column_type(c),
        not_null: !c.nullable,
        storage: table.array_storage.clone().unwrap_or_else(|| "extended".into()),
    };
    let index = |name: &str, primary: bool, expressions: Vec<String>| LiveIndex {
        name: name.into(),
        primary,
        valid: true,
        method: "btree".into(),
        expressions,
        partial: false,
    };
    let key = index("pkey", true, table.key.clone());
    let secondary = table.indexes.iter().map(|i| index(&i.name, false, vec![ddl::index_expression(i)]));
    LiveTable {
        columns: table.columns.iter().map(column).collect(),
        indexes: secondary.chain((!table.key.is_empty()).then_some(key)).collect(),
    }
}

fn lines(differences: &[Difference]) -> String {
    differences.iter().map(|d| format!("{:?}: {d}\n", d.part)).collect()
}

#[test]
fn a_table_as_the_schema_says_has_no_difference() {
    for catalog in ["phat_v2", "lmc"].map(built_in) {
        for table in &catalog.tables {
            assert_eq!(lines(&diff(table, Some(&live(table)))), "");
        }
    }
    assert_eq!(diff(&table("lmc", "gst"), None)[0].part, Part::Table);
}

#[test]
fn every_difference_is_said() {
    let phot_meas = table("phat_v2", "phot_meas");
    let mut found = live(&phot_meas);
    found.columns.remove(5);
    found.columns[0].datatype = "real".into();
    found.columns[1].not_null = false;
    found.columns.push(LiveColumn { name: "note".into(), datatype: "text".into(), not_null: true, storage: "extended".into() });
    found.columns.swap(2, 3);
    found.indexes[0].valid = false;
    found.indexes[1].partial = true;
    found.indexes[2].primary = true;
    expect![[r#"
        Column: phat_v2.phot_meas: column mjd is real in the database, double precision in the schema
        Column: phat_v2.phot_meas: column ra is nullable in the database, NOT NULL in the schema
        Column: phat_v2.phot_meas: column rate real is missing in the database
        Column: phat_v2.phot_meas: column note text is in the database only
        Column: phat_v2.phot_meas: columns come in another order: counts stands in the database where the schema has dec
        Key: phat_v2.phot_meas: primary key (ra) is in the database only
        Index: phat_v2.phot_meas: index phot_meas_q3c_idx is invalid: drop it and create it again
        Index: phat_v2.phot_meas: index phot_meas_mjd_idx on (mjd) is missing in the database
        Index: phat_v2.phot_meas: index phot_meas_ra_idx on (ra) is missing in the database
        Index: phat_v2.phot_meas: index phot_meas_mjd_idx on (mjd) is in the database only
    "#]]
    .assert_eq(&lines(&diff(&phot_meas, Some(&found))));
}

#[test]
fn felis_validates_our_yaml_with_all_its_checks() {
    let Some(python) = python() else { return };
    let felis_program = python.with_file_name("felis");
    let dir = tempfile::tempdir().unwrap();
    for name in Catalog::names(&[]).unwrap() {
        let path = dir.path().join(format!("{name}.yaml"));
        std::fs::write(&path, felis::yaml(&built_in(&name))).unwrap();
        let checks = ["--check-description", "--check-tap-table-indexes", "--check-tap-principal", "--check-redundant-datatypes"];
        let output = Command::new(&felis_program).arg("validate").args(checks).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_page_of_a_catalogue_names_every_column() {
    let catalog = built_in("phat_v2");
    let page = doc::markdown(&catalog);
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 4);
    let columns: usize = catalog.tables.iter().map(|t| t.columns.len()).sum();
    assert_eq!(rows.count(), columns + 2 * catalog.tables.len(), "one row per column, and a head of two rows per table");
}

#[test]
fn every_unit_that_astropy_knows_in_vounits_passes() {
    let Some(python) = python() else { return };
    let script = "import warnings; warnings.simplefilter('ignore')\nfrom astropy.units.format import VOUnit\nprint('\\n'.join(sorted(VOUnit._units)))";
    let output = Command::new(python).args(["-c", script]).output().unwrap();
    let known = String::from_utf8(output.stdout).unwrap();
    assert!(known.lines().count() > 500, "{known}");
    // Deprecated by the standard, though astropy still lists it.
    let refused: Vec<&str> = known.lines().filter(|name| *name != "Ba" && unit::check(name).is_err()).collect();
    assert_eq!(refused, [""; 0]);
}

/// Runs the binary with arguments and gives (succeeded, stdout, stderr).
fn run(arguments: &[&str]) -> (bool, String, String) {
    let output = brickyard().args(arguments).output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_prints_every_fault_and_fails() {
    let dir = data_dir();
    let survey = dir.path().join("survey");
    std::fs::create_dir(&survey).unwrap();
    std::fs::write(survey.join("catalogue.toml"), HEAD).unwrap();
    std::fs::write(survey.join("star.toml"), "columns = [{ name = \"n\", type = \"int\" }]\n").unwrap();
    let (succeeded, found, _) = run(&["schema", "check", "survey", "--schema-dir", dir.path().to_str().unwrap()]);
    assert!(!succeeded);
    let found = found.replace(dir.path().to_str().unwrap(), "DIR");
    expect![[r#"
        DIR/survey/star.toml:1:1: `description` is missing
        DIR/survey/star.toml:1:12: `description` is missing
        DIR/survey/star.toml:1:12: `ucd` is missing
        DIR/survey/star.toml:1:33: unknown type "int"; the types are boolean, smallint, integer, bigint, real, double, text, timestamp, and arrays of them like real[]
        survey: 4 fault(s)
    "#]].assert_eq(&found);
    let (succeeded, by_path, _) = run(&["schema", "check", survey.to_str().unwrap()]);
    assert!(!succeeded && by_path.contains("star.toml:1:33"), "{by_path}");
    let (succeeded, built_in, _) = run(&["schema", "check"]);
    assert!(succeeded, "{built_in}");
}

#[test]
fn the_printed_ddl_makes_tables_without_drift_and_drift_is_found() {
    runtime().block_on(async {
        let (connection, url) = server().database("schema_drift").await;
        for catalog in ["phat_v2", "lmc"] {
            let (succeeded, before, _) = run(&["schema", "diff", catalog, "--database-url", &url]);
            assert!(!succeeded && before.contains("is not in the database"), "{before}");
            let (_, script, _) = run(&["schema", "ddl", catalog]);
            connection.batch_execute(&script).await.unwrap();
            let (succeeded, after, errors) = run(&["schema", "diff", catalog, "--database-url", &url]);
            assert!(succeeded, "{after}{errors}");
            assert_eq!(after, format!("{catalog}: the database is as the schema says\n"));
        }
        let changes = "alter table phat_v2.phot_meas drop column crowd, alter column flag type smallint, alter column mjd drop not null, add note text;
            alter table phat_v2.phot_mod drop constraint phot_mod_pkey;
            drop index phat_v2.phot_mod_f475w_vega_idx, phat_v2.phot_mod_q3c_idx;
            create index bright on phat_v2.phot_mod (f475w_vega) where f475w_vega < 20;
            create index ipix on phat_v2.phot_mod (q3c_ang2ipix(ra, dec));
            alter table phat_v2.phot_v2 alter column exp_counts set storage external;
            drop table phat_v2.star_v2;
            drop table phat_v2.exposure;
            create table phat_v2.exposure (field smallint, brick smallint not null);";
        connection.batch_execute(changes).await.unwrap();
        let (succeeded, found, _) = run(&["schema", "diff", "phat_v2", "--database-url", &url]);
        assert!(!succeeded);
        expect![[r#"
            phat_v2.phot_mod: primary key (objid) is missing in the database
            phat_v2.phot_mod: index phot_mod_f475w_vega_idx on (f475w_vega) is missing in the database
            phat_v2.phot_mod: index bright on (f475w_vega) is in the database only
            phat_v2.phot_meas: column mjd is nullable in the database, NOT NULL in the schema
            phat_v2.phot_meas: column crowd real is missing in the database
            phat_v2.phot_meas: column flag is smallint in the database, real in the schema
            phat_v2.phot_meas: column note text is in the database only
            table phat_v2.star_v2 is not in the database
            phat_v2.phot_v2: column exp_counts has storage external in the database, main in the schema
            phat_v2.exposure: column field is nullable in the database, NOT NULL in the schema
            phat_v2.exposure: column block smallint is missing in the database
            phat_v2.exposure: column image text is missing in the database
            phat_v2.exposure: column filter text is missing in the database
            phat_v2.exposure: column chip smallint is missing in the database
            phat_v2.exposure: column exptime real is missing in the database
            phat_v2.exposure: column mjd double precision is missing in the database
            phat_v2.exposure: column dateobs text is missing in the database
            phat_v2.exposure: column timeobs text is missing in the database
            phat_v2.exposure: columns come in another order: field stands in the database where the schema has brick
            phat_v2.exposure: primary key (brick, field, block) is missing in the database
            phat_v2: 20 difference(s)
        "#]].assert_eq(&found);
    });
}

#[test]
fn tbl_stat_tells_what_the_server_knows() {
    runtime().block_on(async {
        let (connection, _) = server().database("schema_tbl_stat").await;
        connection.batch_execute(&ddl::script(&built_in("phat_v2"))).await.unwrap();
        let exposures = "insert into phat_v2.exposure select 1, 1, b, 'j', 'F475W', 1, 10, 55000, '2011-01-01', '00:00:00' from generate_series(1, 1000) b;
            analyze phat_v2.exposure;";
        connection.batch_execute(exposures).await.unwrap();
        let row = connection.query_one("SELECT * FROM tbl_stat WHERE schema='phat_v2' and tbl_name='phot_mod'", &[]).await.unwrap();
        let names: Vec<&str> = row.columns().iter().map(|c| c.name()).collect();
        assert_eq!(names, ["schema", "tbl_name", "nrows", "ncols", "nindex", "table_size", "indexes_size", "total_size"]);
        assert_eq!((row.get::<_, i32>("ncols"), row.get::<_, i32>("nindex")), (88, 45));
        assert_eq!(row.get::<_, Option<i64>>("nrows"), None);
        let wanted = "select 1000::bigint, pg_table_size('phat_v2.exposure'), pg_indexes_size('phat_v2.exposure'), pg_total_relation_size('phat_v2.exposure')";
        let wanted = connection.query_one(wanted, &[]).await.unwrap();
        let found = "select nrows, table_size, indexes_size, total_size from tbl_stat where tbl_name = 'exposure'";
        let found = connection.query_one(found, &[]).await.unwrap();
        let numbers = |row: &tokio_postgres::Row| -> Vec<i64> { (0..4).map(|i| row.get(i)).collect() };
        assert_eq!(numbers(&found), numbers(&wanted));
    });
}

#[test]
fn a_phot_v2_row_of_a_common_field_stays_whole_on_its_page() {
    runtime().block_on(async {
        let (connection, _) = server().database("schema_toast").await;
        connection.batch_execute(&ddl::script(&built_in("phat_v2"))).await.unwrap();
        let phot_v2 = table("phat_v2", "phot_v2");
        // 62 exposures, as many as the Cepheid V5343 has, of numbers that do not compress.
        let value = |c: &Column| match (c.array, c.datatype) {
            (true, kind) => format!("(select array_agg((random() * 100)::{}) from generate_series(1, 62))", kind.postgres()),
            (false, DataType::Text) => "'PHAT_11.0220304+41.234515'".into(),
            (false, _) => "1".into(),
        };
        let values: Vec<String> = phot_v2.columns.iter().map(value).collect();
        connection.batch_execute(&format!("insert into phat_v2.phot_v2 values ({})", values.join(", "))).await.unwrap();
        let toasted = "select pg_relation_size(reltoastrelid), (select count(*) from phat_v2.phot_v2 where pg_column_compression(exp_counts) is not null)
                         from pg_class where oid = 'phat_v2.phot_v2'::regclass";
        let row = connection.query_one(toasted, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 0));
    });
}

proptest! {
    #[test]
    fn any_text_gives_faults_and_no_panic(text in "[ -~\n\u{e9}]{0,200}") {
        let source = |stem: &str, text: &str| Source { stem: stem.into(), path: stem.into(), text: text.into() };
        let _ = parse::catalog("survey", "survey", &[source("catalogue", &text), source("star", &text)]);
    }

    #[test]
    fn a_broken_table_file_gives_faults_inside_the_file(cut in 0usize..2000, insert in "[\\[\\]{}=\",a-z\n ]{1,5}") {
        let text = include_str!("../schema/phat_v2/phot_meas.toml");
        let broken = format!("{}{insert}{}", &text[..cut], &text[cut..]);
        let source = |stem: &str, text: &str| Source { stem: stem.into(), path: stem.into(), text: text.into() };
        let sources = [source("catalogue", "description = \"d\"\ntables = [\"phot_meas\"]"), source("phot_meas", &broken)];
        if let Err(faults) = parse::catalog("survey", "survey", &sources) {
            for fault in faults.0 {
                prop_assert!(fault.line >= 1 && fault.line <= broken.lines().count() + 1);
                prop_assert!(fault.column >= 1);
            }
        }
    }
}
