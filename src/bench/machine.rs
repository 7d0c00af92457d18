//! What Linux says of the machine, to be printed above figures.

use std::fs;

/// `AMD EPYC ..., 2 cores, 23.4 GiB`.
pub fn describe() -> String {
    let find = |file: &str, key: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().find(|l| l.starts_with(key)).and_then(|l| l.split_once(':')).map(|(_, v)| v.trim().to_owned())
    };
    let cpu = find("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown CPU".into());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kib: f64 = find("/proc/meminfo", "MemTotal").and_then(|v| v.split(' ').next()?.parse().ok()).unwrap_or(0.0);
    format!("{cpu}, {cores} cores, {:.1} GiB", kib / 1048576.0)
}
