//! The real binary against real SSH servers: one module a subject.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests of a real world: they panic, and they wait")]

mod again;
mod agents;
mod algorithms;
mod authorize;
mod autossh;
mod autossh_defects;
mod autossh_interactive;
mod autossh_oracle;
mod autossh_speech;
mod denied;
mod doctor;
mod dropbear;
mod flows;
mod forwards;
mod identities;
mod imported;
mod key_exchange;
mod left_alone;
mod listeners;
mod load;
mod pauses;
mod recovery;
mod remote_sockets;
mod stuck;
mod takeover;
mod texts;
mod traffic;
mod trust;
mod trust_verb;
mod unused;
mod user_certificates;
mod ways;
mod wire;
