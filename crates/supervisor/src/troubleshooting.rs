//! Where an operator reads on about a failure: the entry of its kind in the troubleshooting page, which `make install`
//! puts beside the program, so that it is there without a network.

use tunnel_engine::failure::FailureKind;

/// The page, as installed.
pub const PAGE: &str = "/usr/share/doc/tunneld/troubleshooting.md";

/// The entry for a kind of failure, as a path with the anchor of its heading.
pub fn entry(kind: FailureKind) -> String {
    format!("{PAGE}#{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_path_with_an_anchor() {
        let host_key = entry(FailureKind::HostKeyUnknown);
        assert_eq!(host_key, "/usr/share/doc/tunneld/troubleshooting.md#host_key_unknown");
    }
}
