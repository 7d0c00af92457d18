//! Binds a manifest to one open file: every fault at once, or the operations that make the table's rows.

use super::encode::{MAX_OBJID, NULL_FIELD, Number, Op, SkyColumn, Undefined};
use super::manifest::{Blocks, ExposureField, Manifest, Origin, RowsOf};
use super::transform::Transform;
use crate::format::layout::{Layout, RawColumn, RawKind};
use crate::format::{dolphot, fits::Header, open::Source};
use crate::schema::{Column, DataType};
use std::collections::BTreeMap;
use std::path::Path;

/// A manifest bound to a file.
pub struct Plan {
    pub manifest: Manifest,
    /// One list of operations per row that a file row makes: one for `objects`, one per exposure for `exposures`.
    /// For `blocks` each list is a whole row by itself.
    pub programs: Vec<Vec<Op>>,
    /// The position in the row; `None` for `blocks`.
    pub position: Option<(Number, Number)>,
    /// Is the table's key the designation of the position? Then rows with a known objid are set aside.
    pub keyed: bool,
    /// What the objid begins with.
    pub prefix: Vec<u8>,
    /// `brick=1,field=18`: the rows that this file is; empty where the manifest does not say.
    pub scope: Vec<(String, String)>,
    /// Columns of the file that nothing uses.
    pub unused: Vec<String>,
}

/// A fault of a file against its manifest.
pub type Faults = Vec<String>;

/// A block of columns of one exposure, or of one filter's combination.
struct Block {
    number: usize,
    facts: BTreeMap<ExposureField, String>,
    single: bool,
}

struct Binder<'a> {
    manifest: &'a Manifest,
    layout: &'a Layout,
    header: &'a Header,
    captures: &'a BTreeMap<String, String>,
    blocks: Vec<Block>,
    used: Vec<bool>,
    faults: Faults,
    place: String,
}

/// Binds `manifest` to `source`; all faults at once, each with HDU and column.
pub fn bind(manifest: &Manifest, source: &Source, path: &Path, captures: &BTreeMap<String, String>) -> Result<Plan, Faults> {
    let mut binder = Binder {
        manifest,
        layout: &source.layout,
        header: &source.header,
        captures,
        blocks: Vec::new(),
        used: vec![false; source.layout.columns.len()],
        faults: Vec::new(),
        place: source.place.clone(),
    };
    let side = side_header(manifest, path, &source.header).map_err(|error| vec![error.to_string()])?;
    if let Some(blocks) = &manifest.blocks {
        binder.find_blocks(blocks, side.as_ref());
    }
    let position = binder.position();
    let programs = binder.programs();
    let scope = binder.scope();
    let (keyed, prefix) = binder.identity();
    if !binder.faults.is_empty() {
        binder.faults.dedup();
        return Err(binder.faults);
    }
    let unused = binder.unused();
    Ok(Plan { manifest: manifest.clone(), programs, position, keyed, prefix, scope, unused })
}

/// The `.columns` file beside a `_phot.fits` whose header does not name its exposures.
fn side_header(manifest: &Manifest, path: &Path, header: &Header) -> Result<Option<Header>, dolphot::Error> {
    let image = manifest.blocks.as_ref().and_then(|b| b.cards.get(&ExposureField::Image));
    let (Some(image), Some(name)) = (image, path.to_str()) else { return Ok(None) };
    if (1..=999).any(|n| header.get(&numbered(image, n)).is_some()) {
        return Ok(None);
    }
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    dolphot::exposure_cards(Path::new(stem.strip_suffix(".fits").unwrap_or(stem)))
}

fn numbered(template: &str, n: usize) -> String {
    template.replace("{n}", &n.to_string())
}

impl Binder<'_> {
    fn fault(&mut self, text: String) {
        self.faults.push(text);
    }

    fn find_blocks(&mut self, blocks: &Blocks, side: Option<&Header>) {
        for number in 1..=999 {
            if self.layout.find(&numbered(&blocks.column, number)).is_none() {
                if number > 1 {
                    break;
                }
                continue;
            }
            let mut facts = BTreeMap::new();
            for (&what, card) in &blocks.cards {
                let key = numbered(card, number);
                if let Some(text) = self.header.get(&key).or_else(|| side.and_then(|s| s.get(&key))) {
                    facts.insert(what, text.to_owned());
                }
            }
            let single = facts.contains_key(&ExposureField::Image);
            self.blocks.push(Block { number, facts, single });
        }
        if !self.blocks.iter().any(|b| b.single) {
            let column = &blocks.column;
            let card = blocks.cards.get(&ExposureField::Image).map_or("", String::as_str);
            self.fault(format!(
                "{}: no single-exposure block: wanted columns {column} with the exposure of each in a header card {card} or in a .columns file beside the table",
                self.place
            ));
        }
        self.check_order(blocks);
        for i in 0..self.blocks.len() {
            self.check_times(i);
        }
    }

    /// Combined blocks come first: a later one without an image is an exposure that nothing names.
    fn check_order(&mut self, blocks: &Blocks) {
        let card = blocks.cards.get(&ExposureField::Image).map_or("", String::as_str);
        let singles = self.blocks.iter().skip_while(|b| !b.single);
        let nameless: Vec<usize> = singles.filter(|b| !b.single).map(|b| b.number).collect();
        for number in nameless {
            let text = format!("{}: block {number}: header card {} is missing: which exposure is it?", self.place, numbered(card, number));
            self.fault(text);
        }
    }

    /// MJD and DATE-OBS with TIME-OBS must tell the same second.
    fn check_times(&mut self, block: usize) {
        let block = &self.blocks[block];
        let fact = |what| block.facts.get(&what).map(String::as_str);
        let (Some(mjd), Some(date), Some(time)) = (fact(ExposureField::Mjd), fact(ExposureField::Dateobs), fact(ExposureField::Timeobs))
        else {
            return;
        };
        let (number, place) = (block.number, self.place.clone());
        let told = format!("{date}T{}Z", time.trim()).parse::<jiff::Timestamp>().map(|t| t.as_second() as f64 / 86400.0 + 40587.0);
        match (mjd.parse::<f64>(), told) {
            (Ok(mjd), Ok(told)) if ((mjd - told) * 86400.0).abs() < 1.0 + 1e-3 => {}
            (Ok(_), Ok(told)) => self.fault(format!("{place}: block {number}: MJD {mjd} is not {date} {time} (MJD {told:.6})")),
            _ => self.fault(format!("{place}: block {number}: MJD {mjd:?} or {date:?} {time:?} is not a time")),
        }
    }

    fn position(&mut self) -> Option<(Number, Number)> {
        let [ra, dec] = self.manifest.position.as_ref()?;
        if self.manifest.rows == RowsOf::Blocks {
            return None;
        }
        let (ra, dec) = (self.number(ra, "position"), self.number(dec, "position"));
        Some((ra?, dec?))
    }

    /// A numeric file column, or a fault.
    fn number(&mut self, name: &str, wanted_by: &str) -> Option<Number> {
        let column = self.file_column(name, wanted_by)?.clone();
        if column.repeat != 1 || matches!(column.kind, RawKind::Char | RawKind::Other(_)) {
            let (place, form) = (self.place.clone(), column.form());
            self.fault(format!("{place}: column {}: type {form}, wanted one number (for {wanted_by})", column.name));
            return None;
        }
        Some(number_at(&column, 0))
    }

    fn file_column(&mut self, name: &str, wanted_by: &str) -> Option<&RawColumn> {
        match self.layout.index(name) {
            Some(i) => {
                self.used[i] = true;
                Some(&self.layout.columns[i])
            }
            None => {
                let near = self.layout.nearest(name).map_or_else(String::new, |n| format!("; the nearest name is {n}"));
                let place = &self.place;
                let text = format!("{place}: column {name} is missing (for {wanted_by}){near}");
                self.fault(text);
                None
            }
        }
    }

    fn programs(&mut self) -> Vec<Vec<Op>> {
        let singles: Vec<usize> = (0..self.blocks.len()).filter(|&i| self.blocks[i].single).collect();
        match self.manifest.rows {
            RowsOf::Objects => vec![self.program(None)],
            RowsOf::Exposures | RowsOf::Blocks => (0..singles.len()).map(|i| self.program(Some((i, singles[i])))).collect(),
        }
    }

    /// The operations of one row; `block` is (ordinal among the single ones, index).
    fn program(&mut self, block: Option<(usize, usize)>) -> Vec<Op> {
        let columns = self.manifest.table.columns.clone();
        let mut ops = Vec::with_capacity(columns.len());
        for (i, column) in columns.iter().enumerate() {
            let same_name = Origin { file: Some(column.name.clone()), ..Origin::default() };
            let origin = self.manifest.columns.get(&column.name).cloned().unwrap_or(same_name);
            if let Some(op) = self.operation(column, i as u16, &origin, block) {
                ops.push(op);
            }
        }
        coalesce(ops)
    }

    fn operation(&mut self, column: &Column, at: u16, origin: &Origin, block: Option<(usize, usize)>) -> Option<Op> {
        if let Some(otherwise) = &origin.otherwise
            && !self.is_there(origin)
        {
            return self.operation(column, at, otherwise, block);
        }
        let for_column = format!("table column {}", column.name);
        if origin.null {
            return self.constant(column, None);
        }
        if let Some(name) = &origin.file {
            let raw = self.file_column(name, &for_column)?.clone();
            return self.stored(column, at, &raw, origin);
        }
        if let Some(name) = &origin.block {
            return match block {
                Some((_, index)) => {
                    let raw = self.file_column(&numbered(name, self.blocks[index].number), &for_column)?.clone();
                    self.stored(column, at, &raw, origin)
                }
                None => self.array_of_blocks(column, at, name, &origin.nulls, &for_column),
            };
        }
        if let Some(name) = &origin.combined {
            return self.combined(column, at, name, origin, &for_column);
        }
        if let Some(what) = origin.exposure {
            let (ordinal, index) = block?;
            return self.exposure(column, what, ordinal, index);
        }
        if let Some(transform) = origin.transform {
            return self.transform(column, transform, origin, &for_column);
        }
        let (text, whence) = if let Some(name) = &origin.capture {
            (self.captures.get(name).cloned(), format!("{{{name}}} of the file name"))
        } else if let Some(key) = &origin.header {
            (self.header.get(key).map(str::to_owned), format!("header card {key}"))
        } else {
            (origin.value.as_ref().map(plain_text), "value".to_owned())
        };
        match text {
            Some(text) => self.constant(column, Some(&text)),
            None => {
                let place = self.place.clone();
                self.fault(format!("{place}: {whence} is missing (for {for_column})"));
                None
            }
        }
    }

    /// Does the file have what the origin wants?
    fn is_there(&self, origin: &Origin) -> bool {
        let column = |name: &String| self.layout.find(name).is_some();
        origin.file.as_ref().is_none_or(column)
            && origin.header.as_ref().is_none_or(|key| self.header.get(key).is_some())
            && origin.capture.as_ref().is_none_or(|name| self.captures.contains_key(name))
            && origin.args.iter().all(column)
            && origin.filter.as_ref().is_none_or(|f| self.combined_block(f).is_some())
    }

    /// The combined block of a filter; DOLPHOT makes none of one image, whose own block then is all there is.
    fn combined_block(&self, filter: &str) -> Option<&Block> {
        let of_filter = |b: &&Block| b.facts.get(&ExposureField::Filter).is_some_and(|f| f.eq_ignore_ascii_case(filter));
        let mut singles = self.blocks.iter().filter(|b| b.single).filter(of_filter);
        let only = singles.next().filter(|_| singles.next().is_none());
        self.blocks.iter().filter(|b| !b.single).find(of_filter).or(only)
    }

    fn combined(&mut self, column: &Column, at: u16, name: &str, origin: &Origin, for_column: &str) -> Option<Op> {
        let filter = origin.filter.as_deref().unwrap_or("");
        let Some(number) = self.combined_block(filter).map(|b| b.number) else {
            let place = self.place.clone();
            self.fault(format!("{place}: no combined block of filter {filter} (for {for_column})"));
            return None;
        };
        let raw = self.file_column(&numbered(name, number), for_column)?.clone();
        self.stored(column, at, &raw, origin)
    }

    fn array_of_blocks(&mut self, column: &Column, at: u16, name: &str, nulls: &[f64], for_column: &str) -> Option<Op> {
        if !column.array {
            self.fault(format!("{for_column}: block in rows = \"objects\" makes an array, the column is none"));
            return None;
        }
        let numbers: Vec<usize> = self.blocks.iter().filter(|b| b.single).map(|b| b.number).collect();
        let mut elements = Vec::with_capacity(numbers.len());
        for n in numbers {
            elements.push(self.number(&numbered(name, n), for_column)?);
        }
        let plain = elements.iter().all(|e| is_plain(e, column.datatype)) && nulls.is_empty();
        Some(Op::Array { elements: elements.into(), to: column.datatype, plain, nulls: nulls.into(), column: at })
    }

    /// A file column as the table column, converted where the types differ.
    fn stored(&mut self, column: &Column, at: u16, raw: &RawColumn, origin: &Origin) -> Option<Op> {
        let undefined = match column {
            Column { nullable: true, .. } => Undefined::Null,
            Column { sentinel: Some(s), .. } => Undefined::Sentinel(*s),
            _ => Undefined::Reject,
        };
        if !fits_type(raw, column) {
            let (place, array) = (self.place.clone(), if column.array { "[]" } else { "" });
            self.fault(format!(
                "{place}: column {}: type {}, which does not fit the table column {} ({}{array})",
                raw.name,
                raw.form(),
                column.name,
                column.datatype.postgres()
            ));
            return None;
        }
        if column.datatype == DataType::Text {
            return Some(Op::Text { offset: raw.offset, width: raw.repeat, undefined, column: at });
        }
        let number = number_at(raw, 0);
        if raw.kind == RawKind::Logical
            && column.datatype == DataType::Smallint
            && undefined == Undefined::Reject
            && raw.repeat == 1
            && origin.nulls.is_empty()
        {
            return Some(Op::Logicals { offset: raw.offset, count: 1, column: at });
        }
        let plain = is_plain(&number, column.datatype) && origin.nulls.is_empty();
        if column.array {
            let elements: Vec<Number> = (0..raw.repeat).map(|i| number_at(raw, i)).collect();
            return Some(Op::Array {
                elements: elements.into(),
                to: column.datatype,
                plain,
                nulls: origin.nulls.clone().into(),
                column: at,
            });
        }
        Some(match (plain, raw.kind.bytes(1)) {
            (true, 2) => Op::Copy2 { offset: raw.offset, count: 1 },
            (true, 4) => Op::Copy4 { offset: raw.offset, count: 1 },
            (true, 8) => Op::Copy8 { offset: raw.offset, count: 1 },
            _ => Op::Convert { number, to: column.datatype, nulls: origin.nulls.clone().into(), undefined, column: at },
        })
    }

    fn exposure(&mut self, column: &Column, what: ExposureField, ordinal: usize, index: usize) -> Option<Op> {
        if what == ExposureField::Block {
            return self.constant(column, Some(&(ordinal + 1).to_string()));
        }
        let (number, text) = (self.blocks[index].number, self.blocks[index].facts.get(&what).cloned());
        if text.is_none() && !column.nullable {
            let (place, card) = (self.place.clone(), self.manifest.blocks.as_ref().and_then(|b| b.cards.get(&what)));
            let card = card.map_or_else(String::new, |c| numbered(c, number));
            self.fault(format!("{place}: block {number}: header card {card} is missing (for table column {})", column.name));
            return None;
        }
        self.constant(column, text.as_deref())
    }

    fn transform(&mut self, column: &Column, transform: Transform, origin: &Origin, for_column: &str) -> Option<Op> {
        let args: Vec<Option<Number>> = origin.args.iter().map(|name| self.number(name, for_column)).collect();
        let arg = |i: usize| args.get(i).copied().flatten();
        let setting =
            |name: &str| origin.with.get(name).and_then(|v| v.as_float().or_else(|| v.as_integer().map(|i| i as f64))).map(|v| v as f32);
        let wanted = match transform {
            Transform::Objid => DataType::Text,
            Transform::Htm9 | Transform::Ring256 | Transform::Nest4096 => DataType::Integer,
            Transform::RandomId | Transform::Difference => DataType::Real,
            Transform::GoodStar => DataType::Smallint,
        };
        if column.datatype != wanted || column.array {
            self.fault(format!(
                "{for_column}: transform {} makes {}, the column is {}",
                transform.name(),
                wanted.postgres(),
                column.datatype.postgres()
            ));
            return None;
        }
        Some(match transform {
            Transform::Objid => Op::Objid,
            Transform::Htm9 => Op::Sky(SkyColumn::Htm9),
            Transform::Ring256 => Op::Sky(SkyColumn::Ring256),
            Transform::Nest4096 => Op::Sky(SkyColumn::Nest4096),
            Transform::RandomId => Op::RandomId,
            Transform::Difference => Op::Difference { a: arg(0)?, b: arg(1)?, undetected: setting("undetected")? },
            Transform::GoodStar => Op::GoodStar {
                snr: arg(0)?,
                sharp: arg(1)?,
                crowd: arg(2)?,
                vega: arg(3)?,
                snr_min: setting("snr_min")?,
                sharp2_max: setting("sharp2_max")?,
                crowd_max: setting("crowd_max")?,
                undetected: setting("undetected")?,
            },
        })
    }

    /// A field that is the same in every row.
    fn constant(&mut self, column: &Column, text: Option<&str>) -> Option<Op> {
        let Some(text) = text else {
            if column.nullable {
                return Some(Op::Constant(NULL_FIELD.into()));
            }
            self.fault(format!("table column {} may not be NULL", column.name));
            return None;
        };
        let text = text.trim();
        let encoded = match column.datatype {
            DataType::Boolean => text.parse::<bool>().ok().map(|v| vec![u8::from(v)]),
            DataType::Smallint => text.parse::<i16>().ok().map(|v| v.to_be_bytes().to_vec()),
            DataType::Integer => text.parse::<i32>().ok().map(|v| v.to_be_bytes().to_vec()),
            DataType::Bigint => text.parse::<i64>().ok().map(|v| v.to_be_bytes().to_vec()),
            DataType::Real => text.parse::<f32>().ok().map(|v| v.to_be_bytes().to_vec()),
            DataType::Double => text.parse::<f64>().ok().map(|v| v.to_be_bytes().to_vec()),
            DataType::Text => Some(text.as_bytes().to_vec()),
            DataType::Timestamp => None,
        };
        match encoded.filter(|_| !column.array) {
            Some(value) => {
                let length = (value.len() as u32).to_be_bytes();
                Some(Op::Constant([&length[..], &value].concat().into()))
            }
            None => {
                self.fault(format!("{text:?} is not a value of table column {} ({})", column.name, column.datatype.postgres()));
                None
            }
        }
    }

    /// The values of the `replace` columns, which the file name tells.
    fn scope(&mut self) -> Vec<(String, String)> {
        let mut scope = Vec::new();
        for name in self.manifest.replace.clone() {
            let capture = self.manifest.columns.get(&name).and_then(|o| o.capture.clone());
            match capture.and_then(|c| self.captures.get(&c).cloned()) {
                Some(value) => scope.push((name, value)),
                None => self.fault(format!("replace: {name} is not told by the file name (give it with --set {name}=N)")),
            }
        }
        scope
    }

    /// Is the key the objid, and what does it begin with?
    fn identity(&mut self) -> (bool, Vec<u8>) {
        let objid = self.manifest.columns.iter().find(|(_, o)| o.transform == Some(Transform::Objid));
        let Some((name, origin)) = objid else { return (false, Vec::new()) };
        let key = &self.manifest.table.key;
        let prefix = origin.with.get("prefix").and_then(toml::Value::as_str).unwrap_or_default().as_bytes().to_vec();
        let keyed = key.len() == 1 && key[0] == *name;
        if prefix.len() > MAX_OBJID / 2 {
            self.fault(format!("columns.{name}: the prefix is longer than {} bytes", MAX_OBJID / 2));
        }
        (keyed, prefix)
    }

    fn unused(&self) -> Vec<String> {
        let ignored = |name: &str| self.manifest.ignore.iter().any(|p| p.matches(name).is_some());
        let names = self.layout.columns.iter().zip(&self.used).filter(|(c, used)| !**used && !ignored(&c.name));
        names.map(|(c, _)| c.name.clone()).collect()
    }
}

fn plain_text(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn number_at(raw: &RawColumn, element: usize) -> Number {
    Number { kind: raw.kind, offset: raw.offset + element * raw.kind.bytes(1), scale: raw.scale, zero: raw.zero, null: raw.null }
}

/// May the bytes be stored as they are?
fn is_plain(number: &Number, to: DataType) -> bool {
    let unscaled = number.scale == 1.0 && number.zero == 0.0 && number.null.is_none();
    let same = matches!(
        (number.kind, to),
        (RawKind::Short, DataType::Smallint)
            | (RawKind::Int, DataType::Integer)
            | (RawKind::Long, DataType::Bigint)
            | (RawKind::Float, DataType::Real)
            | (RawKind::Double, DataType::Double)
    );
    unscaled && same
}

/// May values of the file column become values of the table column? Single values are checked as they come.
fn fits_type(raw: &RawColumn, column: &Column) -> bool {
    let count = if raw.kind == RawKind::Char { !column.array } else { column.array || raw.repeat == 1 };
    let whole = raw.scale.fract() == 0.0 && raw.zero.fract() == 0.0;
    let kind = match column.datatype {
        DataType::Boolean => matches!(raw.kind, RawKind::Logical | RawKind::Bit),
        DataType::Smallint | DataType::Integer | DataType::Bigint => {
            matches!(raw.kind, RawKind::Logical | RawKind::Bit) || raw.kind.is_integer() && whole
        }
        DataType::Real | DataType::Double => matches!(raw.kind, RawKind::Float | RawKind::Double) || raw.kind.is_integer(),
        DataType::Text => raw.kind == RawKind::Char,
        DataType::Timestamp => false,
    };
    count && kind && !(column.array && raw.kind == RawKind::Bit)
}

/// Joins neighbouring copies of one width.
fn coalesce(ops: Vec<Op>) -> Vec<Op> {
    let mut joined: Vec<Op> = Vec::with_capacity(ops.len());
    for op in ops {
        match (joined.last_mut(), &op) {
            (Some(Op::Copy2 { offset, count }), Op::Copy2 { offset: next, count: n }) if *offset + 2 * *count == *next => *count += n,
            (Some(Op::Copy4 { offset, count }), Op::Copy4 { offset: next, count: n }) if *offset + 4 * *count == *next => *count += n,
            (Some(Op::Copy8 { offset, count }), Op::Copy8 { offset: next, count: n }) if *offset + 8 * *count == *next => *count += n,
            (Some(Op::Logicals { offset, count, .. }), Op::Logicals { offset: next, count: n, .. }) if *offset + *count == *next => {
                *count += n
            }
            (Some(Op::Constant(before)), Op::Constant(more)) => *before = [&before[..], &more[..]].concat().into(),
            _ => joined.push(op),
        }
    }
    joined
}
