//! Ports as ssh reads them: a number, or the name of a TCP service in `/etc/services` (services(5)).

use std::path::Path;

use crate::file;

/// Where the names are, on every system that has them.
const SERVICES: &str = "/etc/services";
/// Debian's file has 13 KiB; a mistake must not fill the memory.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The port that `text` stands for: a number from 0 to 65535, or the name of a TCP service on this machine. Only a name
/// has the file read.
pub fn port(text: &str) -> Option<u16> {
    match text.parse() {
        Ok(port) => Some(port),
        Err(_) if is_name(text) => {
            let content = file::read(Path::new(SERVICES), MAX_FILE_BYTES).ok()?;
            find(&String::from_utf8_lossy(&content), text)
        }
        Err(_) => None,
    }
}

/// Whether this could be the name of a service: every one has a letter (RFC 6335 section 5.1).
pub(crate) fn is_name(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_alphabetic())
}

/// `name port/protocol alias… # comment`.
fn find(services: &str, name: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let mut fields = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let (official, service) = (fields.next()?, fields.next()?);
        let port = service.strip_suffix("/tcp")?;
        let is_called = official == name || fields.any(|alias| alias == name);
        is_called.then(|| port.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_tcp_service_or_its_alias() {
        let services =
            "# names\ntftp\t\t69/udp\nssh 22/tcp  # SSH\nmysql\t\t3306/tcp\nhttp 80/tcp www\nodd 99999/tcp\n";
        for (name, want) in [
            ("ssh", Some(22)),
            ("www", Some(80)),
            ("mysql", Some(3306)),
            ("tftp", None),
            ("SSH", None),
            ("SSH # SSH", None),
            ("odd", None),
            ("22/tcp", None),
        ] {
            assert_eq!(find(services, name), want, "{name}");
        }
    }

    #[test]
    fn numbers_are_what_they_are_and_this_machine_knows_ssh() {
        for (text, want) in [
            ("0", Some(0)),
            ("+022", Some(22)),
            ("65536", None),
            ("-1", None),
            ("", None),
            ("ssh", Some(22)),
            ("x y", None),
        ] {
            assert_eq!(port(text), want, "{text}");
        }
    }
}
