//! Catalogue stars for a picture: the brightest of a published table within it, asked as any client might.

use super::wish::Overlay;
use crate::format::Kind;
use crate::schema::Table;
use crate::tap::published::Published;
use crate::tap::query::{self, Failure, Question, shown};
use crate::tap::{Service, names};
use crate::web::{Error, scs};
use futures_util::StreamExt;

/// Positions (degrees) of the stars between `corners`, the brightest through `filter` first where the table has its magnitudes.
pub async fn stars(tap: &Service, wish: &Overlay, filter: Option<&str>, corners: &[(f64, f64)]) -> Result<Vec<(f64, f64)>, Error> {
    let snapshot = tap.snapshot();
    let table = table(&snapshot.published, &wish.table)?;
    let question = Question {
        query: adql(table, filter, corners, wish.stars),
        limit: wish.stars,
        kind: Kind::Csv,
        version: Default::default(),
        run_id: None,
    };
    let read = async {
        let statement = query::translate(&question, &snapshot.catalogue)?;
        let head = query::head(tap, &question, &statement, &snapshot);
        let session =
            tap.reader().await.map_err(|error| Failure::Refused { code: "unavailable", message: error.to_string(), is_ours: true })?;
        let mut answer = query::run(tap, session, &statement, &question, head).await?;
        let mut text = Vec::new();
        while let Some(chunk) = answer.next().await {
            text.extend_from_slice(&chunk.map_err(|error| Failure::Format(error.to_string()))?);
        }
        Ok::<_, Failure>(text)
    };
    let text = read.await.map_err(|failure| Error::usage(format!("overlay={}: {failure}", shown(&wish.table, 100))))?;
    Ok(positions(&text))
}

/// The table of this name, with its schema or alone if only one is called so.
fn table<'a>(published: &'a Published, name: &str) -> Result<&'a Table, Error> {
    let fits = |table: &Table| table.full_name().eq_ignore_ascii_case(name) || table.name.eq_ignore_ascii_case(name);
    let found: Vec<&Table> =
        published.relations.iter().filter(|r| scs::can_search(r)).map(|r| &*r.table).filter(|table| fits(table)).collect();
    match found[..] {
        [table] => Ok(table),
        [] => Err(Error::not_found(format!("overlay={}: there is no such table with positions", shown(name, 100)))
            .hint("the front page lists the tables that cone search knows")),
        [first, second, ..] => {
            let names = format!("{}, {}", first.full_name(), second.full_name());
            Err(Error::usage(format!("overlay={} is several tables: {names}", shown(name, 100))))
        }
    }
}

fn adql(table: &Table, filter: Option<&str>, corners: &[(f64, f64)], stars: u64) -> String {
    let (ra, dec) = table.position.as_ref().map_or(("ra", "dec"), |(ra, dec)| (ra, dec));
    let (ra, dec) = (names::written(ra), names::written(dec));
    let list = corners.iter().map(|(ra, dec)| format!("{ra}, {dec}")).collect::<Vec<_>>().join(", ");
    let magnitude = filter.and_then(|filter| {
        let prefix = format!("{}_", filter.to_lowercase());
        table.columns.iter().find(|column| column.name.to_lowercase().starts_with(&prefix) && column.ucd.starts_with("phot.mag"))
    });
    let order = magnitude.map(|column| format!(" ORDER BY {}", names::written(&column.name))).unwrap_or_default();
    format!("SELECT TOP {stars} {ra}, {dec} FROM {} WHERE 1 = CONTAINS(POINT({ra}, {dec}), POLYGON({list})){order}", names::table(table))
}

/// Two numbers of each line after the first.
fn positions(csv: &[u8]) -> Vec<(f64, f64)> {
    let text = String::from_utf8_lossy(csv);
    let pair = |line: &str| {
        let (ra, dec) = line.split_once(',')?;
        Some((ra.trim().parse().ok()?, dec.trim().parse().ok()?))
    };
    text.lines().skip(1).filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Column, DataType};

    #[test]
    fn the_brightest_through_the_filter_come_first() {
        let column = |name: &str, ucd: &str| Column { ucd: ucd.into(), ..Column::new(name, DataType::Double) };
        let table = Table {
            name: "t".into(),
            schema: "s".into(),
            position: Some(("ra".into(), "dec".into())),
            description: String::new(),
            columns: vec![column("f475w_snr", "stat.snr"), column("f475w_vega", "phot.mag;em.opt.B")],
            key: Vec::new(),
            indexes: Vec::new(),
            storage: Vec::new(),
            array_storage: None,
            outline: None,
        };
        let corners = [(1.0, 2.0), (1.5, 2.0), (1.5, 2.5)];
        let polygon = "SELECT TOP 7 ra, dec FROM s.t WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON(1, 2, 1.5, 2, 1.5, 2.5))";
        assert_eq!(adql(&table, Some("F475W"), &corners, 7), format!("{polygon} ORDER BY f475w_vega"));
        assert_eq!(adql(&table, Some("F160W"), &corners, 7), polygon);
        assert_eq!(positions(b"ra,dec\n1.5,-2e-1\n,\n3,4\n"), [(1.5, -0.2), (3.0, 4.0)]);
    }
}
