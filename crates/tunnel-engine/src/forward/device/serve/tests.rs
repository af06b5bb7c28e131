//! Over sessions that are not there, with a socket as device.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::forward::CloseMode;
use crate::forward::bind::ListenAddress;
use crate::session::ChannelGone;
use crate::task;

/// Packets that no test has looked at.
const QUEUE: usize = 8;

/// A "device": packets of a socket stay apart, as those of a device do.
struct PacketSocket(OwnedFd);

impl SocketStore for PacketSocket {
    fn take(&self, _: &ListenAddress) -> Option<OwnedFd> {
        None
    }

    fn keep(&self, _: &ListenAddress, _: std::os::fd::BorrowedFd<'_>) {}

    fn close(&self, _: &ListenAddress) -> CloseMode {
        CloseMode::ForGood
    }

    fn device(&self, tunnel: &str, _: DeviceMode, _: DeviceUnit) -> Option<OpenDevice> {
        let packets = self.0.as_fd().try_clone_to_owned().ok()?;
        Some(OpenDevice { name: format!("{tunnel}0"), packets })
    }
}

/// A session whose server answers as it is told.
#[derive(Clone)]
struct Fake {
    number: u32,
    answers: Arc<Mutex<Vec<DeviceError>>>,
    /// Packets for the server.
    sent: mpsc::Sender<(u32, Vec<u8>)>,
    /// Packets from the server.
    received: Arc<tokio::sync::Mutex<mpsc::Receiver<Bytes>>>,
}

impl DeviceOpener for Fake {
    type Channel = Self;

    fn is_same(&self, other: &Self) -> bool {
        self.number == other.number
    }

    async fn open_device(&self, _: DeviceMode, _: DeviceUnit) -> Result<Self, DeviceError> {
        self.answers.lock().unwrap().pop().map_or_else(|| Ok(self.clone()), Err)
    }
}

impl PacketChannel for Fake {
    async fn recv(&self) -> Option<Bytes> {
        self.received.lock().await.recv().await
    }

    async fn send(&self, packet: &[u8]) -> Result<PacketOutcome, ChannelGone> {
        self.sent.send((self.number, packet.to_vec())).await.map(|()| PacketOutcome::Sent).map_err(|_| ChannelGone)
    }

    async fn close(self) {}
}

struct DeviceScene {
    device: UnixDatagram,
    sessions: watch::Sender<Option<Fake>>,
    state: watch::Receiver<DeviceState>,
    stats: Arc<ForwardStats>,
    sent: mpsc::Receiver<(u32, Vec<u8>)>,
    to_fake: mpsc::Sender<(u32, Vec<u8>)>,
    _task: AbortOnDropHandle<()>,
}

impl DeviceScene {
    fn new() -> Self {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let sessions = watch::Sender::new(None);
        let (report, state) = watch::channel(DeviceState::Opening);
        let (to_fake, sent) = mpsc::channel(QUEUE);
        let stats = Arc::<ForwardStats>::default();
        let (mode, any) = (DeviceMode::PointToPoint, DeviceUnit::Any);
        let task = DeviceTask {
            wish: DeviceRequest { tunnel: "fake".to_owned(), mode, local: any, remote: any },
            remote: watch::channel(any).1,
            store: Arc::new(PacketSocket(theirs.into())),
            sessions: sessions.subscribe(),
            look: Arc::default(),
            state: report,
            stats: stats.clone(),
        };
        Self { device: ours, sessions, state, stats, sent, to_fake, _task: task::owned(task.run()) }
    }

    /// Gives a session, whose server gives these answers, the last one first, before it says yes.
    fn session(&self, number: u32, answers: Vec<DeviceError>) -> mpsc::Sender<Bytes> {
        let (packets, received) = mpsc::channel(QUEUE);
        let (answers, received) = (Arc::new(Mutex::new(answers)), Arc::new(tokio::sync::Mutex::new(received)));
        self.sessions.send_replace(Some(Fake { number, answers, sent: self.to_fake.clone(), received }));
        packets
    }

    async fn becomes(&mut self, wanted: impl Fn(&DeviceState) -> bool) -> DeviceState {
        self.state.wait_for(wanted).await.unwrap().clone()
    }

    async fn is_up(&mut self) {
        self.becomes(|state| matches!(state, DeviceState::Up { .. })).await;
    }

    async fn waits(&mut self) {
        self.becomes(|state| matches!(state, DeviceState::Waiting { .. })).await;
    }

    fn came_from_server(&self) -> Option<Vec<u8>> {
        let mut buffer = [0; 100];
        let length = self.device.recv(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    }
}

#[tokio::test]
async fn device_stays_from_session_to_session() {
    let mut scene = DeviceScene::new();
    scene.waits().await;
    assert_eq!(scene.state.borrow().name(), Some("fake0"));
    for number in 1..3 {
        scene.device.send(b"for no one").unwrap();
        let packets = scene.session(number, Vec::new());
        scene.is_up().await;
        scene.device.send(b"out").unwrap();
        assert_eq!(scene.sent.recv().await, Some((number, b"out".to_vec())), "and nothing that was sent before");
        packets.send(Bytes::from_static(b"in")).await.unwrap();
        while scene.stats.counts().bytes_in < 2 * u64::from(number) {
            tokio::task::yield_now().await;
        }
        assert_eq!(scene.came_from_server().as_deref(), Some(&b"in"[..]));
        let counts = scene.stats.counts();
        assert_eq!((counts.active, counts.opened, counts.bytes_out), (1, number.into(), 3 * u64::from(2 * number - 1)));
        // In doubt, it carries what it has.
        scene.sessions.send_replace(None);
        scene.device.send(b"out").unwrap();
        assert_eq!(scene.sent.recv().await, Some((number, b"out".to_vec())));
        drop(packets);
        scene.waits().await;
        assert_eq!(scene.stats.counts().active, 0);
    }
}

#[tokio::test]
async fn device_follows_to_the_replacing_session() {
    let mut scene = DeviceScene::new();
    let _first = scene.session(1, Vec::new());
    scene.is_up().await;
    let _second = scene.session(2, Vec::new());
    while scene.stats.counts().opened < 2 {
        tokio::task::yield_now().await;
    }
    scene.device.send(b"x").unwrap();
    assert_eq!(scene.sent.recv().await, Some((2, b"x".to_vec())));
}

#[tokio::test(start_paused = true)]
async fn busy_and_forbidden_devices_are_asked_again() {
    let busy = || DeviceError::NotOpened("Failed to open the tunnel device.".to_owned());
    let mut scene = DeviceScene::new();
    let began = clock::now();
    let _packets = scene.session(1, vec![DeviceError::Forbidden("rejected".to_owned()), busy(), busy()]);
    let refused = |kind| move |state: &DeviceState| state.failure().is_some_and(|failure| failure.kind() == kind);
    let state = scene.becomes(refused(FailureKind::RemotePortBusy)).await;
    assert!(state.failure().unwrap().hint().contains("ip tuntap add dev tun0 mode tun"));
    let state = scene.becomes(refused(FailureKind::RemoteForwardDenied)).await;
    assert!(state.failure().unwrap().hint().contains("PermitTunnel point-to-point"));
    // 1 and 2 s, and then 60, each with its random share.
    assert!((3..4).contains(&(clock::now() - began).as_secs()));
    scene.is_up().await;
    assert!((63..=75).contains(&(clock::now() - began).as_secs()));
    assert_eq!(scene.stats.counts().failed, 3);
}

#[tokio::test(start_paused = true)]
async fn device_that_stays_busy_is_asked_for_every_ten_seconds() {
    let mut scene = DeviceScene::new();
    let busy = || DeviceError::NotOpened("Failed to open the tunnel device.".to_owned());
    let _packets = scene.session(1, (0..104).map(|_| busy()).collect());
    let began = clock::now();
    scene.is_up().await;
    // 1, 2, 4 and 8 s, and then a hundred times 10, each with its random share.
    assert!((1015..=1218).contains(&(clock::now() - began).as_secs()));
}

#[tokio::test(start_paused = true)]
async fn device_closed_by_server_is_asked_again() {
    let mut scene = DeviceScene::new();
    drop(scene.session(1, Vec::new()));
    let state = scene.becomes(|state| state.failure().is_some()).await;
    assert_eq!(state.failure().unwrap().kind(), FailureKind::ClosedByServer);
}
