//! Entry points for `fuzz/`: the parsers of what servers, peers and files hold, as functions of bytes. No interface of the
//! engine: only the fuzz targets use them.

pub use crate::forward::socks::fuzzing::{SocksOutcome, SocksTranscript, socks_talk};
pub use crate::hostkey::fuzzing::{KnownHostsLine, is_writable, key_reads_back, known_hosts_lines, revocation_list};
use crate::login_record::AlgorithmOffer;
pub use crate::session::fuzzing::{Greeting, greeting, shown_host_key};
pub use crate::transport::tests::{Decoded, Handshaken, Played, channel_messages, decode, handshake, play};

/// The server's offer in all that it sent.
pub fn kex_offer(sent: &[u8]) -> Option<AlgorithmOffer> {
    AlgorithmOffer::read(sent)
}
