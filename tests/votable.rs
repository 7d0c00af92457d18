//! Answers of every kind: written from the server's rows, read by astropy, STILTS and pyarrow, compared value by value.
#![allow(clippy::unwrap_used)] // a panic is how a test's helper fails

use crate::harness;
use brickyard::db;
use brickyard::format::{self, Ending, Head, Info, Kind};
use brickyard::schema::{Column, DataType, Text, WireRows};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::process::Command;

/// One row of ordinary values, one of extreme ones, one of empty ones, one of NULLs; every column is of a type of its own.
const ROWS: &str = "\
select * from (values
  (1, true, 1::smallint, 4611686018427387905::bigint, 1.5::real, 0.1::double precision, 'plain', 'x',
   timestamp '2012-07-24 01:02:03.25', array[1, 2]::int[], array[0.5, 1.5]::real[], array[true, false], array['a', 'b c']),
  (2, false, (-32767)::smallint, 9223372036854775807, 'NaN'::real, '-Infinity'::double precision,
   E'M31 \u{ab}\u{3b2}\u{bb} <&> \"quoted\" ]]> \u{661f}\u{1f52d}', 'y', timestamp '1969-12-31 23:59:59.999999',
   array[3, null, -2147483647]::int[], array['NaN', 'Infinity', '0.0625']::real[], array[true, null], array['', 'null', null]),
  (3, true, 32767::smallint, -9223372036854775807, '-Infinity'::real, 5e-324::double precision, '', 'z',
   timestamp '2000-01-01 00:00:00', array[]::int[], array[]::real[], array[]::boolean[], array[]::text[]),
  (null, null, null, null, null, null, null, null, null, null, null, null, null)
) as r(n, flag, small, big, re, dou, tex, letter, tim, ints, reals, flags, texts)";

async fn wire(sql: &str) -> (db::Connection, WireRows) {
    let connection = db::connect(&harness::options(&harness::server().url())).await.unwrap();
    let rows = db::wire_rows(&connection, sql, &[]).await.unwrap_or_else(|error| panic!("{error}"));
    (connection, rows)
}

/// The whole document, and what its progress says of the end.
async fn collected(
    source: impl Into<WireRows>,
    head: Head,
    kind: Kind,
    limit: Option<u64>,
) -> (Result<Vec<u8>, String>, Option<Ending>, u64) {
    let mut answer = format::answer(source, head, kind, limit);
    let progress = answer.progress();
    let mut bytes = Vec::new();
    while let Some(piece) = answer.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => return (Err(error.to_string()), progress.ending().cloned(), progress.rows()),
        }
    }
    (Ok(bytes), progress.ending().cloned(), progress.rows())
}

fn answered(sql: &str, head: Head, kind: Kind, limit: Option<u64>) -> Vec<u8> {
    harness::runtime().block_on(async {
        let (_connection, rows) = wire(sql).await;
        collected(rows, head, kind, limit).await.0.unwrap()
    })
}

/// What the Python judge reads: its first line for the kinds that have one, then the rows.
fn judged(reader: &str, bytes: &[u8]) -> Option<Vec<Value>> {
    let folder = harness::scratch();
    let file = folder.path().join("answer");
    std::fs::write(&file, bytes).unwrap();
    let output = Command::new(harness::python()?)
        .args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/answers.py"), reader])
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&bytes[..bytes.len().min(3000)])
    );
    Some(String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// STILTS finds nothing wrong but what it calls questionable in a character that is NULL, and what it only tells.
fn votlint(bytes: &[u8]) {
    let Some(stilts) = harness::stilts() else { return };
    let folder = harness::scratch();
    let file = folder.path().join("answer.vot");
    std::fs::write(&file, bytes).unwrap();
    let output =
        Command::new(stilts).args(["votlint", "ucd=true", "unit=true"]).arg(format!("votable={}", file.display())).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let complaints = said.lines().filter(|line| !line.is_empty() && !line.starts_with("INFO") && !line.contains("Empty character value"));
    assert_eq!(complaints.collect::<Vec<_>>(), Vec::<&str>::new(), "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(3000)]));
}

/// Columns as a catalogue knows them, with all that a FIELD can say.
fn head() -> Head {
    let column = |name: &str, datatype, unit: &str, ucd: &str| Column {
        unit: unit.into(),
        ucd: ucd.into(),
        description: format!("A <{name}> & \"more\""),
        ..Column::new(name, datatype)
    };
    let columns = vec![
        column("n", DataType::Integer, "", "meta.record"),
        column("flag", DataType::Boolean, "", "meta.code"),
        column("small", DataType::Smallint, "", "meta.number"),
        column("big", DataType::Bigint, "", "meta.id"),
        column("re", DataType::Real, "mag", "phot.mag;em.opt.B"),
        column("dou", DataType::Double, "deg", "pos.eq.ra;meta.main"),
        column("tex", DataType::Text, "", "meta.note"),
        Column { text: Text::Letter, ..column("letter", DataType::Text, "", "meta.code") },
        column("tim", DataType::Timestamp, "", "time.epoch"),
        column("ints", DataType::Integer, "", "meta.number"),
        column("reals", DataType::Real, "d", "time.epoch"),
        column("flags", DataType::Boolean, "", "meta.code"),
        column("texts", DataType::Text, "", "meta.note"),
    ];
    let infos = ["QUERY", "citation"].map(|name| Info { name: name.into(), value: "SELECT \"a\" < 1".into(), text: "a & b".into() });
    let resource = "<RESOURCE type=\"meta\" utype=\"adhoc:service\" name=\"more\"><PARAM name=\"accessURL\" datatype=\"char\" arraysize=\"*\" value=\"http://localhost/links\"/></RESOURCE>";
    Head {
        columns,
        name: "stars".into(),
        description: "All & sundry".into(),
        infos: infos.into(),
        resources: vec![resource.into()],
        ..Head::default()
    }
}

/// The rows as they must come back; `lost` says which kind of NULL the format cannot tell.
fn expected() -> Vec<Value> {
    vec![
        json!([
            1,
            true,
            1,
            4611686018427387905i64,
            1.5,
            0.1,
            "plain",
            "x",
            "2012-07-24T01:02:03.25",
            [1, 2],
            [0.5, 1.5],
            [true, false],
            "{a,\"b c\"}"
        ]),
        json!([
            2,
            false,
            -32767,
            i64::MAX,
            "NaN",
            "-Infinity",
            "M31 «β» <&> \"quoted\" ]]> 星🔭",
            "y",
            "1969-12-31T23:59:59.999999",
            [3, null, -2147483647],
            ["NaN", "Infinity", 0.0625],
            [true, null],
            "{\"\",\"null\",NULL}"
        ]),
        json!([3, true, 32767, -i64::MAX, "-Infinity", 5e-324, "", "z", "2000-01-01T00:00:00", [], [], [], "{}"]),
        json!([null, null, null, null, null, null, null, null, null, null, null, null, null]),
    ]
}

/// Column by column, with what a format's readers make of its NULLs.
fn compare(kind: &str, rows: &[Value], nulls: Value) {
    let mut wanted = expected();
    wanted[3] = nulls;
    assert_eq!(rows.len(), wanted.len(), "{kind}");
    for (row, (ours, wanted)) in rows.iter().zip(&wanted).enumerate() {
        for (column, (ours, wanted)) in ours.as_array().unwrap().iter().zip(wanted.as_array().unwrap()).enumerate() {
            assert_eq!(ours, wanted, "{kind}: row {row}, column {column}");
        }
    }
}

#[test]
fn votable_values_come_back_through_astropy() {
    for (kind, nulls) in [
        (Kind::Tabledata, json!([null, null, null, null, "NaN", "NaN", "", "", "", [], [], [], ""])),
        (Kind::Binary, json!([null, null, null, null, "NaN", "NaN", "", "", "", [], [], [], ""])),
        // whose flags astropy keeps, but for floats
        (Kind::Binary2, json!([null, null, null, null, "NaN", "NaN", null, null, null, null, null, null, null])),
    ] {
        let document = answered(ROWS, head(), kind, None);
        votlint(&document);
        let Some(said) = judged("votable", &document) else { return };
        assert_eq!(said[0]["status"], json!(["QUERY_STATUS=OK"]), "{kind:?}");
        assert_eq!(said[0]["version"], json!("1.4"));
        let mut rows = said[1..].to_vec();
        if kind == Kind::Binary2 {
            // astropy drops the flags of texts; tests/uploads.rs reads them back one by one
            let empty = |value: &&mut Value| value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty);
            rows[3].as_array_mut().unwrap().iter_mut().filter(empty).for_each(|value| *value = Value::Null);
        }
        compare(&format!("{kind:?}"), &rows, nulls);
    }
}

#[test]
fn fields_say_what_the_columns_are() {
    let Some(said) = judged("votable", &answered(ROWS, head(), Kind::Binary2, None)) else { return };
    let field = |index: usize| said[0]["fields"][index].clone();
    let note = |name: &str| format!("A <{name}> & \"more\"");
    assert_eq!(field(5), json!(["dou", "double", null, null, "deg", "pos.eq.ra;meta.main", "sys-sky", note("dou")]));
    assert_eq!(field(6), json!(["tex", "unicodeChar", "*", null, "", "meta.note", null, note("tex")]));
    assert_eq!(field(7), json!(["letter", "char", "1", null, "", "meta.code", null, note("letter")]));
    assert_eq!(field(8), json!(["tim", "char", "*", "timestamp", "", "time.epoch", "sys-iso", note("tim")]));
    assert_eq!(field(9), json!(["ints", "int", "*", null, "", "meta.number", null, note("ints")]));
}

#[test]
fn fits_parquet_and_arrow_values_come_back() {
    let document = answered(ROWS, head(), Kind::Fits, None);
    if let Some(said) = judged("fits", &document) {
        assert_eq!(said[0], json!({"status": "OK", "text": "", "rows": 4}));
        let nulls = json!([null, null, null, null, "NaN", "NaN", "", "", "", [], [], [], ""]);
        compare("FITS", &said[1..], nulls);
    }
    // lists of texts are lists there, and Python's instants have six decimals or none
    let texts = [json!(["a", "b c"]), json!(["", "null", null]), json!([]), Value::Null];
    for (kind, reader, heads) in [(Kind::Parquet, "parquet", 1), (Kind::Arrow, "arrow", 0)] {
        let Some(mut said) = judged(reader, &answered(ROWS, head(), kind, None)) else { return };
        let rows = said.split_off(heads);
        for ((mut row, texts), mut wanted) in rows.into_iter().zip(texts.clone()).zip(expected()) {
            row[8] = row[8].as_str().map_or(Value::Null, |instant| json!(instant.replace(".250000", ".25")));
            wanted[12] = texts;
            assert_eq!(row, wanted, "{kind:?}");
        }
    }
}

#[test]
fn json_tells_everything() {
    let document: Value = serde_json::from_slice(&answered(ROWS, head(), Kind::Json, Some(2))).unwrap();
    assert_eq!(document["data"].as_array().unwrap().len(), 2);
    assert_eq!(document["query_status"]["value"], "OVERFLOW");
    let field =
        json!({"name": "dou", "datatype": "double", "unit": "deg", "ucd": "pos.eq.ra;meta.main", "description": "A <dou> & \"more\""});
    assert_eq!(document["metadata"][5], field);
    assert_eq!(document["data"][1][4], "NaN");
    assert_eq!(document["data"][1][3], json!(i64::MAX));
    assert_eq!(document["data"][1][12], json!(["", "null", null]));
}

/// Does the document say how it ended, if its kind can?
fn tells(kind: Kind, document: &[u8], status: &str) -> bool {
    let text = String::from_utf8_lossy(document);
    match kind {
        Kind::Csv | Kind::CsvBare | Kind::Tsv | Kind::Arrow | Kind::Records => true,
        Kind::Tabledata | Kind::Binary | Kind::Binary2 => {
            let after = &text[text.find("</TABLE>").unwrap()..];
            after.contains(&format!("name=\"QUERY_STATUS\" value=\"{status}\"")) != (status == "OK")
        }
        Kind::Fits => text.contains(&format!("QSTATUS = '{status:<8}'")),
        Kind::Parquet => text.contains("QUERY_STATUS") && text.contains(&format!("value=\"{status}\"")),
        Kind::Json => text.contains("\"query_status\":{") && text.contains(&format!("\"value\":\"{status}\"")),
        Kind::Html | Kind::Table => text.contains(&format!("QUERY_STATUS={status}")) != (status == "OK"),
    }
}

/// The judge's name of a kind that it reads.
fn reader_of(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Tabledata | Kind::Binary | Kind::Binary2 => Some("votable"),
        Kind::Fits => Some("fits"),
        Kind::Parquet => Some("parquet"),
        Kind::Arrow => Some("arrow"),
        Kind::Csv | Kind::CsvBare | Kind::Tsv | Kind::Records | Kind::Json | Kind::Html | Kind::Table => None,
    }
}

#[test]
fn overflow_is_told_only_when_a_row_was_cut() {
    let cases = [
        (Some(99), 99, Ending::Overflow),
        (Some(100), 100, Ending::Complete),
        (None, 100, Ending::Complete),
        (Some(0), 0, Ending::Overflow),
    ];
    harness::runtime().block_on(async {
        for kind in Kind::ALL {
            for (limit, rows, ending) in &cases {
                let (_connection, source) = wire("select g as n, g::text as t from generate_series(1, 100) g").await;
                let (document, ended, written) = collected(source, Head::default(), kind, *limit).await;
                assert_eq!((ended.as_ref(), written), (Some(ending), *rows), "{kind:?} {limit:?}");
                assert!(tells(kind, &document.unwrap(), ending.status()), "{kind:?} {limit:?}");
            }
        }
    });
}

#[test]
fn no_rows_are_a_table_too() {
    for kind in Kind::ALL {
        let document = answered("select 1 as n, 'x' as t, array[1] as a where false", Head::default(), kind, Some(0));
        assert!(tells(kind, &document, "OK"), "{kind:?}");
        if kind.is_votable() {
            votlint(&document);
        }
        if let Some(reader) = reader_of(kind) {
            let heads = usize::from(kind != Kind::Arrow);
            assert!(judged(reader, &document).is_none_or(|said| said.len() == heads), "{kind:?}");
        }
    }
}

#[test]
fn a_failure_on_the_way_ends_the_document_validly() {
    for kind in Kind::ALL {
        let (document, ended) = harness::runtime().block_on(async {
            let (_connection, source) = wire("select g as n, 'x' as t, 1 / (50000 - g) as q from generate_series(1, 100000) g").await;
            let (document, ended, _) = collected(source, Head::default(), kind, None).await;
            (document, ended)
        });
        assert!(matches!(&ended, Some(Ending::Failed(message)) if message.contains("division by zero")), "{kind:?} {ended:?}");
        match kind {
            Kind::Csv | Kind::CsvBare | Kind::Tsv | Kind::Arrow | Kind::Records => {
                assert!(document.unwrap_err().contains("division by zero"), "{kind:?}");
            }
            _ => {
                let document = document.unwrap();
                assert!(tells(kind, &document, "ERROR"), "{kind:?}");
                let Some(said) = reader_of(kind).and_then(|reader| judged(reader, &document)) else { continue };
                assert!(said.len() > 30_000, "{kind:?}: {} rows", said.len());
                assert!(said[0]["status"].to_string().contains("ERROR"), "{kind:?}: {}", said[0]);
            }
        }
    }
}

#[test]
fn a_failure_before_the_first_row_is_the_callers_to_answer() {
    harness::runtime().block_on(async {
        for kind in Kind::ALL {
            let (_connection, source) = wire("select 1 / (g - 1) as q from generate_series(1, 10) g").await;
            let mut answer = format::answer(source, Head::default(), kind, None);
            let first = answer.next().await.unwrap();
            assert!(first.unwrap_err().to_string().contains("division by zero"), "{kind:?}");
            assert!(answer.next().await.is_none(), "{kind:?}");
        }
    });
}

#[test]
fn errors_are_documents_of_their_kind() {
    for kind in Kind::ALL {
        let (mime, body) = format::error_document(kind, "no column <mag> & \u{1b}more", &[Info::new("code", "unknown-column")]);
        let text = String::from_utf8(body).unwrap();
        assert!(text.contains("unknown-column") && text.contains("no column"), "{kind:?}: {text}");
        if mime.contains("votable") {
            assert!(text.contains("QUERY_STATUS\" value=\"ERROR\">no column &lt;mag&gt; &amp; \u{fffd}more"), "{text}");
        }
    }
    votlint(&format::error_document(Kind::Binary2, "no <mag>", &[Info::new("code", "x")]).1);
}

/// The value that stands for NULL is refused where it could not be told from it, and goes through where it can.
#[test]
fn the_least_integers_survive_or_are_refused() {
    let sql = "select g as n, (-9223372036854775808)::bigint + (case when g < 3 then 1 else 0 end) as big from generate_series(1, 3) g";
    let (document, ended, _) = harness::runtime().block_on(async {
        let (_connection, source) = wire(sql).await;
        collected(source, Head::default(), Kind::Binary, None).await
    });
    assert!(matches!(&ended, Some(Ending::Failed(message)) if message.contains("`big`") && message.contains("BINARY2")), "{ended:?}");
    assert!(tells(Kind::Binary, &document.unwrap(), "ERROR"));
    // FITS knows all values before it names one for NULL
    let nulls = "select g as n, case g when 1 then -32768 when 2 then -32767 end::smallint as s from generate_series(1, 3) g";
    if let Some(said) = judged("fits", &answered(nulls, Head::default(), Kind::Fits, None)) {
        assert_eq!(said[1..], [json!([1, -32768]), json!([2, -32767]), json!([3, null])]);
    }
    if let Some(said) = judged("fits", &answered(sql, Head::default(), Kind::Fits, None)) {
        assert_eq!(said[3], json!([3, i64::MIN]));
    }
    for kind in [Kind::Binary2, Kind::Tabledata] {
        let Some(said) = judged("votable", &answered(sql, Head::default(), kind, None)) else { return };
        assert_eq!(said[3], json!([3, i64::MIN]), "{kind:?}");
    }
}

#[test]
fn wide_rows_and_many_columns_pass() {
    let columns: Vec<String> = (0..900).map(|n| format!("{n}::real as c{n}")).collect();
    let many = format!("select {} from generate_series(1, 3)", columns.join(", "));
    let long = "select g as n, repeat('\u{e9}x', 600000) as t, array_agg(i) as a from generate_series(1, 3) g, generate_series(1, 50000) i \
                group by g order by g";
    for kind in [Kind::Binary2, Kind::Tabledata, Kind::Fits] {
        let reader = reader_of(kind).unwrap();
        let Some(said) = judged(reader, &answered(&many, Head::default(), kind, None)) else { return };
        assert_eq!(said[3][899], json!(899.0), "{kind:?}");
        let Some(said) = judged(reader, &answered(long, Head::default(), kind, None)) else { return };
        assert_eq!(said[3][1].as_str().unwrap().chars().count(), 1_200_000, "{kind:?}");
        assert_eq!(said[3][2][49_999], json!(50_000), "{kind:?}");
    }
}

#[test]
fn points_and_circles_have_their_size() {
    let xtype = |name: &str, xtype: &str| Column { xtype: xtype.into(), unit: "deg".into(), ..Column::new(name, DataType::Double) };
    let head = Head { columns: vec![xtype("p", "point"), xtype("c", "circle"), xtype("s", "polygon")], ..Head::default() };
    let sql = "select array[10, 41]::float8[] as p, array[10, 41, 0.5]::float8[] as c, array[1, 2, 3, 4, 5, 6]::float8[] as s \
               union all select null, null, null";
    for kind in [Kind::Binary2, Kind::Binary, Kind::Tabledata] {
        let document = answered(sql, head.clone(), kind, None);
        // votlint 3.4.7 stumbles over arrays of doubles in binary (in STILTS' own tables too) and over the empty cell of a missing array
        if kind == Kind::Tabledata {
            votlint(&answered(sql.split(" union all").next().unwrap_or(sql), head.clone(), kind, None));
        }
        let Some(said) = judged("votable", &document) else { return };
        assert_eq!(said[0]["fields"][0], json!(["p", "double", "2", "point", "deg", null, "sys-sky", null]));
        assert_eq!(said[0]["fields"][1][2], json!("3"));
        assert_eq!(said[1], json!([[10.0, 41.0], [10.0, 41.0, 0.5], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]), "{kind:?}");
    }
}

/// A STILTS table checksum says that FITS, Parquet's kin and VOTable hold the same numbers.
#[test]
fn stilts_sees_the_same_table_in_every_serialisation() {
    let Some(stilts) = harness::stilts() else { return };
    let folder = harness::scratch();
    let sql = "select g as n, g * 4611686018427387::bigint as big, sqrt(g::float8) as r, (g / 3.0)::real as e, 'star ' || g as name, \
               case when g % 3 = 0 then g end as gap from generate_series(1, 500) g";
    let sums =
        [(Kind::Tabledata, "votable"), (Kind::Binary, "votable"), (Kind::Binary2, "votable"), (Kind::Fits, "fits")].map(|(kind, form)| {
            let file = folder.path().join(format!("{kind:?}.{}", kind.ending()));
            std::fs::write(&file, answered(sql, Head::default(), kind, None)).unwrap();
            let args = [format!("ifmt={form}"), format!("in={}", file.display()), "omode=checksum".into()];
            let output = Command::new(&stilts).arg("tpipe").args(args).output().unwrap();
            assert!(output.status.success(), "{kind:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        });
    assert!(sums.iter().all(|sum| *sum == sums[0] && sum.contains("500")), "{sums:?}");
}
