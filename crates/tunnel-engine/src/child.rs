//! Child processes. Each that tunneld starts is registered here, so that those it did not start can be told from them:
//! as PID 1 of a container, and after `exec` by a script that left something running, a process is the parent of
//! children of others, and has to reap them.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command as StdCommand, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::clock;

/// Words of the service manager to us alone (sd_notify(3), sd_listen_fds(3)): a command must not speak in our name.
const NOT_FOR_CHILDREN: &[&str] =
    &["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "FDSTORE"];

/// How long a group that is asked to end may take before it is killed.
const TERM_PATIENCE: Duration = Duration::from_secs(1);

/// How often a group is asked whether any member is left. No event tells of processes that are not our children.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The same of a group that is let alone: long enough to cost nothing, and short against the time in which the kernel
/// could give its number to another process.
const LOOK_SELDOM: Duration = Duration::from_secs(1);

/// The pids of [`Registration`]s. Held while a child is started, so that it cannot end before it is registered.
static OURS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn ours() -> MutexGuard<'static, BTreeSet<i32>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps [`reap_orphans`] from a child that is waited for elsewhere.
#[derive(Debug)]
struct Registration(Option<Pid>);

impl Registration {
    /// Starts a child and registers it.
    fn of<C>(start: impl FnOnce() -> io::Result<C>, id: impl FnOnce(&C) -> Option<u32>) -> io::Result<(C, Self)> {
        let mut ours = ours();
        let child = start()?;
        let pid = id(&child).and_then(|id| i32::try_from(id).ok());
        ours.extend(pid);
        Ok((child, Self(pid.map(Pid::from_raw))))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            ours().remove(&pid.as_raw());
        }
    }
}

/// A command and the processes that it starts, in a process group of their own: the terminal's Ctrl-C is not for them,
/// and they end together. Dropping it kills them all.
#[derive(Debug)]
pub struct ChildGroup {
    /// Killed when dropped, and reaped by tokio.
    child: Child,
    /// `None` when there is nothing left to signal.
    group: Option<Pid>,
    /// After `child`, which is killed by its pid.
    _registration: Registration,
}

impl ChildGroup {
    /// Starts the command.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        for name in NOT_FOR_CHILDREN {
            command.env_remove(name);
        }
        command.process_group(0).kill_on_drop(true);
        let (child, registration) = Registration::of(|| command.spawn(), Child::id)?;
        Ok(Self { child, group: registration.0, _registration: registration })
    }

    /// The command, to take its pipes from.
    pub const fn leader(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end of the command itself; processes that it started may live on.
    ///
    /// # Errors
    /// The kernel does not say.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Waits until none of the group is left.
    pub(crate) async fn wait_for_all(&mut self) {
        let _ = self.child.wait().await;
        self.emptied(LOOK_SELDOM).await;
    }

    /// Asks all of the group to end, and kills what has not after [`TERM_PATIENCE`].
    pub(crate) async fn end(&mut self) {
        self.signal(Signal::SIGTERM);
        let ended = async {
            let _ = self.child.wait().await;
            self.emptied(LOOK_EVERY).await;
        };
        if tokio::time::timeout(TERM_PATIENCE, ended).await.is_err() {
            self.signal(Signal::SIGKILL);
            let _ = self.child.wait().await;
            self.group = None;
        }
    }

    async fn emptied(&mut self, look_every: Duration) {
        // The leader is reaped, but its number stays taken while the group has members.
        while let Some(group) = self.group {
            if killpg(group, None) == Err(Errno::ESRCH) {
                self.group = None;
                return;
            }
            tokio::time::sleep_until((clock::now() + look_every).into()).await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // A group without members is what we want.
            let _ = killpg(group, signal);
        }
    }
}

impl Drop for ChildGroup {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Runs a command to its end: blocking. After `limit` it is killed with all that it started.
///
/// # Errors
/// It cannot be run; `TimedOut`: it did not end in time.
pub fn run(command: &mut StdCommand, limit: Duration) -> io::Result<ExitStatus> {
    for name in NOT_FOR_CHILDREN {
        command.env_remove(name);
    }
    command.process_group(0);
    let (mut child, registration) = Registration::of(|| command.spawn(), |child| Some(child.id()))?;
    let group = registration.0;
    let (report, result) = mpsc::channel();
    let waiter = std::thread::Builder::new().name("command".into()).spawn(move || {
        let _ = report.send(child.wait());
        drop(registration);
    })?;
    let ended = result.recv_timeout(limit);
    if ended.is_err() {
        // It is not reaped, so that its number is still its own.
        group.map(|group| killpg(group, Signal::SIGKILL));
    }
    let _ = waiter.join();
    ended.unwrap_or_else(|_| {
        let what = format!("it did not end within {} s and was killed", limit.as_secs_f64());
        Err(io::Error::new(io::ErrorKind::TimedOut, what))
    })
}

/// What [`reap_orphans`] left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    /// Every child that has ended is reaped.
    Reaped,
    /// A child of ours that has ended hides the others until it is waited for: call again a moment later.
    PerhapsMore,
}

/// Reaps the children that have ended and that tunneld did not start.
pub fn reap_orphans() -> Orphans {
    let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
    loop {
        let ours = ours();
        let pid = match waitid(Id::All, ended | WaitPidFlag::WNOWAIT) {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) => pid,
            // None has ended, or there are none.
            Ok(_) | Err(_) => return Orphans::Reaped,
        };
        if ours.contains(&pid.as_raw()) {
            return Orphans::PerhapsMore;
        }
        tracing::debug!(%pid, "reaped a child process that tunneld did not start");
        if waitid(Id::Pid(pid), ended).is_err() {
            return Orphans::Reaped;
        }
    }
}

/// `ended with status 1`, `was ended by signal 9`.
pub(crate) fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[test]
    fn command_that_hangs_is_killed_with_what_it_started() {
        let mut command = StdCommand::new("/bin/sh");
        let error = run(command.args(["-c", "sleep 1000 & wait"]), Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.to_string(), "it did not end within 0.2 s and was killed");
        let mut command = StdCommand::new("/bin/sh");
        assert_eq!(run(command.args(["-c", "exit 3"]), Duration::from_secs(60)).unwrap().code(), Some(3));
    }

    #[tokio::test]
    async fn ending_a_group_ends_members_that_ignore_term() {
        // All hold the write end; its reader sees the end when the last has gone.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "trap '' TERM; sleep 1000 & echo up; wait"]).stdout(Stdio::piped());
        let mut group = ChildGroup::spawn(&mut command).unwrap();
        let mut output = group.leader().stdout.take().unwrap();
        output.read_exact(&mut [0; 3]).await.unwrap();
        group.end().await;
        assert_eq!(output.read(&mut [0; 1]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn dropping_a_group_kills_members_whose_leader_has_ended() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 1000 & echo up"]).stdout(Stdio::piped());
        let mut group = ChildGroup::spawn(&mut command).unwrap();
        let mut output = group.leader().stdout.take().unwrap();
        group.wait().await.unwrap();
        drop(group);
        let mut said = Vec::new();
        output.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"up\n");
    }
}
