//! What the operating system gives and wants: signals, service manager, pidfile, logging, limits.

pub mod notify;
pub mod signals;

pub use notify::Notify;
pub use signals::Signal;
