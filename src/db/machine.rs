//! The server's settings for this machine: memory, cores, disk.
//!
//! The reasons stand beside the values; the measurements are those of `design/loading.md`: buffer sizes and WAL
//! settings make no difference to COPY, checkpoints and full-page writes do when WAL is small.

use super::binaries::Binaries;
use std::fmt::Write;
use std::path::Path;

const MB: u64 = 1 << 20;

/// What the settings are computed from.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Memory that we may use: the machine's, or the container's limit if that is lower.
    pub memory_mb: u64,
    pub cores: usize,
    /// Free space on the cluster's disk.
    pub disk_mb: u64,
    /// Room in /dev/shm, where parallel queries share their memory; containers often have only 64 MB.
    pub shared_mb: u64,
}

impl Machine {
    /// Measures this machine, and the disk of `dir`.
    pub fn here(dir: &Path) -> Machine {
        Machine {
            memory_mb: memory_mb(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            disk_mb: free_mb(dir).unwrap_or(0),
            shared_mb: free_mb(Path::new("/dev/shm")).unwrap_or(0),
        }
    }

    /// The text of `brickyard.conf`.
    pub fn settings(&self, programs: &Binaries, port: u16, socket_dir: &Path) -> String {
        let mut text = String::from(
            "# Written by brickyard at each start, for this machine. Put settings of your own into local.conf beside\n\
             # this file (it is read last), or use ALTER SYSTEM.\n",
        );
        for (name, value, why) in self.rows(programs, port, socket_dir) {
            let quoted = value.replace('\'', "''");
            writeln!(text, "{name} = '{quoted}'  # {why}").expect("a String takes everything");
        }
        text
    }

    fn rows(&self, programs: &Binaries, port: u16, socket_dir: &Path) -> Vec<(&'static str, String, &'static str)> {
        let mut rows = vec![
            ("port", port.to_string(), "kept from start to start while it is free"),
            ("listen_addresses", "127.0.0.1".into(), "this machine only"),
            ("unix_socket_directories", socket_dir.display().to_string(), "a folder that only the server's account enters"),
            ("unix_socket_permissions", "0700".into(), "and the socket too"),
            ("password_encryption", "scram-sha-256".into(), "no trust for other users"),
            ("cluster_name", "brickyard".into(), "seen in ps"),
            ("timezone", "UTC".into(), "as all times in the catalogues"),
            ("log_timezone", "UTC".into(), ""),
            ("log_line_prefix", "%m [%p] %q%u@%d ".into(), ""),
            ("lc_messages", "C".into(), "messages that brickyard can read"),
            ("jit", "off".into(), "small cones suffer: compiling takes longer than running"),
        ];
        rows.extend(self.memory());
        rows.extend(self.disk(programs));
        rows.extend(self.processors());
        rows
    }

    fn memory(&self) -> Vec<(&'static str, String, &'static str)> {
        let share = |part: u64, low: u64, high: u64| format!("{}MB", (self.memory_mb / part).clamp(low, high));
        let mut rows = vec![
            ("shared_buffers", share(8, 64, 8192), "an eighth of memory; the page cache keeps the rest"),
            ("effective_cache_size", share(2, 128, 1 << 20), "what the planner may expect in memory"),
            ("maintenance_work_mem", share(16, 32, 2048), "for each CREATE INDEX"),
            ("work_mem", share(256, 4, 256), "for each sort or hash"),
        ];
        if self.shared_mb < 512 {
            rows.push(("dynamic_shared_memory_type", "mmap".into(), "/dev/shm is small here"));
        }
        rows
    }

    fn disk(&self, programs: &Binaries) -> Vec<(&'static str, String, &'static str)> {
        // A load writes its rows once; checkpoints in between would only write full pages again.
        let max_wal_mb = (self.disk_mb / 10).clamp(128, 16 * 1024);
        let mut rows = vec![
            ("max_wal_size", format!("{max_wal_mb}MB"), "a tenth of the free disk at most"),
            ("min_wal_size", format!("{}MB", (max_wal_mb / 4).max(80)), ""),
            ("checkpoint_timeout", "15min".into(), ""),
            ("wal_level", "minimal".into(), "rows copied into a table made in the same transaction need no WAL"),
            ("max_wal_senders", "0".into(), "as wal_level minimal asks"),
            ("wal_compression", if programs.lz4 { "lz4" } else { "on" }.into(), ""),
            ("fsync", "on".into(), "full durability: what is committed stays"),
            ("synchronous_commit", "on".into(), ""),
            ("full_page_writes", "on".into(), ""),
            ("random_page_cost", "1.1".into(), "solid-state disks"),
        ];
        if cfg!(target_os = "linux") {
            rows.push(("effective_io_concurrency", "200".into(), "solid-state disks"));
        }
        rows
    }

    fn processors(&self) -> Vec<(&'static str, String, &'static str)> {
        let some = self.cores.min(8).to_string();
        vec![
            ("max_connections", "100".into(), ""),
            ("max_worker_processes", (self.cores + 8).to_string(), ""),
            ("max_parallel_workers", self.cores.to_string(), ""),
            ("max_parallel_workers_per_gather", some.clone(), ""),
            ("max_parallel_maintenance_workers", some, "index building"),
            ("parallel_setup_cost", "10000".into(), "starting workers takes 10 to 20 ms, in which one process has read a cone"),
        ]
    }
}

/// Free space for ordinary users on the filesystem of `dir`.
pub fn free_mb(dir: &Path) -> Option<u64> {
    let fs = rustix::fs::statvfs(dir).ok()?;
    Some(fs.f_bavail.saturating_mul(fs.f_frsize) / MB)
}

/// A container's limit counts as the machine's memory: the kernel kills whoever goes over it.
pub fn memory_mb() -> u64 {
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits.iter().filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok()).min();
    physical_mb().min(limit.unwrap_or(u64::MAX) / MB)
}

#[cfg(target_os = "linux")]
fn physical_mb() -> u64 {
    let info = rustix::system::sysinfo();
    let unit = u64::from(info.mem_unit);
    (info.totalram as u64).saturating_mul(unit) / MB // a C unsigned long, 32 bits on some machines
}

/// Elsewhere we settle for a small machine's settings; `local.conf` says better.
#[cfg(not(target_os = "linux"))]
fn physical_mb() -> u64 {
    8192
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stay_within_what_the_machine_has() {
        let programs = Binaries::for_tests();
        let small = Machine { memory_mb: 1024, cores: 1, disk_mb: 2000, shared_mb: 64 };
        let text = small.settings(&programs, 54321, Path::new("/tmp/it's"));
        for line in ["shared_buffers = '128MB'", "max_wal_size = '200MB'", "dynamic_shared_memory_type = 'mmap'", "'/tmp/it''s'"] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        let large = Machine { memory_mb: 512 * 1024, cores: 64, disk_mb: 10 << 20, shared_mb: 100_000 };
        let text = large.settings(&programs, 54321, Path::new("/tmp/s"));
        for line in ["shared_buffers = '8192MB'", "max_wal_size = '16384MB'", "max_parallel_workers = '64'"] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("dynamic_shared_memory_type"));
    }
}
