//! The front of ADQL: the verdicts of the gold sample, texts of errors, trees, and that any text is answered in linear time.

use super::harness;
use brickyard::adql::tree::{Body, ExprKind, From, Item};
use brickyard::adql::{self, Code};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::time::{Duration, Instant};

#[test]
fn the_gold_sample_is_judged_as_the_standard_judges() {
    let Some(shared) = harness::shared() else { return };
    let sample = std::fs::read_to_string(shared.join("adql/gold_sample.jsonl")).expect("the sample is readable");
    let mut wrong = Vec::new();
    for line in sample.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON lines");
        let text = |key: &str| row[key].as_str().expect("a text");
        let declared = text("udfs").to_lowercase();
        let is_known = |name: &str| declared.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| name.eq_ignore_ascii_case(word));
        let parsed = adql::parse_with(text("query"), &is_known);
        if parsed.is_ok() != (text("expected") == "valid") {
            let error = parsed.err().map_or_else(|| format!("taken: {}\n", text("query")), |error| error.render(text("query")));
            wrong.push(format!("{} is {}\n{error}", text("id"), text("expected")));
        }
    }
    assert_eq!(sample.lines().count(), 260);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The rendered error of each query, in turn.
fn check(queries: &[&str], expected: Expect) {
    let render = |query: &&str| adql::parse(query).map_or_else(|error| error.render(query), |_| format!("taken: {query}\n"));
    expected.assert_eq(&queries.iter().map(render).collect::<Vec<_>>().join("\n"));
}

#[test]
fn names_that_are_reserved_or_need_quotes_are_shown_in_quotes() {
    check(
        &[
            "SELECT count FROM t",
            "SELECT a FROM t AS date",
            "SELECT a date FROM t",
            "SELECT _x FROM t",
            "SELECT größe FROM t",
            "SELECT 2mass FROM t",
            "SELECT ra FROM II/246/out",
            "SELECT a AS 'b' FROM t",
            "SELECT t.date, t.\"count\" FROM t",
        ],
        expect![[r#"
            error: count is a reserved word of ADQL
             --> line 1, column 8 (reserved-word)
              |
            1 | SELECT count FROM t
              |        ^^^^^
              = remedy: as a name write "count"

            error: date is a reserved word of ADQL
             --> line 1, column 20 (reserved-word)
              |
            1 | SELECT a FROM t AS date
              |                    ^^^^
              = remedy: as a name write "date"

            error: expected a comma or FROM, but here stands date
             --> line 1, column 10 (syntax)
              |
            1 | SELECT a date FROM t
              |          ^^^^
              = remedy: date is a reserved word: as a name write "date"
              = remedy: columns are separated by commas

            error: the name _x needs quotes: without them it has letters a-z, digits and _, a letter first
             --> line 1, column 8 (character)
              |
            1 | SELECT _x FROM t
              |        ^^
              = remedy: write "_x"

            error: the name größe needs quotes: without them it has letters a-z, digits and _, a letter first
             --> line 1, column 8 (character)
              |
            1 | SELECT größe FROM t
              |        ^^^^^
              = remedy: write "größe"

            error: 2mass is neither a number nor a name
             --> line 1, column 8 (number)
              |
            1 | SELECT 2mass FROM t
              |        ^^^^^
              = remedy: put a space after the number, or write the name in quotes: "2mass"

            error: expected the end of the table's name, but here stands /
             --> line 1, column 18 (syntax)
              |
            1 | SELECT ra FROM II/246/out
              |                  ^
              = remedy: a table's name with other characters stands in double quotes: "J/A+A/1"

            error: expected a name, but here stands 'b'
             --> line 1, column 13 (syntax)
              |
            1 | SELECT a AS 'b' FROM t
              |             ^^^
              = remedy: names stand in double quotes: "b"

            taken: SELECT t.date, t."count" FROM t
        "#]],
    );
}

#[test]
fn quotes_and_signs_of_word_processors_get_the_right_ones() {
    check(
        &[
            "SELECT ra FROM t WHERE name = ‘M31’",
            "SELECT “ra” FROM t",
            "SELECT `ra` FROM t",
            "SELECT a − b FROM t",
            "SELECT a FROM t WHERE a ≤ 5",
            "SELECT\u{a0}a FROM t",
            "SELECT \u{202e}a FROM t",
            "SELECT 'a\0b' FROM t",
        ],
        expect![[r#"
            error: the character ‘ (U+2018) has no meaning here
             --> line 1, column 31 (character)
              |
            1 | SELECT ra FROM t WHERE name = ‘M31’
              |                               ^
              = remedy: text stands in straight single quotes: 'M31'

            error: the character “ (U+201C) has no meaning here
             --> line 1, column 8 (character)
              |
            1 | SELECT “ra” FROM t
              |        ^
              = remedy: names stand in straight double quotes: "ra"
              = remedy: text stands in straight single quotes

            error: the character ` (U+0060) has no meaning here
             --> line 1, column 8 (character)
              |
            1 | SELECT `ra` FROM t
              |        ^
              = remedy: names stand in double quotes: "ra"

            error: the character − (U+2212) has no meaning here
             --> line 1, column 10 (character)
              |
            1 | SELECT a − b FROM t
              |          ^
              = remedy: write the minus sign of the keyboard: -

            error: the character ≤ (U+2264) has no meaning here
             --> line 1, column 25 (character)
              |
            1 | SELECT a FROM t WHERE a ≤ 5
              |                         ^
              = remedy: write <=

            taken: SELECT a FROM t

            error: the invisible character U+202E cannot stand here
             --> line 1, column 8 (character)
              |
            1 | SELECT ·a FROM t
              |        ^
              = remedy: delete it; it often comes from copying out of a document

            error: the invisible character U+0000 cannot stand here
             --> line 1, column 10 (character)
              |
            1 | SELECT 'a·b' FROM t
              |          ^
              = remedy: delete it; it often comes from copying out of a document
        "#]],
    );
}

#[test]
fn signs_of_other_dialects_get_adqls() {
    check(
        &[
            "SELECT a FROM t WHERE x == 3",
            "SELECT a FROM t WHERE x => 3",
            "SELECT a FROM t WHERE x = 1 && y = 2",
            "SELECT a FROM t WHERE mag % 2 = 0",
            "SELECT 0xFF FROM t",
            "SELECT a FROM t WHERE x = E'a'",
            "SELECT a FROM {table}",
            "SELECT a FROM t WHERE ra = :ra",
            "SELECT a[1] FROM t",
        ],
        expect![[r#"
            error: == is not part of ADQL
             --> line 1, column 25 (not-in-adql)
              |
            1 | SELECT a FROM t WHERE x == 3
              |                         ^^
              = remedy: write = to compare

            error: => is not part of ADQL
             --> line 1, column 25 (not-in-adql)
              |
            1 | SELECT a FROM t WHERE x => 3
              |                         ^^
              = remedy: write >=

            error: && is not part of ADQL
             --> line 1, column 29 (not-in-adql)
              |
            1 | SELECT a FROM t WHERE x = 1 && y = 2
              |                             ^^
              = remedy: write AND

            error: % is not part of ADQL
             --> line 1, column 27 (not-in-adql)
              |
            1 | SELECT a FROM t WHERE mag % 2 = 0
              |                           ^
              = remedy: the remainder is MOD(x, y)

            error: hexadecimal numbers are not part of ADQL
             --> line 1, column 8 (number)
              |
            1 | SELECT 0xFF FROM t
              |        ^^^^
              = remedy: write 255

            error: strings with a letter before the quote are not part of ADQL
             --> line 1, column 27 (not-in-adql)
              |
            1 | SELECT a FROM t WHERE x = E'a'
              |                           ^^
              = remedy: write the text between single quotes; a backslash means itself, a quote is doubled ('')

            error: { is not part of ADQL
             --> line 1, column 15 (not-in-adql)
              |
            1 | SELECT a FROM {table}
              |               ^
              = remedy: fill in the place-holder before sending the query

            error: : is not part of ADQL
             --> line 1, column 28 (not-in-adql)
              |
            1 | SELECT a FROM t WHERE ra = :ra
              |                            ^
              = remedy: there are no parameters: write the value

            error: [ is not part of ADQL
             --> line 1, column 9 (not-in-adql)
              |
            1 | SELECT a[1] FROM t
              |         ^
              = remedy: there are no arrays; names with special characters stand in double quotes
        "#]],
    );
}

#[test]
fn slips_of_the_hand_get_their_place() {
    check(
        &[
            "",
            " ;",
            "SELECT",
            "SELECT FROM t",
            "SELECT 1",
            "SELECT ra, dec, FROM t",
            "SELECT ra dec mag FROM t",
            "SELECT * FROM t WHERE",
            "SELECT * FROM t WHERE (x = 1",
            "SELECT * FROM t WHERE x = 1)",
            "SELECT * FROM t WHERE name = 'M31",
            "SELECT * FROM t WHERE name = 'Barnard's star'",
            "SELECT * FROM t WHERE \"name = 'M31'",
            "SELECT * FROM t GROUP x",
            "SELECT * FROM t ORDER BY x GROUP BY y",
            "SELECT * FROM t WHERE a < b < c",
            "SELECT * FROM t WHERE x IN ()",
            "SELECT * FROM t WHERE x IN (1, 2,)",
            "SELECT * FROM t WHERE x IN 5",
            "SELECT * FROM t WHERE x NOT NULL",
            "SELECT * FROM t WHERE x BETWEEN 1, 2",
            "SELECT /* a FROM t",
        ],
        expect![[r#"
            error: the query is empty
             --> line 1, column 1 (syntax)
              |
            1 | 
              | ^
              = remedy: write, for example, SELECT TOP 10 * FROM tap_schema.tables

            error: the query is empty
             --> line 1, column 2 (syntax)
              |
            1 |  ;
              |  ^
              = remedy: write, for example, SELECT TOP 10 * FROM tap_schema.tables

            error: expected a value, but the query ends
             --> line 1, column 7 (syntax)
              |
            1 | SELECT
              |       ^

            error: expected the columns to select, but here stands FROM
             --> line 1, column 8 (syntax)
              |
            1 | SELECT FROM t
              |        ^^^^
              = remedy: name them, or write * for all

            error: this SELECT has no FROM: every ADQL query reads a table
             --> line 1, column 1 (syntax)
              |
            1 | SELECT 1
              | ^^^^^^^^
              = remedy: add FROM and a table

            error: expected a value, but here stands FROM
             --> line 1, column 17 (syntax)
              |
            1 | SELECT ra, dec, FROM t
              |                 ^^^^
              = remedy: take away the comma before it

            error: expected a comma or FROM, but here stands mag
             --> line 1, column 15 (syntax)
              |
            1 | SELECT ra dec mag FROM t
              |               ^^^
              = remedy: columns are separated by commas

            error: expected a value, but the query ends
             --> line 1, column 22 (syntax)
              |
            1 | SELECT * FROM t WHERE
              |                      ^

            error: expected an operator or a closing parenthesis, but the query ends
             --> line 1, column 29 (syntax)
              |
            1 | SELECT * FROM t WHERE (x = 1
              |                             ^
              = remedy: close the parenthesis that opens in line 1, column 23

            error: expected the end of the query, but here stands )
             --> line 1, column 28 (syntax)
              |
            1 | SELECT * FROM t WHERE x = 1)
              |                            ^
              = remedy: take this parenthesis away, or open one before

            error: this text has no closing quote
             --> line 1, column 30 (unterminated)
              |
            1 | SELECT * FROM t WHERE name = 'M31
              |                              ^^^^
              = remedy: end it with ', and double a quote within it: 'Barnard''s star'

            error: this text has no closing quote
             --> line 1, column 45 (unterminated)
              |
            1 | SELECT * FROM t WHERE name = 'Barnard's star'
              |                                             ^
              = remedy: end it with ', and double a quote within it: 'Barnard''s star'

            error: this name has no closing quote
             --> line 1, column 23 (unterminated)
              |
            1 | SELECT * FROM t WHERE "name = 'M31'
              |                       ^^^^^^^^^^^^^
              = remedy: end it with "; text stands in single quotes: 'M31'

            error: expected BY, but here stands x
             --> line 1, column 23 (syntax)
              |
            1 | SELECT * FROM t GROUP x
              |                       ^

            error: expected the end of the query, but here stands GROUP
             --> line 1, column 28 (syntax)
              |
            1 | SELECT * FROM t ORDER BY x GROUP BY y
              |                            ^^^^^
              = remedy: the order is SELECT, FROM, WHERE, GROUP BY, HAVING, ORDER BY, OFFSET

            error: expected AND or OR, but here stands <
             --> line 1, column 29 (syntax)
              |
            1 | SELECT * FROM t WHERE a < b < c
              |                             ^
              = remedy: two comparisons are joined by AND: a < b AND b < c

            error: IN needs at least one value
             --> line 1, column 28 (syntax)
              |
            1 | SELECT * FROM t WHERE x IN ()
              |                            ^^
              = remedy: write IN (1, 2, 3)

            error: expected a value, but here stands )
             --> line 1, column 34 (syntax)
              |
            1 | SELECT * FROM t WHERE x IN (1, 2,)
              |                                  ^
              = remedy: take away the comma before it

            error: expected an opening parenthesis after IN, but here stands 5
             --> line 1, column 28 (syntax)
              |
            1 | SELECT * FROM t WHERE x IN 5
              |                            ^
              = remedy: write IN (1, 2, 3) or IN (SELECT ...)

            error: expected a comparison, but here stands NOT
             --> line 1, column 25 (syntax)
              |
            1 | SELECT * FROM t WHERE x NOT NULL
              |                         ^^^
              = remedy: write IS NOT NULL

            error: expected AND after the lower bound of BETWEEN, but here stands ,
             --> line 1, column 34 (syntax)
              |
            1 | SELECT * FROM t WHERE x BETWEEN 1, 2
              |                                  ^
              = remedy: write x BETWEEN low AND high

            error: this comment has no end
             --> line 1, column 8 (unterminated)
              |
            1 | SELECT /* a FROM t
              |        ^^
              = remedy: close it with */
        "#]],
    );
}

#[test]
fn what_adql_has_not_is_named() {
    check(
        &[
            "DROP TABLE t",
            "SELECT a FROM t; DROP TABLE t",
            "SELECT a FROM t FOR UPDATE",
            "SELECT a INTO x FROM t",
            "SELECT rank() OVER (ORDER BY x) FROM t",
            "SELECT DISTINCT ON (x) y FROM t",
            "SELECT a FROM t MINUS SELECT b FROM u",
            "SELECT a FROM t FETCH FIRST 10 ROWS ONLY",
            "SELECT a FROM t LIMIT 5, 10",
            "SELECT TOP 10 DISTINCT a FROM t",
            "SELECT TOP 1e3 a FROM t",
            "SELECT TOP 99999999999999999999 a FROM t",
            "SELECT a FROM t OFFSET -1",
            "SELECT a FROM t TABLESAMPLE (10)",
            "SELECT a FROM t WHERE (a, b) IN (SELECT 1, 2 FROM u)",
            "SELECT a FROM t WHERE x = ANY (SELECT 1 FROM u)",
            "SELECT a FROM t WHERE x = DATE '2010-01-01'",
            "SELECT EXTRACT(YEAR FROM d) FROM t",
            "SELECT a FROM f(x)",
            "SELECT s.f(x) FROM t",
            "SELECT CAST(x AS FLOAT) FROM t",
            "SELECT a FROM (WITH b AS (SELECT 1 FROM t) SELECT * FROM b) AS c",
            "WITH RECURSIVE b AS (SELECT 1 FROM t) SELECT * FROM b",
            "SELECT a FROM t UNION SELECT b FROM u ORDER BY 1 UNION SELECT c FROM v",
            "SELECT a FROM (SELECT a FROM t)",
            "SELECT a FROM (t JOIN u USING (x)) AS v",
            "SELECT a FROM t NATURAL JOIN u ON t.a = u.a",
            "SELECT a FROM t JOIN u USING (t.a)",
            "SELECT a FROM a.b.c.d",
        ],
        expect![[r#"
            error: DROP is not part of ADQL: a query only reads
             --> line 1, column 1 (not-in-adql)
              |
            1 | DROP TABLE t
              | ^^^^
              = remedy: begin with SELECT; tables and columns are listed in tap_schema

            error: a second statement begins here; one is read at a time
             --> line 1, column 18 (not-in-adql)
              |
            1 | SELECT a FROM t; DROP TABLE t
              |                  ^^^^
              = remedy: send each query on its own

            error: expected the end of the query, but here stands FOR
             --> line 1, column 17 (syntax)
              |
            1 | SELECT a FROM t FOR UPDATE
              |                 ^^^
              = remedy: there is nothing to lock: end the query before it

            error: expected a comma or FROM, but here stands INTO
             --> line 1, column 10 (syntax)
              |
            1 | SELECT a INTO x FROM t
              |          ^^^^
              = remedy: the rows come back as the answer: there is no INTO

            error: expected an operator, but here stands OVER
             --> line 1, column 15 (syntax)
              |
            1 | SELECT rank() OVER (ORDER BY x) FROM t
              |               ^^^^
              = remedy: ADQL has no window functions and no FILTER

            error: DISTINCT ON is not part of ADQL
             --> line 1, column 17 (not-in-adql)
              |
            1 | SELECT DISTINCT ON (x) y FROM t
              |                 ^^
              = remedy: use GROUP BY

            error: expected the end of the query, but here stands SELECT
             --> line 1, column 23 (syntax)
              |
            1 | SELECT a FROM t MINUS SELECT b FROM u
              |                       ^^^^^^
              = remedy: the difference of two queries is EXCEPT

            error: expected the end of the query, but here stands FETCH
             --> line 1, column 17 (syntax)
              |
            1 | SELECT a FROM t FETCH FIRST 10 ROWS ONLY
              |                 ^^^^^
              = remedy: the number of rows is limited by TOP: SELECT TOP 10 ...

            error: expected the end of the query, but here stands ,
             --> line 1, column 24 (syntax)
              |
            1 | SELECT a FROM t LIMIT 5, 10
              |                        ^
              = remedy: write TOP for the number of rows and OFFSET for those to skip

            error: expected the columns to select, but here stands DISTINCT
             --> line 1, column 15 (syntax)
              |
            1 | SELECT TOP 10 DISTINCT a FROM t
              |               ^^^^^^^^
              = remedy: DISTINCT stands before TOP: SELECT DISTINCT TOP 10 ...

            error: expected a number of rows after TOP, but here stands 1e3
             --> line 1, column 12 (syntax)
              |
            1 | SELECT TOP 1e3 a FROM t
              |            ^^^
              = remedy: write a whole number, not negative, as in TOP 10

            error: TOP counts to 9223372036854775807 at most
             --> line 1, column 12 (number)
              |
            1 | SELECT TOP 99999999999999999999 a FROM t
              |            ^^^^^^^^^^^^^^^^^^^^

            error: expected a number of rows after OFFSET, but here stands -
             --> line 1, column 24 (syntax)
              |
            1 | SELECT a FROM t OFFSET -1
              |                        ^
              = remedy: write a whole number, not negative, as in OFFSET 10

            error: expected the end of the query, but here stands TABLESAMPLE
             --> line 1, column 17 (syntax)
              |
            1 | SELECT a FROM t TABLESAMPLE (10)
              |                 ^^^^^^^^^^^
              = remedy: to sample, filter on a column of random numbers, or write WHERE RAND() < 0.01

            error: expected a closing parenthesis, but here stands ,
             --> line 1, column 25 (syntax)
              |
            1 | SELECT a FROM t WHERE (a, b) IN (SELECT 1, 2 FROM u)
              |                         ^
              = remedy: rows of values, (a, b), are not part of ADQL: compare one by one

            error: comparing with ANY or ALL of a query is not part of ADQL
             --> line 1, column 27 (not-in-adql)
              |
            1 | SELECT a FROM t WHERE x = ANY (SELECT 1 FROM u)
              |                           ^^^
              = remedy: write IN (SELECT ...), or compare with (SELECT MAX(...) ...)

            error: expected a value, but here stands DATE
             --> line 1, column 27 (syntax)
              |
            1 | SELECT a FROM t WHERE x = DATE '2010-01-01'
              |                           ^^^^
              = remedy: write TIMESTAMP '2010-07-12T00:00:00'

            error: ADQL has no function EXTRACT
             --> line 1, column 8 (unknown-function)
              |
            1 | SELECT EXTRACT(YEAR FROM d) FROM t
              |        ^^^^^^^

            error: a function cannot stand in FROM
             --> line 1, column 15 (not-in-adql)
              |
            1 | SELECT a FROM f(x)
              |               ^
              = remedy: name a table, or a query in parentheses

            error: functions have no schema
             --> line 1, column 8 (unknown-function)
              |
            1 | SELECT s.f(x) FROM t
              |        ^^^
              = remedy: write the function's name alone

            error: FLOAT is not a type of ADQL
             --> line 1, column 18 (type)
              |
            1 | SELECT CAST(x AS FLOAT) FROM t
              |                  ^^^^^
              = remedy: write DOUBLE PRECISION (or REAL)

            error: WITH stands only at the very beginning of a query
             --> line 1, column 16 (not-in-adql)
              |
            1 | SELECT a FROM (WITH b AS (SELECT 1 FROM t) SELECT * FROM b) AS c
              |                ^^^^
              = remedy: move the WITH to the beginning; its names can be used everywhere below

            error: WITH RECURSIVE is not part of ADQL
             --> line 1, column 6 (not-in-adql)
              |
            1 | WITH RECURSIVE b AS (SELECT 1 FROM t) SELECT * FROM b
              |      ^^^^^^^^^

            error: expected the end of the query, but here stands UNION
             --> line 1, column 50 (syntax)
              |
            1 | SELECT a FROM t UNION SELECT b FROM u ORDER BY 1 UNION SELECT c FROM v
              |                                                  ^^^^^
              = remedy: put the query before it, with its ORDER BY and OFFSET, in parentheses

            error: a query in FROM needs a name
             --> line 1, column 15 (syntax)
              |
            1 | SELECT a FROM (SELECT a FROM t)
              |               ^^^^^^^^^^^^^^^^^
              = remedy: write ( ... ) AS t

            error: a join in parentheses takes no name
             --> line 1, column 36 (not-in-adql)
              |
            1 | SELECT a FROM (t JOIN u USING (x)) AS v
              |                                    ^^^^
              = remedy: name the tables within, or write (SELECT ... FROM ...) AS t

            error: a NATURAL JOIN has no condition
             --> line 1, column 32 (syntax)
              |
            1 | SELECT a FROM t NATURAL JOIN u ON t.a = u.a
              |                                ^^
              = remedy: take NATURAL away, or the condition

            error: expected a comma or a closing parenthesis, but here stands .
             --> line 1, column 32 (syntax)
              |
            1 | SELECT a FROM t JOIN u USING (t.a)
              |                                ^
              = remedy: USING takes the bare names of columns that both tables have

            error: a table's name has three parts at most: catalogue.schema.table
             --> line 1, column 15 (syntax)
              |
            1 | SELECT a FROM a.b.c.d
              |               ^^^^^^^
        "#]],
    );
}

#[test]
fn functions_say_what_they_take() {
    check(
        &[
            "SELECT a FROM t WHERE CONTAINS(POINT(ra, dec), CIRCLE(1, 2, 3))",
            "SELECT a > 5 AS big FROM t",
            "SELECT a FROM t WHERE a + 1",
            "SELECT CIRCLE('ICRS', ra, dec, 0.1, 2) FROM t",
            "SELECT CIRCLE('ICRS', 2, 3) FROM t",
            "SELECT POINT(frame, ra, dec) FROM t",
            "SELECT POLYGON(1, 2, 3, 4, 5, 6, 7) FROM t",
            "SELECT CONTAINS('CIRCLE 1 2 3', p) FROM t",
            "SELECT ABS(1, 2) FROM t",
            "SELECT COUNT() FROM t",
            "SELECT ABS(*) FROM t",
            "SELECT SQRT(DISTINCT x) FROM t",
            "SELECT IN_UNIT(x, u) FROM t",
            "SELECT ABS(SELECT 1 FROM t) FROM t",
        ],
        expect![[r#"
            error: a value stands where a condition is due
             --> line 1, column 23 (condition-or-value)
              |
            1 | SELECT a FROM t WHERE CONTAINS(POINT(ra, dec), CIRCLE(1, 2, 3))
              |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              = remedy: compare it: 1 = CONTAINS(...)

            error: a condition stands where a value is due
             --> line 1, column 8 (condition-or-value)
              |
            1 | SELECT a > 5 AS big FROM t
              |        ^^^^^
              = remedy: make a number of it: CASE WHEN ... THEN 1 ELSE 0 END

            error: a value stands where a condition is due
             --> line 1, column 23 (condition-or-value)
              |
            1 | SELECT a FROM t WHERE a + 1
              |                       ^^^^^
              = remedy: compare it with another value: =, <>, <, >, BETWEEN, IN, LIKE, IS NULL

            error: CIRCLE does not take 5 arguments (a text, a value, a value, a number, a number)
             --> line 1, column 8 (arguments)
              |
            1 | SELECT CIRCLE('ICRS', ra, dec, 0.1, 2) FROM t
              |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              = remedy: write CIRCLE(longitude, latitude, radius) or CIRCLE(point, radius)

            error: CIRCLE does not take 3 arguments (a text, a number, a number)
             --> line 1, column 8 (arguments)
              |
            1 | SELECT CIRCLE('ICRS', 2, 3) FROM t
              |        ^^^^^^^^^^^^^^^^^^^^
              = remedy: write CIRCLE(longitude, latitude, radius) or CIRCLE(point, radius)

            error: POINT does not take 3 arguments (a value, a value, a value)
             --> line 1, column 8 (arguments)
              |
            1 | SELECT POINT(frame, ra, dec) FROM t
              |        ^^^^^^^^^^^^^^^^^^^^^
              = remedy: write POINT(longitude, latitude)

            error: POLYGON does not take 7 arguments (a number, a number, a number, a number, a number, a number, a number)
             --> line 1, column 8 (arguments)
              |
            1 | SELECT POLYGON(1, 2, 3, 4, 5, 6, 7) FROM t
              |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              = remedy: write POLYGON(longitude, latitude, ...) with three corners or more, or POLYGON(point, point, point, ...)

            error: CONTAINS does not take 2 arguments (a text, a value)
             --> line 1, column 8 (arguments)
              |
            1 | SELECT CONTAINS('CIRCLE 1 2 3', p) FROM t
              |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^
              = remedy: write CONTAINS(inner, outer)

            error: ABS does not take 2 arguments (a number, a number)
             --> line 1, column 8 (arguments)
              |
            1 | SELECT ABS(1, 2) FROM t
              |        ^^^^^^^^^
              = remedy: write ABS(x)

            error: COUNT has no argument
             --> line 1, column 8 (arguments)
              |
            1 | SELECT COUNT() FROM t
              |        ^^^^^^^
              = remedy: write COUNT(*) or COUNT(x)

            error: ABS takes no *
             --> line 1, column 8 (arguments)
              |
            1 | SELECT ABS(*) FROM t
              |        ^^^^^^
              = remedy: write ABS(x)

            error: SQRT takes no DISTINCT
             --> line 1, column 8 (arguments)
              |
            1 | SELECT SQRT(DISTINCT x) FROM t
              |        ^^^^^^^^^^^^^^^^
              = remedy: write SQRT(x)

            error: IN_UNIT does not take 2 arguments (a value, a value)
             --> line 1, column 8 (arguments)
              |
            1 | SELECT IN_UNIT(x, u) FROM t
              |        ^^^^^^^^^^^^^
              = remedy: write IN_UNIT(x, 'unit')

            error: expected an argument, but here stands SELECT
             --> line 1, column 12 (syntax)
              |
            1 | SELECT ABS(SELECT 1 FROM t) FROM t
              |            ^^^^^^
              = remedy: a query within a query stands in parentheses
        "#]],
    );
}

#[test]
fn habits_of_sql_that_mean_the_same_are_taken() {
    let taken = [
        "SELECT a FROM t LIMIT 10 OFFSET 5",
        "SELECT a FROM t OFFSET 5 ROWS LIMIT 10;;",
        "SELECT a FROM t WHERE a != 1 /* not /* one */ */",
        "SELECT a::float8, b::VARCHAR(10) FROM t WHERE flag AND NOT (other) AND q3c_radial_query(ra, dec, 10, 41, 0.1)",
        "SELECT CASE WHEN a > 1 THEN 'x' WHEN a < 0 THEN 'y' ELSE NULL END, CASE a WHEN 1 THEN 2 END FROM t",
        "SELECT *, a FROM t CROSS JOIN u",
        "SELECT a FROM t WHERE flag IS NOT TRUE OR (a > 1) IS FALSE",
        "SELECT a FROM t ORDER BY a DESC NULLS LAST, 2 NULLS FIRST",
        "(SELECT a FROM t ORDER BY a) UNION ALL (SELECT b FROM u) EXCEPT SELECT c FROM v INTERSECT ALL SELECT d FROM w ORDER BY 1",
        "SELECT a FROM t WHERE d > TIMESTAMP '2010-07-12' AND e < TIMESTAMP('2011-01-01T00:00:00')",
        "SELECT 'one ' 'text' FROM t",
        "WITH a (x, y) AS (SELECT 1, 2 FROM t), b AS (SELECT * FROM a) SELECT * FROM a NATURAL LEFT JOIN b, t",
        "SELECT a FROM ((SELECT 1 FROM t) UNION (SELECT 2 FROM u)) AS x, ((SELECT 1 FROM t) a JOIN u ON a.x = u.x)",
        "SELECT ABS((SELECT 1 FROM t)), ((SELECT 1 FROM t) + 1) FROM (((SELECT 1 FROM t))) AS x WHERE a IN ((SELECT 1 FROM t), 2)",
    ];
    for query in taken {
        adql::parse(query).unwrap_or_else(|error| panic!("{}", error.render(query)));
    }
}

/// The condition of a query, as a sum of words with brackets.
fn shape_of(condition: &str) -> String {
    let text = format!("SELECT * FROM t WHERE {condition}");
    let query = adql::parse(&text).unwrap_or_else(|error| panic!("{}", error.render(&text)));
    let Body::Select(select) = query.body else { panic!("a select") };
    drawn(&select.filter.expect("a condition"), &text)
}

fn drawn(expr: &adql::tree::Expr, text: &str) -> String {
    let all = |list: &[adql::tree::Expr], word: &str| list.iter().map(|expr| drawn(expr, text)).collect::<Vec<_>>().join(word);
    match &expr.kind {
        ExprKind::Or(list) => format!("[{}]", all(list, " or ")),
        ExprKind::And(list) => format!("[{}]", all(list, " and ")),
        ExprKind::Not(operand) => format!("[not {}]", drawn(operand, text)),
        ExprKind::Compare { left, right, .. } => format!("[{} ? {}]", drawn(left, text), drawn(right, text)),
        ExprKind::Chain { first, rest } => {
            let rest: String = rest.iter().map(|(operator, expr)| format!(" {operator:?} {}", drawn(expr, text))).collect();
            format!("[{}{rest}]", drawn(first, text))
        }
        ExprKind::Unary { operator, operand } => format!("[{operator:?} {}]", drawn(operand, text)),
        _ => text[expr.span.start..expr.span.end].to_owned(),
    }
}

#[test]
fn operators_bind_as_in_sql() {
    let cases = [
        ("a = 1 OR b = 2 AND NOT c = 3", "[[a ? 1] or [[b ? 2] and [not [c ? 3]]]]"),
        ("(a = 1 OR b = 2) AND c = 3", "[[[a ? 1] or [b ? 2]] and [c ? 3]]"),
        ("a - b + c * -d / 2 = 1", "[[a Subtract b Add [c Multiply [Minus d] Divide 2]] ? 1]"),
        ("a || b || c + 1 = 'x'", "[[a Concatenate b Concatenate [c Add 1]] ? 'x']"),
        ("NOT a BETWEEN 1 AND 2 AND b IS NULL", "[[not a BETWEEN 1 AND 2] and b IS NULL]"),
        ("2 * -1 + 5 > 0", "[[[2 Multiply [Minus 1]] Add 5] ? 0]"),
    ];
    for (condition, expected) in cases {
        assert_eq!(shape_of(condition), expected, "{condition}");
    }
}

#[test]
fn joins_and_set_operations_are_lists_in_their_order() {
    let query =
        adql::parse("SELECT t.*, s.u.* FROM a JOIN (b LEFT JOIN c USING (x)) ON a.x = b.x NATURAL FULL OUTER JOIN d AS e").expect("valid");
    let Body::Select(select) = query.body else { panic!("a select") };
    assert!(matches!(&select.items[..], [Item::AllOf(t), Item::AllOf(u)] if t.parts.len() == 1 && u.parts.len() == 2));
    let From::Joins { joins, .. } = &select.from[0] else { panic!("joins") };
    assert!(matches!(joins[0].source, From::Joins { .. }) && joins[1].natural);
    let sets = adql::parse("SELECT a FROM t EXCEPT SELECT a FROM u UNION ALL SELECT a FROM v INTERSECT SELECT a FROM w").expect("valid");
    let Body::Set { rest, .. } = sets.body else { panic!("a set operation") };
    assert!(rest.len() == 2 && rest[1].all && matches!(rest[1].body, Body::Set { .. }));
}

#[test]
fn a_long_line_is_shown_around_its_fault() {
    let query = format!("SELECT {} 5x, {} FROM t", "column_name, ".repeat(50), "another_name, ".repeat(50));
    check(
        &[&query],
        expect![[r#"
        error: 5x is neither a number nor a name
         --> line 1, column 659 (number)
          |
        1 | ..._name, column_name, column_name, column_name, column_name,  5x, another_name, another_name, another_...
          |                                                                ^^
          = remedy: put a space after the number, or write the name in quotes: "5x"
    "#]],
    );
}

#[test]
fn limits_have_their_own_words() {
    let nested = |open: &str, close: &str, levels: usize| format!("SELECT {}1{} FROM t", open.repeat(levels), close.repeat(levels));
    let code = |query: &str| adql::parse(query).map_err(|error| error.code);
    assert_eq!(code(&nested("(", ")", adql::parse::MAX_DEPTH)).map(|_| ()), Ok(()));
    assert_eq!(code(&nested("(", ")", adql::parse::MAX_DEPTH + 1)).map(|_| ()), Err(Code::LimitDepth));
    assert_eq!(code(&nested("abs(", ")", 101)).map(|_| ()), Err(Code::LimitDepth));
    assert_eq!(code(&nested("- ", "", 101)).map(|_| ()), Err(Code::LimitDepth));
    assert_eq!(code(&nested("(SELECT ", " FROM t)", 26)).map(|_| ()), Err(Code::LimitDepth));
    assert_eq!(code(&format!("SELECT {} FROM t", "1, ".repeat(1_000_000))).map(|_| ()), Err(Code::LimitTokens));
    assert_eq!(code(&" ".repeat(10_000_001)).map(|_| ()), Err(Code::LimitLength));
}

/// The deepest trees that are let through, of each kind of nesting.
pub fn deepest() -> Vec<String> {
    let nested = |open: &str, close: &str, levels: usize| format!("SELECT {}1{} FROM t", open.repeat(levels), close.repeat(levels));
    vec![
        nested("(", ")", 100),
        nested("- ", "", 100),
        nested("abs('a' || 1 + 2 * ", "::int::float8)", 100),
        nested("CASE WHEN a = 1 OR b = 2 AND c = 'a' || 1 + 2 * ", "::int::float8 THEN 1 END", 33),
        nested("(SELECT a FROM t WHERE a = 1 OR b = 2 AND c = 'a' || 1 + 2 * ", "::int::float8)", 25),
        format!("SELECT a FROM t WHERE {}a = 1", "NOT ".repeat(100)),
        format!("SELECT a FROM {}t JOIN u USING (a){}", "(".repeat(100), " JOIN v USING (b))".repeat(100)),
        format!("{}SELECT a FROM t{}", "(".repeat(25), " UNION SELECT b FROM u INTERSECT SELECT c FROM v)".repeat(25)),
    ]
}

#[test]
fn the_deepest_trees_fit_the_stack_of_a_thread() {
    let parse = || {
        for query in deepest() {
            let tree = adql::parse(&query).unwrap_or_else(|error| panic!("{}", error.render(&query)));
            assert_eq!(tree, tree.clone());
        }
    };
    // what a worker of the runtime has
    std::thread::Builder::new().stack_size(2 << 20).spawn(parse).expect("a thread").join().expect("it does not overflow");
}

/// A text of about `units` pieces of each kind that could make a parser try again and again.
fn hostile(units: usize) -> Vec<String> {
    let again = |piece: &str| piece.repeat(units);
    vec![
        format!("SELECT {}1 FROM t", again("1+")),
        format!("SELECT 1 FROM t WHERE {}a=1", again("a=1 OR ")),
        format!("SELECT 1 FROM t WHERE a IN ({}1)", again("1,")),
        format!("SELECT {}1{} FROM t", again("("), again(")")),
        format!("SELECT 1 FROM {}t", again("(")),
        format!("SELECT 1 FROM {}", again("(SELECT ")),
        format!("SELECT {}", again("/*")),
        format!("SELECT {}a FROM t", again("a.")),
        format!("SELECT {}a.* FROM t", again("a.")),
        format!("SELECT 1 FROM t WHERE a = '{}", again("''")),
        format!("SELECT 1 FROM t WHERE a = {}", again("'a' ")),
        format!("SELECT 1 FROM t WHERE {}a=1", again("NOT ")),
        format!("SELECT 1 FROM t {}", again("UNION SELECT 1 FROM t ")),
        format!("SELECT 1 FROM t {}", again("JOIN t ON a=b ")),
        format!("SELECT ({}", again("((SELECT 1 FROM t)")),
        format!("SELECT {}", again("f(")),
        format!("SELECT {}", again("\u{a0}\u{202e}")),
        again("SELECT "),
        again("-- \n"),
    ]
}

#[test]
fn time_is_linear_in_the_text() {
    let seconds = |query: &str| {
        let start = Instant::now();
        if let Err(error) = adql::parse(query) {
            error.render(query);
        }
        start.elapsed().as_secs_f64()
    };
    for (short, long) in hostile(4_000).iter().zip(hostile(64_000)) {
        // the best of three: other tests run beside this one
        let best = |query: &str| (0..3).map(|_| seconds(query)).fold(f64::INFINITY, f64::min);
        let (short_s, long_s) = (best(short), best(&long));
        assert!(long_s < 16.0 * 6.0 * short_s.max(1e-3), "{}...: {short_s} s, 16 times as long {long_s} s", &short[..30]);
    }
}

#[test]
fn a_hundred_thousand_literals_parse_well_within_a_second() {
    let list: Vec<String> = (0..100_000).map(|i| format!("{}", 1_000_000_000_000_u64 + i * 7919)).collect();
    let query = format!("SELECT * FROM t WHERE id IN ({})", list.join(", "));
    let start = Instant::now();
    adql::parse(&query).expect("it is valid");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

/// Pieces of queries, whole and broken.
fn piece() -> impl Strategy<Value = String> {
    const PIECES: [&str; 60] = [
        "SELECT ",
        "FROM ",
        "WHERE ",
        "t ",
        "a ",
        "a.b ",
        "* ",
        ", ",
        "( ",
        ") ",
        "1 ",
        "1.5e3 ",
        "'x' ",
        "\"q\" ",
        "AND ",
        "OR ",
        "NOT ",
        "IN ",
        "= ",
        "< ",
        "<> ",
        "+ ",
        "- ",
        "|| ",
        ":: ",
        "int ",
        "UNION ",
        "INTERSECT ",
        "ORDER BY ",
        "GROUP BY ",
        "JOIN ",
        "NATURAL ",
        "ON ",
        "USING ",
        "AS ",
        "EXISTS ",
        "BETWEEN ",
        "LIKE ",
        "CASE ",
        "WHEN ",
        "THEN ",
        "END ",
        "CAST( ",
        "POINT( ",
        "CIRCLE( ",
        "TOP 5 ",
        "OFFSET 1 ",
        "WITH ",
        "; ",
        "-- x\n",
        "/* ",
        "*/ ",
        "' ",
        "\" ",
        "IS NULL ",
        "NULL ",
        "‘ ",
        "`",
        "é",
        "\0",
    ];
    prop_oneof![9 => proptest::sample::select(&PIECES[..]).prop_map(str::to_owned), 1 => any::<String>()]
}

/// Every span of an error and its rendering hold together.
fn examine(text: &str) -> Result<(), TestCaseError> {
    match adql::parse(text) {
        Ok(query) => prop_assert!(query.span.end <= text.len() && text.is_char_boundary(query.span.end)),
        Err(error) => {
            let span = error.span;
            prop_assert!(span.start <= span.end && span.end <= text.len(), "{error:?}");
            prop_assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end), "{error:?}");
            let shown = error.render(text);
            prop_assert!(shown.lines().any(|line| line.contains('^')) && !shown.contains('\0'), "{shown}");
            let (line, column) = error.line_column(text);
            prop_assert!(line >= 1 && column >= 1 && error.length(text) <= text.chars().count());
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        examine(&text)?;
    }

    #[test]
    fn any_mixture_of_pieces_is_answered(pieces in proptest::collection::vec(piece(), 0..40)) {
        examine(&pieces.concat())?;
        examine(&format!("SELECT a FROM t WHERE {}", pieces.concat()))?;
    }

    #[test]
    fn a_string_comes_back_as_it_went_in(value in "[^\0]*") {
        let text = format!("SELECT '{}' FROM t", value.replace('\'', "''"));
        let query = adql::parse(&text).map_err(|error| TestCaseError::fail(error.render(&text)))?;
        let Body::Select(select) = query.body else { return Err(TestCaseError::fail("a select")) };
        let Item::Expr { expr, .. } = &select.items[0] else { return Err(TestCaseError::fail("an item")) };
        prop_assert_eq!(&expr.kind, &ExprKind::Literal(adql::tree::Literal::String(value)));
    }
}
