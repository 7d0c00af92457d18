//! The service under test: `brickyard serve` as a process of its own on the bench's cluster.

use super::Error;
use super::http::{Client, Request};
use crate::db;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Stopped when dropped.
pub struct Service {
    child: Child,
    address: SocketAddr,
}

impl Drop for Service {
    fn drop(&mut self) {
        // A bench that failed has said so; a service that is gone already needs no end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// This program.
pub fn program() -> Result<Command, Error> {
    Ok(Command::new(std::env::current_exe().map_err(|source| Error::Io { doing: "finding this program".into(), source })?))
}

impl Service {
    /// Starts the service on a free port, with these environment variables, and waits until it answers.
    pub fn start(db: &db::Options, settings: &[(&str, String)]) -> Result<Service, Error> {
        let io = |doing: &'static str| move |source| Error::Io { doing: doing.into(), source };
        let address = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).map_err(io("looking for a free port"))?;
        let child = program()?
            .arg("--data-dir")
            .arg(&db.data_dir)
            .args(["serve", "--port", &address.port().to_string()])
            .env("BRICKYARD_WEB_LOG_LEVEL", "warn")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(io("starting the service"))?;
        let service = Service { child, address };
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let up = Client::new(address).and_then(|mut client| client.ask(Request::get("/tap/availability")));
            match up {
                Ok(_) => return Ok(service),
                Err(error) if Instant::now() > patience => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn client(&self) -> Result<Client, Error> {
        Client::new(self.address)
    }

    /// Resident memory in MiB: now, and at most so far.
    pub fn memory_mib(&self) -> (f64, f64) {
        let of = |key: &str| self.kernel_says("status", key).map_or(f64::NAN, |kib| kib / 1024.0);
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// Bytes that it has read from files so far, cached or not.
    pub fn bytes_read(&self) -> f64 {
        self.kernel_says("io", "rchar:").unwrap_or(f64::NAN)
    }

    /// The number behind a key of one of its files in /proc.
    fn kernel_says(&self, file: &str, key: &str) -> Option<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).ok()?;
        text.lines().find_map(|line| line.strip_prefix(key))?.trim().split(' ').next()?.parse().ok()
    }
}
