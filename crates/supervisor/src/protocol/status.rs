//! The types behind `tunneld status --json`. Public interface; absent things are null.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tunnel_engine::failure::FailureKind;
use tunnel_engine::spec::ForwardKind;

use crate::lifecycle::{ForwardPhase, Phase, Want};
use crate::word::Word;

#[cfg(test)]
pub(crate) use super::tests::example;

/// The answer to `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Of tunneld.
    pub version: String,
    /// Of the daemon.
    pub pid: u32,
    /// Path of the config file.
    pub config: String,
    /// Counts applied configs, from 1.
    pub generation: u64,
    /// RFC 3339.
    pub started_at: String,
    /// Of the process; null where a daemon of an earlier version answers.
    #[serde(default)]
    pub open_files: Option<OpenFilesStatus>,
    /// In the config's order.
    pub tunnels: Vec<TunnelStatus>,
}

/// Open files, which forwarded connections need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFilesStatus {
    /// RLIMIT_NOFILE.
    pub limit: u64,
    /// Hardly any is free, and the last are for logins: new connections wait for one.
    pub short: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TunnelStatus {
    pub name: String,
    /// As the config has it. One that is not is known, and not started by itself.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// `up` or `down`.
    pub want: Word<Want>,
    /// `stopped connecting up backoff blocked failed stopping`.
    pub phase: Word<Phase>,
    /// Up, and every forward in place.
    pub ready: bool,
    /// Since when in this phase, RFC 3339.
    pub since: String,
    /// Since when `ready` is what it is, RFC 3339; null where a daemon of an earlier version answers.
    #[serde(default)]
    pub ready_since: Option<String>,
    /// Starts made since the last reset.
    pub starts: u64,
    /// Starts made since the tunnel is known: never reset.
    #[serde(default)]
    pub starts_total: u64,
    /// Starts in a row that did not lead to a session that lived `reset_after`; 0 while a session is up.
    #[serde(default)]
    pub attempts: u64,
    /// `user@host:port`.
    pub server: String,
    pub session: Option<SessionStatus>,
    /// The last failure, kept after recovery.
    pub last_failure: Option<FailureStatus>,
    /// Failures since the tunnel is known, by kind, those that occurred: never reset.
    #[serde(default)]
    pub failures: BTreeMap<Word<FailureKind>, u64>,
    /// Milliseconds until the next start, or until the next login that is to replace a session of before a reload.
    pub next_start_ms: Option<u64>,
    /// What happens meanwhile, or what a start under way waits for.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// Bytes a second towards the listeners' peers, over about the last ten; null while unknown.
    #[serde(default)]
    pub rate_in: Option<u64>,
    /// The same, from the listeners' peers.
    #[serde(default)]
    pub rate_out: Option<u64>,
    /// State of each forward, in the order of the config.
    pub forwards: Vec<ForwardStatus>,
}

impl TunnelStatus {
    /// Whether it is one of those of which is said how many are ready: by `status` and its exit code, the page, `/ready`
    /// and STATUS=. The config says so, whatever an operator wants meanwhile.
    pub const fn counts(&self) -> bool {
        self.enabled
    }

    /// Since when it is what one word says of it: while a session is up, that is whether it is ready; else its phase.
    pub fn told_since(&self) -> &str {
        let readiness = self.ready_since.as_deref().filter(|_| self.phase == Phase::Up);
        readiness.unwrap_or(&self.since)
    }
}

/// A daemon of an earlier version tells which tunnels are not enabled in another way.
const fn enabled() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Address and port that answered.
    pub peer: Option<String>,
    pub software: String,
    pub kex: String,
    /// Whether the key exchange withstands a quantum computer; null where a daemon of an earlier version answers.
    #[serde(default)]
    pub post_quantum: Option<bool>,
    pub cipher: String,
    /// Type and fingerprint.
    pub host_key: String,
    /// How the login was made: `publickey ~/.ssh/id_ed25519 SHA256:…`; null where a daemon of an earlier version
    /// answers.
    #[serde(default)]
    pub auth: Option<String>,
    /// The jump hosts on the way, the first one first; none where a daemon of an earlier version answers.
    #[serde(default)]
    pub jump_hosts: Vec<JumpHostStatus>,
    /// Last round trip, in milliseconds; null before the first one.
    pub rtt_ms: Option<f64>,
    /// RFC 3339.
    pub connected_at: String,
}

/// A jump host, whose own session carries the tunnel's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JumpHostStatus {
    /// Host and port.
    pub server: String,
    /// Its software.
    pub software: String,
    /// Key exchange method of the session to it.
    pub kex: String,
    /// Whether that key exchange withstands a quantum computer.
    pub post_quantum: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureStatus {
    /// Such as `dns` or `auth_rejected`.
    pub kind: Word<FailureKind>,
    /// Whether only a person can help.
    pub permanent: bool,
    /// Which side did what.
    pub message: String,
    /// How to mend it.
    pub hint: String,
    /// RFC 3339.
    pub at: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForwardStatus {
    /// Unique in its tunnel, and the same from one session and reload to the next: `-L 3307`.
    #[serde(default)]
    pub name: String,
    /// `local`, `remote`, `dynamic` or `tunnel_device`.
    pub kind: Word<ForwardKind>,
    /// The real address, the allocated port included; of a tunnel device, its name.
    pub listen: String,
    /// `host:port`, a path, or null for SOCKS; of a tunnel device, which of the server's.
    pub connect: Option<String>,
    /// `up pending down stale unverified`.
    pub state: Word<ForwardPhase>,
    /// Connections now, those included that are being opened.
    pub active: u64,
    /// Connections since start.
    pub opened: u64,
    /// Connections that could not be carried.
    pub failed: u64,
    /// Connections waiting for a session.
    pub held: u64,
    /// Towards the listener's peer.
    pub bytes_in: u64,
    /// From the listener's peer.
    pub bytes_out: u64,
    /// The reason, if it is not up.
    pub message: Option<String>,
    /// Kind of the failure that `message` tells; null where there is none, or where a daemon of an earlier version answers.
    #[serde(default)]
    pub failure_kind: Option<Word<FailureKind>>,
    /// The last connections of users that were refused, the newest first; at most five.
    #[serde(default)]
    pub last_refused: Vec<RefusedStatus>,
}

impl ForwardStatus {
    /// In a sentence: `local forward 127.0.0.1:3307`, `tunnel device tun0`.
    pub fn what(&self) -> String {
        match self.kind.known() {
            Some(ForwardKind::TunnelDevice) => format!("tunnel device {}", self.listen),
            Some(ForwardKind::Local | ForwardKind::Remote | ForwardKind::Dynamic) | None => {
                format!("{} forward {}", self.kind, self.listen)
            }
        }
    }

    /// As good as it can be known to be.
    pub fn is_in_place(&self) -> bool {
        self.state.known().is_some_and(ForwardPhase::is_in_place)
    }
}

/// A user's connection that was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusedStatus {
    /// RFC 3339.
    pub at: String,
    /// `host:port`, or a path.
    pub target: String,
    /// The server's reason code (RFC 4254 section 5.1), or null where it gave none.
    pub code: Option<u32>,
    /// What refused it, and in which words.
    pub message: String,
}
