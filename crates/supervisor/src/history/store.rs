//! The records on disk: one file for all tunnels, to which lines are added. Each line is an object of JSON, so that a line
//! that a crash cut off is known by its missing end. From time to time, what is older than a day is left out by writing a
//! new file beside the old one and renaming it.
//!
//! A thread of its own writes: a disk that is full, slow or read-only is told of, and the history goes on in memory.

mod compact;
mod file;
mod line;
mod replay;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;

use super::moment::Moment;
use super::record::TunnelRecord;

pub(super) use line::{SampleLine, StateLine, StoreLine};
pub(super) use writer::Writer;

/// What earlier runs left in this folder, and where this one writes. An error is told, and nothing is written.
pub(super) fn open(folder: &Path, now: Moment) -> Option<(Vec<(String, TunnelRecord)>, Writer)> {
    let opened = file::open(folder).and_then(|(file, lines)| {
        let replay::Replayed { records, added } = replay::replay(lines, now);
        let mut writer = Writer::start(file)?;
        writer.write(
            added.iter().chain([&StoreLine::Started { at: now.wall_ms() }]).flat_map(StoreLine::encoded).collect(),
        );
        Ok((records, writer))
    });
    match opened {
        Ok(opened) => Some(opened),
        Err(error) => {
            let folder = folder.display();
            tracing::warn!(
                %error,
                hint = "let tunneld's user write to the folder, make room on its disk, or name another state_directory; then restart tunneld",
                "the history cannot be kept in `{folder}`: it is in memory only"
            );
            None
        }
    }
}
