//! A network device of this machine, `tun` or `tap`: opened, read and written.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram as Descriptor;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tun_rs::{DeviceBuilder, Layer};

use crate::failure::{Failure, FailureKind};
use crate::spec::{DeviceMode, DeviceUnit};
use crate::words;

/// What packets waited for a session is dropped when there is one; the kernel queues 500 by default.
const MAX_DRAINED: usize = 10_000;

/// A device that is open.
#[derive(Debug)]
pub struct OpenDevice {
    /// Its name: `tun0`.
    pub name: String,
    /// Reads and writes packets.
    pub packets: OwnedFd,
}

impl OpenDevice {
    /// Opens a device, or makes it: it ends with its last descriptor unless it was there before. It has no address and
    /// is not up, unless something else has seen to that.
    ///
    /// # Errors
    /// `listen_in_use` when another program has it, `listen_denied` when this process may not have it.
    pub fn open(mode: DeviceMode, unit: DeviceUnit) -> Result<Self, Failure> {
        let layer = match mode {
            DeviceMode::PointToPoint => Layer::L3,
            DeviceMode::Ethernet => Layer::L2,
        };
        let mut builder = DeviceBuilder::new().layer(layer).inherit_enable_state();
        if let Some(name) = unit.device_name(mode) {
            builder = builder.name(name);
        }
        let opened = builder.build_sync().and_then(|device| {
            let packets = device.as_fd().try_clone_to_owned()?;
            Ok(Self { name: device.name()?, packets })
        });
        opened.map_err(|error| failure(mode, unit, error))
    }

    /// Another descriptor of the same device.
    ///
    /// # Errors
    /// Those of dup(2).
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { name: self.name.clone(), packets: self.packets.try_clone()? })
    }
}

fn failure(mode: DeviceMode, unit: DeviceUnit, error: io::Error) -> Failure {
    let prefix = mode.device_prefix();
    let name = unit.device_name(mode);
    let device = name.as_ref().map_or_else(|| format!("a {prefix} device"), |name| format!("the device `{name}`"));
    let beforehand = words::about(
        "grant CAP_NET_ADMIN, or make it beforehand with `ip tuntap add dev {} mode {} user NAME` and name its number in \
         tunnel_device",
        [&name.unwrap_or_else(|| format!("{prefix}0")), prefix],
    );
    let denied = |hint: String| {
        let message = format!("{device} cannot be opened: {error}");
        Failure::new(FailureKind::ListenDenied, message).with_told_hint(hint)
    };
    let failure = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EBUSY) => Failure::new(FailureKind::ListenInUse, format!("{device} is in use by another program"))
            .with_hint("stop the program that has it, or name another number, or `any`, in tunnel_device"),
        Some(Errno::EINVAL) => {
            Failure::new(FailureKind::ListenInUse, format!("{device} is there, and is no {} device", mode.as_str()))
                .with_hint("name another number, or `any`, in tunnel_device")
        }
        Some(Errno::EACCES) => denied(
            "let this user read and write /dev/net/tun; in a unit, also DeviceAllow=/dev/net/tun and PrivateDevices=no"
                .to_owned(),
        ),
        Some(Errno::ENOENT | Errno::ENODEV | Errno::ENXIO) => {
            denied("load the kernel's module `tun`; in a container, add /dev/net/tun to it".to_owned())
        }
        Some(_) | None => denied(beforehand),
    };
    failure.caused_by(error)
}

/// An open device on the runtime.
pub(super) struct AsyncDevice {
    pub(super) name: String,
    /// tokio takes any descriptor by an `unsafe` call, and one of a socket by a safe one: this is a device all the
    /// same, read and written as one, and of the socket only its readiness is asked for.
    packets: UnixDatagram,
}

impl AsyncDevice {
    pub(super) fn new(device: OpenDevice) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(&device.packets, FcntlArg::F_GETFL)?);
        fcntl(&device.packets, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        // Of a device that was removed, only a descriptor from before is left.
        if nix::unistd::read(&device.packets, &mut [0; 1]) == Err(Errno::EBADFD) {
            return Err(Errno::EBADFD.into());
        }
        Ok(Self { name: device.name, packets: UnixDatagram::from_std(Descriptor::from(device.packets))? })
    }

    /// The next packet that this machine sends; gives its length. Cancel-safe.
    ///
    /// # Errors
    /// The device was removed: of that epoll(7) tells as an error alone.
    pub(super) async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.packets
            .async_io(Interest::READABLE | Interest::ERROR, || Ok(nix::unistd::read(&self.packets, buffer)?))
            .await
    }

    /// Hands a packet to this machine. One that it does not take now, because the device is down or its queue is full,
    /// is lost, as on any network.
    pub(super) fn send(&self, packet: &[u8]) -> bool {
        nix::unistd::write(&self.packets, packet).is_ok_and(|written| written == packet.len())
    }

    /// Drops the packets that have waited.
    pub(super) fn drain(&self) {
        let mut nowhere = [0; 1];
        // A packet is read whole, whatever room there is for it. An error is the end of the queue, or is met again.
        (0..MAX_DRAINED).any(|_| nix::unistd::read(&self.packets, &mut nowhere).is_err());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(unit: DeviceUnit, errno: Errno) -> Failure {
        failure(DeviceMode::PointToPoint, unit, io::Error::from(errno))
    }

    #[test]
    fn failures_say_what_to_do() {
        let busy = refused(DeviceUnit::Number(3), Errno::EBUSY);
        assert_eq!(
            (busy.kind(), busy.message()),
            (FailureKind::ListenInUse, "the device `tun3` is in use by another program")
        );
        let denied = refused(DeviceUnit::Any, Errno::EPERM);
        assert_eq!(denied.kind(), FailureKind::ListenDenied);
        assert!(denied.message().starts_with("a tun device cannot be opened: "), "{denied}");
        assert!(denied.hint().contains("CAP_NET_ADMIN") && denied.hint().contains("ip tuntap add dev tun0 mode tun"));
        assert!(refused(DeviceUnit::Any, Errno::EACCES).hint().contains("DeviceAllow=/dev/net/tun"));
        assert!(refused(DeviceUnit::Any, Errno::ENOENT).hint().contains("module `tun`"));
        let other = refused(DeviceUnit::Number(0), Errno::EINVAL);
        assert!(other.message().contains("no point-to-point device"), "{other}");
    }
}
