//! The engine against the in-process server: one module a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "clippy.toml allows both in tests; helpers of tests too")]

mod auth;
mod dial;
mod encrypted_keys;
mod forward;
mod hostkey;
mod login;
mod probe;
mod session;
