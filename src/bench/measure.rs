//! Figures: medians with spreads, goals, and how they are printed.

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// Printed for comparison only.
    Shown,
}

impl Goal {
    pub fn holds(self, value: f64) -> Option<bool> {
        match self {
            Goal::AtMost(most) => Some(value <= most),
            Goal::AtLeast(least) => Some(value >= least),
            Goal::Shown => None,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Goal::AtMost(v) => write!(f, "<= {v}"),
            Goal::AtLeast(v) => write!(f, ">= {v}"),
            Goal::Shown => f.write_str("shown"),
        }
    }
}

/// A measured figure.
#[derive(Debug, Clone)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    pub goal: Goal,
    /// Smallest and largest of the runs.
    pub spread: Option<(f64, f64)>,
}

impl Figure {
    /// The median of several runs.
    pub fn of(name: impl Into<String>, runs: &[f64], unit: &'static str, goal: Goal) -> Figure {
        let spread = (runs.len() > 1).then(|| (quantile(runs, 0.0), quantile(runs, 1.0)));
        Figure { name: name.into(), value: median(runs), unit, goal, spread }
    }

    pub fn holds(&self) -> Option<bool> {
        self.goal.holds(self.value)
    }

    pub fn json(&self) -> serde_json::Value {
        let goal = match self.goal {
            Goal::Shown => serde_json::Value::Null,
            goal => goal.to_string().into(),
        };
        serde_json::json!({"name": self.name, "value": self.value, "unit": self.unit, "goal": goal, "holds": self.holds()})
    }
}

/// The sheet that a bench fills: figures of the groups asked for, each told as it comes.
pub struct Sheet<'a> {
    /// Groups to measure, all if empty.
    pub only: &'a [String],
    pub say: &'a (dyn Fn(String) + Sync),
    pub figures: Vec<Figure>,
}

impl Sheet<'_> {
    /// Is this group asked for? Tells that it begins.
    pub fn wanted(&self, group: &str) -> bool {
        let wanted = self.only.is_empty() || self.only.iter().any(|g| g == group);
        if wanted {
            (self.say)(format!("measuring: {group}"));
        }
        wanted
    }

    pub fn add(&mut self, figure: Figure) {
        (self.say)(format!("  {}: {:.3} {} ({})", figure.name, figure.value, figure.unit, figure.goal));
        self.figures.push(figure);
    }
}

pub fn median(runs: &[f64]) -> f64 {
    quantile(runs, 0.5)
}

/// The quantile by linear interpolation; NaN of nothing.
pub fn quantile(runs: &[f64], q: f64) -> f64 {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = q * (sorted.len().saturating_sub(1)) as f64;
    match (sorted.get(at.floor() as usize), sorted.get(at.ceil() as usize)) {
        (Some(low), Some(high)) => low + (high - low) * at.fract(),
        _ => f64::NAN,
    }
}

/// `a / b`, run by run: machines drift, neighbours in time less so.
pub fn ratios(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a / b).collect()
}
