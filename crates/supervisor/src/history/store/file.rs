//! The file: found as it is after any end of the process before, and never in the way of a start.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::compact::compacted;
use super::line::{MAX_LINE, StoreLine, VERSION};

const NAME: &str = "history.jsonl";

/// Beside what a compaction left, the file may grow by this much and by half of all before the next one.
const ROOM: u64 = 64 * 1024;

/// The open file, and the lock on its folder.
#[derive(Debug)]
pub(super) struct HistoryFile {
    path: PathBuf,
    file: File,
    /// Of whole lines.
    length: u64,
    /// After the last compaction.
    compact: u64,
    /// Another tunneld in the same folder would write into this file.
    _lock: File,
}

struct Content {
    lines: Vec<StoreLine>,
    /// Up to the end of the last whole line.
    length: u64,
    /// Lines that are none of ours.
    damaged: usize,
}

/// # Errors
/// Another tunneld uses the folder, or it cannot be read or written.
pub(super) fn open(folder: &Path) -> io::Result<(HistoryFile, Vec<StoreLine>)> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let lock = File::open(folder)?;
    lock.try_lock().map_err(|error| io::Error::other(format!("another tunneld uses it ({error})")))?;
    let path = folder.join(NAME);
    let content = match std::fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.len() == 0 && metadata.is_file() => Some(Content::empty()),
        Ok(metadata) if metadata.is_file() => content(&path)?.filter(|content| content.length > 0),
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Content::empty()),
        Err(error) => return Err(error),
    };
    let Some(content) = content else {
        move_aside(&path, "it is not a history of this version of tunneld")?;
        return Ok((HistoryFile::new(path, &[], lock)?, Vec::new()));
    };
    if content.length == 0 || content.damaged > 0 {
        if content.damaged > 0 {
            move_aside(&path, &format!("{} of its lines cannot be read; the others are kept", content.damaged))?;
        }
        return Ok((HistoryFile::new(path, &content.lines, lock)?, content.lines));
    }
    let file = appending(&path)?;
    // A line that the end of the process before cut off.
    file.set_len(content.length)?;
    let opened = HistoryFile { path, file, length: content.length, compact: content.length, _lock: lock };
    Ok((opened, content.lines))
}

impl Content {
    const fn empty() -> Self {
        Self { lines: Vec::new(), length: 0, damaged: 0 }
    }
}

/// None: it is not ours.
fn content(path: &Path) -> io::Result<Option<Content>> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut content = Content::empty();
    let mut text = Vec::new();
    loop {
        text.clear();
        let length = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut text)? as u64;
        if length == 0 || (!text.ends_with(b"\n") && length < MAX_LINE) {
            return Ok(Some(content));
        }
        let line = StoreLine::decoded(&text);
        if content.length == 0 && line != Some(StoreLine::History { version: VERSION }) {
            return Ok(None);
        }
        content.length += length;
        match line {
            Some(StoreLine::History { .. }) => {}
            Some(line) => content.lines.push(line),
            None => content.damaged += 1,
        }
    }
}

fn move_aside(path: &Path, why: &str) -> io::Result<()> {
    let mut aside = OsString::from(path);
    aside.push(".damaged");
    std::fs::rename(path, &aside)?;
    tracing::warn!("`{}` is moved to `{}`: {why}", path.display(), aside.display());
    Ok(())
}

fn appending(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

impl HistoryFile {
    fn new(path: PathBuf, lines: &[StoreLine], lock: File) -> io::Result<Self> {
        let (file, length) = write_new(&path, lines)?;
        Ok(Self { path, file, length, compact: length, _lock: lock })
    }

    /// Adds whole lines. After an error the file ends as it did before.
    pub(super) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(text) {
            // What was written of it would spoil the next line.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += text.len() as u64;
        Ok(())
    }

    /// Leaves out what is too old, where there is enough of it.
    pub(super) fn compact(&mut self, now_ms: u64) -> io::Result<()> {
        if self.length < self.compact + self.compact / 2 + ROOM {
            return Ok(());
        }
        let lines = content(&self.path)?.map(|content| content.lines).unwrap_or_default();
        let written = write_new(&self.path, &compacted(lines, now_ms));
        // An error is not asked for again with the next line.
        self.compact = self.length;
        (self.file, self.length) = written?;
        self.compact = self.length;
        Ok(())
    }
}

/// In place of what is there: a crash leaves the one or the other.
fn write_new(path: &Path, lines: &[StoreLine]) -> io::Result<(File, u64)> {
    let mut fresh = OsString::from(path);
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = appending(&fresh)?;
    let written = write_lines(&mut file, lines).and_then(|length| {
        file.sync_data()?;
        std::fs::rename(&fresh, path)?;
        Ok(length)
    });
    if written.is_err() {
        // It would take room on a full disk.
        let _ = std::fs::remove_file(&fresh);
    }
    written.map(|length| (file, length))
}

fn write_lines(file: &mut File, lines: &[StoreLine]) -> io::Result<u64> {
    let mut writer = io::BufWriter::new(file);
    let mut length = 0;
    for line in std::iter::once(&StoreLine::History { version: VERSION }).chain(lines) {
        let text = line.encoded();
        length += text.len() as u64;
        writer.write_all(&text)?;
    }
    writer.flush()?;
    Ok(length)
}
