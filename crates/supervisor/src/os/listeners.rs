//! The listeners that outlive this process. Each is in the service manager's store by a name that follows from its
//! address, and comes back to the next process in LISTEN_FDS. Those of a socket unit come the same way, and stay the
//! manager's: they are lent.

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tunnel_engine::forward::{CloseMode, ListenAddress, OpenDevice, SocketStore};
use tunnel_engine::spec::{DeviceMode, DeviceUnit};

use super::inherited::Inherited;
use super::notify::FdStore;

/// systemd takes names up to this long (sd_notify(3)).
const MAX_NAME: usize = 255;

/// Which network device a tunnel asks for.
pub type DeviceKind = (DeviceMode, DeviceUnit);

/// All of them.
#[derive(Debug)]
pub struct KeptListeners {
    store: Option<FdStore>,
    state: Mutex<StoreState>,
}

#[derive(Debug, Default)]
struct StoreState {
    /// From an earlier process, or bound before there were forwards, and not yet taken by one.
    left: HashMap<ListenAddress, OwnedFd>,
    /// From a socket unit. These are kept here, for a forward that a reload brings.
    lent: HashMap<ListenAddress, LentSocket>,
    /// By their tunnels: network devices that were opened while this process had the right to. They are kept here until
    /// it ends, for a tunnel that is stopped and started again.
    devices: HashMap<(String, DeviceKind), OpenDevice>,
    /// This process ends, and perhaps another follows.
    leaving: bool,
}

#[derive(Debug)]
struct LentSocket {
    socket: OwnedFd,
    wanted: bool,
}

impl KeptListeners {
    /// With what was handed to this process, and the store to keep more in, if there is one.
    pub fn new(inherited: Vec<Inherited>, store: Option<FdStore>) -> Self {
        let mut state = StoreState::default();
        for Inherited { address, name, socket } in inherited {
            if name_of(&address).as_ref() == Some(&name) {
                state.left.insert(address, socket);
            } else {
                state.lent.insert(address, LentSocket { socket, wanted: false });
            }
        }
        Self { store, state: Mutex::new(state) }
    }

    /// Of no manager.
    pub fn none() -> Self {
        Self::new(Vec::new(), None)
    }

    /// Keeps a listener that this process has bound before its forwards are there.
    pub fn add(&self, address: ListenAddress, socket: OwnedFd) {
        self.keep(&address, socket.as_fd());
        self.state().left.insert(address, socket);
    }

    /// Keeps a network device of this tunnel.
    pub fn add_device(&self, tunnel: String, kind: DeviceKind, device: OpenDevice) {
        self.state().devices.insert((tunnel, kind), device);
    }

    /// Closes what an earlier process left and no forward has taken. For when all forwards have had their chance.
    pub fn drop_unwanted(&self) {
        let mut state = self.state();
        for (address, socket) in std::mem::take(&mut state.left) {
            tracing::info!(listen = %address, "no forward listens there any more: closed");
            // Peers that queue are refused now, and not when the manager has dropped its duplicate.
            let _ = socket2::SockRef::from(&socket).shutdown(Shutdown::Both);
            if let ListenAddress::Unix(path) = &address {
                remove_dead(path);
            }
            self.remove(&address);
        }
        for address in state.lent.iter().filter(|(_, lent)| !lent.wanted).map(|(address, _)| address) {
            tracing::warn!(listen = %address, "a socket unit listens there, and no forward does: its peers wait in vain");
        }
    }

    /// From now on, closing a listener leaves it in the store: whether this is a stop or a restart, only the manager
    /// knows, and it drops the store at a stop.
    pub fn leave(&self) {
        self.state().leaving = self.store.is_some();
    }

    fn remove(&self, address: &ListenAddress) {
        if let (Some(store), Some(name)) = (&self.store, name_of(address)) {
            store.remove(&name);
        }
    }

    fn state(&self) -> MutexGuard<'_, StoreState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketStore for KeptListeners {
    fn take(&self, address: &ListenAddress) -> Option<OwnedFd> {
        let mut state = self.state();
        if let Some(socket) = state.left.remove(address) {
            tracing::info!(listen = %address, "a listener that was there at the start is taken over");
            return Some(socket);
        }
        let lent = state.lent.get_mut(address)?;
        lent.wanted = true;
        lent.socket.try_clone().inspect_err(|error| tracing::error!(%error, "cannot duplicate a socket")).ok()
    }

    fn keep(&self, address: &ListenAddress, socket: BorrowedFd<'_>) {
        if let (Some(store), Some(name)) = (&self.store, name_of(address)) {
            store.store(&name, socket);
        }
    }

    fn close(&self, address: &ListenAddress) -> CloseMode {
        let state = self.state();
        if state.leaving || state.lent.contains_key(address) {
            return CloseMode::ForNow;
        }
        self.remove(address);
        CloseMode::ForGood
    }

    fn device(&self, tunnel: &str, mode: DeviceMode, unit: DeviceUnit) -> Option<OpenDevice> {
        let state = self.state();
        let device = state.devices.get(&(tunnel.to_owned(), (mode, unit)))?;
        device.try_clone().inspect_err(|error| tracing::error!(%error, "cannot duplicate a device")).ok()
    }
}

/// Removes a socket's file, unless another process has put a living one in its place.
fn remove_dead(path: &Path) {
    let answer = UnixStream::connect(path);
    if answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        && let Err(error) = std::fs::remove_file(path)
    {
        tracing::warn!(listen = %path.display(), %error, "cannot remove the file of a listener that is no longer wanted");
    }
}

/// What a listener is called in the store: `tcp-127.0.0.1%3A3307`, `unix-/run/app.sock`. `None` when that would be too
/// long: then it is not stored.
fn name_of(address: &ListenAddress) -> Option<String> {
    use std::os::unix::ffi::OsStrExt as _;
    let name = match address {
        ListenAddress::Tcp(address) => format!("tcp-{}", escaped(address.to_string().as_bytes())),
        ListenAddress::Unix(path) => format!("unix-{}", escaped(path.as_os_str().as_bytes())),
    };
    (name.len() <= MAX_NAME).then_some(name)
}

/// systemd allows printable ASCII but for the colon, which separates the names in LISTEN_FDNAMES.
fn escaped(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b':' | b'%');
    bytes.iter().map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn left(socket: TcpListener) -> Inherited {
        let address = ListenAddress::Tcp(socket.local_addr().unwrap());
        Inherited { name: name_of(&address).unwrap(), address, socket: socket.into() }
    }

    fn named(text: &str) -> String {
        name_of(&text.parse().map_or_else(|_| ListenAddress::Unix(text.into()), ListenAddress::Tcp)).unwrap_or_default()
    }

    #[test]
    fn stored_names_are_valid_and_distinct() {
        assert_eq!(named("127.0.0.1:3307"), "tcp-127.0.0.1%3A3307");
        assert_eq!(named("[::1]:3307"), "tcp-[%3A%3A1]%3A3307");
        assert_eq!(named("/run/a b%.sock"), "unix-/run/a%20b%25.sock");
        assert_eq!(named("/run/ä"), "unix-/run/%C3%A4");
        assert_eq!(named(&"ä".repeat(50)), "", "too long");
    }

    #[test]
    fn inherited_listeners_are_taken_once_and_the_rest_closed() {
        let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [wanted, unwanted] = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
        let duplicate = sockets[1].try_clone().unwrap();
        let kept = KeptListeners::new(sockets.into_iter().map(left).collect(), None);
        assert!(kept.take(&ListenAddress::Tcp(wanted)).is_some());
        assert!(kept.take(&ListenAddress::Tcp(wanted)).is_none());
        kept.drop_unwanted();
        assert!(kept.take(&ListenAddress::Tcp(unwanted)).is_none());
        assert!(std::net::TcpStream::connect(unwanted).is_err());
        drop(duplicate);
    }

    #[test]
    fn socket_units_socket_is_taken_again_and_never_closed() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = ListenAddress::Tcp(socket.local_addr().unwrap());
        let lent = Inherited { name: "tunneld.socket".to_owned(), address: address.clone(), socket: socket.into() };
        let kept = KeptListeners::new(vec![lent], None);
        for _ in 0..2 {
            assert!(kept.take(&address).is_some());
            assert_eq!(kept.close(&address), CloseMode::ForNow);
        }
    }

    #[test]
    fn without_a_manager_leaving_closes_for_good() {
        let kept = KeptListeners::none();
        kept.leave();
        assert_eq!(kept.close(&ListenAddress::Unix("/run/s".into())), CloseMode::ForGood);
    }
}
