//! Pilots: workers that a site starts in its own way, a batch system, a login on another machine, an init system. One pilot runs many jobs.
//!
//! Here are only texts: the batch script, the line for a shell elsewhere, the unit. All words that come from outside are quoted for the
//! shell that reads them. Batch systems kill what has run too long: a pilot takes no jobs when its time is nearly over, is told by SIGTERM,
//! and gives back what it cannot end ([`GRACE_S`]). What a killed pilot ran is given to another when its lease has passed.

use std::fmt::Write;

/// Seconds before its end at which a batch system sends SIGTERM to a pilot.
pub const GRACE_S: u64 = 120;
/// Of these, for jobs to end by themselves.
const DRAIN_S: u64 = 90;

/// What a pilot is started with.
#[derive(Debug, Clone)]
pub struct Pilot {
    /// This program where the pilot runs.
    pub brickyard: String,
    pub url: String,
    /// Where the pilot finds its token.
    pub token_file: String,
    pub classes: Vec<String>,
    pub slots: u32,
    pub cpus: u32,
    pub memory_mb: u32,
    /// Longest life, seconds.
    pub time_s: u64,
    /// It ends after so long without a job, seconds.
    pub idle_s: u64,
    /// What a machine costs per hour.
    pub price: Option<f32>,
    /// A folder for scratch files and kept inputs, there.
    pub dir: Option<String>,
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

impl Pilot {
    /// The worker's words; `name` and `node` are put as they are, for a shell to fill in.
    fn command(&self, name: &str, node: &str) -> String {
        let mut command = format!(
            "{} worker --url {} --token-file {} --name {name} --node {node} --slots {} --cpu {} --memory {}",
            quoted(&self.brickyard),
            quoted(&self.url),
            quoted(&self.token_file),
            self.slots,
            self.cpus,
            self.memory_mb
        );
        if !self.classes.is_empty() {
            let _ = write!(command, " --class {}", quoted(&self.classes.join(","))); // to a String: cannot fail
        }
        if let Some(price) = self.price {
            let _ = write!(command, " --price {price}"); // as above
        }
        if let Some(dir) = &self.dir {
            let _ = write!(command, " --dir {}/{name}", quoted(dir)); // as above
        }
        let _ = write!(command, " --max-idle {}s --drain-within {DRAIN_S}s", self.idle_s); // as above
        if self.time_s > 0 {
            let _ = write!(command, " --max-life {}s", self.time_s.saturating_sub(2 * GRACE_S).max(60)); // as above
        }
        command
    }

    /// What jobs of these pilots are called in a queue: those of other classes are others.
    pub fn job_name(&self) -> String {
        let class = if self.classes.is_empty() { "all".to_owned() } else { self.classes.join("+") };
        format!("brickyard-{class}")
    }

    /// A script for Slurm's `sbatch`: an array of so many pilots. `log_dir` is a folder that the nodes see.
    pub fn slurm(&self, pilots: u32, log_dir: &str, more: &[String]) -> String {
        let minutes = self.time_s.div_ceil(60).max(3);
        let own: String = more.iter().map(|option| format!("#SBATCH {option}\n")).collect();
        format!(
            "#!/bin/sh\n#SBATCH --job-name={}\n#SBATCH --array=1-{pilots}\n#SBATCH --nodes=1\n#SBATCH --ntasks=1\n#SBATCH --cpus-per-task={}\n\
             #SBATCH --mem={}M\n#SBATCH --time={minutes}\n#SBATCH --signal=B:TERM@{GRACE_S}\n#SBATCH --requeue\n#SBATCH --open-mode=append\n\
             #SBATCH --output={log_dir}/pilot-%A_%a.log\n{own}\n# the worker itself is what Slurm signals\nexec {}\n",
            self.job_name(),
            self.cpus,
            self.memory_mb,
            self.command("\"slurm-${SLURM_ARRAY_JOB_ID}-${SLURM_ARRAY_TASK_ID}\"", "\"$(hostname)\""),
        )
    }

    /// What a shell on another machine reads to start pilots that outlive it; `token` is written into a file that only the user can read.
    pub fn shell(&self, pilots: u32, token: &str) -> String {
        let command = self.command("\"ssh-$(hostname)-$i\"", "\"$(hostname)\"");
        format!(
            "set -eu\numask 077\nmkdir -p \"$HOME/.brickyard\"\ncd \"$HOME/.brickyard\"\ncommand -v {program} >/dev/null || {{ echo \"{missing}\" >&2; exit 127; }}\n\
             printf '%s\\n' {token} > token.part\nmv token.part {file}\nfor i in $(seq 1 {pilots}); do\n\
             \x20 setsid {command} >>\"pilot-$i.log\" 2>&1 </dev/null &\ndone\n",
            program = quoted(&self.brickyard),
            missing = "brickyard is not on the PATH there: copy it, or name it with --program",
            token = quoted(token),
            file = quoted(&self.token_file),
        )
    }

    /// A template of systemd units: `systemctl enable --now brickyard-worker@1`.
    pub fn systemd(&self, user: &str) -> String {
        // %i is the instance; systemd fills in $ and % itself, so that they are doubled in what is meant as it is
        let escaped = |text: &str| text.replace('%', "%%").replace('$', "$$");
        let plain = Pilot {
            brickyard: escaped(&self.brickyard),
            url: escaped(&self.url),
            token_file: "%d/token".into(),
            dir: Some("%S/brickyard".into()),
            time_s: 0,
            ..self.clone()
        };
        let command =
            plain.command("systemd-%H-%i", "%H").replace("'%d/token'", "%d/token").replace(&format!(" --max-idle {}s", self.idle_s), "");
        format!(
            "[Unit]\nDescription=brickyard worker %i\nAfter=network-online.target\nWants=network-online.target\n\n\
             [Service]\nExecStart={command}\nUser={user}\nStateDirectory=brickyard\nLoadCredential=token:{token}\n\
             # it drains on SIGTERM; only then are its programs killed\nKillMode=mixed\nTimeoutStopSec={stop}\nRestart=on-failure\nRestartSec=10\n\
             CPUQuota={cpu}%\nMemoryMax={memory}M\nNoNewPrivileges=yes\nPrivateTmp=yes\nProtectSystem=full\n\n[Install]\nWantedBy=multi-user.target\n",
            token = self.token_file,
            stop = GRACE_S,
            cpu = 100 * u64::from(self.cpus),
            memory = u64::from(self.memory_mb) + 512,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pilot() -> Pilot {
        Pilot {
            brickyard: "brickyard".into(),
            url: "http://runner:8080".into(),
            token_file: "/home/ann/to ken".into(),
            classes: vec!["default".into(), "load".into()],
            slots: 4,
            cpus: 4,
            memory_mb: 8000,
            time_s: 6 * 3600,
            idle_s: 600,
            price: Some(0.5),
            dir: None,
        }
    }

    #[test]
    fn a_batch_script_is_the_worker_and_ends_before_its_time() {
        let script = pilot().slurm(50, "/shared/logs", &["--partition=long".into()]);
        for line in [
            "#SBATCH --job-name=brickyard-default+load",
            "#SBATCH --array=1-50",
            "#SBATCH --time=360",
            "#SBATCH --signal=B:TERM@120",
            "#SBATCH --partition=long",
            "exec brickyard worker --url http://runner:8080 --token-file '/home/ann/to ken' --name \"slurm-${SLURM_ARRAY_JOB_ID}-${SLURM_ARRAY_TASK_ID}\" \
             --node \"$(hostname)\" --slots 4 --cpu 4 --memory 8000 --class default,load --price 0.5 --max-idle 600s --drain-within 90s --max-life 21360s",
        ] {
            assert!(script.lines().any(|found| found == line), "{line}\n{script}");
        }
    }

    #[test]
    fn words_from_outside_are_one_word_for_a_shell() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("$(rm -rf)'x"), "'$(rm -rf)'\\''x'");
        let text = pilot().shell(2, "brickyard_1_ab'c");
        assert!(text.contains("printf '%s\\n' 'brickyard_1_ab'\\''c' > token.part"), "{text}");
    }
}
