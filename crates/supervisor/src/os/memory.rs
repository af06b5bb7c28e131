//! How the kernel backs our memory.

/// Asks for pages of the usual size only. A huge page is 2 MiB, given as a whole to who touches one byte of it and taken
/// back as a whole: with them, where the system hands them out by itself, an idle tunnel costs nearly twice as much and
/// the process begins at 15 MiB. What moves bytes here does so in buffers that are small beside one.
///
/// The programs that we start inherit this (prctl(2), `PR_SET_THP_DISABLE`).
///
/// # Errors
/// The kernel's, or a seccomp filter's: then all works, in more memory.
pub fn without_huge_pages() -> nix::Result<()> {
    nix::sys::prctl::set_thp_disable(true)
}
