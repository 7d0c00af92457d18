//! TAP_SCHEMA 1.1: five ordinary tables, made of what is published, and describing themselves too.

use super::published::{Published, Relation, TAP_SCHEMA};
use super::{Error, names};
use crate::db::{self, Connection};
use crate::schema::{Catalog, Column, IndexKey, Table, ddl};

/// The columns that the standard does not know.
const OURS: [(&str, &str); 1] = [("tables", "nrows")];

/// The row counts of TAP_SCHEMA's own tables.
pub fn count(published: &mut Published) {
    let tables = published.relations.len();
    let columns: usize = published.relations.iter().map(|relation| relation.table.columns.len()).sum();
    let keys: usize = published.catalogs.iter().map(|catalog| catalog.foreign_keys.len()).sum();
    let schemas = published.catalogs.len();
    for relation in published.relations.iter_mut().filter(|relation| relation.table.schema == TAP_SCHEMA) {
        relation.rows = Some(match relation.table.name.as_str() {
            "schemas" => schemas,
            "tables" => tables,
            "columns" => columns,
            _ => keys,
        } as u64);
    }
}

/// Writes all of it in one transaction.
pub async fn write(connection: &mut Connection, published: &Published) -> Result<(), Error> {
    let own = Catalog::load(&[], TAP_SCHEMA)?;
    let is_same = has_its_columns(connection, &own).await?;
    let transaction = connection.transaction().await.map_err(db::Error::from)?;
    let fill = async {
        transaction.query_one(include_str!("../../sql/tap/lock_publication.sql"), &[]).await?;
        if !is_same {
            transaction.batch_execute(include_str!("../../sql/tap/drop_tap_schema.sql")).await?;
            transaction.batch_execute(&made(&own)).await?;
        }
        transaction.batch_execute(include_str!("../../sql/tap/clear.sql")).await?;
        put_schemas(&transaction, &published.catalogs).await?;
        put_tables(&transaction, &published.relations).await?;
        put_columns(&transaction, &published.relations).await?;
        put_keys(&transaction, &published.catalogs).await?;
        transaction.execute(include_str!("../../sql/tap/published_word_put.sql"), &[&published.word]).await
    };
    fill.await.map_err(db::Error::from)?;
    transaction.commit().await.map_err(db::Error::from)?;
    for catalog in &published.catalogs {
        db::connect::publish(connection, &catalog.name).await?;
    }
    Ok(())
}

fn made(own: &Catalog) -> String {
    let tables =
        own.tables.iter().map(|table| ddl::create_table(table) + &ddl::primary_key(table).unwrap_or_default() + &ddl::comments(table));
    ddl::create_schema(&own.name) + &tables.collect::<String>()
}

/// Has the database the tables as this program knows them?
async fn has_its_columns(connection: &Connection, own: &Catalog) -> Result<bool, Error> {
    let sql = include_str!("../../sql/schema/live_columns.sql");
    for table in &own.tables {
        let live = connection.query(sql, &[&table.schema, &table.name]).await.map_err(db::Error::from)?;
        let live: Vec<(String, String)> = live.iter().map(|row| (row.get(0), row.get(1))).collect();
        let wanted: Vec<(String, String)> = table.columns.iter().map(|c| (c.name.clone(), ddl::column_type(c))).collect();
        if live != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

type Done = Result<u64, tokio_postgres::Error>;

async fn put_schemas(transaction: &tokio_postgres::Transaction<'_>, catalogs: &[Catalog]) -> Done {
    let names: Vec<String> = catalogs.iter().map(|catalog| names::written(&catalog.name)).collect();
    let utypes: Vec<Option<&str>> = vec![None; catalogs.len()];
    let descriptions: Vec<&str> = catalogs.iter().map(|catalog| catalog.description.as_str()).collect();
    let places: Vec<i32> = (1..).take(catalogs.len()).collect();
    transaction.execute(include_str!("../../sql/tap/put_schemas.sql"), &[&names, &utypes, &descriptions, &places]).await
}

async fn put_tables(transaction: &tokio_postgres::Transaction<'_>, relations: &[Relation]) -> Done {
    let schemas: Vec<String> = relations.iter().map(|r| names::written(&r.table.schema)).collect();
    let tables: Vec<String> = relations.iter().map(|r| names::table(&r.table)).collect();
    let types: Vec<&str> = relations.iter().map(|r| kind(r)).collect();
    let utypes: Vec<Option<&str>> = vec![None; relations.len()];
    let descriptions: Vec<&str> = relations.iter().map(|r| r.table.description.as_str()).collect();
    let places: Vec<i32> = (1..).take(relations.len()).collect();
    let rows: Vec<Option<i64>> = relations.iter().map(|r| r.rows.and_then(|rows| i64::try_from(rows).ok())).collect();
    let sql = include_str!("../../sql/tap/put_tables.sql");
    transaction.execute(sql, &[&schemas, &tables, &types, &utypes, &descriptions, &places, &rows]).await
}

/// TAP's `table_type`.
pub fn kind(relation: &Relation) -> &'static str {
    if relation.is_view { "view" } else { "table" }
}

async fn put_columns(transaction: &tokio_postgres::Transaction<'_>, relations: &[Relation]) -> Done {
    let columns: Vec<(&Table, usize, &Column)> = relations
        .iter()
        .flat_map(|relation| relation.table.columns.iter().enumerate().map(|(place, column)| (&*relation.table, place, column)))
        .collect();
    let text =
        |of: fn(&Column) -> &str| -> Vec<Option<&str>> { columns.iter().map(|(_, _, c)| Some(of(c)).filter(|t| !t.is_empty())).collect() };
    let flag = |of: fn(&Table, &Column) -> bool| -> Vec<i32> { columns.iter().map(|(t, _, c)| i32::from(of(t, c))).collect() };
    let tables: Vec<String> = columns.iter().map(|(table, ..)| names::table(table)).collect();
    let written: Vec<String> = columns.iter().map(|(_, _, column)| names::written(&column.name)).collect();
    let sizes: Vec<Option<i32>> = columns.iter().map(|(_, _, c)| names::votable(c).1.parse().ok()).collect();
    let places: Vec<i32> = columns.iter().map(|(_, place, _)| i32::try_from(place + 1).unwrap_or(i32::MAX)).collect();
    let (datatypes, arraysizes, xtypes) = (text(|c| names::votable(c).0), text(|c| names::votable(c).1), text(|c| names::votable(c).2));
    let (descriptions, utypes) = (text(|c| &c.description), text(|c| &c.utype));
    let (units, ucds) = (text(|c| &c.unit), text(|c| &c.ucd));
    let (indexed, principal, std) = (flag(is_indexed), flag(is_principal), flag(is_standard));
    transaction
        .execute(
            include_str!("../../sql/tap/put_columns.sql"),
            &[
                &tables,
                &written,
                &datatypes,
                &arraysizes,
                &xtypes,
                &sizes,
                &descriptions,
                &utypes,
                &units,
                &ucds,
                &indexed,
                &principal,
                &std,
                &places,
            ],
        )
        .await
}

/// Does an index begin with the column, or is it one of a position with an index?
pub fn is_indexed(table: &Table, column: &Column) -> bool {
    let begins = |key: &IndexKey| match key {
        IndexKey::Columns(columns) => columns.first() == Some(&column.name),
        IndexKey::Q3c { ra, dec } => *ra == column.name || *dec == column.name,
    };
    table.key.first() == Some(&column.name) || table.indexes.iter().any(|index| begins(&index.key))
}

/// What most people ask for first: identifiers, positions, magnitudes, times.
pub fn is_principal(table: &Table, column: &Column) -> bool {
    let is_position = table.position.as_ref().is_some_and(|(ra, dec)| *ra == column.name || *dec == column.name);
    let main =
        ["meta.id", "phot.mag", "time.start", "pos.eq"].iter().any(|ucd| column.ucd == *ucd || column.ucd.starts_with(&format!("{ucd};")));
    table.schema == TAP_SCHEMA && is_standard(table, column) || is_position || table.key.contains(&column.name) || main
}

/// Does a standard define the column?
pub fn is_standard(table: &Table, column: &Column) -> bool {
    let is_of_obscore = table.schema == "ivoa" && column.utype.starts_with("obscore:");
    is_of_obscore || table.schema == TAP_SCHEMA && !OURS.contains(&(&table.name, &column.name))
}

async fn put_keys(transaction: &tokio_postgres::Transaction<'_>, catalogs: &[Catalog]) -> Done {
    let keys: Vec<_> = catalogs.iter().flat_map(|catalog| catalog.foreign_keys.iter().map(move |key| (catalog, key))).collect();
    let ids: Vec<String> = keys.iter().map(|(catalog, key)| key_id(catalog, key)).collect();
    let end = |catalog: &Catalog, table: &str| format!("{}.{}", names::written(&catalog.name), names::written(table));
    let from: Vec<String> = keys.iter().map(|(catalog, key)| end(catalog, &key.from.0)).collect();
    let to: Vec<String> = keys.iter().map(|(catalog, key)| end(catalog, &key.to.0)).collect();
    let descriptions: Vec<&str> = keys.iter().map(|(_, key)| key.description.as_str()).collect();
    let utypes: Vec<Option<&str>> = vec![None; keys.len()];
    transaction.execute(include_str!("../../sql/tap/put_keys.sql"), &[&ids, &from, &to, &descriptions, &utypes]).await?;
    let from: Vec<String> = keys.iter().map(|(_, key)| names::written(&key.from.1)).collect();
    let to: Vec<String> = keys.iter().map(|(_, key)| names::written(&key.to.1)).collect();
    transaction.execute(include_str!("../../sql/tap/put_key_columns.sql"), &[&ids, &from, &to]).await
}

/// `phat_v2.phot_meas.objid`: readable, and unique since a column refers to one table only.
pub fn key_id(catalog: &Catalog, key: &crate::schema::catalog::ForeignKey) -> String {
    format!("{}.{}.{}", catalog.name, key.from.0, key.from.1)
}
