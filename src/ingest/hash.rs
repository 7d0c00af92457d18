//! The SHA-256 of a file: by itself, or of the rows that are read for sorting anyway, on a thread beside.

use super::ledger;
use sha2::Digest;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// The hash of a whole file in hexadecimal digits.
pub fn sha256(file: &File) -> io::Result<String> {
    let mut hasher = sha2::Sha256::new();
    read(file, 0, u64::MAX, &mut hasher)?;
    Ok(ledger::hex(&hasher.finalize()))
}

/// Hashes bytes `from` to `to` of the file, or to its end.
fn read(file: &File, mut from: u64, to: u64, hasher: &mut sha2::Sha256) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES.min((to - from) as usize)];
    while from < to {
        let most = buffer.len().min((to - from) as usize);
        match file.read_at(&mut buffer[..most], from) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                hasher.update(&buffer[..n]);
                from += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A file whose middle is handed over piece by piece, by who reads it.
pub struct Hashing {
    /// `None` says that the rest of the file follows.
    pieces: SyncSender<Option<Vec<u8>>>,
    back: Receiver<Vec<u8>>,
    thread: JoinHandle<io::Result<String>>,
}

impl Hashing {
    /// Begins with what stands before byte `start`, where the first piece begins.
    pub fn begin(file: File, start: u64) -> Hashing {
        let (pieces, taken) = sync_channel::<Option<Vec<u8>>>(2);
        let (give, back) = channel();
        let thread = std::thread::spawn(move || {
            let mut hasher = sha2::Sha256::new();
            read(&file, 0, start, &mut hasher)?;
            let mut at = start;
            while let Some(piece) = taken.recv().map_err(|_| io::Error::other("the file was given up"))? {
                hasher.update(&piece);
                at += piece.len() as u64;
                // a reader that has ended wants no buffer
                drop(give.send(piece));
            }
            read(&file, at, u64::MAX, &mut hasher)?;
            Ok(ledger::hex(&hasher.finalize()))
        });
        Hashing { pieces, back, thread }
    }

    /// Takes the next piece and gives a buffer for the one after.
    pub fn take(&mut self, piece: Vec<u8>) -> Vec<u8> {
        // a thread that has failed tells it in the end
        drop(self.pieces.send(Some(piece)));
        self.back.try_recv().unwrap_or_default()
    }

    /// The hash, the last piece and the rest of the file included.
    pub fn finish(self, last: Vec<u8>) -> io::Result<String> {
        drop(self.pieces.send(Some(last)).and_then(|()| self.pieces.send(None)));
        self.thread.join().map_err(|_| io::Error::other("the hashing thread panicked"))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn pieces_and_the_whole_have_one_hash() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let wanted = ledger::hex(&sha2::Sha256::digest(&bytes));
        assert_eq!(sha256(&file).unwrap(), wanted);
        for (start, end) in [(0, 0), (0, 3_000_000), (2880, 2_990_000), (2_000_000, 2_000_001)] {
            let mut hashing = Hashing::begin(file.try_clone().unwrap(), start as u64);
            let mut buffer = Vec::new();
            for piece in bytes[start..end].chunks(70_001) {
                buffer.extend_from_slice(piece);
                buffer = hashing.take(buffer);
                buffer.clear();
            }
            assert_eq!(hashing.finish(buffer).unwrap(), wanted);
        }
    }
}
