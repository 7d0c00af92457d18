//! The reserved words of ADQL 2.1 (REC-ADQL-2.1, section 2.1.2): SQL-92's and its own.

/// All of them, sorted, in capitals.
#[rustfmt::skip]
const RESERVED: [&str; 265] = [
    "ABS", "ABSOLUTE", "ACOS", "ACTION", "ADD", "ALL", "ALLOCATE", "ALTER", "AND", "ANY", "ARE", "AREA", "AS", "ASC", "ASIN", "ASSERTION",
    "AT", "ATAN", "ATAN2", "AUTHORIZATION", "AVG", "BEGIN", "BETWEEN", "BIGINT", "BIT", "BIT_LENGTH", "BOTH", "BOX", "BY", "CASCADE",
    "CASCADED", "CASE", "CAST", "CATALOG", "CEILING", "CENTROID", "CHAR", "CHARACTER", "CHARACTER_LENGTH", "CHAR_LENGTH", "CHECK",
    "CIRCLE", "CLOSE", "COALESCE", "COLLATE", "COLLATION", "COLUMN", "COMMIT", "CONNECT", "CONNECTION", "CONSTRAINT", "CONSTRAINTS",
    "CONTAINS", "CONTINUE", "CONVERT", "COORD1", "COORD2", "COORDSYS", "CORRESPONDING", "COS", "COT", "COUNT", "CREATE", "CROSS",
    "CURRENT", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "CURSOR", "DATE", "DAY", "DEALLOCATE", "DECLARE",
    "DEFAULT", "DEFERRABLE", "DEFERRED", "DEGREES", "DELETE", "DESC", "DESCRIBE", "DESCRIPTOR", "DIAGNOSTICS", "DISCONNECT", "DISTANCE",
    "DISTINCT", "DOMAIN", "DOUBLE", "DROP", "ELSE", "END", "ESCAPE", "EXCEPT", "EXCEPTION", "EXEC", "EXECUTE", "EXISTS", "EXP",
    "EXTERNAL", "EXTRACT", "FALSE", "FETCH", "FIRST", "FLOAT", "FLOOR", "FOR", "FOREIGN", "FOUND", "FROM", "FULL", "GET", "GLOBAL", "GO",
    "GOTO", "GRANT", "GROUP", "HAVING", "HOUR", "IDENTITY", "ILIKE", "IMMEDIATE", "IN", "INDICATOR", "INITIALLY", "INNER", "INPUT",
    "INSENSITIVE", "INSERT", "INT", "INTEGER", "INTERSECT", "INTERSECTS", "INTERVAL", "INTO", "IN_UNIT", "IS", "ISOLATION", "JOIN", "KEY",
    "LANGUAGE", "LAST", "LEADING", "LEFT", "LEVEL", "LIKE", "LOCAL", "LOG", "LOG10", "LOWER", "MATCH", "MAX", "MIN", "MINUTE", "MOD",
    "MODULE", "MONTH", "NAMES", "NATIONAL", "NATURAL", "NCHAR", "NEXT", "NO", "NOT", "NULL", "NULLIF", "NUMERIC", "OCTET_LENGTH", "OF",
    "OFFSET", "ON", "ONLY", "OPEN", "OPTION", "OR", "ORDER", "OUTER", "OUTPUT", "OVERLAPS", "PAD", "PARTIAL", "PI", "POINT", "POLYGON",
    "POSITION", "POWER", "PRECISION", "PREPARE", "PRESERVE", "PRIMARY", "PRIOR", "PRIVILEGES", "PROCEDURE", "PUBLIC", "RADIANS", "RAND",
    "READ", "REAL", "REFERENCES", "REGION", "RELATIVE", "RESTRICT", "REVOKE", "RIGHT", "ROLLBACK", "ROUND", "ROWS", "SCHEMA", "SCROLL",
    "SECOND", "SECTION", "SELECT", "SESSION", "SESSION_USER", "SET", "SIN", "SIZE", "SMALLINT", "SOME", "SPACE", "SQL", "SQLCODE",
    "SQLERROR", "SQLSTATE", "SQRT", "SUBSTRING", "SUM", "SYSTEM_USER", "TABLE", "TAN", "TEMPORARY", "THEN", "TIME", "TIMESTAMP",
    "TIMEZONE_HOUR", "TIMEZONE_MINUTE", "TO", "TOP", "TRAILING", "TRANSACTION", "TRANSLATE", "TRANSLATION", "TRIM", "TRUE", "TRUNCATE",
    "UNION", "UNIQUE", "UNKNOWN", "UPDATE", "UPPER", "USAGE", "USER", "USING", "VALUE", "VALUES", "VARCHAR", "VARYING", "VIEW", "WHEN",
    "WHENEVER", "WHERE", "WITH", "WORK", "WRITE", "YEAR", "ZONE",
];

/// Functions among them: reserved as names, free before a parenthesis.
#[rustfmt::skip]
const FUNCTIONS: [&str; 49] = [
    "ABS", "ACOS", "AREA", "ASIN", "ATAN", "ATAN2", "AVG", "BOX", "CEILING", "CENTROID", "CIRCLE", "COALESCE", "CONTAINS", "COORD1",
    "COORD2", "COORDSYS", "COS", "COT", "COUNT", "DEGREES", "DISTANCE", "EXP", "FLOOR", "INTERSECTS", "IN_UNIT", "LOG", "LOG10", "LOWER",
    "MAX", "MIN", "MOD", "NULLIF", "PI", "POINT", "POLYGON", "POWER", "RADIANS", "RAND", "REGION", "ROUND", "SIN", "SQRT", "SUBSTRING",
    "SUM", "TAN", "TIMESTAMP", "TRIM", "TRUNCATE", "UPPER",
];

/// Words that shape a query: where one of them is met, something before it is missing.
#[rustfmt::skip]
const STRUCTURE: [&str; 42] = [
    "ALL", "AND", "AS", "ASC", "BETWEEN", "BY", "CASE", "CAST", "CROSS", "DESC", "DISTINCT", "ELSE", "END", "ESCAPE", "EXCEPT", "FROM",
    "FULL", "GROUP", "HAVING", "ILIKE", "IN", "INNER", "INTERSECT", "INTO", "IS", "JOIN", "LEFT", "LIKE", "NATURAL", "NOT", "OFFSET",
    "ON", "OR", "ORDER", "RIGHT", "SELECT", "THEN", "UNION", "USING", "WHEN", "WHERE", "WITH",
];

/// The longest reserved word.
const LONGEST: usize = 17;

/// Is the word reserved, whatever its case?
pub fn is_reserved(word: &str) -> bool {
    listed(word, &RESERVED)
}

/// Is the reserved word the name of a function?
pub fn is_function(word: &str) -> bool {
    listed(word, &FUNCTIONS)
}

/// Does the word shape a query?
pub fn is_structure(word: &str) -> bool {
    listed(word, &STRUCTURE)
}

/// Is the word in the sorted list of capitals?
fn listed(word: &str, list: &[&str]) -> bool {
    if word.len() > LONGEST {
        return false;
    }
    let upper = word.to_ascii_uppercase();
    list.binary_search(&upper.as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_of_reserved_words() {
        for list in [&RESERVED[..], &FUNCTIONS, &STRUCTURE] {
            assert!(list.is_sorted(), "{list:?}");
            assert!(list.iter().all(|word| is_reserved(word) && word.len() <= LONGEST), "{list:?}");
        }
    }
}
