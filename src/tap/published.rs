//! What is published: the catalogues whose tables are in the database, with row counts and coverage, and TAP_SCHEMA made of the same.
//!
//! [`publish`] compares a word made of the database's state and of the schema files with the word that TAP_SCHEMA was last made of; equal
//! words cost one round trip or two, so it can be asked every few seconds. Otherwise tables that have changed are counted and
//! covered anew, and TAP_SCHEMA is written in one transaction: whoever reads it sees the old one or the new one.

use super::{Error, coverage, tap_schema};
use crate::db::{self, Connection};
use crate::schema::table::OUTLINE_COLUMNS;
use crate::schema::{Catalog, Table, ddl};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The schema that describes all others.
pub const TAP_SCHEMA: &str = "tap_schema";
/// Above so many rows (as the planner thinks) the loader's books are believed rather than counting.
const COUNTED_ROWS: f64 = 50e6;

/// A published table.
#[derive(Debug, Clone)]
pub struct Relation {
    /// As its file says it, without columns and indices that the database does not have.
    pub table: Arc<Table>,
    pub is_view: bool,
    /// Counted, or added up from the loader's books.
    pub rows: Option<u64>,
    /// Coverage as an ASCII MOC; none for tables without positions.
    pub moc: Option<String>,
    state: String,
}

/// All that is published, at one moment.
#[derive(Debug, Clone)]
pub struct Published {
    /// In order, TAP_SCHEMA last; their tables are those of `relations`.
    pub catalogs: Vec<Catalog>,
    pub relations: Vec<Relation>,
    /// Equal words, equal content.
    pub word: String,
}

impl Published {
    /// The tables of a schema, in order.
    pub fn of_schema<'a>(&'a self, schema: &'a str) -> impl Iterator<Item = &'a Relation> {
        self.relations.iter().filter(move |relation| relation.table.schema == schema)
    }

    /// The table that a client means by `schema.table`, without regard to case.
    pub fn find(&self, name: &str) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.table.full_name().eq_ignore_ascii_case(name))
    }
}

/// Looks at the database, and brings TAP_SCHEMA up to date if it is not. `only` names the catalogues to publish, none means all.
pub async fn publish(connection: &mut Connection, catalogs: &[Catalog], only: &[String]) -> Result<Published, Error> {
    connection.batch_execute(include_str!("../../sql/tap/create_publication.sql")).await.map_err(db::Error::from)?;
    let wanted = |catalog: &&Catalog| catalog.name != TAP_SCHEMA && (only.is_empty() || only.contains(&catalog.name));
    let chosen: Vec<&Catalog> = catalogs.iter().filter(wanted).collect();
    let mut relations = live(connection, &chosen).await?;
    let word = word(&relations, &chosen);
    let is_new = known_word(connection).await?.as_ref() != Some(&word);
    measure(connection, &mut relations).await?;
    let own = Catalog::load(&[], TAP_SCHEMA)?;
    relations.extend(own.tables.iter().map(|table| Relation {
        table: Arc::new(table.clone()),
        is_view: false,
        rows: None,
        moc: None,
        state: String::new(),
    }));
    let mut published = Published { catalogs: trimmed(&chosen, &own, &relations), relations, word };
    tap_schema::count(&mut published);
    if is_new {
        tap_schema::write(connection, &published).await?;
    }
    Ok(published)
}

/// The word that TAP_SCHEMA would have now, cheaply: for noticing that something has changed.
pub async fn word_now(connection: &Connection, catalogs: &[Catalog], only: &[String]) -> Result<String, Error> {
    let wanted = |catalog: &&Catalog| catalog.name != TAP_SCHEMA && (only.is_empty() || only.contains(&catalog.name));
    let chosen: Vec<&Catalog> = catalogs.iter().filter(wanted).collect();
    Ok(word(&live(connection, &chosen).await?, &chosen))
}

/// The tables of the catalogues that are in the database, without columns and indices that it does not have.
async fn live(connection: &Connection, catalogs: &[&Catalog]) -> Result<Vec<Relation>, Error> {
    let names: Vec<&str> = catalogs.iter().map(|catalog| catalog.name.as_str()).collect();
    let schemas: [&(dyn postgres_types::ToSql + Sync); 1] = [&names];
    let (tables, columns, indexes) = tokio::try_join!(
        connection.query(include_str!("../../sql/tap/live_tables.sql"), &schemas),
        connection.query(include_str!("../../sql/tap/live_columns.sql"), &schemas),
        connection.query(include_str!("../../sql/tap/live_indexes.sql"), &schemas),
    )
    .map_err(db::Error::from)?;
    type Named = (String, String);
    let columns: HashMap<Named, Vec<String>> = columns.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect();
    let indexes: BTreeSet<(String, String, String)> = indexes.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let live: HashMap<Named, (bool, String)> =
        tables.iter().map(|row| ((row.get(0), row.get(1)), (row.get(2), row.get("state")))).collect();
    let mut relations = Vec::new();
    for table in catalogs.iter().flat_map(|catalog| &catalog.tables) {
        let name = (table.schema.clone(), table.name.clone());
        let Some((is_view, state)) = live.get(&name) else { continue };
        let mut table = table.clone();
        let here = columns.get(&name).map_or(&[][..], Vec::as_slice);
        table.columns.retain(|column| here.contains(&column.name));
        table.indexes.retain(|index| indexes.contains(&(name.0.clone(), name.1.clone(), index.name.clone())));
        if !indexes.contains(&(name.0.clone(), name.1.clone(), ddl::primary_key_name(&table))) {
            table.key.clear();
        }
        let known = |(ra, dec): &(String, String)| table.column(ra).is_some() && table.column(dec).is_some();
        table.position = table.position.clone().filter(known);
        let has_all = |outline: &String| OUTLINE_COLUMNS.iter().all(|what| here.contains(&Table::outline_column(outline, what)));
        table.outline = table.outline.take().filter(has_all);
        if !table.columns.is_empty() {
            relations.push(Relation { table: Arc::new(table), is_view: *is_view, rows: None, moc: None, state: state.clone() });
        }
    }
    Ok(relations)
}

/// Of all that TAP_SCHEMA is made of: the program, the schema files, the tables' states.
fn word(relations: &[Relation], catalogs: &[&Catalog]) -> String {
    use sha2::Digest;
    let mut hash = sha2::Sha256::new();
    hash.update(env!("CARGO_PKG_VERSION"));
    hash.update(format!("{catalogs:?}"));
    for relation in relations {
        hash.update(format!("{:?}", relation.table));
        hash.update(&relation.state);
    }
    hash.finalize()[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn known_word(connection: &Connection) -> Result<Option<String>, Error> {
    let row = connection.query_opt(include_str!("../../sql/tap/published_word.sql"), &[]).await.map_err(db::Error::from)?;
    let has_schema = connection.query_one(include_str!("../../sql/tap/has_tap_schema.sql"), &[]).await.map_err(db::Error::from)?;
    Ok(row.map(|row| row.get(0)).filter(|_| has_schema.get(0)))
}

/// Row counts and coverage, from the books where the table's state is the same, else anew.
async fn measure(connection: &Connection, relations: &mut [Relation]) -> Result<(), Error> {
    let known = connection.query(include_str!("../../sql/tap/publication.sql"), &[]).await.map_err(db::Error::from)?;
    type Found = (String, Option<i64>, Option<String>);
    let mut known: HashMap<String, Found> = known.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3)))).collect();
    let loaded = loaded_rows(connection).await?;
    for relation in relations {
        let name = relation.table.full_name();
        let state = format!("{}:{}", relation.state, relation.table.indexes.len());
        let (rows, moc) = match known.remove(&name) {
            Some((then, rows, moc)) if then == state => (rows, moc),
            _ => {
                let rows = count(connection, relation, loaded.get(&name).copied()).await?;
                let moc = coverage::of(connection, &relation.table).await?.map(|moc| coverage::ascii(&moc));
                let put = include_str!("../../sql/tap/publication_put.sql");
                connection.execute(put, &[&name, &state, &rows, &moc]).await.map_err(db::Error::from)?;
                (rows, moc)
            }
        };
        relation.rows = rows.and_then(|rows| u64::try_from(rows).ok());
        relation.moc = moc;
    }
    Ok(())
}

/// Rows by table as the loader's books add up.
async fn loaded_rows(connection: &Connection) -> Result<HashMap<String, i64>, Error> {
    let present: bool = connection.query_one(include_str!("../../sql/tap/has_ledger.sql"), &[]).await.map_err(db::Error::from)?.get(0);
    if !present {
        return Ok(HashMap::new());
    }
    let rows = connection.query(include_str!("../../sql/tap/loaded_rows.sql"), &[]).await.map_err(db::Error::from)?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Counts, or believes the loader where counting would take minutes; nothing is known of large views.
async fn count(connection: &Connection, relation: &Relation, loaded: Option<i64>) -> Result<Option<i64>, Error> {
    let table = &relation.table;
    let sql = include_str!("../../sql/tap/estimate_rows.sql");
    let estimate: f64 = connection.query_one(sql, &[&table.schema, &table.name]).await.map_err(db::Error::from)?.get(0);
    if relation.is_view || estimate > COUNTED_ROWS {
        return Ok(loaded);
    }
    let sql = include_str!("../../sql/tap/count_rows.sql").replace("{table}", &ddl::qualified(table));
    Ok(Some(connection.query_one(&sql, &[]).await.map_err(db::Error::from)?.get(0)))
}

/// The catalogues with only what is published of them.
fn trimmed(chosen: &[&Catalog], own: &Catalog, relations: &[Relation]) -> Vec<Catalog> {
    let mut catalogs = Vec::new();
    for catalog in chosen.iter().copied().chain([own]) {
        let tables: Vec<Table> = relations.iter().filter(|r| r.table.schema == catalog.name).map(|r| (*r.table).clone()).collect();
        if tables.is_empty() {
            continue;
        }
        let has = |table: &str, column: &str| tables.iter().any(|t| t.name == table && t.column(column).is_some());
        let mut trimmed = Catalog { tables: Vec::new(), ..catalog.clone() };
        trimmed.foreign_keys.retain(|key| has(&key.from.0, &key.from.1) && has(&key.to.0, &key.to.1));
        trimmed.tables = tables;
        catalogs.push(trimmed);
    }
    catalogs
}
