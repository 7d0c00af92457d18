//! Functions of the IVOA's catalogue of user-defined functions (EN-1.2), and the SQL that makes those which PostgreSQL lacks.

use super::checked::Type;
use super::function::{Class, Function, Gives, UcdRule, UnitRule, Want};
use crate::schema::DataType;

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

const GALACTIC: &str = "The geometry in another system of coordinates: ICRS, FK5, FK4 (without terms of aberration), GALACTIC, \
    SUPER_GALACTIC or ECLIPTIC (of J2000)";

/// A function of one value for each row.
const fn row(
    name: &'static str,
    arguments: &'static [(&'static str, Want)],
    ty: Type,
    sql: &'static str,
    description: &'static str,
) -> Function {
    let (gives, unit, ucd) = (Gives::Type(ty), UnitRule::None, UcdRule::None);
    Function { name, class: Class::Ivoa, arguments, repeats: false, gives, unit, ucd, sql, description }
}

/// The same with unit and UCD.
const fn of(function: Function, unit: UnitRule, ucd: UcdRule) -> Function {
    Function { unit, ucd, ..function }
}

/// The same over the rows of a group.
const fn aggregate(function: Function) -> Function {
    Function { class: Class::IvoaAggregate, ..function }
}

const DEGREES: UnitRule = UnitRule::Is("deg");

#[rustfmt::skip]
pub const FUNCTIONS: &[Function] = &[
    of(row("ivo_healpix_index", &[("order", Want::Int), ("lon", Want::Double), ("lat", Want::Double)], Type::BIGINT,
        "adql.ivo_healpix_index({0}, {1}, {2})",
        "The HEALPix cell of a position in degrees, in NESTED order; the order is 0 to 29"), UnitRule::None, UcdRule::Is("pos.healpix")),
    of(row("ivo_healpix_index", &[("order", Want::Int), ("p", Want::Point)], Type::BIGINT,
        "adql.ivo_healpix_index({0}, {1})",
        "The HEALPix cell of a point, in NESTED order; the order is 0 to 29"), UnitRule::None, UcdRule::Is("pos.healpix")),
    of(row("ivo_healpix_center", &[("order", Want::Int), ("index", Want::Integer)], Type::Point,
        "adql.ivo_healpix_center({0}, {1})",
        "The point in the middle of a HEALPix cell in NESTED order"), DEGREES, UcdRule::Is("pos")),
    of(row("ivo_epoch_prop_pos", &[("ra", Want::Double), ("dec", Want::Double), ("parallax", Want::Double), ("pmra", Want::Double),
            ("pmdec", Want::Double), ("radial_velocity", Want::Double), ("ref_epoch", Want::Double), ("out_epoch", Want::Double)], Type::Point,
        "adql.ivo_epoch_prop_pos({0}, {1}, {2}, {3}, {4}, {5}, {6}, {7})",
        "The position at another epoch, in uniform motion: deg, mas, mas/yr (pmra with cos(dec)), km/s, Julian years; NULL in the motion counts \
         as 0"), DEGREES, UcdRule::Is("pos.eq")),
    of(row("ivo_geom_transform", &[("from_sys", Want::Text), ("to_sys", Want::Text), ("geo", Want::Point)], Type::Point,
        "adql.ivo_geom_transform({0}, {1}, {2})", GALACTIC), DEGREES, UcdRule::Is("pos")),
    of(row("ivo_geom_transform", &[("from_sys", Want::Text), ("to_sys", Want::Text), ("geo", Want::Circle)], Type::Circle,
        "adql.ivo_geom_transform({0}, {1}, {2})", GALACTIC), DEGREES, UcdRule::Is("pos")),
    of(row("ivo_geom_transform", &[("from_sys", Want::Text), ("to_sys", Want::Text), ("geo", Want::Polygon)], Type::Polygon,
        "adql.ivo_geom_transform({0}, {1}, {2})", GALACTIC), DEGREES, UcdRule::Is("pos")),
    of(row("ivo_to_jd", &[("d", Want::Timestamp)], Type::DOUBLE, "adql.ivo_to_jd({0})",
        "The Julian date of a timestamp"), UnitRule::Is("d"), UcdRule::Is("time.epoch")),
    of(row("ivo_to_mjd", &[("d", Want::Timestamp)], Type::DOUBLE, "adql.ivo_to_mjd({0})",
        "The modified Julian date of a timestamp: the Julian date less 2400000.5"), UnitRule::Is("d"), UcdRule::Is("time.epoch")),
    aggregate(row("ivo_string_agg", &[("expression", Want::Text), ("delimiter", Want::Text)], Type::TEXT,
        "string_agg({0}, {1} ORDER BY {0})",
        "The texts of all rows in alphabetical order, the delimiter between them; NULLs are left out")),
    row("ivo_nocasematch", &[("value", Want::Text), ("pattern", Want::Text)], Type::INTEGER, "adql.ivo_nocasematch({0}, {1})",
        "1 if the LIKE pattern fits the value, whatever the case, else 0"),
    row("ivo_hasword", &[("haystack", Want::Text), ("needle", Want::Text)], Type::INTEGER, "adql.ivo_hasword({0}, {1})",
        "1 if every word of the needle, or a longer form of it, stands in the haystack, whatever the case, else 0"),
    row("ivo_hashlist_has", &[("hashlist", Want::Text), ("item", Want::Text)], Type::INTEGER, "adql.ivo_hashlist_has({0}, {1})",
        "1 if the item is in the list, whose items have # between them, whatever the case, else 0"),
    of(aggregate(row("ivo_histogram", &[("val", Want::Double), ("lower", Want::Double), ("upper", Want::Double), ("nbins", Want::Int)],
        Type::Array(DataType::Bigint), "adql.ivo_histogram({0}, {1}, {2}, {3})",
        "How many values are below lower, in each of nbins equal bins, and not below upper; NULLs and NaNs are not counted")),
        UnitRule::None, UcdRule::Is("meta.number")),
    of(row("ivo_normal_random", &[("mu", Want::Double), ("sigma", Want::Double)], Type::DOUBLE, "adql.ivo_normal_random({0}, {1})",
        "A random number of the normal distribution with this mean and standard deviation, another one in each row"),
        UnitRule::First, UcdRule::None),
    row("ivo_interval_overlaps", &[("a1", Want::Double), ("b1", Want::Double), ("a2", Want::Double), ("b2", Want::Double)], Type::INTEGER,
        "adql.ivo_interval_overlaps({0}, {1}, {2}, {3})",
        "1 if the intervals [a1, b1] and [a2, b2] have a value in common, ends included, else 0"),
    of(row("ivo_hms_to_degrees", &[("hms", Want::Text)], Type::DOUBLE, "adql.ivo_hms_to_degrees({0})",
        "An angle written in hours, 3:34:45.4 or 3h34m45.4s, in degrees"), DEGREES, UcdRule::None),
    of(row("ivo_dms_to_degrees", &[("dms", Want::Text)], Type::DOUBLE, "adql.ivo_dms_to_degrees({0})",
        "An angle written in degrees, -0:15:00 or -0d15m0s, in degrees"), DEGREES, UcdRule::None),
];
