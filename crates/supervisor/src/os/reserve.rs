//! Descriptors that are kept for the control socket: where forwarded connections have taken all others, the operator
//! must still be able to ask what is the matter, and to stop something.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::unistd::dup3;

/// Clients at once that are served out of it. Each is short, and gives its descriptor back.
const RESERVED: usize = 4;

/// Descriptors without a use.
#[derive(Debug, Default)]
pub struct Reserve(Vec<OwnedFd>);

impl Reserve {
    /// Takes as many as it can of those that are missing, as duplicates of `any`.
    pub fn refill(&mut self, any: impl AsFd) {
        while self.0.len() < RESERVED {
            let Ok(descriptor) = any.as_fd().try_clone_to_owned() else { return };
            self.0.push(descriptor);
        }
    }

    /// Keeps the descriptor of a client that was served. It never becomes free in between, so that no connection that
    /// waits for one can take it.
    pub fn keep(&mut self, mut descriptor: OwnedFd, any: impl AsFd) {
        if self.0.len() < RESERVED && dup3(any, &mut descriptor, OFlag::O_CLOEXEC).is_ok() {
            self.0.push(descriptor);
        }
    }

    /// Makes room for one descriptor; false where the reserve is used up.
    pub fn release(&mut self) -> bool {
        self.0.pop().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_released_is_taken_back() {
        let any = std::fs::File::open("/dev/null").unwrap();
        let mut reserve = Reserve::default();
        assert!(!reserve.release());
        reserve.refill(&any);
        for _ in 0..RESERVED {
            assert!(reserve.release());
        }
        assert!(!reserve.release());
        reserve.keep(std::fs::File::open("/").unwrap().into(), &any);
        assert!(reserve.release() && !reserve.release());
    }
}
