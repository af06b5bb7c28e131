//! syslog(3) over its datagram socket, as glibc writes it. A system without one loses the lines, as with autossh.

use std::io;
use std::os::unix::net::UnixDatagram;

/// Where every syslog and journald listens.
const SOCKET: &str = "/dev/log";

/// LOG_USER, which autossh uses.
const FACILITY: u8 = 1 << 3;

/// The way to the system's log, opened with the first line and again when the log was restarted.
#[derive(Debug, Default)]
pub(super) struct Syslog {
    socket: Option<UnixDatagram>,
}

impl Syslog {
    pub(super) fn send(&mut self, severity: u8, time: &str, tag: &str, text: &str) {
        let line = line(severity, time, tag, text);
        if self.socket.as_ref().is_some_and(|socket| socket.send(line.as_bytes()).is_ok()) {
            return;
        }
        self.socket = connect().ok();
        if let Some(socket) = &self.socket {
            let _ = socket.send(line.as_bytes());
        }
    }
}

fn connect() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(SOCKET)?;
    // A log that is not read must not stop the tunnel.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn line(severity: u8, time: &str, tag: &str, text: &str) -> String {
    format!("<{}>{time} {tag}: {text}", FACILITY | severity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_form_and_the_facility_of_autossh() {
        let line = line(6, "Nov  1 14:25:07", "autossh[7]", "starting ssh (count 1)");
        assert_eq!(line, "<14>Nov  1 14:25:07 autossh[7]: starting ssh (count 1)");
    }
}
