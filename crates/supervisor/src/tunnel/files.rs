//! Looks at files while a tunnel is blocked: a person who mends a key or known_hosts should not have to tell us.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use tunnel_engine::clock;

use super::actor::{Actor, Event};
use super::together::together;
use crate::lifecycle::{Input, Phase};

/// How often at first: a person who saved the file looks at the screen next. Only blocked tunnels look.
const MIN_LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How often a tunnel looks that has been blocked for long: 200 of them cost less than 0.1 s of CPU a minute.
const MAX_LOOK_INTERVAL: Duration = Duration::from_secs(15);

/// The interval is this part of the time that the tunnel has been blocked, so that a mended file is noticed soon beside
/// the time that it was broken.
const LOOK_INTERVAL_PART: u32 = 60;

/// How long after one look a tunnel that has been blocked for `blocked` looks again.
fn look_interval(blocked: Duration) -> Duration {
    (blocked / LOOK_INTERVAL_PART).clamp(MIN_LOOK_INTERVAL, MAX_LOOK_INTERVAL)
}

/// What is known of the files that the last attempt read.
#[derive(Default)]
pub(super) struct Files {
    /// Of the attempt.
    epoch: u64,
    /// How they looked before it: what is mended while it still runs counts too.
    before: Option<Look>,
    looking: bool,
    next: Option<Instant>,
    /// Since when the tunnel is blocked, re-checks included, or since a file last changed.
    blocked_since: Option<Instant>,
}

impl Files {
    pub(super) const fn due(&self) -> Option<Instant> {
        self.next
    }
}

impl Actor {
    /// An attempt is about to read the files.
    pub(super) fn look_before(&mut self, epoch: u64) {
        self.files = Files { epoch, blocked_since: self.files.blocked_since, ..Files::default() };
        self.look();
    }

    /// Looks while the machine is blocked, and only then.
    pub(super) fn watch_files(&mut self) {
        match self.machine.phase() {
            Phase::Blocked => {
                self.files.blocked_since.get_or_insert_with(clock::now);
                if self.files.next.is_none() && !self.files.looking {
                    self.look();
                }
            }
            // Perhaps a re-check, after which it is blocked again.
            Phase::Connecting => self.files.next = None,
            Phase::Stopped | Phase::Up | Phase::Backoff | Phase::Failed | Phase::Stopping => {
                self.files.next = None;
                self.files.blocked_since = None;
            }
        }
    }

    pub(super) fn look_again(&mut self, now: Instant) {
        if self.files.next.is_some_and(|at| at <= now) {
            self.look();
        }
    }

    fn look(&mut self) {
        self.files.next = None;
        self.files.looking = true;
        let epoch = self.files.epoch;
        let (files, ssh_config) = (self.spec.session.watched_files(), self.spec.ssh_config_files.clone());
        self.jobs.spawn(async move {
            let look = together(move || Look::at(&files, &ssh_config)).await;
            Event::Looked { epoch, look }
        });
    }

    pub(super) fn looked(&mut self, epoch: u64, look: Option<Look>) {
        if self.files.epoch != epoch {
            return;
        }
        self.files.looking = false;
        let (changed, outdated) = match (&self.files.before, &look) {
            (Some(before), Some(look)) => (before.files != look.files, before.outdated(look)),
            (Some(_), None) => (false, None),
            (None, _) => {
                self.files.before.clone_from(&look);
                (false, None)
            }
        };
        if self.machine.phase() != Phase::Blocked {
            return;
        }
        let now = clock::now();
        if changed {
            // A person is at work on it.
            self.files.blocked_since = Some(now);
        }
        let blocked = self.files.blocked_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.files.next = Some(clock::tick_before(now + look_interval(blocked), MIN_LOOK_INTERVAL));
        if let (Some(file), Some(last)) = (outdated, &mut self.last_failure)
            && last.outdated.is_none()
        {
            // The spec was made of what it said before: another attempt would be the same one.
            let name = &self.spec.name;
            tracing::info!(tunnel = name, "{name}: {} changed; `tunneld reload` reads it again", file.display());
            last.outdated = Some(file);
        }
        if changed {
            // What follows is an attempt of its own, which looks anew. Should none follow, this is not said again.
            self.files.before = look;
            tracing::info!(tunnel = self.spec.name, "{}: a key, secret or known_hosts file changed", self.spec.name);
            self.feed(Input::FilesChanged);
        }
    }
}

/// How the files looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    /// Those that an attempt reads.
    files: Vec<Option<Print>>,
    /// Those that a reload reads.
    ssh_config: Vec<(PathBuf, Option<Print>)>,
}

/// What tells one version of a file from another. The inode changes when an editor replaces the file; the change time
/// changes with the mode too, which is what `chmod 600` mends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Print {
    inode: u64,
    size: u64,
    mode: u32,
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

impl Look {
    /// Blocking: file systems may be remote.
    pub(super) fn at(files: &[PathBuf], ssh_config: &[PathBuf]) -> Self {
        Self {
            files: files.iter().map(|path| print(path)).collect(),
            ssh_config: ssh_config.iter().map(|path| (path.clone(), print(path))).collect(),
        }
    }

    /// The first file of ssh_config that looks different now.
    fn outdated(&self, now: &Self) -> Option<PathBuf> {
        let differs = |(path, print): &&(PathBuf, _)| now.ssh_config.iter().any(|(p, now)| p == path && now != print);
        self.ssh_config.iter().find(differs).map(|(path, _)| path.clone())
    }
}

fn print(path: &Path) -> Option<Print> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    Some(Print {
        inode: meta.ino(),
        size: meta.len(),
        mode: meta.mode(),
        modified: meta.modified().ok(),
        changed: (meta.ctime(), meta.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_appears_grows_or_changes_its_mode_looks_different() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        let files = [path.clone()];
        let missing = Look::at(&files, &[]);
        assert_eq!(missing, Look::at(&files, &[]));
        std::fs::write(&path, "key").unwrap();
        let there = Look::at(&files, &[]);
        assert_ne!(missing, there);
        std::fs::write(&path, "longer key").unwrap();
        let longer = Look::at(&files, &[]);
        assert_ne!(there, longer);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert_ne!(longer, Look::at(&files, &[]));
    }

    #[test]
    fn long_blocked_tunnel_looks_less_often() {
        let seconds = Duration::from_secs;
        assert_eq!(look_interval(seconds(0)), MIN_LOOK_INTERVAL);
        assert_eq!(look_interval(seconds(30)), MIN_LOOK_INTERVAL);
        assert_eq!(look_interval(seconds(300)), seconds(5));
        assert_eq!(look_interval(seconds(86_400)), MAX_LOOK_INTERVAL);
    }

    #[test]
    fn a_changed_file_of_ssh_config_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
        std::fs::write(&one, "Host a").unwrap();
        let look = || Look::at(&[], &[one.clone(), two.clone()]);
        let before = look();
        assert_eq!(before.outdated(&look()), None);
        std::fs::write(&two, "Host b").unwrap();
        assert_eq!(before.outdated(&look()), Some(two.clone()));
    }
}
