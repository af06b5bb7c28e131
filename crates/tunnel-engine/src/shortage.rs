//! No file descriptor or no memory left here: which errors say so, and the descriptors that users' connections leave to
//! logins.

use std::io;
use std::os::fd::{AsFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

/// Descriptors that no user's connection takes: a few logins at once, each with its socket and a file that it reads. Of a
/// low limit an eighth.
const RESERVE: u64 = 16;
const LEAST_RESERVE: u64 = 4;

/// What to do, where `error` says that this process or this machine has no descriptor or no memory left.
pub fn hint(error: &io::Error) -> Option<String> {
    let is = |errno: Errno| error.raw_os_error() == Some(errno as i32);
    if is(Errno::EMFILE) {
        let limit = limit();
        Some(format!("tunneld has all of its {limit} files open: raise LimitNOFILE= of the unit, or `ulimit -Hn`"))
    } else if is(Errno::ENFILE) {
        Some("this machine has as many files open as it may: raise fs.file-max with sysctl".to_owned())
    } else if is(Errno::ENOMEM) {
        Some("free memory on this machine, or raise MemoryMax= of the unit".to_owned())
    } else {
        None
    }
}

/// `RLIMIT_NOFILE`.
fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// The last look found fewer than the reserve.
static SHORT: AtomicBool = AtomicBool::new(false);

/// Half of the descriptors have been in use: it is looked after each one that is taken.
static CROWDED: AtomicBool = AtomicBool::new(false);

/// Whether fewer descriptors are free than the reserve. Asked of the kernel by taking them.
pub fn descriptors_are_short() -> bool {
    let (any, reserve) = (io::stderr(), (limit() / 8).clamp(LEAST_RESERVE, RESERVE));
    let taken: Vec<_> = (0..reserve).map_while(|_| any.as_fd().try_clone_to_owned().ok()).collect();
    let short = (taken.len() as u64) < reserve;
    SHORT.store(short, Ordering::Relaxed);
    short
}

/// Whether a user's connection has to wait until others have ended. Costs nothing while none has to.
pub(crate) fn users_wait() -> bool {
    SHORT.load(Ordering::Relaxed) && descriptors_are_short()
}

/// A user's connection took this descriptor. The kernel gives out the lowest that is free, so that a low one says that
/// there are many.
pub(crate) fn taken_by_user(descriptor: RawFd) {
    let high = || u64::try_from(descriptor).is_ok_and(|number| number >= limit() / 2);
    if CROWDED.load(Ordering::Relaxed) || high() {
        CROWDED.store(true, Ordering::Relaxed);
        descriptors_are_short();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_this_machine_are_told_with_what_helps() {
        let hint = |errno: Errno| hint(&io::Error::from_raw_os_error(errno as i32)).unwrap_or_default();
        let limit = format!("its {} files", limit());
        assert!(hint(Errno::EMFILE).contains(&limit) && hint(Errno::EMFILE).contains("LimitNOFILE="));
        assert!(hint(Errno::ENFILE).contains("fs.file-max") && hint(Errno::ENOMEM).contains("memory"));
        assert_eq!((hint(Errno::EACCES), hint(Errno::ENOENT)), (String::new(), String::new()));
    }
}
