//! Exit codes: public interface, after sysexits.h where it has a word for it.

/// Success.
pub const OK: u8 = 0;
/// The question's answer is no.
pub const NO: u8 = 1;
/// No daemon answers on the control socket.
pub const NO_DAEMON: u8 = 3;
/// Wrong usage.
pub const USAGE: u8 = 64;
/// Another instance holds the pidfile or the control socket.
pub const ALREADY_RUNNING: u8 = 69;
/// The pidfile or the control socket cannot be created.
pub const CANT_CREATE: u8 = 73;
/// The config has errors.
pub const CONFIG: u8 = 78;
