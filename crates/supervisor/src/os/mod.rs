//! What the operating system gives and wants: signals, service manager, pidfile, logging, limits.

pub mod limits;
pub mod logging;
pub mod notify;
pub mod pidfile;
pub mod runtime_dir;
pub mod signals;

pub use logging::LogControl;
pub use notify::Notify;
pub use pidfile::{Pidfile, PidfileError};
pub use signals::Signal;
