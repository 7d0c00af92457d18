//! The SQL functions behind ADQL against the IVOA's own examples, the library's HEALPix and plain SQL.

use super::harness;
use brickyard::adql::ivoa::SCRIPTS;
use brickyard::db::Connection;
use brickyard::sky::healpix;
use rand::{RngExt, SeedableRng};

/// A database with the functions, which are made twice: they replace themselves.
async fn database(name: &str) -> Connection {
    let (connection, _) = harness::server().database(name).await;
    for script in SCRIPTS.iter().chain(&SCRIPTS) {
        connection.batch_execute(script).await.expect("the script runs");
    }
    connection.batch_execute("set search_path = adql, public").await.expect("a setting");
    connection
}

/// The value of an expression as text, or the server's message.
async fn value(connection: &Connection, expression: &str) -> Result<Option<String>, String> {
    let row = connection.query_one(&format!("select ({expression})::text"), &[]).await;
    row.map(|row| row.get(0)).map_err(|error| error.as_db_error().map_or(error.to_string(), |error| error.message().to_owned()))
}

/// ADQL's constructors as arrays: `POINT('ICRS', 1, 2)` as `'{1, 2}'::float8[]`.
fn sql(expression: &str) -> String {
    let mut sql = expression.replace("CENTROID(CIRCLE(359, -1, 3))", "POINT(359, -1)");
    for name in ["POINT(", "CIRCLE(", "POLYGON("] {
        while let Some(start) = sql.find(name) {
            let end = start + sql[start..].find(')').expect("it closes");
            let numbers: Vec<&str> =
                sql[start + name.len()..end].split(',').map(str::trim).filter(|part| !part.starts_with('\'')).collect();
            sql = format!("{}'{{{}}}'::float8[]{}", &sql[..start], numbers.join(","), &sql[end + 1..]);
        }
    }
    sql
}

fn numbers(text: &str) -> Vec<f64> {
    let parts = text.split([',', '[', ']', '{', '}', ' ']).map(|part| part.trim_end_matches('.'));
    parts.filter_map(|part| part.parse().ok()).collect()
}

/// Is the value what the example prints, to its digits?
pub fn agrees(found: &Result<Option<String>, String>, expected: &str) -> bool {
    let tolerance = match expected.split('.').nth(1).map_or(0, |digits| digits.chars().take_while(char::is_ascii_digit).count()) {
        0 => 0.0,
        1..=7 => 1e-5,
        _ => 1e-8,
    };
    match (found, expected.trim_end_matches('.')) {
        (Err(_), "an error" | "undefined") => true,
        (Ok(None), "NULL") => true,
        (Ok(Some(found)), expected) => {
            let (found, expected) = (numbers(found), numbers(expected));
            !found.is_empty() && found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= tolerance)
        }
        _ => false,
    }
}

/// The examples that can be asked of any server: expression and result. The others ask tables of other services, a name resolver
/// on the network, or for random numbers.
pub fn scalars(examples: &str) -> impl Iterator<Item = (&str, &str)> {
    let cells = examples.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    let asked =
        |cells: &Vec<&str>| !cells[1].starts_with("SELECT") && !cells[0].starts_with("ivo_simbad") && !cells[0].starts_with("ivo_normal");
    cells.filter(asked).map(|cells| (cells[1], cells[2]))
}

#[test]
fn the_catalogue_of_functions_agrees_with_its_examples() {
    let Some(shared) = harness::shared() else { return };
    let examples = std::fs::read_to_string(shared.join("adql/udf_examples.tsv")).expect("the examples are readable");
    harness::runtime().block_on(async {
        let connection = database("adql_examples").await;
        let (mut wrong, mut right) = (Vec::new(), 0);
        for (expression, expected) in scalars(&examples) {
            let found = value(&connection, &sql(expression)).await;
            if agrees(&found, expected) { right += 1 } else { wrong.push(format!("{expression} is {found:?}, not {expected}")) }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(right >= 50, "only {right} examples were asked");
    });
}

#[test]
fn healpix_in_sql_is_the_librarys() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let mut lon: Vec<f64> = (0..2000).map(|_| random.random_range(-360.0..720.0)).collect();
    let mut lat: Vec<f64> = (0..2000).map(|_| random.random_range(-1.0_f64..1.0).asin().to_degrees()).collect();
    for sign in [-1.0, 1.0] {
        for _ in 0..200 {
            lon.push(random.random_range(0.0..360.0));
            lat.push(sign * (90.0 - 10f64.powf(random.random_range(-9.0..0.0))));
        }
        for quarter in 0..4 {
            lon.push(f64::from(quarter) * 90.0 + 10.0);
            lat.push(sign * 90.0);
        }
    }
    harness::runtime().block_on(async {
        let connection = database("adql_healpix").await;
        for order in [0, 1, 8, 12, 17, 29_i32] {
            let asked = "select ivo_healpix_index($1, l, b), ivo_healpix_center($1, ivo_healpix_index($1, l, b)) from unnest($2::float8[], \
                         $3::float8[]) with ordinality as t (l, b, i) order by i";
            let rows = connection.query(asked, &[&order, &lon, &lat]).await.expect("an answer");
            for (i, row) in rows.iter().enumerate() {
                let (cell, center): (i64, Vec<f64>) = (row.get(0), row.get(1));
                assert_eq!(cell as u64, healpix::nest(order as u8, lon[i], lat[i]), "order {order}, {} {}", lon[i], lat[i]);
                let (l, b) = healpix::nest_center_deg(order as u8, cell as u64).expect("a cell");
                let apart = ((center[0] - l + 540.0).rem_euclid(360.0) - 180.0).abs() * b.to_radians().cos();
                assert!(apart < 1e-12 && (center[1] - b).abs() < 1e-12, "order {order}, cell {cell}: {center:?}, not {l} {b}");
            }
        }
        for wrong in [
            "ivo_healpix_index(30, 1, 1)",
            "ivo_healpix_index(-1, 1, 1)",
            "ivo_healpix_index(5, 1, 91)",
            "ivo_healpix_index(5, 'nan', 1)",
            "ivo_healpix_index(5, 'infinity', 1)",
            "ivo_healpix_center(0, 12)",
            "ivo_healpix_center(3, -1)",
        ] {
            assert!(value(&connection, wrong).await.is_err(), "{wrong}");
        }
    });
}

#[test]
fn a_geometry_comes_back_from_every_system() {
    harness::runtime().block_on(async {
        let connection = database("adql_systems").await;
        let there_and_back = "
            select count(*), max(abs(back[2] - lat) + abs(mod((back[1] - lon + 540)::numeric, 360) - 180)::float8 * cosd(lat))
            from generate_series(0, 355, 5) as lon, generate_series(-90, 90, 10) as lat,
                 unnest('{ICRS,fk5,FK4,GALACTIC,SUPER_GALACTIC,ECLIPTIC}'::text[]) as a, unnest('{ICRS,FK5,B1950,Galactic,ECLIPTIC}'::text[]) as b,
                 lateral (select ivo_geom_transform(b, a, ivo_geom_transform(a, b, array[lon, lat]::float8[])) as back) as turned";
        let row = connection.query_one(there_and_back, &[]).await.expect("an answer");
        let (count, most): (i64, f64) = (row.get(0), row.get(1));
        assert!(count == 72 * 19 * 30 && most < 1e-9, "{count} {most}");
        assert!(value(&connection, "ivo_geom_transform('ICRS', 'MARS', '{1,2}')").await.is_err());
        assert_eq!(value(&connection, "ivo_geom_transform('ICRS', 'GALACTIC', null)").await, Ok(None));
    });
}

#[test]
fn a_histogram_counts_as_group_by_does() {
    harness::runtime().block_on(async {
        let connection = database("adql_histogram").await;
        connection
            .batch_execute(
                "create table sample as select case when i % 10 = 0 then null when i % 11 = 0 then 'nan' else sin(i) * 3 end as x
                 from generate_series(1, 20000) as i;
                 analyze sample;
                 set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0",
            )
            .await
            .expect("a table");
        let found = value(&connection, "select ivo_histogram(x, -1, 2.5, 7) from sample").await;
        let counted = "select array_agg(coalesce(n, 0) order by bin) from generate_series(0, 8) as bin
                       left join (select width_bucket(x, -1, 2.5, 7) as bin, count(*) as n from sample where x <> 'nan' group by 1) as c using (bin)";
        assert_eq!(found, value(&connection, counted).await);
        assert_eq!(value(&connection, "select ivo_histogram(x, 0, 1, 2) from sample where false").await, Ok(None));
        assert!(value(&connection, "select ivo_histogram(x, 1, 1, 2) from sample").await.is_err());
        assert!(value(&connection, "select ivo_histogram(x, 0, 1, 0) from sample").await.is_err());
        assert!(value(&connection, "select ivo_histogram(x, 0, 1, 2000000000) from sample").await.is_err());
    });
}

#[test]
fn text_and_random_functions_hold_at_their_edges() {
    harness::runtime().block_on(async {
        let connection = database("adql_text").await;
        for (expression, expected) in [
            (r"ivo_hasword('a star''s \ disk', 'star''s \ disks')", "1"),
            ("ivo_hasword('stars', 'star')", "1"),
            ("ivo_hasword('anything', 'the')", "0"),
            ("ivo_hasword('', '')", "0"),
            ("ivo_hashlist_has('', 'red')", "0"),
            ("ivo_dms_to_degrees('-00 00 36')", "-0.01"),
            ("ivo_interval_overlaps('nan', 1, 0, 2)", "0"),
            (
                "select array_agg(abs(m - 10) < 0.2 and abs(s - 5) < 0.2) from (select avg(x) as m, stddev(x) as s
                  from (select ivo_normal_random(10, 5) as x from generate_series(1, 20000)) as r) as q",
                "{t}",
            ),
        ] {
            assert_eq!(value(&connection, expression).await, Ok(Some(expected.to_owned())), "{expression}");
        }
        for wrong in
            ["ivo_hms_to_degrees('12:60:00')", "ivo_hms_to_degrees('12h')", "ivo_dms_to_degrees('1h2m3s')", "ivo_dms_to_degrees('')"]
        {
            let message = value(&connection, wrong).await.expect_err(wrong);
            assert!(message.contains("is no angle"), "{message}");
        }
    });
}
