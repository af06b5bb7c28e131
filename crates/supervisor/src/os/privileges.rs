//! What the process may do: another user than root for good (`user`), no new privileges, no core dump.
//!
//! As root with `user = "name"` the process is that user before it reads its config as a whole, so that nothing which the
//! config names is read, run or written as root. It keeps two capabilities, to bind ports below 1024 and to make network
//! devices, until it has those of its config; it has no thread and runs no command with them.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{User, initgroups, setresgid, setresuid};
use tunnel_engine::forward::{Bound, CloseMode, ListenAddress, OpenDevice, SocketStore};
use tunnel_engine::spec::{Listen, Side};

use super::listeners::DeviceKind;
use crate::config::Desired;

/// Below it, Linux binds ports for root alone (ip_unprivileged_port_start, unless it was set lower).
const FIRST_FREE_PORT: u16 = 1024;

/// Makes the process `user`'s: its user id, group id and groups, real, effective and saved, so that there is no way back.
/// To be called before there are threads. What is left is the right to bind low ports, for [`bind_low_ports`], and to make
/// network devices, for [`open_devices`].
pub fn become_user(user: &User) -> io::Result<()> {
    let name = CString::new(user.name.as_str())?;
    prctl::set_keepcaps(true)?;
    initgroups(&name, user.gid)?;
    setresgid(user.gid, user.gid, user.gid)?;
    setresuid(user.uid, user.uid, user.uid)?;
    prctl::set_keepcaps(false)?;
    let permitted = caps::read(None, CapSet::Permitted).map_err(io::Error::other)?;
    let kept: CapsHashSet = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_BIND_SERVICE]
        .into_iter()
        .filter(|cap| permitted.contains(cap))
        .collect();
    set_capabilities(&kept)
}

/// Gives up every capability, for good: threads and commands that are started later have none.
pub fn give_up_capabilities() -> io::Result<()> {
    set_capabilities(&CapsHashSet::new())
}

fn set_capabilities(kept: &CapsHashSet) -> io::Result<()> {
    // A capability that is not permitted cannot be effective: the other order is refused.
    caps::clear(None, CapSet::Inheritable).map_err(io::Error::other)?;
    caps::set(None, CapSet::Effective, kept).map_err(io::Error::other)?;
    caps::set(None, CapSet::Permitted, kept).map_err(io::Error::other)
}

/// Binds the listeners of the config that only root may bind. Those that cannot be bound are left to their forwards, which
/// say why. To be called before there are threads.
pub fn bind_low_ports(desired: &Desired) -> io::Result<Vec<(ListenAddress, OwnedFd)>> {
    let store = Arc::new(BoundSockets::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for tunnel in desired.tunnels.iter().filter(|tunnel| tunnel.enabled) {
        for forward in tunnel.forwards.iter().filter(|forward| forward.kind.side() == Side::Here) {
            let low = matches!(&forward.listen, Listen::Tcp { port, .. } if (1..FIRST_FREE_PORT).contains(port));
            if low {
                let bind = Bound::take_or_bind(&forward.listen, tunnel.bind_options(), store.clone(), None);
                drop(runtime.block_on(bind));
            }
        }
    }
    Ok(std::mem::take(&mut *store.0.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// Opens the network devices of the config, each with the tunnel that it is of. Those that cannot be opened are left to their
/// forwards, which say why.
pub fn open_devices(desired: &Desired) -> Vec<(String, DeviceKind, OpenDevice)> {
    let mut opened = Vec::new();
    for tunnel in desired.tunnels.iter().filter(|tunnel| tunnel.enabled) {
        for forward in &tunnel.forwards {
            if let Listen::Device { mode, unit } = forward.listen
                && let Ok(device) = OpenDevice::open(mode, unit)
            {
                opened.push((tunnel.name.clone(), (mode, unit), device));
            }
        }
    }
    opened
}

/// Keeps a duplicate of each socket that is bound.
#[derive(Debug, Default)]
struct BoundSockets(Mutex<Vec<(ListenAddress, OwnedFd)>>);

impl SocketStore for BoundSockets {
    fn take(&self, _: &ListenAddress) -> Option<OwnedFd> {
        None
    }

    fn keep(&self, address: &ListenAddress, socket: BorrowedFd<'_>) {
        if let Ok(socket) = socket.as_fd().try_clone_to_owned() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push((address.clone(), socket));
        }
    }

    fn close(&self, _: &ListenAddress) -> CloseMode {
        CloseMode::ForNow
    }
}

/// Keys and passwords are in memory: no core dump of this process, and no other process of its user may read its memory.
pub fn keep_memory_private() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(prctl::set_dumpable(false)?)
}

/// Neither this process nor a command that it runs gets rights through a set-user-ID program or file capabilities.
pub fn forbid_new_privileges() -> io::Result<()> {
    Ok(prctl::set_no_new_privs()?)
}
