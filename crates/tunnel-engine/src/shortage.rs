//! No file descriptor or no memory left here: which errors say so.

use std::io;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

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
