//! A tunnel device: what ssh's `-w`, and Tunnel and TunnelDevice of ssh_config, ask for.

use std::fmt;

use super::{Connect, Forward, ForwardKind, ForwardParseError, Listen};

/// What passes through a tunnel device (ssh_config Tunnel).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum DeviceMode {
    /// IP packets: `tun` devices, layer 3.
    #[default]
    PointToPoint,
    /// Ethernet frames: `tap` devices, layer 2, which may be ports of a bridge.
    Ethernet,
}

impl DeviceMode {
    /// ssh_config's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PointToPoint => "point-to-point",
            Self::Ethernet => "ethernet",
        }
    }

    /// What the names of its devices begin with, here and on a server with OpenSSH.
    pub const fn device_prefix(self) -> &'static str {
        match self {
            Self::PointToPoint => "tun",
            Self::Ethernet => "tap",
        }
    }
}

/// The unit number of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceUnit {
    /// The next that is free.
    Any,
    /// The one of this number: 3 is `tun3` or `tap3`.
    Number(u32),
}

impl DeviceUnit {
    /// The largest number that OpenSSH takes (SSH_TUNID_MAX).
    pub const MAX: u32 = 0x7fff_fffd;

    /// The interface's name; `None` where the kernel gives it one.
    pub fn device_name(self, mode: DeviceMode) -> Option<String> {
        match self {
            Self::Any => None,
            Self::Number(number) => Some(format!("{}{number}", mode.device_prefix())),
        }
    }

    fn parse(text: &str) -> Result<Self, ForwardParseError> {
        if text.eq_ignore_ascii_case("any") {
            return Ok(Self::Any);
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number <= Self::MAX);
        number.map(Self::Number).ok_or_else(|| ForwardParseError::BadDevice(text.to_owned()))
    }
}

impl fmt::Display for DeviceUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl Forward {
    /// A tunnel device by its two ends.
    pub const fn device(mode: DeviceMode, local: DeviceUnit, remote: DeviceUnit) -> Self {
        let listen = Listen::Device { mode, unit: local };
        Self { kind: ForwardKind::TunnelDevice, listen, connect: Connect::Device(remote), max_connections: None }
    }

    /// Reads `local[:remote]`, each `any` or a number, as `-w` takes it; `point-to-point:` or `ethernet:` may stand
    /// before it. Without a remote unit it is `any`.
    ///
    /// # Errors
    /// Any other text.
    pub fn parse_device(text: &str) -> Result<Self, ForwardParseError> {
        let words = [DeviceMode::PointToPoint, DeviceMode::Ethernet].into_iter();
        let (mode, units) = words
            .filter_map(|mode| Some((mode, text.strip_prefix(mode.as_str())?.strip_prefix(':')?)))
            .next()
            .unwrap_or((DeviceMode::default(), text));
        let (local, remote) = units.split_once(':').unwrap_or((units, "any"));
        Ok(Self::device(mode, DeviceUnit::parse(local)?, DeviceUnit::parse(remote)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(text: &str) -> Result<(DeviceMode, DeviceUnit, DeviceUnit), ForwardParseError> {
        let forward = Forward::parse_device(text)?;
        let (Listen::Device { mode, unit }, Connect::Device(remote)) = (forward.listen, forward.connect) else {
            panic!("a device");
        };
        Ok((mode, unit, remote))
    }

    #[test]
    fn units_are_read_as_ssh_reads_them() {
        use DeviceMode::{Ethernet, PointToPoint};
        use DeviceUnit::{Any, Number};
        assert_eq!(device("any"), Ok((PointToPoint, Any, Any)));
        assert_eq!(device("0"), Ok((PointToPoint, Number(0), Any)));
        assert_eq!(device("0:1"), Ok((PointToPoint, Number(0), Number(1))));
        assert_eq!(device("ANY:5"), Ok((PointToPoint, Any, Number(5))));
        assert_eq!(device("ethernet:any:2"), Ok((Ethernet, Any, Number(2))));
        assert_eq!(device("point-to-point:3"), Ok((PointToPoint, Number(3), Any)));
        assert_eq!(device("2147483645"), Ok((PointToPoint, Number(DeviceUnit::MAX), Any)));
        for bad in ["", ":", "0:", ":0", "x", "-1", "+1", "0:1:2", "2147483646", "tun0", "ethernet", "ethernet:"] {
            assert!(matches!(device(bad), Err(ForwardParseError::BadDevice(_))), "{bad}");
        }
    }

    #[test]
    fn what_a_device_prints_reads_back() {
        for text in ["any:any", "0:1", "ethernet:any:0"] {
            let forward = Forward::parse_device(text).unwrap();
            assert_eq!(forward.to_string(), text);
            assert_eq!(Forward::parse(ForwardKind::TunnelDevice, text), Ok(forward));
        }
        assert_eq!(DeviceUnit::Number(7).device_name(DeviceMode::Ethernet).as_deref(), Some("tap7"));
        assert_eq!(DeviceUnit::Any.device_name(DeviceMode::PointToPoint), None);
    }
}
