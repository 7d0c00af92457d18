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
   array[3, null, -2147483647]::int[], array['NaN', 'Infinity', '1e-30']::real[], array[true, null], array['', 'null', null]),
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
    let output = Command::new(harness::python()?).args(["-c", include_str!("answers.py"), reader]).arg(&file).output().unwrap();
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
            ["NaN", "Infinity", 1e-30],
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
        (Kind::Tabledata, json!([null, null, null, null, null, null, "", "", "", [], [], [], ""])),
        (Kind::Binary, json!([null, null, null, null, "NaN", "NaN", "", "", "", [], [], [], ""])),
        (Kind::Binary2, expected()[3].clone()),
    ] {
        let document = answered(ROWS, head(), kind, None);
        votlint(&document);
        let Some(said) = judged("votable", &document) else { return };
        assert_eq!(said[0]["status"], json!(["QUERY_STATUS=OK"]), "{kind:?}");
        assert_eq!(said[0]["version"], json!("1.4"));
        compare(&format!("{kind:?}"), &said[1..], nulls);
    }
}
