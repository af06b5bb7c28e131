//! `ssh -G` is the judge of how ssh_config is read: a corpus of configs, each asked for several hosts, must come to
//! the same values key by key.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot set its stage panics")]

mod bad;
mod corpus;
mod imported;
mod nasty;
mod oracle;
