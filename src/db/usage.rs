//! CPU time and memory of this process and of a server, as Linux counts them in /proc; zeros elsewhere.

use std::fs;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// User and system, of all threads.
    pub cpu_s: f64,
    /// The most memory that it held at once, in bytes.
    pub peak_bytes: u64,
}

/// Of this process.
pub fn own() -> Usage {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Usage { cpu_s: stat("self").map_or(0.0, |s| s.own_s), peak_bytes: peak.unwrap_or(0) * 1024 }
}

/// Bytes of memory that we may use: the machine's, or the container's limit if that is lower.
pub fn memory_bytes() -> u64 {
    super::machine::memory_mb() << 20
}

/// CPU seconds of a server: its postmaster, the children that it has reaped, and the living ones.
pub fn server_cpu_s(postmaster: u32) -> f64 {
    let own = || stat(&postmaster.to_string()).map_or((0.0, 0.0), |s| (s.own_s, s.reaped_s));
    loop {
        let (own_s, reaped_s) = own();
        let children_s = children_cpu_s(postmaster);
        // a child that was reaped in between is in neither number
        if own().1 == reaped_s {
            return own_s + reaped_s + children_s;
        }
    }
}

fn children_cpu_s(parent: u32) -> f64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|e| e.file_name().into_string().ok()).filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
    names.filter_map(|name| stat(&name)).filter(|s| s.parent == parent).map(|s| s.own_s).sum()
}

struct Stat {
    parent: u32,
    own_s: f64,
    /// Of its children that have ended.
    reaped_s: f64,
}

fn stat(process: &str) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// Fields of proc_pid_stat(5), counted after the name in parentheses, which may hold anything.
fn parse(text: &str) -> Option<Stat> {
    const TICKS_PER_S: f64 = 100.0; // USER_HZ of every Linux ABI
    let fields: Vec<&str> = text.rsplit(") ").next()?.split(' ').collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own_s: (ticks(11) + ticks(12)) / TICKS_PER_S,
        reaped_s: (ticks(13) + ticks(14)) / TICKS_PER_S,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = parse("7 (a) b (c) S 3 7 7 0 -1 4194304 9 0 0 0 150 50 20 5 20 0 1 0 99 1 1").expect("a line of stat");
        assert_eq!((stat.parent, stat.own_s, stat.reaped_s), (3, 2.0, 0.25));
    }

    #[test]
    fn we_have_used_memory() {
        assert!(own().peak_bytes > 1 << 20);
    }
}
