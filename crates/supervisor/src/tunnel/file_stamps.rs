//! Looks at files while a tunnel is blocked, or while the login that is to replace its session is: an operator who repairs
//! a key or known_hosts needs no command to start it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use tunnel_engine::spec::SessionSpec;

use super::core::{Effects, TunnelEffect, WatchFiles};
use crate::config::TunnelSpec;
use crate::lifecycle::SessionId;

/// How often at first: a person who saved the file looks at the screen next. Only blocked tunnels look.
pub(super) const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// How often a tunnel looks that has been blocked for long: 200 of them cost less than 0.1 s of CPU a minute.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(15);

/// The interval is this part of the time that the tunnel has been blocked, so that a repaired file is noticed soon beside
/// the time that it was broken.
const CHECK_INTERVAL_PART: u32 = 60;

/// How long after one look a tunnel that has been blocked for `blocked` looks again.
pub(super) fn check_interval(blocked: Duration) -> Duration {
    (blocked / CHECK_INTERVAL_PART).clamp(MIN_CHECK_INTERVAL, MAX_CHECK_INTERVAL)
}

/// What is known of the files that the last attempt read.
#[derive(Debug, Default)]
pub(super) struct LoginFiles {
    /// How they looked before it read them: what is repaired while it still runs counts too.
    pub(super) before: Option<FileStamps>,
    /// They are looked at: for the login of this number, which failed for good.
    watching: Option<SessionId>,
    /// Since when the tunnel is blocked, re-checks included, or since a file last changed.
    blocked_since: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WatchedFiles {
    /// Those that an attempt reads.
    pub(super) files: Vec<PathBuf>,
    /// Those that a reload reads.
    pub(super) ssh_config: Vec<PathBuf>,
}

impl WatchedFiles {
    pub(super) fn of(session: &SessionSpec, ssh_config: &[PathBuf]) -> Self {
        Self { files: session.watched_files(), ssh_config: ssh_config.to_vec() }
    }
}

impl LoginFiles {
    /// Has them looked at while a login is blocked, and only then. `blocked`: its number. `trying`: a login is under way.
    pub(super) fn reconcile(
        &mut self,
        blocked: Option<SessionId>,
        trying: bool,
        spec: &TunnelSpec,
        now: Instant,
        effects: &mut Effects,
    ) {
        if let Some(session) = blocked {
            let blocked_since = *self.blocked_since.get_or_insert(now);
            if self.watching.replace(session) != Some(session) {
                let files = WatchedFiles::of(&spec.session, &spec.ssh_config_files);
                let before = self.before.clone();
                effects.push(TunnelEffect::WatchFiles(Box::new(WatchFiles { session, files, before, blocked_since })));
            }
            return;
        }
        if self.watching.take().is_some() {
            effects.push(TunnelEffect::StopWatchingFiles);
        }
        // An attempt may be a re-check, after which it is blocked again.
        if !trying {
            self.blocked_since = None;
        }
    }

    /// Something of a blocked tunnel's files has changed: which file of ssh_config, and whether one that an attempt
    /// reads.
    pub(super) fn changed(&mut self, look: FileStamps, now: Instant) -> (Option<PathBuf>, bool) {
        self.watching = None;
        let Some(before) = self.before.replace(look) else { return (None, false) };
        let Some(look) = &self.before else { return (None, false) };
        let (outdated, repaired) = (before.outdated(look), before.files != look.files);
        if repaired {
            // A person is at work on it.
            self.blocked_since = Some(now);
        }
        (outdated, repaired)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileStamps {
    /// Those that an attempt reads.
    files: Vec<Option<FileStamp>>,
    /// Those that a reload reads.
    ssh_config: Vec<(PathBuf, Option<FileStamp>)>,
}

/// What tells one version of a file from another. The inode changes when an editor replaces the file; the change time
/// changes with the mode too, which is what `chmod 600` mends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileStamp {
    inode: u64,
    size: u64,
    mode: u32,
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

impl FileStamps {
    pub(super) fn at<'a>(watched: &'a WatchedFiles, mut stamp: impl FnMut(&'a Path) -> Option<FileStamp>) -> Self {
        Self {
            files: watched.files.iter().map(|path| stamp(path)).collect(),
            ssh_config: watched.ssh_config.iter().map(|path| (path.clone(), stamp(path))).collect(),
        }
    }

    /// The first file of ssh_config that looks different now.
    fn outdated(&self, now: &Self) -> Option<PathBuf> {
        let differs = |(path, stamp): &&(PathBuf, _)| now.ssh_config.iter().any(|(p, now)| p == path && now != stamp);
        self.ssh_config.iter().find(differs).map(|(path, _)| path.clone())
    }
}

/// Blocking: file systems may be remote.
pub(super) fn stamp(path: &Path) -> Option<FileStamp> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    Some(FileStamp {
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
    fn changed_file_has_another_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        let watched = WatchedFiles { files: vec![path.clone()], ssh_config: Vec::new() };
        let look = || FileStamps::at(&watched, stamp);
        let missing = look();
        assert_eq!(missing, look());
        std::fs::write(&path, "key").unwrap();
        let there = look();
        assert_ne!(missing, there);
        std::fs::write(&path, "longer key").unwrap();
        let longer = look();
        assert_ne!(there, longer);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert_ne!(longer, look());
    }

    #[test]
    fn long_blocked_tunnel_looks_less_often() {
        let seconds = Duration::from_secs;
        assert_eq!(check_interval(seconds(0)), MIN_CHECK_INTERVAL);
        assert_eq!(check_interval(seconds(30)), MIN_CHECK_INTERVAL);
        assert_eq!(check_interval(seconds(300)), seconds(5));
        assert_eq!(check_interval(seconds(86_400)), MAX_CHECK_INTERVAL);
    }

    #[test]
    fn files_are_watched_while_the_tunnel_is_blocked() {
        let (spec, now) = (crate::tunnel::test_support::tunnel_spec("t", &[]), tunnel_engine::clock::now());
        let (mut files, mut effects) = (LoginFiles::default(), Effects::default());
        let (trying, blocked) = ((None, true), (Some(SessionId::from(1)), false));
        let mut told = |files: &mut LoginFiles, (blocked, trying)| {
            files.reconcile(blocked, trying, &spec, now, &mut effects);
            effects.pop()
        };
        assert_eq!(told(&mut files, trying), None);
        let watch = told(&mut files, blocked);
        assert!(matches!(watch, Some(TunnelEffect::WatchFiles(watch)) if watch.blocked_since == now));
        assert_eq!(told(&mut files, blocked), None, "once");
        assert_eq!(told(&mut files, trying), Some(TunnelEffect::StopWatchingFiles));
    }

    #[test]
    fn a_changed_file_of_ssh_config_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
        std::fs::write(&one, "Host a").unwrap();
        let watched = WatchedFiles { files: Vec::new(), ssh_config: vec![one, two.clone()] };
        let look = || FileStamps::at(&watched, stamp);
        let before = look();
        assert_eq!(before.outdated(&look()), None);
        std::fs::write(&two, "Host b").unwrap();
        assert_eq!(before.outdated(&look()), Some(two.clone()));
    }
}
