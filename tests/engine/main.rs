//! The engine against the in-process server: one module a subject.

mod dial;
mod session;
