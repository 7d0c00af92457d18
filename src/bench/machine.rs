//! What Linux says of the machine and of processes: CPU seconds of the server, for ratios of work.

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

/// CPU seconds that a server has used so far: its postmaster, the children that it has reaped, and the living ones.
pub fn server_cpu_s(postmaster: u32) -> f64 {
    let own = stat(postmaster).map_or(0.0, |s| s.own + s.reaped);
    let children = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = children.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    own + pids.filter_map(stat).filter(|s| s.parent == postmaster).map(|s| s.own).sum::<f64>()
}

struct Stat {
    parent: u32,
    own: f64,
    reaped: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    const TICKS_PER_S: f64 = 100.0; // USER_HZ of every Linux ABI
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit(") ").next()?.split(' ').collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: (ticks(11) + ticks(12)) / TICKS_PER_S,
        reaped: (ticks(13) + ticks(14)) / TICKS_PER_S,
    })
}
