//! Bytes in a folder and in S3 (moto, a real server on the loopback): written once, whole or not at all.

use crate::harness::{python, runtime, scratch};
use brickyard::store::{Access, Credentials, Error, Store, Stream};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn stream(pieces: Vec<Result<Vec<u8>, Error>>) -> Stream {
    futures_util::stream::iter(pieces.into_iter().map(|p| p.map(Bytes::from))).boxed()
}

async fn read(store: &Store, key: &str) -> Vec<u8> {
    let (size, bytes) = store.get(key).await.expect("it is there");
    let read: Vec<Bytes> = bytes.try_collect().await.expect("its bytes");
    let read = read.concat();
    assert_eq!(size, read.len() as u64);
    read
}

/// What any place for bytes must do.
async fn behaves(store: &Store) {
    let big: Vec<u8> = (0..20_000_003_u32).map(|i| (i * 7) as u8).collect();
    let pieces = || big.chunks(1_000_000).map(|c| Ok(c.to_vec())).collect();
    assert_eq!(store.put("run/1/1/big.fits", stream(pieces()), u64::MAX).await.expect("put"), big.len() as u64);
    assert!(read(store, "run/1/1/big.fits").await == big);
    assert!(matches!(store.put("run/1/1/big.fits", stream(pieces()), u64::MAX).await, Err(Error::Exists { .. })), "written once");
    store.put("run/1/2/small", stream(vec![Ok(b"small".to_vec())]), 5).await.expect("put");
    assert!(matches!(store.put("run/1/2/small", stream(vec![Ok(b"other".to_vec())]), 5).await, Err(Error::Exists { .. })));
    store.put("run/1/2/empty", stream(vec![]), 5).await.expect("put");
    assert_eq!(store.size("run/1/2/small").await.expect("size"), 5);
    assert!(matches!(store.put("run/2/1/long", stream(vec![Ok(vec![0; 6])]), 5).await, Err(Error::TooLong { .. })));
    let cut = Error::Cut { key: "x".into(), why: "gone".into() };
    assert!(store.put("run/2/1/cut", stream(vec![Ok(vec![0; 9_000_000]), Err(cut)]), u64::MAX).await.is_err());
    for missing in ["run/2/1/long", "run/2/1/cut", "run/9"] {
        assert!(matches!(store.get(missing).await, Err(Error::Missing { .. })), "{missing}");
    }
    assert!(matches!(store.get("../etc/passwd").await, Err(Error::Key { .. })));
    let keys = |entries: Vec<brickyard::store::Entry>| entries.into_iter().map(|e| (e.key, e.bytes)).collect::<Vec<_>>();
    let wanted = [("run/1/1/big.fits", big.len() as u64), ("run/1/2/empty", 0), ("run/1/2/small", 5)].map(|(k, b)| (k.to_owned(), b));
    assert_eq!(keys(store.list("").await.expect("a list")), wanted);
    assert_eq!(keys(store.list("run/1/2").await.expect("a list")), wanted[1..]);
    store.delete("run/1/2/small").await.expect("deleted");
    store.delete("run/1/2/small").await.expect("and again");
    assert_eq!(store.list("run/1/2").await.expect("a list").len(), 1);
}

#[test]
fn a_folder_keeps_bytes() {
    let dir = scratch();
    let store = Store::open(dir.path().to_str().unwrap(), &Credentials::default()).expect("a store");
    runtime().block_on(behaves(&store));
    assert_eq!(std::fs::read_dir(dir.path().join(".new")).unwrap().count(), 0, "nothing half-written is left");
}

#[test]
fn of_many_writers_of_one_key_in_a_folder_one_wins() {
    let dir = scratch();
    let store = Store::open(dir.path().to_str().unwrap(), &Credentials::default()).expect("a store");
    runtime().block_on(async {
        let put = |i: u8| {
            let store = store.clone();
            tokio::spawn(async move { store.put("k", stream(vec![Ok(vec![i; 100_000])]), u64::MAX).await.is_ok() })
        };
        let mut won = 0;
        for task in (0..32).map(put).collect::<Vec<_>>() {
            won += usize::from(task.await.unwrap());
        }
        assert_eq!(won, 1);
        let bytes = read(&store, "k").await;
        assert!(bytes.len() == 100_000 && bytes.iter().all(|b| *b == bytes[0]));
    });
}

/// moto's S3 server, ended with the test.
pub struct Moto {
    child: Child,
    pub endpoint: String,
}

impl Moto {
    pub fn start() -> Option<Moto> {
        let python = python()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let script = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', sys.argv[1]])";
        let has = Command::new(&python).args(["-c", "import moto.server, flask"]).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
        if !has {
            crate::harness::skipped("no moto[server] (tests/requirements.txt)");
            return None;
        }
        let child = Command::new(&python)
            .args(["-c", script, &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto starts");
        let moto = Moto { child, endpoint: format!("http://127.0.0.1:{port}") };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "moto does not come up");
            std::thread::sleep(Duration::from_millis(100));
        }
        // a bucket, as its owner would make it
        let made = Command::new("curl").args(["-s", "-f", "-X", "PUT", &format!("{}/bricks", moto.endpoint)]).status().expect("curl runs");
        assert!(made.success());
        Some(moto)
    }

    pub fn credentials(&self) -> Credentials {
        Credentials {
            access_key_id: Some("test".into()),
            secret_access_key: Some("secret".into()),
            endpoint: Some(self.endpoint.clone()),
            ..Credentials::default()
        }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_bucket_keeps_bytes_and_signs_urls() {
    let Some(moto) = Moto::start() else { return };
    for place in ["s3://bricks", "s3://bricks/team/phat"] {
        let store = Store::open(place, &moto.credentials()).expect("a store");
        runtime().block_on(async {
            if place.ends_with("phat") {
                behaves(&store).await;
            }
            let lasts = Duration::from_secs(60);
            let put = store.sign(Access::Put, "signed/1", lasts).await.expect("signed").expect("a URL");
            let client = curl(&["-T", "/etc/hostname", &put]);
            assert_eq!(client, "200");
            let get = store.sign(Access::Get, "signed/1", lasts).await.expect("signed").expect("a URL");
            assert_eq!(curl(&[&get]), "200");
            assert_eq!(read(&store, "signed/1").await, std::fs::read("/etc/hostname").unwrap());
            store.delete("signed/1").await.expect("deleted");
        });
    }
}

fn curl(args: &[&str]) -> String {
    let output = Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}"]).args(args).output().expect("curl runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
