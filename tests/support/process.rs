//! A child process that ends with its owner.

use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::patience::{PATIENCE, within};

/// How long a child may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A running child; dropping it ends it (TERM, then KILL) and reaps it.
pub struct Process(Child);

impl Process {
    /// Starts it.
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}")))
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal. A child that has ended already is fine.
    pub fn signal(&self, signal: Signal) {
        let _ = signal::kill(Pid::from_raw(self.0.id().cast_signed()), signal);
    }

    /// Its exit status, when it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("wait for a child of ours")
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        within(PATIENCE, || self.ended()).expect("the process ends")
    }

    /// Kills it and reaps it.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        self.signal(Signal::SIGTERM);
        if within(GRACE, || self.ended()).is_none() {
            self.kill();
        }
    }
}

/// The command, run by another program that takes it as its last words.
pub fn wrapped(command: &Command, by: &str, words: &[&str]) -> Command {
    let mut wrapped = Command::new(by);
    wrapped.args(words).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

/// Pids of the children of `parent`, from /proc.
pub fn children_of(parent: u32) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name in parentheses, may hold blanks.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Kills a process that is not our child, by pid.
pub fn kill_pid(pid: u32) {
    let _ = signal::kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
}
