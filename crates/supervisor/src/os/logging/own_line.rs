//! Lines that a full disk took in part: the next one begins on a line of its own.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};

/// Writes `text`, whole lines, and after a line that was `cut` its end before them.
///
/// # Errors
/// Those of the output: it has taken none of it, or a part, and then `cut` says whether that ends within a line.
pub fn write_on_own_line(output: &mut impl Write, text: &[u8], cut: &mut bool) -> io::Result<()> {
    let text = if *cut { Cow::Owned([b"\n", text].concat()) } else { Cow::Borrowed(text) };
    let mut written = 0;
    while let Some(rest) = text.get(written..).filter(|rest| !rest.is_empty()) {
        match output.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(more) => {
                written += more;
                *cut = text.get(written - 1) != Some(&b'\n');
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk.
    #[derive(Default)]
    struct Disk {
        text: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            self.text.extend_from_slice(&bytes[..taken]);
            if taken == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn line_after_one_that_was_cut_stands_by_itself() {
        let (mut disk, mut cut) = (Disk { room: 6, ..Disk::default() }, false);
        let mut write = |disk: &mut Disk, text: &str| write_on_own_line(disk, text.as_bytes(), &mut cut).is_ok();
        assert!(write(&mut disk, "one\n"));
        assert!(!write(&mut disk, "two\n") && !write(&mut disk, "three\n"));
        disk.room = 1;
        assert!(!write(&mut disk, "four\n"), "the end of the cut line, and no more");
        disk.room = 100;
        assert!(write(&mut disk, "five\n") && write(&mut disk, "six\n"));
        assert_eq!(String::from_utf8(disk.text).unwrap(), "one\ntw\nfive\nsix\n");
    }
}
