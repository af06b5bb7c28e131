//! Unix signals as values in a bounded queue.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::{Handle, Signals};
use tokio::sync::mpsc;

/// Signals that wait at once. Equal ones that arrive while the queue is full become one, as the kernel does it too.
const QUEUE: usize = 8;

/// A signal that the daemon acts upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Signal {
    /// SIGTERM: stop.
    Term = SIGTERM,
    /// SIGINT: stop.
    Int = SIGINT,
    /// SIGHUP: reload.
    Hup = SIGHUP,
    /// Retry now.
    Usr1 = SIGUSR1,
    /// Status to the log.
    Usr2 = SIGUSR2,
}

impl Signal {
    const ALL: [Self; 5] = [Self::Term, Self::Int, Self::Hup, Self::Usr1, Self::Usr2];

    /// Its name in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Int => "SIGINT",
            Self::Hup => "SIGHUP",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
        }
    }

    /// As kill(1) takes it.
    pub const fn number(self) -> i32 {
        self as i32
    }

    fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.number() == number)
    }
}

/// Keeps the signal thread; dropping it ends the thread, and signals then do nothing.
#[derive(Debug)]
pub struct SignalGuard(Handle);

impl Drop for SignalGuard {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Makes SIGALRM harmless: autossh's own timer, which users trigger to have a test made now.
pub fn disarm_alarm() -> io::Result<()> {
    let unread = std::sync::Arc::default();
    signal_hook::flag::register(signal_hook::consts::SIGALRM, unread)?;
    Ok(())
}

/// Lets a client command live on when `pkill -USR1 tunneld`, which is for the daemon, finds it too. SIGHUP still ends one that
/// has a terminal: it may mean that the terminal is gone.
pub fn leave_to_daemon() -> io::Result<()> {
    let without_terminal = std::fs::File::open("/dev/tty").is_err().then_some(SIGHUP);
    for signal in [SIGUSR1, SIGUSR2].into_iter().chain(without_terminal) {
        signal_hook::flag::register(signal, std::sync::Arc::default())?;
    }
    Ok(())
}

/// Takes our signals over from now on. Needs no runtime, so that a signal during start-up is not lost.
/// SIGPIPE needs nothing: Rust's start-up code ignores it, and gives children the default back.
pub fn listen() -> io::Result<(SignalGuard, mpsc::Receiver<Signal>)> {
    let mut signals = Signals::new(Signal::ALL.map(Signal::number))?;
    let guard = SignalGuard(signals.handle());
    let (sender, receiver) = mpsc::channel(QUEUE);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever().filter_map(Signal::from_number) {
            if sender.blocking_send(signal).is_err() {
                return;
            }
        }
    })?;
    Ok((guard, receiver))
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal as Raw, raise};

    use super::*;

    #[test]
    fn a_raised_signal_arrives_as_a_value() {
        let (_guard, mut receiver) = listen().unwrap();
        raise(Raw::SIGUSR2).unwrap();
        assert_eq!(receiver.blocking_recv(), Some(Signal::Usr2));
        raise(Raw::SIGHUP).unwrap();
        assert_eq!(receiver.blocking_recv(), Some(Signal::Hup));
    }
}
