//! Packets of a network device over a session: channels of the type `tun@openssh.com` (OpenSSH's PROTOCOL, section
//! 2.3).

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Buf as _, Bytes};

use super::fault::escaped;
use super::{ChannelGone, Session};
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::spec::{DeviceMode, DeviceUnit};
use crate::transport::{ChannelHandle, Content, OpenRefusal, SendError, put_u32};
use crate::words;

const CHANNEL_TYPE: &str = "tun@openssh.com";
/// SSH_TUNMODE_POINTOPOINT and SSH_TUNMODE_ETHERNET.
const MODE_POINT_TO_POINT: u32 = 1;
const MODE_ETHERNET: u32 = 2;
/// SSH_TUNID_ANY.
const UNIT_ANY: u32 = 0x7fff_ffff;
/// What stands before an IP packet: the number of its family on OpenBSD.
const FAMILY_BYTES: usize = 4;
const FAMILY_INET: [u8; FAMILY_BYTES] = [0, 0, 0, 2];
const FAMILY_INET6: [u8; FAMILY_BYTES] = [0, 0, 0, 24];
/// The server makes its device before it answers, and needs no one for it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// For the server to give its device back.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// SSH_OPEN_UNKNOWN_CHANNEL_TYPE.
const UNKNOWN_TYPE: u32 = 3;
/// What is kept of the server's words, in characters.
const MAX_WORDS: usize = 200;
/// What OpenSSH's sshd says in a debug message before it refuses because its PermitTunnel does not allow it.
const REJECTED: &str = "rejected tunnel device";

/// The way to a device of the server. Dropping it closes it.
pub struct DeviceChannel {
    channel: ChannelHandle,
    mode: DeviceMode,
}

/// Why the server's device cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The server's policy forbids it.
    #[error("the server forbids tunnel devices{}", told(.0))]
    Forbidden(String),
    /// The server knows no tunnel devices.
    #[error("the server knows no tunnel devices{}", told(.0))]
    Unknown(String),
    /// The server could not open its device.
    #[error("the server cannot open its tunnel device{}", told(.0))]
    NotOpened(String),
    /// No answer in time.
    #[error("the server did not answer the request for a tunnel device")]
    Timeout,
    /// The session ended before the answer.
    #[error("the session ended")]
    SessionEnded,
}

impl DeviceError {
    /// The same as a failure, with what to do about it. `unit`: which of the server's devices was asked for.
    pub fn failure(&self, mode: DeviceMode, unit: DeviceUnit) -> Failure {
        let (kind, hint) = match self {
            Self::Forbidden(_) => (
                FailureKind::RemoteForwardDenied,
                format!(
                    "set `PermitTunnel {}` in the server's sshd_config, and look at the key's options there",
                    mode.as_str()
                ),
            ),
            Self::Unknown(_) => (
                FailureKind::RemoteForwardDenied,
                "use OpenSSH's sshd as the server: others have no devices".to_owned(),
            ),
            Self::NotOpened(_) | Self::Timeout | Self::SessionEnded => {
                (FailureKind::RemotePortBusy, not_opened(mode, unit))
            }
        };
        Failure::new(kind, self.to_string()).with_told_hint(hint)
    }
}

fn not_opened(mode: DeviceMode, unit: DeviceUnit) -> String {
    let prefix = mode.device_prefix();
    let device = unit.device_name(mode).unwrap_or_else(|| format!("{prefix}0"));
    words::about(
        "if an earlier session still has it, ClientAliveInterval on the server ends that sooner; if the login is not \
         root there, make it beforehand with `ip tuntap add dev {} mode {} user NAME` and name its number in \
         tunnel_device; the key's option tunnel= may name another",
        [&device, prefix],
    )
}

fn told(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// Result of sending a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketOutcome {
    /// It is on its way.
    Sent,
    /// The server takes none that long, or it is no IP packet: dropped.
    Dropped,
}

impl Session {
    /// Asks the server for a tunnel device of its own, whose packets then come and go on the channel.
    ///
    /// # Errors
    /// The server's refusal, or none of its answers within 20 s.
    pub async fn open_tunnel_device(&self, mode: DeviceMode, unit: DeviceUnit) -> Result<DeviceChannel, DeviceError> {
        let shared = &self.line().shared;
        let channel = shared.link.open_channel(CHANNEL_TYPE, &fields(mode, unit), Content::Messages);
        let answer = clock::timeout(OPEN_TIMEOUT, poll_fn(|cx| channel.poll_opened(cx))).await;
        let answer = answer.map_err(|_| DeviceError::Timeout)?;
        if !matches!(answer, Err(None)) {
            shared.answered();
        }
        match answer {
            Ok(()) => Ok(DeviceChannel { channel, mode }),
            Err(Some(refusal)) => Err(error(&refusal)),
            Err(None) => Err(DeviceError::SessionEnded),
        }
    }
}

impl DeviceChannel {
    /// The next packet or frame; `None`: the server has closed its device, or the session has ended. Cancel-safe.
    pub async fn recv(&self) -> Option<Bytes> {
        loop {
            let message = poll_fn(|cx| self.channel.poll_recv(cx)).await?;
            if let Some(packet) = received(self.mode, message) {
                return Some(packet);
            }
        }
    }

    /// Sends a packet or frame; waits for the server's window. Cancel-safe: it is sent whole, or not.
    ///
    /// # Errors
    /// The channel or the session has ended.
    pub async fn send(&self, packet: &[u8]) -> Result<PacketOutcome, ChannelGone> {
        let Some(head) = head(self.mode, packet) else { return Ok(PacketOutcome::Dropped) };
        match poll_fn(|cx| self.channel.poll_send([head, packet], cx)).await {
            Ok(()) => Ok(PacketOutcome::Sent),
            Err(SendError::TooLong) => Ok(PacketOutcome::Dropped),
            Err(SendError::Ended) => Err(ChannelGone),
        }
    }

    /// Gives the server's device back. Waits for half a second at most until that is done.
    pub async fn close(self) {
        self.channel.close();
        let closed = async { while poll_fn(|cx| self.channel.poll_recv(cx)).await.is_some() {} };
        // A server that does not answer closes it with the session.
        let _ = clock::timeout(CLOSE_TIMEOUT, closed).await;
    }
}

fn fields(mode: DeviceMode, unit: DeviceUnit) -> Vec<u8> {
    let mode = match mode {
        DeviceMode::PointToPoint => MODE_POINT_TO_POINT,
        DeviceMode::Ethernet => MODE_ETHERNET,
    };
    let unit = match unit {
        DeviceUnit::Any => UNIT_ANY,
        DeviceUnit::Number(number) => number,
    };
    let mut fields = Vec::new();
    put_u32(&mut fields, mode);
    put_u32(&mut fields, unit);
    fields
}

/// OpenSSH gives the same code whatever the reason is, and its reason in a debug message before.
fn error(refusal: &OpenRefusal) -> DeviceError {
    let said = if refusal.said.is_empty() { &refusal.text } else { &refusal.said };
    let words = escaped(said, MAX_WORDS);
    match refusal.code {
        UNKNOWN_TYPE => DeviceError::Unknown(words),
        _ if refusal.said.contains(REJECTED) => DeviceError::Forbidden(words),
        _ => DeviceError::NotOpened(words),
    }
}

/// What stands before a packet in its message; `None`: it is neither IPv4 nor IPv6.
fn head(mode: DeviceMode, packet: &[u8]) -> Option<&'static [u8]> {
    match (mode, packet.first()? >> 4) {
        (DeviceMode::Ethernet, _) => Some(&[]),
        (DeviceMode::PointToPoint, 4) => Some(&FAMILY_INET),
        (DeviceMode::PointToPoint, 6) => Some(&FAMILY_INET6),
        (DeviceMode::PointToPoint, _) => None,
    }
}

/// The packet of a message. The kernel reads the family from the packet itself.
fn received(mode: DeviceMode, message: Bytes) -> Option<Bytes> {
    let mut message = message;
    if mode == DeviceMode::PointToPoint {
        if message.len() < FAMILY_BYTES {
            return None;
        }
        message.advance(FAMILY_BYTES);
    }
    Some(message).filter(|packet| !packet.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_their_family_before_them_and_frames_have_nothing() {
        let point = DeviceMode::PointToPoint;
        assert_eq!(head(point, &[0x45, 0]), Some(&[0, 0, 0, 2][..]));
        assert_eq!(head(point, &[0x60]), Some(&[0, 0, 0, 24][..]));
        assert_eq!((head(point, &[0x15]), head(point, &[])), (None, None));
        assert_eq!(head(DeviceMode::Ethernet, &[0xff]), Some(&[][..]));
        let message = Bytes::from_static(&[0, 0, 0, 2, 0x45, 1]);
        assert_eq!(received(point, message.clone()).as_deref(), Some(&[0x45, 1][..]));
        assert_eq!(received(DeviceMode::Ethernet, message.clone()), Some(message));
        for short in [&[][..], &[0, 0, 0], &[0, 0, 0, 2]] {
            assert_eq!(received(point, Bytes::from_static(short)), None);
        }
    }

    #[test]
    fn fields_are_those_of_openssh() {
        assert_eq!(fields(DeviceMode::PointToPoint, DeviceUnit::Any), [0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(fields(DeviceMode::Ethernet, DeviceUnit::Number(5)), [0, 0, 0, 2, 0, 0, 0, 5]);
    }

    #[test]
    fn policy_is_told_from_a_device_that_is_busy() {
        let refusal = |code, said: &str| OpenRefusal { code, text: "open failed".to_owned(), said: said.to_owned() };
        let rejected = error(&refusal(2, "Server has rejected tunnel device forwarding"));
        assert!(matches!(&rejected, DeviceError::Forbidden(words) if words.contains("rejected")), "{rejected}");
        let busy = error(&refusal(2, "Failed to open the tunnel device."));
        assert!(matches!(&busy, DeviceError::NotOpened(words) if words.contains("Failed")), "{busy}");
        assert_eq!(error(&refusal(3, "")), DeviceError::Unknown("open failed".to_owned()));
        assert_eq!(error(&refusal(2, "")).to_string(), "the server cannot open its tunnel device: open failed");
    }
}
