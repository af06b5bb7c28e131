//! What the operating system gives and wants: signals, network changes, service manager, pidfile,
//! logging, limits.

pub mod confinement;
pub mod inherited;
pub mod limits;
pub mod listeners;
pub mod logging;
pub mod memory;
mod netlink;
pub mod network;
pub mod notify;
pub mod orphans;
pub mod pidfile;
pub mod private_tmp;
pub mod privileges;
pub mod reserve;
mod resume;
pub mod runtime;
pub mod runtime_dir;
pub mod signals;
mod terminal;

pub use listeners::KeptListeners;
pub use logging::{LogControl, RecentLine, RecentLines};
pub use network::NetworkChange;
pub use notify::Notify;
pub use pidfile::{Pidfile, PidfileError};
pub use signals::Signal;
pub use terminal::{Terminal, ask_line};
