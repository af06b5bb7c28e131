//! `-M port[:echo_port]` and AUTOSSH_PORT: one grammar.

use super::number;

/// What tests the session besides ssh's own keepalive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MonitorPort {
    /// `0`, or not given.
    #[default]
    Off,
    /// `p`: a loop through a local forward on p, a remote forward on p, back to our own listener on p + 1.
    Loop {
        /// p; p + 1 exists too.
        port: u16,
    },
    /// `p:e`: through a local forward on p to an echo service on the server's port e.
    Echo {
        /// p.
        port: u16,
        /// e.
        echo: u16,
    },
}

/// Why a monitor port cannot be used, in autossh's words, its two blanks included.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MonitorPortError {
    /// Not a number.
    #[error("invalid port \"{0}\"")]
    Port(String),
    /// The part behind the colon.
    #[error("invalid echo port  \"{0}\"")]
    Echo(String),
    /// Below 0, or 65535 and above: p + 1 is needed too.
    #[error("monitor port ({0}) out of range")]
    Range(i64),
}

impl MonitorPort {
    /// The highest `-M` port: the echo port above it must exist.
    const HIGHEST: i64 = 65534;

    /// Reads the value.
    ///
    /// # Errors
    /// As autossh's own, with an echo port that is no port refused too: autossh hands it to ssh, which refuses it then.
    pub fn parse(text: &str) -> Result<Self, MonitorPortError> {
        let (port_text, echo_text) = match text.split_once(':') {
            Some((port, echo)) => (port, Some(echo)),
            None => (text, None),
        };
        let number = number::parse(port_text).ok_or_else(|| MonitorPortError::Port(port_text.to_owned()))?;
        let echo = match echo_text {
            None => None,
            Some(echo) => {
                let number = number::parse(echo).and_then(|echo| u16::try_from(echo).ok()).filter(|echo| *echo != 0);
                Some(number.ok_or_else(|| MonitorPortError::Echo(echo.to_owned()))?)
            }
        };
        if !(0..=Self::HIGHEST).contains(&number) {
            return Err(MonitorPortError::Range(number));
        }
        let port = u16::try_from(number).unwrap_or_default();
        Ok(match (port, echo) {
            (0, _) => Self::Off,
            (port, None) => Self::Loop { port },
            (port, Some(echo)) => Self::Echo { port, echo },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_port_is_read_as_autossh_reads_it() {
        for (text, want) in [
            ("0", Ok(MonitorPort::Off)),
            ("41000", Ok(MonitorPort::Loop { port: 41000 })),
            ("0xA028", Ok(MonitorPort::Loop { port: 41000 })),
            ("041000", Ok(MonitorPort::Loop { port: 16896 })),
            ("65534", Ok(MonitorPort::Loop { port: 65534 })),
            ("41000:7", Ok(MonitorPort::Echo { port: 41000, echo: 7 })),
            ("0:7", Ok(MonitorPort::Off)),
            ("", Err("invalid port \"\"")),
            ("port", Err("invalid port \"port\"")),
            ("41000:", Err("invalid echo port  \"\"")),
            ("41000:echo", Err("invalid echo port  \"echo\"")),
            ("41000:-3", Err("invalid echo port  \"-3\"")),
            ("41000:99999", Err("invalid echo port  \"99999\"")),
            ("65535", Err("monitor port (65535) out of range")),
            ("-3", Err("monitor port (-3) out of range")),
            ("4294967296", Err("monitor port (4294967296) out of range")),
        ] {
            assert_eq!(
                MonitorPort::parse(text).map_err(|error| error.to_string()),
                want.map_err(str::to_owned),
                "{text:?}"
            );
        }
    }
}
