//! Tables of strangers: what astropy, STILTS and we write is read with its values; what is wrong, huge or hostile is refused with its place.
#![allow(clippy::unwrap_used)] // a panic is how a test's helper fails

use crate::harness;
use brickyard::db;
use brickyard::format::read::{Error, Form, Limits};
use brickyard::format::{self, Head, Kind};
use brickyard::schema::rows::WireChunk;
use brickyard::schema::{Column, DataType, Text, wire};
use futures_util::StreamExt;
use std::io::Write;
use std::process::Command;

type Value = Option<Vec<u8>>;

fn try_read(form: Option<Form>, bytes: &[u8], limits: Limits) -> Result<(Vec<Column>, Vec<Vec<Value>>), Error> {
    let mut reader = format::read(form, std::io::Cursor::new(bytes.to_vec()), limits)?;
    let chunks = reader.by_ref().collect::<Result<Vec<WireChunk>, Error>>()?;
    let count = reader.columns.len();
    Ok((reader.columns, chunks.iter().flat_map(|chunk| values(chunk, count)).collect()))
}

fn read(form: Option<Form>, bytes: &[u8]) -> (Vec<Column>, Vec<Vec<Value>>) {
    try_read(form, bytes, Limits::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(bytes: &[u8], limits: Limits) -> Error {
    match try_read(None, bytes, limits) {
        Ok((columns, rows)) => panic!("{} columns, {} rows were read", columns.len(), rows.len()),
        Err(error) => error,
    }
}

fn values(chunk: &WireChunk, columns: usize) -> Vec<Vec<Value>> {
    let mut rest = chunk.bytes.as_slice();
    (0..chunk.rows).map(|_| (0..columns).map(|_| wire::take(&mut rest).unwrap().map(<[u8]>::to_vec)).collect()).collect()
}

/// What the server sends, and an answer of each kind made of it.
fn answered(sql: &str, head: &Head, kinds: &[Kind]) -> (Vec<Column>, Vec<Vec<Value>>, Vec<Vec<u8>>) {
    harness::runtime().block_on(async {
        let connection = db::connect(&harness::options(&harness::server().url())).await.unwrap();
        let rows = db::wire_rows(&connection, sql, &[]).await.unwrap();
        let (columns, mut chunks) = (rows.columns, rows.chunks);
        let mut sent = Vec::new();
        while let Some(chunk) = chunks.next().await {
            sent.extend(values(&chunk.unwrap(), columns.len()));
        }
        let mut documents = Vec::new();
        for &kind in kinds {
            let rows = db::wire_rows(&connection, sql, &[]).await.unwrap();
            let mut answer = format::answer(rows, head.clone(), kind, None);
            let mut document = Vec::new();
            while let Some(piece) = answer.next().await {
                document.extend_from_slice(&piece.unwrap());
            }
            documents.push(document);
        }
        (columns, sent, documents)
    })
}

fn types(columns: &[Column]) -> Vec<(String, DataType)> {
    columns.iter().map(|column| (column.name.clone(), column.datatype)).collect()
}

/// What we write we read, byte for byte as the server said it.
#[test]
fn our_answers_are_read_back() {
    let sql = "select * from (values
      (1, true, 1::smallint, 4611686018427387905::bigint, 1.5::real, 0.1::float8, 'plain', timestamp '2012-07-24 01:02:03.25',
       array[1, 2]::int[], array[0.5, 1.5]::real[], array[true, false]),
      (2, false, (-32767)::smallint, 9223372036854775807, 'NaN'::real, '-Infinity'::float8, E'M31 <&>\\r\\n \"q\" ]]> \u{661f}',
       timestamp '1969-12-31 23:59:59.999999', array[3, null]::int[], array['NaN', 'Infinity']::real[], array[true, null]),
      (3, true, 32767::smallint, -9223372036854775807, '-Infinity'::real, 5e-324::float8, '', timestamp '2000-01-01', array[]::int[],
       array[]::real[], array[]::boolean[]),
      (null, null, null, null, null, null, null, null, null, null, null)) as r(n, flag, small, big, re, dou, tex, tim, ints, reals, flags)";
    let named = |name: &str, datatype| Column {
        unit: "mag".into(),
        ucd: "phot.mag".into(),
        description: format!("<{name}>"),
        ..Column::new(name, datatype)
    };
    let kinds = [Kind::Binary2, Kind::Parquet, Kind::Tabledata, Kind::Binary];
    let (columns, sent, _) = answered(sql, &Head::default(), &[]);
    let head = Head { columns: columns.iter().map(|column| named(&column.name, column.datatype)).collect(), ..Head::default() };
    let (_, _, documents) = answered(sql, &head, &kinds);
    for (kind, document) in kinds.iter().zip(&documents) {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(document).unwrap();
        let bytes = if *kind == Kind::Parquet { document.clone() } else { gzip.finish().unwrap() };
        let (read_columns, mut got) = read(None, &bytes);
        assert_eq!(types(&read_columns), types(&columns), "{kind:?}");
        assert!(read_columns.iter().all(|column| column.unit == "mag" && column.description.starts_with('<')), "{kind:?}");
        if matches!(kind, Kind::Tabledata | Kind::Binary) {
            // what these cannot tell: an empty text, in BINARY a float's NULL, and an array's
            assert_eq!(got[2][6], None);
            got[2][6] = sent[2][6].clone();
            [4, 5, 8, 9, 10].iter().for_each(|&column| got[3][column] = None);
        }
        assert_eq!(got, sent, "{kind:?}");
    }
}

#[test]
fn csv_and_tsv_are_read_with_their_types() {
    let sql = "select * from (values
      (1, true, 4611686018427387905::bigint, 0.1::float8, 'a,\"b\"\u{661f}', timestamp '2012-07-24 01:02:03.25'),
      (-2, false, -9223372036854775808, 'NaN', '', timestamp '1969-12-31 23:59:59.999999'),
      (null, null, null, null, null, null)) as r(n, flag, big, dou, tex, tim)";
    let (columns, sent, documents) = answered(sql, &Head::default(), &[Kind::Csv, Kind::Tsv]);
    let (guessed, got) = read(None, &documents[0]);
    assert_eq!((types(&guessed), got), (types(&columns), sent.clone()));
    let (guessed, mut got) = read(None, &documents[1]);
    got[1][4] = Some(Vec::new()); // TSV has no empty text
    assert_eq!((types(&guessed), got), (types(&columns), sent));
    let (columns, rows) =
        read(None, b"\xef\xbb\xbf# made by hand\r\n\r\nid, x ,\"a \"\"b\"\"\",x,\r\n007,1e3,\"two\nlines\",,\r\n\r\n008,,,,\n");
    let wanted =
        [("id", DataType::Text), ("x", DataType::Double), ("a \"b\"", DataType::Text), ("x_2", DataType::Text), ("col_5", DataType::Text)];
    assert_eq!(types(&columns), wanted.map(|(name, datatype)| (name.to_owned(), datatype)));
    assert_eq!(rows[0][0].as_deref(), Some(b"007".as_slice()));
    assert_eq!((rows[1][1].as_deref(), rows[0][2].as_deref()), (None, Some(b"two\nlines".as_slice())));
}

/// Everything that astropy writes, in every serialisation, has astropy's values.
#[test]
fn what_astropy_writes_is_read() {
    let code = r#"
import sys, numpy as np
from astropy.table import Table, MaskedColumn
from astropy.io.votable import from_table
t = Table()
t['b'] = np.array([True, False, True])
t['u1'] = np.array([0, 255, 7], dtype='u1')
t['i2'] = np.array([-32768, 32767, 1], dtype='i2')
t['i4'] = MaskedColumn([1, 2, 3], mask=[False, True, False], dtype='i4')
t['i8'] = np.array([2**62 + 1, -2**63, 2**63 - 1], dtype='i8')
t['f4'] = np.array([0.1, np.nan, np.inf], dtype='f4')
t['f8'] = np.array([0.1, -np.inf, 5e-324], dtype='f8')
t['s'] = np.array(['plain', 'a<b>&"', '  pad'])
t['v'] = np.array([[1, 2], [3, 4], [5, 6]], dtype='f4')
t['f8'].unit = 'mag'; t['f8'].description = 'A magnitude'
for name in ['tabledata', 'binary', 'binary2']:
    votable = from_table(t); votable.to_xml(f'{sys.argv[1]}/{name}.vot', tabledata_format=name)
t.write(sys.argv[1] + '/table.fits'); t.write(sys.argv[1] + '/table.parquet')
"#;
    let folder = harness::scratch();
    let Some(python) = harness::python() else { return };
    let output = Command::new(python).args(["-c", code]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in ["tabledata.vot", "binary.vot", "binary2.vot", "table.fits", "table.parquet"] {
        let (columns, rows) = read(None, &std::fs::read(folder.path().join(file)).unwrap());
        let column = |name: &str| columns.iter().position(|column| column.name == name).unwrap();
        let value = |row: usize, name: &str| rows[row][column(name)].clone();
        let bytes = |value: &[u8]| Some(value.to_vec());
        assert_eq!((rows.len(), columns.len()), (3, 9), "{file}");
        assert_eq!(columns[column("u1")].datatype, DataType::Smallint, "{file}");
        assert_eq!((value(1, "b"), value(1, "u1")), (bytes(&[0]), bytes(&255i16.to_be_bytes())), "{file}");
        assert_eq!(
            (value(0, "i2"), value(1, "i4"), value(2, "i4")),
            (bytes(&i16::MIN.to_be_bytes()), None, bytes(&3i32.to_be_bytes())),
            "{file}"
        );
        assert_eq!((value(0, "i8"), value(1, "i8")), (bytes(&((1i64 << 62) + 1).to_be_bytes()), bytes(&i64::MIN.to_be_bytes())), "{file}");
        assert_eq!((value(0, "f4"), value(2, "f4")), (bytes(&0.1f32.to_be_bytes()), bytes(&f32::INFINITY.to_be_bytes())), "{file}");
        assert_eq!((value(0, "f8"), value(2, "f8")), (bytes(&0.1f64.to_be_bytes()), bytes(&5e-324f64.to_be_bytes())), "{file}");
        assert_eq!((value(1, "s"), value(2, "s")), (bytes(b"a<b>&\""), bytes(b"  pad")), "{file}");
        let pair: Vec<_> = wire::Elements::of(&value(1, "v").unwrap()).unwrap().map(|element| element.unwrap().unwrap().to_vec()).collect();
        assert_eq!(pair, [3f32.to_be_bytes().to_vec(), 4f32.to_be_bytes().to_vec()], "{file}");
        if file != "table.parquet" {
            assert_eq!(columns[column("f8")].unit, "mag", "{file}");
        }
    }
}

/// STILTS writes what TOPCAT sends.
#[test]
fn what_stilts_writes_is_read() {
    let Some(stilts) = harness::stilts() else { return };
    let folder = harness::scratch();
    let source = folder.path().join("in.csv");
    std::fs::write(&source, "id,ra,dec,name,flag\n1,10.5,41.25,alpha,true\n2,10.75,,\u{3b2}eta,false\n3,11,42,,true\n").unwrap();
    for (form, ending) in [
        ("votable-tabledata", "vot"),
        ("votable-binary", "vot"),
        ("votable-binary2", "vot"),
        ("fits-basic", "fits"),
        ("csv", "csv"),
        ("votable-fits-inline", "vot"),
    ] {
        let target = folder.path().join(format!("{form}.{ending}"));
        let args = [format!("in={}", source.display()), "ifmt=csv".into(), format!("out={}", target.display()), format!("ofmt={form}")];
        let output = Command::new(&stilts).arg("tcopy").args(args).output().unwrap();
        assert!(output.status.success(), "{form}: {}", String::from_utf8_lossy(&output.stderr));
        let (columns, rows) = read(None, &std::fs::read(&target).unwrap());
        assert_eq!(columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["id", "ra", "dec", "name", "flag"], "{form}");
        assert_eq!(rows.len(), 3, "{form}");
        assert_eq!(rows[0][1].as_deref(), Some(10.5f64.to_be_bytes().as_slice()), "{form}");
        assert_eq!(rows[0][3].as_deref(), Some(b"alpha".as_slice()), "{form}");
        assert_eq!(rows[2][3], None, "{form}");
        assert_eq!(rows[1][4].as_deref(), Some([0].as_slice()), "{form}");
        let is_missing = rows[1][2].as_ref().is_none_or(|bytes| f64::from_be_bytes(bytes.as_slice().try_into().unwrap()).is_nan());
        assert!(is_missing, "{form}");
    }
}

fn document(fields: &str, rows: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\"?>\n<VOTABLE version=\"1.3\"><RESOURCE><TABLE name=\"t1\">{fields}<DATA><TABLEDATA>\n{rows}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>").into_bytes()
}

#[test]
fn every_type_of_votable_has_its_place() {
    let fields = "<FIELD name=\"b\" datatype=\"bit\"/><FIELD name=\"bs\" datatype=\"bit\" arraysize=\"4\"/><FIELD name=\"c\" datatype=\"char\"/>\
        <FIELD name=\"u\" datatype=\"unicodeChar\" arraysize=\"8*\"/><FIELD name=\"t\" datatype=\"char\" arraysize=\"*\" xtype=\"adql:TIMESTAMP\"/>\
        <FIELD name=\"n\" datatype=\"int\"><DESCRIPTION>A &amp; B</DESCRIPTION><VALUES null=\"-1\"/></FIELD>\
        <FIELD name=\"ss\" datatype=\"char\" arraysize=\"3x*\"/><FIELD ID=\"idOnly\" datatype=\"long\"/><FIELD name=\"p\" datatype=\"double\" arraysize=\"2\" xtype=\"point\"/>";
    let row = "<TR><TD>1</TD><TD>1 0 1 1</TD><TD>x</TD><TD>&#x2A;&lt;<![CDATA[<&]]></TD><TD>2012-07-24 01:02:03</TD><TD>-1</TD><TD>ab cde</TD><TD>0x10</TD><TD>1.5 2</TD></TR>";
    let (columns, rows) = read(None, &document(fields, row));
    let datatypes: Vec<_> = columns.iter().map(|column| (column.datatype, column.array, column.text)).collect();
    assert_eq!(datatypes[0], (DataType::Smallint, false, Text::Unicode));
    assert_eq!(datatypes[1], (DataType::Smallint, true, Text::Unicode));
    assert_eq!(datatypes[2], (DataType::Text, false, Text::Letter));
    assert_eq!(datatypes[4].0, DataType::Timestamp);
    assert_eq!(datatypes[6], (DataType::Text, true, Text::Ascii));
    assert_eq!((columns[5].description.as_str(), columns[7].name.as_str(), columns[8].xtype.as_str()), ("A & B", "idOnly", "point"));
    assert_eq!(rows[0][3].as_deref(), Some("*<<&".as_bytes()));
    assert_eq!(rows[0][5], None);
    assert_eq!(rows[0][7].as_deref(), Some(16i64.to_be_bytes().as_slice()));
    let texts: Vec<_> = wire::Elements::of(rows[0][6].as_ref().unwrap()).unwrap().map(|text| text.unwrap().unwrap().to_vec()).collect();
    assert_eq!(texts, [b"ab".to_vec(), b"cde".to_vec()]);
}

#[test]
fn errors_say_where_and_what() {
    let int = "<FIELD name=\"n\" datatype=\"int\"/><FIELD name=\"m\" datatype=\"short\"/>";
    let good = "<TR><TD>1</TD><TD>2</TD></TR>\n";
    for (bytes, pieces) in [
        (document(int, &format!("{good}<TR><TD>2</TD><TD>99999</TD></TR>")), ["line 4, row 2", "`m`", "\"99999\"", "32767"]),
        (document(int, &format!("{good}<TR><TD>2</TD></TR>")), ["line 4", "row 2", "fewer cells", "2"]),
        (document(int, &format!("{good}<TR><TD>2</TD><TD>3</TD><TD>4</TD></TR>")), ["line 4", "row 2", "more cells", "2"]),
        (document("<FIELD name=\"z\" datatype=\"doubleComplex\"/>", ""), ["`z`", "doubleComplex", "real and imaginary", "two columns"]),
        (document(int, "<TR><TD>&nbsp;</TD></TR>"), ["line 3", "&nbsp;", "entity", "not known"]),
        (b"<!DOCTYPE VOTABLE [<!ENTITY a \"b\">]><VOTABLE/>".to_vec(), ["line 1", "document type declaration", "none", "taken"]),
        (b"<html><body>502</body></html>".to_vec(), ["line 1", "not a VOTable", "<html>", ""]),
        (document(int, good)[..150].to_vec(), ["line", "ends within", "", ""]),
        (b"a,b\n1,2\n3\n".to_vec(), ["line 3", "row 2", "1 fields", "has 2"]),
        (b"a,b\n\"x,2\n".to_vec(), ["line 2", "quoted", "never ends", ""]),
        (b"".to_vec(), ["no columns", "", "", ""]),
        (b"SIMPLE  =                    T".to_vec(), ["HDU 0", "ends here", "", ""]),
    ] {
        let said = refused(&bytes, Limits::default()).to_string();
        assert!(pieces.iter().all(|piece| said.contains(piece)), "{said} should say {pieces:?}");
    }
}

#[test]
fn every_limit_is_named() {
    let limits = Limits { bytes: 100_000, inflation: 20, rows: 100, columns: 5, cell_bytes: 1000 };
    let gzip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let zeros = gzip(&vec![b'0'; 8 << 20]);
    let long_text = format!("<TR><TD>{}</TD></TR>", "x".repeat(2000));
    let field = "<FIELD name=\"a\" datatype=\"char\" arraysize=\"*\"/>";
    let comment = format!("<VOTABLE><!--{}--></VOTABLE>", " ".repeat(90_000));
    let huge = "<FIELD name=\"a\" datatype=\"double\" arraysize=\"999999999x999999999\"/>";
    for (bytes, words) in [
        (document(field, &"<TR><TD>x</TD></TR>\n".repeat(101)), "rows more than 100"),
        (document(&field.repeat(6), ""), "columns more than 5"),
        (document(field, &long_text), "1000"),
        (vec![b'a'; 200_000], "bytes more than 100000"),
        (format!("a\n{}\n", "x".repeat(1001)).into_bytes(), "1000"),
        (comment.into_bytes(), "a value with bytes"),
    ] {
        let error = refused(&bytes, limits);
        assert!(error.is_too_large() && error.to_string().contains(words), "{error}");
    }
    let wide = Limits { bytes: 1 << 30, ..limits };
    assert!(refused(&zeros, wide).to_string().contains("inflates"), "{}", refused(&zeros, wide));
    let said = refused(&document(huge, "<TR><TD>1</TD></TR>"), limits).to_string();
    assert!(said.contains("arraysize") || said.contains("1000"), "{said}");
}

/// A BINARY stream that lies about the length of its arrays takes no memory and gives an error.
#[test]
fn binary_that_lies_is_refused() {
    let stream = |base64: &str| {
        format!("<VOTABLE><RESOURCE><TABLE><FIELD name=\"a\" datatype=\"double\" arraysize=\"*\"/><DATA><BINARY><STREAM encoding=\"base64\">{base64}</STREAM></BINARY></DATA></TABLE></RESOURCE></VOTABLE>").into_bytes()
    };
    for (base64, words) in [("/////w==", "limit"), ("AAAAAg==", "row 1"), ("AAA!", "not base64"), ("AAAAAAA", "not base64")] {
        let said = refused(&stream(base64), Limits::default()).to_string();
        assert!(said.contains(words), "{base64}: {said}");
    }
    let (_, rows) = read(None, &stream(" AAAA\nAA == "));
    assert_eq!(rows.len(), 1);
}

/// Damaged files end in an error or in rows, and in no panic.
#[test]
fn damage_does_no_harm() {
    let sql = "select g as n, g::text as t, array[g, g] as a, now()::timestamp as ti from generate_series(1, 40) g";
    let kinds = [Kind::Binary2, Kind::Tabledata, Kind::Fits, Kind::Parquet, Kind::Csv];
    let (_, _, documents) = answered(sql, &Head::default(), &kinds);
    let mut state = 1u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    for document in &documents {
        for _ in 0..300 {
            let mut bytes = document.clone();
            (0..1 + random(4)).for_each(|_| {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            });
            bytes.truncate(if random(3) == 0 { random(bytes.len()) } else { bytes.len() });
            let _ = try_read(None, &bytes, Limits { bytes: 1 << 24, ..Limits::default() });
        }
    }
}
