//! The names of all keys, and what may have been meant by another one.

use std::sync::LazyLock;

use crate::spec::settings::{Jump, tunnel_keys};

/// Of the file.
pub(super) const FILE: &[&str] = &[
    "pid_file",
    "control_socket",
    "state_directory",
    "stop_timeout",
    "user",
    "no_new_privileges",
    "confine",
    "include",
    "log",
    "metrics",
    "defaults",
    "tunnel",
];

/// Of an included file.
pub(super) const INCLUDED: &[&str] = &["tunnel"];

/// Of `[log]`.
pub(super) const LOG: &[&str] = &["level", "format"];

/// Of `[metrics]`.
pub(super) const METRICS: &[&str] = &["listen"];

/// Of `[[tunnel]]`, and of `[defaults]` except `name`.
pub(super) static TUNNEL: LazyLock<Vec<&str>> = LazyLock::new(|| tunnel_keys().map(|key| key.name).collect());

/// Of a jump host that is a table: what a session has. Not what a tunnel has beside its session.
pub(super) static JUMP: LazyLock<Vec<&str>> =
    LazyLock::new(|| tunnel_keys().filter(|key| key.jump != Jump::Never).map(|key| key.name).collect());

/// Of `backoff`.
pub(super) const BACKOFF: &[&str] = &["kind", "min", "max", "factor", "jitter", "reset_after"];

/// Of `probe` as a table.
pub(super) const PROBE: &[&str] = &["expect"];

/// Of a forward written as a table.
pub(super) const FORWARD: &[&str] = &["listen", "connect", "max_connections"];

/// What other programs call a key of ours.
pub(super) const USUAL_ELSEWHERE: &[(&str, &str)] = &[
    ("hostname", "host"),
    ("server", "host"),
    ("username", "user"),
    ("key", "identity_file"),
    ("private_key", "identity_file"),
    ("keepalive", "server_alive_interval"),
];

/// The known name that was probably meant.
pub(crate) fn did_you_mean(written: &str, known: &[&'static str]) -> Option<&'static str> {
    /// Below it, a guess misleads more often than it helps.
    const ALIKE: f64 = 0.65;
    /// Longer than any name that one of ours could be mistyped as: the comparison costs the product of the lengths.
    const TOO_LONG: usize = 100;
    // ssh_config's own spelling, and dashes, are right names in another notation.
    let plain = |name: &str| name.replace(['_', '-'], "").to_lowercase();
    if written.len() > TOO_LONG {
        return None;
    }
    let written = plain(written);
    known
        .iter()
        .map(|name| (plain(name), *name))
        .filter(|(plain, _)| strsim::normalized_damerau_levenshtein(&written, plain) >= ALIKE)
        // Among equals, the first: the lists begin with what is written most.
        .min_by_key(|(plain, _)| strsim::damerau_levenshtein(&written, plain))
        .map(|(_, name)| name)
}

/// The table that has this key, as it is written in the file.
pub(super) fn home_of(key: &str) -> Option<&'static str> {
    [
        (TUNNEL.as_slice(), "[[tunnel]] or [defaults]"),
        (LOG, "[log]"),
        (BACKOFF, "`backoff`"),
        (FILE, "the top of the file"),
    ]
    .into_iter()
    .find(|(keys, _)| keys.contains(&key))
    .map(|(_, home)| home)
}
