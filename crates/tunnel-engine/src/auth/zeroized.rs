//! Work on secrets leaves no copies on the stack. Keys and passphrases wipe their own memory when they are dropped, but
//! moves and the temporary values of cryptographic code stay in frames that were left, and with them in a thread's stack,
//! which the C library keeps for the next thread.

use std::hint::black_box;

use zeroize::Zeroize;

/// More than reading, decrypting and signing with a key use, in builds without optimisation too.
const STACK_BYTES: usize = 128 * 1024;

/// Does the work, and overwrites the stack that it used. For threads of the blocking pool, whose stacks have 2 MiB.
pub(super) fn wiping<T>(work: impl FnOnce() -> T) -> T {
    let done = in_frames_below(work);
    overwrite();
    done
}

/// Its frames, those of the work among them, are where those of [`overwrite`] come to be.
#[inline(never)]
fn in_frames_below<T>(work: impl FnOnce() -> T) -> T {
    black_box(work)()
}

#[inline(never)]
fn overwrite() {
    let mut area = [0u8; STACK_BYTES];
    black_box(&mut area).zeroize();
    black_box(&area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_gives_its_result() {
        assert_eq!(wiping(|| [7u8; 1000].map(u64::from).iter().sum::<u64>()), 7000);
    }
}
