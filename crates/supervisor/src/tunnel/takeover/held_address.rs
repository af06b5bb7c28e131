//! What a takeover is about, as an argument of `release.sh`: safe in any shell.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use tunnel_engine::spec::Listen;

/// A listen address on the server that another session or program may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tunnel) enum HeldAddress {
    Port(u16),
    Path(PathBuf),
}

impl HeldAddress {
    /// `None` for an address that cannot be held: a port that the server chooses, a path that does not say where it is
    /// or that the kernel's table of sockets does not show as it is.
    pub(in crate::tunnel) fn of(listen: &Listen) -> Option<Self> {
        match listen {
            Listen::Tcp { port, .. } => Some(Self::Port(*port)).filter(|_| *port != 0),
            Listen::Device { .. } => None,
            Listen::Unix(path) => Some(Self::Path(path.clone())).filter(|_| is_plain(path)),
        }
    }
}

fn is_plain(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let blank_end = bytes.last().is_some_and(u8::is_ascii_whitespace);
    path.is_absolute() && path.file_name().is_some() && !blank_end && !bytes.iter().any(u8::is_ascii_control)
}

impl fmt::Display for HeldAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "{port:04X}"),
            Self::Path(path) => write!(f, "path:{}", octal(path)),
        }
    }
}

/// Three digits a byte.
pub(super) fn octal(path: &Path) -> String {
    path.as_os_str().as_bytes().iter().map(|byte| format!("{byte:03o}")).collect()
}

#[cfg(test)]
mod tests {
    use tunnel_engine::spec::Bind;

    use super::*;

    #[test]
    fn address_is_a_plain_argument_to_any_shell() {
        let held = |listen| HeldAddress::of(&listen).map(|held| held.to_string());
        let tcp = |port| Listen::Tcp { bind: Bind::Default, port };
        assert_eq!(held(tcp(7000)).as_deref(), Some("1B58"));
        assert_eq!(held(tcp(0)), None);
        assert_eq!(held(Listen::Unix("/a $'".into())).as_deref(), Some("path:057141040044047"));
        for odd in ["relative/s", "/ends blank ", "/two\nlines", "/"] {
            assert_eq!(held(Listen::Unix(odd.into())), None, "{odd:?}");
        }
    }
}
