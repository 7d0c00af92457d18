//! A scale between values and pixels, and round numbers to mark on it.

/// A linear scale; `from_px` may be greater than `to_px` (magnitudes, right ascensions).
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    pub from: f64,
    pub to: f64,
    pub from_px: f64,
    pub to_px: f64,
}

impl Axis {
    pub fn px(&self, value: f64) -> f64 {
        self.from_px + (value - self.from) / (self.to - self.from) * (self.to_px - self.from_px)
    }

    /// About `wanted` round values within the scale, with their texts.
    pub fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let (low, high) = (self.from.min(self.to), self.from.max(self.to));
        ticks(low, high, step(high - low, wanted))
    }
}

/// The round step (1, 2 or 5 times a power of ten) that cuts a span into at most `wanted` parts.
pub fn step(span: f64, wanted: usize) -> f64 {
    let rough = span.max(f64::MIN_POSITIVE) / wanted as f64;
    let decade = 10_f64.powf(rough.log10().floor());
    // The slack keeps a span of exactly 5 steps from jumping to the next step by rounding.
    [1.0, 2.0, 5.0].into_iter().map(|m| m * decade).find(|s| *s >= rough * 0.999).unwrap_or(10.0 * decade)
}

/// The multiples of `step` from `low` to `high`, with their texts.
pub fn ticks(low: f64, high: f64, step: f64) -> Vec<(f64, String)> {
    let slack = 1e-9 * (high - low);
    let (first, last) = (((low - slack) / step).ceil() as i64, ((high + slack) / step).floor() as i64);
    (first..=last).map(|n| (n as f64 * step, label(n as f64 * step, step))).collect()
}

/// A multiple of `step` with as many decimals as the step needs.
pub fn label(value: f64, step: f64) -> String {
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    // + 0.0 turns the negative zero of -0 steps into the plain one.
    minus(&format!("{:.decimals$}", value + 0.0))
}

/// A typographic minus sign.
pub fn minus(text: &str) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        for (span, wanted, expected) in [(1.0, 5, 0.2), (10.0, 5, 2.0), (0.37, 4, 0.1), (430.0, 5, 100.0), (7e-4, 4, 2e-4)] {
            assert!((step(span, wanted) / expected - 1.0).abs() < 1e-9, "{span} {wanted} {}", step(span, wanted));
        }
        let texts: Vec<_> = ticks(-0.25, 0.25, 0.1).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["−0.2", "−0.1", "0.0", "0.1", "0.2"]);
    }
}
