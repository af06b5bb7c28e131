//! The real binary, seen from outside: one module a subject.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests of a real world: they panic, and they wait")]

mod clock;
mod command_line;
mod completions;
mod confined;
mod container;
mod control;
mod crowd;
mod demo;
mod events;
mod files;
mod flood;
mod handshake;
mod history;
mod hostile;
mod init;
mod kept;
mod lifecycle;
mod log;
mod lost_socket;
mod notify;
mod on_change;
mod open_files;
mod passwords;
mod privileges;
mod reload;
mod scale;
mod secrets;
mod ssh_config;
mod status_schema;
mod watch;
