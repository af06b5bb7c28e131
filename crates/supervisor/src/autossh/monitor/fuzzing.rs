//! One exchange of the monitor for `fuzz/`: what a peer that answers these bytes comes to.

use futures_util::FutureExt;
use tokio::io::{AsyncWriteExt, duplex};

use super::MessageForm;
use super::exchange::{exchange, not_what_was_sent};
use crate::autossh::log::one_line;

/// One exchange, from the monitor's side.
#[derive(Debug)]
pub struct MonitorTranscript {
    /// The line that was sent.
    pub line: Vec<u8>,
    /// Bytes read in its place.
    pub received: Vec<u8>,
    /// What the log says where it is not the same.
    pub logged: String,
}

/// Sends the line with this message and number to a peer that has answered `back`, and closes.
pub fn monitor_talk(message: &str, number: u32, back: &[u8]) -> Option<MonitorTranscript> {
    let form =
        MessageForm { host: "vm".to_owned(), program: "autossh".to_owned(), pid: 1, message: message.to_owned() };
    let line = form.line(number);
    let talk = async {
        let (mut out, _sink) = duplex(line.len());
        let (mut near, mut far) = duplex(back.len().max(1));
        far.write_all(back).await.ok()?;
        drop(far);
        exchange(&mut out, Some(&mut near), &line).await.ok()
    };
    let received = talk.now_or_never().flatten()?;
    Some(MonitorTranscript { logged: one_line(&not_what_was_sent(&line, &received)), line, received })
}
