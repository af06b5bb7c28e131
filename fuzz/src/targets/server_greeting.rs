//! A server's first words, and its host key as it is shown.

use tunnel_engine::fuzzing::{greeting, shown_host_key};

use super::assert_harmless;

/// What is kept of the software that an identification names.
const MAX_SOFTWARE: usize = 255;

/// What is quoted is clean and short, and what follows an identification is not lost.
pub fn server_greeting(data: &[u8]) {
    let greeting = greeting(data);
    assert_harmless(&greeting.quoted);
    assert_harmless(&greeting.software);
    assert!(greeting.software.chars().count() <= MAX_SOFTWARE && data.ends_with(&greeting.rest), "{greeting:?}");
    for algorithm in ["ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"] {
        let shown = shown_host_key(algorithm, data).unwrap_or_default();
        assert_harmless(&shown);
    }
}
