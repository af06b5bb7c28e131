//! A person at a terminal of their own: what a program shows there, and what they type.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use nix::pty::openpty;
use nix::sys::signal::Signal;

use crate::eventually;
use crate::process::{Process, wrapped};

/// A program on a terminal, which is its standard input and output and the controlling one of its session.
pub struct Terminal {
    process: Process,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs the command there.
    pub fn run(command: &Command) -> Self {
        let pair = openpty(None, None).expect("a pseudo terminal");
        let end = || Stdio::from(pair.slave.try_clone().expect("a descriptor"));
        let mut command = wrapped(command, "setsid", &["--ctty"]);
        command.stdin(end()).stdout(end()).stderr(end());
        let process = Process::spawn(&mut command);
        drop(command);
        let keyboard = File::from(pair.master);
        let mut shown = keyboard.try_clone().expect("a descriptor");
        let screen = Arc::<Mutex<Vec<u8>>>::default();
        let written = screen.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            // An error is how a terminal says that nobody holds its other end.
            while let Ok(read @ 1..) = shown.read(&mut buffer) {
                written.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
            }
        });
        Self { process, keyboard, screen }
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
