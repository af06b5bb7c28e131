//! The thread that writes.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use std::{io, thread};

use tunnel_engine::clock;
use tunnel_engine::log_limit::LogLimiter;

use super::super::moment::unix_ms;
use super::file::HistoryFile;

/// Texts that wait for the disk at once. Each is a line, or the samples of all tunnels; what does not fit is lost for the
/// file, and kept in memory.
const MAX_WAITING: usize = 1024;

/// How often it is logged that the disk does not take lines.
const LOG_INTERVAL: Duration = Duration::from_secs(3600);

/// How long the last lines may take at the end of the process: a disk that hangs must not hold it up.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

enum WriterMessage {
    Text(Vec<u8>),
    /// Nothing follows.
    End(SyncSender<()>),
}

/// The way to the thread.
#[derive(Debug)]
pub(in crate::history) struct Writer {
    queue: SyncSender<WriterMessage>,
    log: LogLimiter,
}

impl Writer {
    pub(super) fn start(file: HistoryFile) -> io::Result<Self> {
        let (queue, words) = sync_channel(MAX_WAITING);
        thread::Builder::new().name("history".into()).spawn(move || write_out(file, &words))?;
        Ok(Self { queue, log: LogLimiter::new(LOG_INTERVAL) })
    }

    /// Hands whole lines over, without waiting.
    pub(in crate::history) fn write(&mut self, text: Vec<u8>) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(WriterMessage::Text(text))
            && let Some(suppressed) = self.log.admit("full", clock::now())
        {
            tracing::warn!(suppressed, "the disk does not take the history: parts of it are in memory only");
        }
    }

    /// Waits for the last line, within bounds.
    pub(in crate::history) fn end(self) {
        let (done, ended) = sync_channel(1);
        if self.queue.try_send(WriterMessage::End(done)).is_ok() {
            // An error: the time is up, or the thread has gone.
            let _ = ended.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

fn write_out(mut file: HistoryFile, words: &Receiver<WriterMessage>) {
    let mut log = LogLimiter::new(LOG_INTERVAL);
    while let Ok(word) = words.recv() {
        let text = match word {
            WriterMessage::Text(text) => text,
            WriterMessage::End(done) => {
                // The other end waits no longer than its time.
                let _ = done.send(());
                return;
            }
        };
        let written = file.append(&text).and_then(|()| file.compact(unix_ms(clock::wall())));
        if let Err(error) = written
            && let Some(suppressed) = log.admit(error.kind(), clock::now())
        {
            let suppressed = (suppressed > 0).then_some(suppressed);
            tracing::warn!(%error, suppressed, "cannot write the history: it goes on in memory");
        }
    }
}
