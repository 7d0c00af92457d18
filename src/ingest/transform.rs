//! The closed list of named transforms that a manifest may use.

use serde::Deserialize;

/// A computation that makes a table value out of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// `<prefix><ra:%.7f><dec:%+.6f>`: the survey's designation of the position.
    Objid,
    /// HTM id of depth 9.
    Htm9,
    /// HEALPix NSIDE 256, RING.
    Ring256,
    /// HEALPix NSIDE 4096, NESTED.
    Nest4096,
    /// A reproducible uniform number in [0, 100), a hash of the position's designation.
    RandomId,
    /// The first argument minus the second; the sentinel where either is the sentinel.
    Difference,
    /// 1 for a good star, else 0: `(snr >= snr_min AND sharp^2 < sharp2_max AND crowd < crowd_max) OR vega = undetected`.
    GoodStar,
}

impl Transform {
    /// Name, arguments (file columns), settings.
    const fn row(self) -> (&'static str, &'static [&'static str], &'static [&'static str]) {
        match self {
            Transform::Objid => ("objid", &[], &["prefix"]),
            Transform::Htm9 => ("htm9", &[], &[]),
            Transform::Ring256 => ("ring256", &[], &[]),
            Transform::Nest4096 => ("nest4096", &[], &[]),
            Transform::RandomId => ("random_id", &[], &[]),
            Transform::Difference => ("difference", &["a", "b"], &["undetected"]),
            Transform::GoodStar => ("good_star", &["snr", "sharp", "crowd", "vega"], &["snr_min", "sharp2_max", "crowd_max", "undetected"]),
        }
    }

    pub const fn name(self) -> &'static str {
        self.row().0
    }
    pub const fn arguments(self) -> &'static [&'static str] {
        self.row().1
    }
    pub const fn settings(self) -> &'static [&'static str] {
        self.row().2
    }
}
