//! The embedded cluster's passwords, in `<data_dir>/pg/pgpass`: libpq's format, mode 0600.

use super::Error;
use super::cluster::{OWNER, READER};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// The owner's and the reader's password in `pgpass`, if the file is there and has them.
pub fn read(home: &Path) -> Result<Option<(String, String)>, Error> {
    let path = home.join("pgpass");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let of =
        |role: &str| text.lines().find_map(|line| line.strip_prefix("*:*:*:")?.strip_prefix(role)?.strip_prefix(':')).map(str::to_owned);
    Ok(of(OWNER).zip(of(READER)))
}

/// 128 bits from the kernel, in hexadecimal: nothing to escape in a URL or in pgpass.
pub fn random() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    let source = Path::new("/dev/urandom");
    File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).map_err(Error::io("read", source))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The text of `pgpass`.
pub fn text(owner: &str, reader: &str) -> String {
    format!("*:*:*:{OWNER}:{owner}\n*:*:*:{READER}:{reader}\n")
}
