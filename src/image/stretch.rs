//! Values to greys: where black and white lie, and what comes between.
//!
//! [`Cuts::Zscale`] is IRAF's algorithm (a line through the sorted sample, outliers left out), [`Cuts::Percent`] drops the
//! same share at both ends. Curves are those of astropy's stretches, so that a picture looks as in a notebook.

/// What is black and what is white.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cuts {
    Zscale,
    /// The middle part of all values, in per cent.
    Percent(f64),
    MinMax,
    Between(f64, f64),
}

impl std::str::FromStr for Cuts {
    type Err = String;

    /// `zscale`, `minmax`, `99.5%`, `-0.1,20`
    fn from_str(text: &str) -> Result<Cuts, String> {
        let wrong = || format!("{text:?} is not zscale, minmax, a percentage such as 99.5%, or two values such as -0.1,20");
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite()).ok_or_else(wrong);
        match text.trim() {
            "zscale" => Ok(Cuts::Zscale),
            "minmax" => Ok(Cuts::MinMax),
            other => match (other.strip_suffix('%'), other.split_once(',')) {
                (Some(percent), _) => number(percent).and_then(|p| if p > 0.0 && p <= 100.0 { Ok(Cuts::Percent(p)) } else { Err(wrong()) }),
                (None, Some((low, high))) => match (number(low)?, number(high)?) {
                    (low, high) if low < high => Ok(Cuts::Between(low, high)),
                    _ => Err(wrong()),
                },
                _ => Err(wrong()),
            },
        }
    }
}

/// How brightness grows from black to white.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Curve {
    Linear,
    Sqrt,
    Log,
    Asinh,
}

impl Curve {
    /// 0 to 1 onto 0 to 1.
    pub fn at(self, t: f64) -> f64 {
        const LOG: f64 = 1000.0;
        const ASINH: f64 = 0.1;
        match self {
            Curve::Linear => t,
            Curve::Sqrt => t.sqrt(),
            Curve::Log => (LOG * t + 1.0).ln() / (LOG + 1.0).ln(),
            Curve::Asinh => (t / ASINH).asinh() / (1.0 / ASINH).asinh(),
        }
    }
}

/// Sampled for percentiles: more values change nothing that an eye sees.
const MOST_SAMPLE: usize = 1 << 20;

impl Cuts {
    /// Black and white of these values; `None` when none of them is a number.
    pub fn of(self, values: &[f32]) -> Option<(f64, f64)> {
        let (low, high) = match self {
            Cuts::Between(low, high) => (low, high),
            Cuts::MinMax => {
                let finite = values.iter().filter(|v| v.is_finite());
                finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v.into()), high.max(v.into())))
            }
            Cuts::Percent(percent) => {
                let sample = sorted(values, MOST_SAMPLE);
                let tail = (100.0 - percent) / 200.0;
                (quantile(&sample, tail)?, quantile(&sample, 1.0 - tail)?)
            }
            Cuts::Zscale => zscale(values)?,
        };
        low.is_finite().then_some((low, if high > low { high } else { low + low.abs().max(1.0) * 1e-6 }))
    }
}

/// A sorted sample of the finite values, at most so many of them.
fn sorted(values: &[f32], most: usize) -> Vec<f64> {
    let finite = values.iter().filter(|v| v.is_finite()).count();
    let stride = (finite / most).max(1);
    let mut sample: Vec<f64> = values.iter().filter(|v| v.is_finite()).step_by(stride).take(most).map(|&v| f64::from(v)).collect();
    sample.sort_unstable_by(f64::total_cmp);
    sample
}

/// Linear between the neighbours, as numpy has it.
pub fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let at = part.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}

/// The value below which a part of the finite values lies.
pub fn part(values: &[f32], part: f64) -> Option<f64> {
    quantile(&sorted(values, MOST_SAMPLE), part)
}

const ZSCALE_SAMPLE: usize = 1000;

/// IRAF's display levels with its default contrast of 0.25: the slope of the sorted sample about its middle.
fn zscale(values: &[f32]) -> Option<(f64, f64)> {
    const CONTRAST: f64 = 0.25;
    const LEAST: usize = 5;
    let sample = sorted(values, ZSCALE_SAMPLE);
    let (first, last) = (*sample.first()?, *sample.last()?);
    let count = sample.len();
    let least = LEAST.max(count / 2);
    let (slope, good) = sloped(&sample, least);
    if good < least {
        return Some((first, last));
    }
    let slope = slope / CONTRAST;
    let centre = ((count - 1) / 2) as f64;
    let median = quantile(&sample, 0.5)?;
    Some((first.max(median - (centre - 1.0) * slope), last.min(median + (count as f64 - centre) * slope)))
}

/// The slope of a line through the sample, outliers and their neighbours left out, and how many were left.
fn sloped(sample: &[f64], least: usize) -> (f64, usize) {
    const ROUNDS: usize = 5;
    const SIGMAS: f64 = 2.5;
    let count = sample.len();
    let grow = (count / 100).max(1);
    let mut bad = vec![false; count];
    let (mut good, mut before, mut slope) = (count, count + 1, 0.0);
    for _ in 0..ROUNDS {
        if good >= before || good < least {
            break;
        }
        let (line, at_zero) = fitted(sample, &bad);
        slope = line;
        let flat: Vec<f64> = sample.iter().enumerate().map(|(x, y)| y - (at_zero + slope * x as f64)).collect();
        let kept: Vec<f64> = flat.iter().zip(&bad).filter(|(_, bad)| !**bad).map(|(value, _)| *value).collect();
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        let sigma = (kept.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / kept.len() as f64).sqrt();
        let out: Vec<bool> = flat.iter().zip(&bad).map(|(value, bad)| *bad || value.abs() > SIGMAS * sigma).collect();
        for (x, slot) in bad.iter_mut().enumerate() {
            let range = x.saturating_sub(grow / 2)..(x + (grow - 1) / 2 + 1).min(count);
            *slot = out[range].contains(&true);
        }
        before = good;
        good = bad.iter().filter(|bad| !**bad).count();
    }
    (slope, good)
}

/// Least squares of the values that are not bad over their places: slope and value at 0.
fn fitted(sample: &[f64], bad: &[bool]) -> (f64, f64) {
    let (mut n, mut sx, mut sy, mut sxx, mut sxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, y) in sample.iter().enumerate().filter(|(x, _)| !bad[*x]) {
        let x = x as f64;
        (n, sx, sy, sxx, sxy) = (n + 1.0, sx + x, sy + y, sxx + x * x, sxy + x * y);
    }
    let determinant = n * sxx - sx * sx;
    if determinant == 0.0 {
        return (0.0, sy / f64::max(n, 1.0));
    }
    let slope = (n * sxy - sx * sy) / determinant;
    (slope, (sy - slope * sx) / n)
}
