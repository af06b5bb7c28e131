//! The real binary and a stock sshd on three hosts in network namespaces: faults that loopback cannot have.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests of a real world: they panic, and they wait")]

mod autossh;
mod doctor;
mod faults;
mod full_disk;
mod mounts;
mod pid1;
mod read_only_mount;
mod source;
mod syslog;
mod tunnel_device;
