//! What the operating system gives and wants: signals, service manager, pidfile, logging, limits.

pub mod inherited;
pub mod limits;
pub mod listeners;
pub mod logging;
pub mod notify;
pub mod pidfile;
pub mod runtime_dir;
pub mod signals;

pub use listeners::KeptListeners;
pub use logging::LogControl;
pub use notify::Notify;
pub use pidfile::{Pidfile, PidfileError};
pub use signals::Signal;
