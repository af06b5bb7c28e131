//! Lines on their way to standard error or to journald, through a bounded queue and a thread: a full pipe there, or a
//! journald that does not read, must not stop the tunnels. Lines that do not fit are counted, and the count is written
//! in their place.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::own_line::write_on_own_line;

/// Lines that wait: some seconds of the worst burst (hundreds of tunnels that fall at once), about a MiB.
const QUEUE: usize = 8192;

/// How long the last lines may take at the end of the process, when their reader is slow.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Makes one line at a time.
#[derive(Debug, Clone)]
pub(super) struct LineQueue {
    lines: SyncSender<QueueMessage>,
    lost: Arc<AtomicU64>,
}

/// Dropping it waits, a moment at most, until everything logged so far is written.
#[derive(Debug)]
pub struct Flush {
    lines: Option<SyncSender<QueueMessage>>,
}

#[derive(Debug)]
enum QueueMessage {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// A queue whose thread writes to standard error.
pub(super) fn stderr() -> io::Result<(LineQueue, Flush)> {
    start(io::stderr(), lost)
}

/// Each line is one write to `output`. `say_lost`: the line that says how many were lost.
pub(super) fn start(
    output: impl Write + Send + 'static,
    say_lost: fn(u64) -> Vec<u8>,
) -> io::Result<(LineQueue, Flush)> {
    let (lines, words) = sync_channel(QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let flush = Flush { lines: Some(lines.clone()) };
    let queue = LineQueue { lines, lost: lost.clone() };
    std::thread::Builder::new().name("log".into()).spawn(move || write_out(output, &words, &lost, say_lost))?;
    Ok((queue, flush))
}

/// A failed write has nowhere to be reported; the next line is tried anew.
fn write_out(mut output: impl Write, words: &Receiver<QueueMessage>, lost: &AtomicU64, say_lost: fn(u64) -> Vec<u8>) {
    let mut cut = false;
    for word in words {
        match word {
            QueueMessage::Line(line) => {
                let _ = write_on_own_line(&mut output, &line, &mut cut);
            }
            QueueMessage::Flush(done) => {
                let _ = output.flush();
                let _ = done.try_send(());
            }
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = write_on_own_line(&mut output, &say_lost(lost), &mut cut);
        }
    }
}

/// For an output of text.
pub(super) fn lost(count: u64) -> Vec<u8> {
    format!("tunneld: {count} log lines lost: standard error was not read in time\n").into_bytes()
}

impl Drop for Flush {
    fn drop(&mut self) {
        let Some(lines) = self.lines.take() else { return };
        let (done, written) = sync_channel(1);
        // A full queue means that its reader has stopped: then there is nothing to wait for.
        if lines.try_send(QueueMessage::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

impl<'a> MakeWriter<'a> for LineQueue {
    type Writer = QueuedLine<'a>;

    fn make_writer(&'a self) -> QueuedLine<'a> {
        QueuedLine { queue: self, text: Vec::new() }
    }
}

/// One event; goes into the queue when it is complete.
pub(super) struct QueuedLine<'a> {
    queue: &'a LineQueue,
    text: Vec<u8>,
}

impl Write for QueuedLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for QueuedLine<'_> {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() && self.queue.lines.try_send(QueueMessage::Line(text)).is_err() {
            self.queue.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn lines_come_out_in_order_before_the_end() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (queue, flush) = start(writer, lost).unwrap();
        queue.make_writer().write_all(b"one\n").unwrap();
        queue.make_writer().write_all(b"two\n").unwrap();
        drop(flush);
        let mut text = [0; 8];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"one\ntwo\n");
    }

    #[test]
    fn full_pipe_blocks_no_writer_and_lost_lines_are_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (queue, flush) = start(writer, lost).unwrap();
        let line = [b'x'; 1023].iter().chain(b"\n").copied().collect::<Vec<u8>>();
        for _ in 0..QUEUE * 2 {
            queue.make_writer().write_all(&line).unwrap();
        }
        assert!(queue.lost.load(Ordering::Relaxed) > 0);
        drop(flush);
        drop(queue);
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("log lines lost"), "{}", text.len());
    }
}
