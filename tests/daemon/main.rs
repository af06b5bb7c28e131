//! The real binary, seen from outside: one module a subject.

#![allow(clippy::expect_used, reason = "clippy.toml allows it in tests; helpers of tests too")]

mod command_line;
mod demo;
