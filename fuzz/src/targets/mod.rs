//! What is fuzzed, and what has to hold. Nothing here reads the disk or runs a program for the sake of its input.

mod autossh_argv;
mod channel_messages;
mod config;
mod control_frames;
mod forward_spec;
mod known_hosts;
mod machine;
mod monitor_message;
mod server_greeting;
mod server_offer;
mod socks;
mod ssh_config;
mod transport_decoders;
mod transport_packets;
mod transport_session;

pub use autossh_argv::autossh_argv;
pub use channel_messages::channel_messages;
pub use config::config;
pub use control_frames::control_frames;
pub use forward_spec::forward_spec;
pub use known_hosts::known_hosts;
pub use monitor_message::monitor_message;
pub use server_greeting::server_greeting;
pub use server_offer::server_offer;
pub use socks::socks;
pub use ssh_config::ssh_config;
pub use transport_decoders::transport_decoders;
pub use transport_packets::transport_packets;
pub use transport_session::transport_session;

/// A target, given the bytes of one input.
#[allow(dead_code, reason = "for the tests; cargo fuzz names each target")]
pub type Target = fn(&[u8]);

/// All targets by name, which is also the name of their folder below `corpus`.
#[allow(dead_code, reason = "for the tests; cargo fuzz names each target")]
pub const ALL: [(&str, Target); 14] = [
    ("autossh_argv", autossh_argv),
    ("channel_messages", channel_messages),
    ("config", config),
    ("control_frames", control_frames),
    ("forward_spec", forward_spec),
    ("known_hosts", known_hosts),
    ("monitor_message", monitor_message),
    ("server_greeting", server_greeting),
    ("server_offer", server_offer),
    ("socks", socks),
    ("ssh_config", ssh_config),
    ("transport_decoders", transport_decoders),
    ("transport_packets", transport_packets),
    ("transport_session", transport_session),
];

/// The input as a text of lines; what follows the first byte that is no UTF-8 is left out.
fn text(data: &[u8]) -> &str {
    match std::str::from_utf8(data) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&data[..error.valid_up_to()]).unwrap_or_default(),
    }
}

/// What is shown on a terminal must not drive it: line breaks are all that it may hold.
fn assert_harmless(shown: &str) {
    let control = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!shown.contains(control), "control characters would reach a terminal: {shown:?}");
}
