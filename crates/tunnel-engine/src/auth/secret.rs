//! Secrets from files: read when needed, first line only, wiped after use.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::file;

/// Longer than any password or passphrase that a server or a key takes; a wrong file must not fill the memory.
const MAX_SECRET_BYTES: usize = 4096;

/// The first line of the file, without its line end. Blocks on the file.
pub(super) fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = file::open(path)?;
    warn_if_shared(path, &file);
    // All of it at once: a vector that grows would leave copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_SECRET_BYTES + 1));
    file.take(MAX_SECRET_BYTES as u64 + 1).read_to_end(&mut content)?;
    first_line(&content)
}

fn first_line(content: &[u8]) -> io::Result<Zeroizing<String>> {
    let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))?;
    if text.is_empty() {
        return Err(io::Error::new(ErrorKind::InvalidData, "its first line is empty"));
    }
    if text.len() > MAX_SECRET_BYTES {
        return Err(io::Error::new(ErrorKind::InvalidData, "its first line is too long for a secret"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn warn_if_shared(path: &Path, file: &File) {
    let Ok(metadata) = file.metadata() else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        let (file, mode) = (path.display(), format!("{mode:04o}"));
        tracing::warn!(%file, mode, "every user can read the secret in `{file}` (mode {mode}): run `chmod 600` on it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_first_line_without_its_end() {
        for (content, want) in [("pw", "pw"), ("pw\n", "pw"), ("pw\r\nmore", "pw"), (" p w \n", " p w ")] {
            assert_eq!(first_line(content.as_bytes()).unwrap().as_str(), want, "{content:?}");
        }
    }

    #[test]
    fn an_empty_binary_or_huge_file_is_no_secret() {
        for content in [&b""[..], b"\npw", b"\xff\xfe\n", &[b'x'; MAX_SECRET_BYTES + 1]] {
            assert!(first_line(content).is_err(), "{content:?}");
        }
    }
}
