//! Functions of the IVOA's catalogue of user-defined functions (EN-1.2), and the SQL that makes those which PostgreSQL lacks.

/// Scripts that make the functions in the schema `adql`, in any order; they replace what is there. Run them as its owner.
///
/// The functions run with their caller's rights. What they name is PostgreSQL's own, in `pg_catalog`, which is searched first, or
/// stands with its schema.
pub const SCRIPTS: [&str; 4] = [
    include_str!("../../sql/adql/healpix.sql"),
    include_str!("../../sql/adql/sky.sql"),
    include_str!("../../sql/adql/text.sql"),
    include_str!("../../sql/adql/numbers.sql"),
];
