//! Writers: what they write is read back, by Parquet's own reader, astropy, STILTS, Python and the server.
#![allow(clippy::unwrap_used)] // a panic is how a test's helper fails

use crate::harness;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type};
use brickyard::db;
use brickyard::format::{self, Kind, table};
use brickyard::schema::{Catalog, Rows};
use futures_util::TryStreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::path::Path;
use std::process::Command;

/// One row of ordinary values, one of awkward ones, one of NULLs.
const AWKWARD: &str = "\
select * from (values
  (true, 1::smallint, 2, 3::bigint, 1.5::real, 0.1::double precision, 'plain', timestamp '2012-07-24 01:02:03.25',
   array[1, 2], array[0.5, 1.5]::real[], array['a', 'b']),
  (false, (-32768)::smallint, -2147483648, 9223372036854775807, 'NaN'::real, '-Infinity'::double precision,
   E'M31 «β»,\\n \"quoted\" 星 ', timestamp '1969-12-31 23:59:59.999999',
   array[1, null, 3], array['NaN', null, '1e-30']::real[], array['', 'null', null, 'a b', '{\"x\\}', 'ж,']),
  (null, null, null, null, null, null, null, null, null, null, null)
) as awkward(flag, small, medium, big, re, dou, tex, tim, ints, reals, texts)";

async fn ask(sql: &str) -> (db::Connection, Rows) {
    let url = harness::server().url();
    let connection = db::connect(&harness::options(&url)).await.unwrap();
    let rows = db::query(&connection, sql, &[]).await.unwrap_or_else(|error| panic!("{error}"));
    (connection, rows)
}

/// What a writer writes of a query's answer.
fn written(sql: &str, kind: Kind) -> Vec<u8> {
    harness::runtime().block_on(async {
        let (_connection, rows) = ask(sql).await;
        let mut bytes = Vec::new();
        format::write(rows, kind, &mut bytes).await.unwrap();
        bytes
    })
}

fn text(sql: &str, kind: Kind) -> String {
    String::from_utf8(written(sql, kind)).unwrap()
}

fn batches(sql: &str) -> Vec<RecordBatch> {
    harness::runtime().block_on(async {
        let (_connection, rows) = ask(sql).await;
        rows.batches.try_collect().await.unwrap()
    })
}

fn python(code: &str, file: &Path) -> Option<String> {
    let output = Command::new(harness::python()?).args(["-c", code]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// What arrives on the way from the server is what the server means, said by the server itself in text.
#[test]
fn every_type_arrives_as_the_server_means_it() {
    let values = [
        ("12345678901234567890.123456789::numeric", "12345678901234567890.123456789::numeric::float8::text"),
        ("-0.000012345::numeric", "(-0.000012345::numeric)::float8::text"),
        ("1e-300::numeric", "'1e-300'"),
        ("10000::numeric", "'10000'"),
        ("0::numeric", "'0'"),
        ("'NaN'::numeric", "'NaN'"),
        ("'-Infinity'::numeric", "'-Infinity'"),
        ("date '2012-07-24'", "'2012-07-24'"),
        ("date '0044-03-15 BC'", "'0044-03-15 BC'"),
        ("date 'infinity'", "'infinity'"),
        ("time '01:02:03.0405'", "'01:02:03.0405'"),
        ("timestamptz '2012-07-24 01:02:03+02'", "'2012-07-23T23:02:03'"),
        ("timestamp '-infinity'", "'-infinity'"),
        ("uuid 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
        ("jsonb '{\"a\": [1, 2]}'", "jsonb '{\"a\": [1, 2]}'::text"),
        ("'\\xdeadBEEF'::bytea", "'deadbeef'"),
        ("4294967295::oid", "'4294967295'"),
        ("'f475w'::varchar(8)", "'f475w'"),
        ("'ab'::char(4)", "'ab  '"),
        ("'m31'::name", "'m31'"),
        ("'x'::\"char\"", "'x'"),
    ];
    for (value, expected) in values {
        let sql = format!("select {value} as value");
        let ours = text(&sql, Kind::Records);
        let ours: serde_json::Value = serde_json::from_str(&ours).unwrap();
        let csv = text(&sql, Kind::Csv);
        let csv = csv.strip_prefix("value\n").unwrap().trim_end_matches('\n').trim_matches('"');
        let theirs = batches(&format!("select {expected} as value"));
        let theirs = theirs[0].column(0).as_string::<i32>().value(0);
        match ours[0]["value"].as_str() {
            Some(ours) => assert_eq!(ours, theirs, "{value}"),
            None => {
                assert!(csv == theirs || csv.parse::<f64>().unwrap() == theirs.parse::<f64>().unwrap(), "{value}: {csv} is not {theirs}")
            }
        }
    }
}

#[test]
fn what_has_no_counterpart_is_refused_with_a_hint() {
    harness::runtime().block_on(async {
        let connection = db::connect(&harness::options(&harness::server().url())).await.unwrap();
        for sql in
            ["select interval '1 day' as i", "select row(1, 2) as i", "select point(1, 2) as i", "select array[interval '1 day'] as i"]
        {
            let error = db::query(&connection, sql, &[]).await.map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("`i`") && error.contains("::text"), "{error}");
        }
        let rows = db::query(&connection, "select array[[1, 2], [3, 4]] as m", &[]).await.unwrap();
        let error = rows.batches.try_collect::<Vec<_>>().await.unwrap_err().to_string();
        assert!(error.contains("`m`") && error.contains("::text"), "{error}");
    });
}

#[test]
fn batches_are_bounded_in_rows_and_bytes() {
    let many = batches("select g from generate_series(1, 20000) as g");
    assert_eq!(many.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [8192, 8192, 3616]);
    let wide = batches("select repeat('x', 100000) as x from generate_series(1, 200)");
    assert!(wide.iter().all(|batch| batch.get_array_memory_size() < 10 << 20) && wide.len() >= 4, "{} batches", wide.len());
    assert_eq!(wide.iter().map(RecordBatch::num_rows).sum::<usize>(), 200);
}

/// The server reads our CSV back into the very same rows, NULL and empty text told apart.
#[test]
fn csv_is_read_back_by_the_server() {
    let csv = written(AWKWARD, Kind::Csv);
    harness::runtime().block_on(async {
        let (connection, _) = harness::server().database("formats_csv").await;
        connection.batch_execute(&format!("create table sent as {AWKWARD}; create table got (like sent)")).await.unwrap();
        let sink = connection.copy_in("copy got from stdin (format csv, header match)").await.unwrap();
        let mut sink = Box::pin(sink);
        futures_util::SinkExt::send(&mut sink, bytes::Bytes::from(csv)).await.unwrap();
        assert_eq!(sink.as_mut().finish().await.unwrap(), 3);
        let different = connection
            .query_one("select count(*) from ((table sent except all table got) union all (table got except all table sent)) d", &[]);
        assert_eq!(different.await.unwrap().get::<_, i64>(0), 0);
    });
}

/// astropy and STILTS read the numbers and texts of the CSV as they were.
#[test]
fn csv_is_read_by_astropy_and_stilts() {
    let folder = harness::scratch();
    let file = folder.path().join("stars.csv");
    let sql = "select g as n, sqrt(g::double precision) as root, 'PHAT_' || g as objid, case when g % 2 = 0 then g / 3.0::real end as half \
               from generate_series(1, 1000) as g";
    std::fs::write(&file, written(sql, Kind::Csv)).unwrap();
    let code = "import sys, math; from astropy.table import Table; t = Table.read(sys.argv[1], format='ascii.csv'); \
                assert all(math.sqrt(n) == r for n, r in zip(t['n'], t['root'])); assert t['half'].mask.sum() == 500; \
                assert t['objid'][41] == 'PHAT_42'; print(len(t), t['n'].dtype.kind, t['root'].dtype.kind)";
    if let Some(said) = python(code, &file) {
        assert_eq!(said.trim(), "1000 i f");
    }
    if let Some(stilts) = harness::stilts() {
        let output = Command::new(stilts)
            .args(["tpipe", "ifmt=csv", "cmd=select abs(root*root-n)<1e-9", "omode=count"])
            .arg(format!("in={}", file.display()))
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            "columns: 4   rows: 1000",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn json_is_read_by_python() {
    let folder = harness::scratch();
    let file = folder.path().join("awkward.json");
    std::fs::write(&file, written(AWKWARD, Kind::Records)).unwrap();
    let code = "import sys, json; rows = json.load(open(sys.argv[1], encoding='utf-8')); a, b, c = rows; \
                assert a == dict(flag=True, small=1, medium=2, big=3, re=1.5, dou=0.1, tex='plain', tim='2012-07-24T01:02:03.25', ints=[1, 2], reals=[.5, 1.5], texts=['a', 'b']), a; \
                assert b['big'] == 2**63 - 1 and b['re'] is None and b['dou'] is None, b; \
                assert b['tex'] == 'M31 «β»,\\n \"quoted\" 星 ' and b['tim'] == '1969-12-31T23:59:59.999999', b; \
                assert b['ints'] == [1, None, 3] and b['reals'] == [None, None, 1e-30], b; \
                assert b['texts'] == ['', 'null', None, 'a b', '{\"x\\\\}', 'ж,'], b; \
                assert set(c.values()) == {None} and len(c) == 11, c; print('equal')";
    if let Some(said) = python(code, &file) {
        assert_eq!(said.trim(), "equal");
    }
    assert_eq!(text("select 1 as one where false", Kind::Records), "[\n]\n");
}

/// Parquet's own reader gives the batches back, in value and type.
#[test]
fn parquet_is_read_back_value_by_value() {
    let bytes = bytes::Bytes::from(written(AWKWARD, Kind::Parquet));
    let read: Vec<RecordBatch> = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap().map(Result::unwrap).collect();
    let sent = batches(AWKWARD);
    assert_eq!(read.len(), 1);
    for (index, column) in sent[0].columns().iter().enumerate() {
        // Debug, as NaN is not equal to itself.
        assert_eq!(format!("{:?}", read[0].column(index)), format!("{column:?}"), "column {index}");
    }
    assert!(read[0].column(4).as_primitive::<Float32Type>().value(1).is_nan());
    assert_eq!(read[0].column(5).as_primitive::<Float64Type>().value(1), f64::NEG_INFINITY);
    assert_eq!(read[0].column(3).as_primitive::<Int64Type>().value(1), i64::MAX);
}

#[test]
fn parquet_carries_units_and_descriptions() {
    let catalog = Catalog::load(&[], "phat_v2").unwrap();
    let bytes = harness::runtime().block_on(async {
        let (_connection, mut rows) = ask("select 11.0::double precision as ra, 22.5::real as f475w_vega, 1 as other").await;
        brickyard::explore::enrich(&mut rows.columns, catalog.table("phot_mod").unwrap());
        let mut bytes = Vec::new();
        format::write(rows, Kind::Parquet, &mut bytes).await.unwrap();
        bytes::Bytes::from(bytes)
    });
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let field = |name: &str| reader.schema().field_with_name(name).unwrap().metadata().clone();
    assert_eq!(field("ra").get("unit").map(String::as_str), Some("deg"));
    assert_eq!(field("f475w_vega").get("unit").map(String::as_str), Some("mag"));
    assert!(field("f475w_vega").get("ucd").is_some_and(|ucd| ucd.contains("phot.mag")), "{:?}", field("f475w_vega"));
    assert!(field("other").get("unit").is_none());
    let compression = reader.metadata().row_group(0).column(0).compression();
    assert!(format!("{compression:?}").contains("ZSTD"), "{compression:?}");
    assert_eq!(*reader.schema().field_with_name("f475w_vega").unwrap().data_type(), DataType::Float32);
}

#[test]
fn formats_read_by_name_refuse_one_name_twice() {
    harness::runtime().block_on(async {
        for kind in [Kind::Records, Kind::Parquet] {
            let (_connection, rows) = ask("select 1 as a, 2 as a").await;
            let error = format::write(rows, kind, std::io::sink()).await.unwrap_err().to_string();
            assert!(error.contains("`a`") && error.contains("AS"), "{error}");
        }
    });
    assert_eq!(text("select 1 as a, 2 as a", Kind::Csv), "a,a\n1,2\n");
}

#[test]
fn numbers_are_the_shortest_that_read_back() {
    let sql = "select 0.1::real, 99.999::real, 1e7::real, 1e-6::real, 0.1::float8, 1e15::float8, 123456789012345::float8, -0.0::float8, 11.02203::float8, 5e-324::float8";
    let csv = text(sql, Kind::Csv);
    assert_eq!(csv.lines().nth(1).unwrap(), "0.1,99.999,1e7,1e-6,0.1,1e15,123456789012345,-0,11.02203,5e-324");
}

fn table(sql: &str, limits: table::Limits) -> String {
    harness::runtime().block_on(async {
        let (_connection, rows) = ask(sql).await;
        let mut bytes = Vec::new();
        table::write(rows, limits, &mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    })
}

#[test]
fn tables_align_numbers_to_the_right() {
    let drawn = table("select * from (values (1, 'a'), (100, null)) as t(n, name)", table::Limits::default());
    expect_test::expect![[r#"
        ┌─────┬──────┐
        │   n ┆ name │
        ╞═════╪══════╡
        │   1 ┆ a    │
        │ 100 ┆      │
        └─────┴──────┘
        2 rows
    "#]]
    .assert_eq(&drawn);
}

#[test]
fn tables_say_what_they_leave_out() {
    let drawn = table(
        "select g as first, g as second, repeat('x', 30) as third, g as fourth from generate_series(1, 20000) g",
        table::Limits { rows: 3, width: Some(40) },
    );
    assert!(drawn.lines().all(|line| line.chars().count() <= 100), "{drawn}");
    assert_eq!(drawn.lines().last().unwrap(), "first 3 rows; another --format writes all; 2 of 4 columns do not fit, from third on");
    assert!(drawn.contains("second") && !drawn.contains("xxx"), "{drawn}");
}
