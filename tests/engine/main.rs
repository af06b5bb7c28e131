//! The engine against the in-process server: one module a subject.

mod auth;
mod dial;
mod hostkey;
mod login;
mod session;
