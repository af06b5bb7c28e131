//! A person at a terminal of their own: what a program shows there, and what they type.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::eventually;
use crate::process::{Process, wrapped};

/// A program on a terminal, which is its standard input and output and the controlling one of its session.
pub struct Terminal {
    process: Process,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    closing: Arc<AtomicBool>,
}

impl Terminal {
    /// Runs the command there.
    pub fn run(command: &Command) -> Self {
        Self::with_size(command, None)
    }

    /// Runs the command in a window of so many columns and rows.
    pub fn sized(command: &Command, columns: u16, rows: u16) -> Self {
        Self::with_size(command, Some(window(columns, rows)))
    }

    fn with_size(command: &Command, size: Option<Winsize>) -> Self {
        let pair = openpty(size.as_ref(), None).expect("a pseudo terminal");
        // A child that had it too would keep its own window open.
        fcntl(&pair.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("the flags of a descriptor");
        let end = || Stdio::from(pair.slave.try_clone().expect("a descriptor"));
        let mut command = wrapped(command, "setsid", &["--ctty"]);
        command.stdin(end()).stdout(end()).stderr(end());
        let process = Process::spawn(&mut command);
        drop(command);
        let keyboard = File::from(pair.master);
        let mut shown = keyboard.try_clone().expect("a descriptor");
        let screen = Arc::<Mutex<Vec<u8>>>::default();
        let written = screen.clone();
        let closing = Arc::<AtomicBool>::default();
        let over = closing.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            // An error means that the other end of the terminal is closed.
            while let Ok(read @ 1..) = shown.read(&mut buffer) {
                written.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
                if over.load(Ordering::Acquire) {
                    break;
                }
            }
        });
        Self { process, keyboard, screen, closing }
    }

    /// Everything that was shown so far.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until a text was shown so often.
    #[track_caller]
    pub fn shows(&self, text: &str, times: usize) {
        eventually(&format!("`{text}` {times} times on\n{}", self.screen()), || {
            (self.screen().matches(text).count() >= times).then_some(())
        });
    }

    /// What a window of this size shows now.
    pub fn picture(&self, columns: u16, rows: u16) -> String {
        self.emulated(columns, rows).screen().contents()
    }

    /// Whether the alternate screen is shown, which a program has for itself.
    pub fn is_alternate(&self) -> bool {
        self.emulated(80, 24).screen().alternate_screen()
    }

    fn emulated(&self, columns: u16, rows: u16) -> vt100::Parser {
        let mut emulator = vt100::Parser::new(rows, columns, 0);
        emulator.process(&self.screen.lock().unwrap_or_else(PoisonError::into_inner));
        emulator
    }

    /// Whether the terminal gives lines and echoes keys, as a shell leaves it to programs.
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.keyboard).expect("the modes of a terminal");
        modes.local_flags.contains(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG)
    }

    /// Presses keys, one after the other.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("a terminal takes keys");
    }

    /// Closes the window. What reads the screen has the same end of the terminal, and lets it go with the next output.
    pub fn close(self) -> Process {
        let Self { process, keyboard, closing, .. } = self;
        closing.store(true, Ordering::Release);
        drop(keyboard);
        process
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).expect("a terminal takes keys");
    }

    /// Waits for the question, and answers it.
    #[track_caller]
    pub fn answers(&mut self, question: &str, times: usize, answer: &str) {
        self.shows(question, times);
        self.types(answer);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }
}

const fn window(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
