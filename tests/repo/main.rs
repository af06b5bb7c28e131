//! The rules of the house, as tests.

#![allow(clippy::expect_used, reason = "a test that cannot read the repository panics")]

mod dependencies;
mod docs;
mod layering;
mod manual;
mod packaging;
mod sources;
mod units;
