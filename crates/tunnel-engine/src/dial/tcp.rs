//! TCP to the server: resolve, race, set the options of a tunnel's one connection.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use super::address_memory::AddressMemory;
use super::race::{Candidates, Rounds, Tried, attempt};
use super::resolve::{not_in_time, resolve};
use super::source::Sources;
use super::{Dialer, Dialing, Link};
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::link::limit_retransmit_wait;
use crate::login_record::{LoginRecorder, LoginStep};
use crate::lookup::{self, Resolver};
use crate::shortage;
use crate::spec::{DialSpec, IpQos, SessionSpec, TimingSpec};
use crate::words;

/// Bytes that the kernel may hold unsent. Beyond it writers wait here, so that a keepalive or a small packet does not
/// queue behind megabytes; what is in flight is not limited by it.
const UNSENT_BYTES: u32 = 256 * 1024;

/// Bytes that are lost are sent again at least this often, so that a session goes on about a second after its path
/// has healed. Longer than a round trip over a geostationary satellite, or they would be sent again for nothing.
const LONGEST_RETRANSMIT_WAIT: Duration = Duration::from_millis(1200);

/// The resolver's, before the address of the last login is dialled beside it. Most answer within a tenth of that.
const LOOKUP_HEAD_START: Duration = Duration::from_secs(1);

/// Dials over this machine's network.
pub(super) struct TcpDialer {
    /// Takes notes of the addresses.
    recorder: LoginRecorder,
    memory: AddressMemory,
    resolver: &'static Resolver,
}

impl Default for TcpDialer {
    fn default() -> Self {
        Self { recorder: LoginRecorder::default(), memory: AddressMemory::default(), resolver: &lookup::CONFIGURED }
    }
}

impl Dialer for TcpDialer {
    fn dial<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        Box::pin(self.dial_in(spec, deadline, Rounds::Many))
    }

    fn probe<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        Box::pin(self.dial_in(spec, deadline, Rounds::One))
    }

    fn logged_in(&self, spec: &SessionSpec, peer: SocketAddr) {
        self.memory.logged_in(&spec.destination, peer);
    }

    fn login_failed(&self, spec: &SessionSpec, peer: SocketAddr, failure: Failure) -> Failure {
        self.memory.login_failed(&spec.destination, peer, failure, clock::now())
    }
}

impl TcpDialer {
    pub(super) fn recording(recorder: LoginRecorder) -> Self {
        Self { recorder, ..Self::default() }
    }

    async fn dial_in(&self, spec: &SessionSpec, deadline: Instant, rounds: Rounds) -> Result<Link, Failure> {
        let name = spec.destination.host_port();
        let (addresses, sources) = match self.find(spec, deadline, rounds).await? {
            Found::Addresses(addresses, sources) => (addresses, sources),
            Found::Connected(stream) => return Ok(link(stream)),
        };
        self.recorder.note(&name, LoginStep::Resolved(addresses.clone()));
        let (addresses, good) = self.memory.resolved(&spec.destination, addresses, clock::now());
        let mut tried = Vec::new();
        let connect = |address| connect(address, sources.towards(&address), spec);
        let attempts = if rounds == Rounds::One { 1 } else { spec.dial.connection_attempts };
        let connecting = attempt(Candidates { addresses: &addresses, good }, connect, rounds, attempts, &mut tried);
        let connected = clock::timeout(left(deadline), connecting).await;
        note(&self.recorder, &name, &tried, connected.as_ref().ok().and_then(Option::as_ref));
        match connected {
            Ok(Some(stream)) => Ok(link(stream)),
            Ok(None) | Err(_) => Err(failure(&name, tried)),
        }
    }

    /// The addresses of the server. While the resolver says nothing, the address of the last login is dialled beside it: an
    /// outage often takes the resolver with it, whose lookups come back seconds after the path does.
    async fn find(&self, spec: &SessionSpec, deadline: Instant, rounds: Rounds) -> Result<Found, Failure> {
        let mut tried = Tried::new();
        let last = self.memory.last_login(spec);
        let finding = async {
            let sources = Sources::of(&spec.dial).await?;
            let lookup = self.resolver.ask(&spec.destination.host, spec.destination.port);
            let late = lookup.asked() + LOOKUP_HEAD_START;
            let last = last.filter(|address| sources.reach(address));
            let at_last_address = async {
                let address = last?;
                tokio::time::sleep_until(late.into()).await;
                let connect = |address| connect(address, sources.towards(&address), spec);
                attempt(Candidates { addresses: &[address], good: 1 }, connect, rounds, 1, &mut tried).await
            };
            tokio::select! {
                biased;
                resolved = resolve(spec, lookup, &sources) => Ok(Found::Addresses(resolved?, sources)),
                Some(stream) = at_last_address => Ok(Found::Connected(stream)),
            }
        };
        let found = clock::timeout(left(deadline), finding).await;
        let found = found.unwrap_or_else(|_| Err(not_in_time(&spec.destination.host, &tried)))?;
        if let (Found::Connected(_), Some(address)) = (&found, last) {
            tracing::debug!(
                "the resolver does not answer: `{}` is reached at {address}, as last",
                spec.destination.host
            );
            self.memory.used_unresolved(&spec.destination, address);
        }
        Ok(found)
    }
}

/// What finding a server came to.
enum Found {
    /// In order, and never none; and where to dial them from.
    Addresses(Vec<SocketAddr>, Sources),
    /// At the address of its last login, the resolver being silent.
    Connected(TcpStream),
}

fn link(stream: TcpStream) -> Link {
    Link { peer: stream.peer_addr().ok(), local: stream.local_addr().ok(), io: Box::new(stream), keep: None }
}

/// What became of each address. Those that had not answered when another did are left out: nothing is known of them.
fn note(recorder: &LoginRecorder, name: &str, tried: &Tried, winner: Option<&TcpStream>) {
    let peer = winner.and_then(|stream| stream.peer_addr().ok());
    for (address, outcome) in tried {
        let error = match outcome {
            _ if peer == Some(*address) => None,
            None if winner.is_some() => continue,
            outcome => Some(say(outcome.as_ref())),
        };
        recorder.note(name, LoginStep::Tried(*address, error));
    }
}

/// One connection to `address`, as a login makes it; hung up without a word.
pub(crate) async fn connect_once(spec: &SessionSpec, address: SocketAddr) -> Result<(), String> {
    let sources = Sources::of(&spec.dial).await.map_err(|failure| failure.message().to_owned())?;
    match connect(address, sources.towards(&address), spec).await {
        Ok(_) => Ok(()),
        Err(error) => Err(say(Some(&error))),
    }
}

/// From now on.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(clock::now())
}

async fn connect(address: SocketAddr, source: Option<SocketAddr>, spec: &SessionSpec) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Before connect, so that its packets are marked too.
    mark(&socket, &address, spec.dial.ip_qos)?;
    if let Some(source) = source {
        socket.bind(source).map_err(|error| bind_error(&spec.dial, source, &error))?;
    }
    let stream = socket.connect(address).await?;
    set_options(&stream, spec)?;
    Ok(stream)
}

/// Of a connection that has come about. One that is refused, as most are while a server is away, needs none, and one
/// that is not answered is given up ([`super::race`]) before any of them would count.
fn set_options(stream: &TcpStream, spec: &SessionSpec) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_keepalive(spec.dial.tcp_keep_alive)?;
    if let Some(timeout) = user_timeout(&spec.timing) {
        socket.set_tcp_user_timeout(Some(timeout))?;
        // Without a timeout of ours, the kernel gives up after a number of retransmissions: they must take their time.
        limit_retransmit_wait(stream, LONGEST_RETRANSMIT_WAIT);
    }
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// For the whole life of the connection, as ssh does it for one without a shell.
fn mark(socket: &TcpSocket, address: &SocketAddr, ip_qos: IpQos) -> io::Result<()> {
    match ip_qos {
        IpQos::Unmarked => Ok(()),
        IpQos::Marked(byte) if address.is_ipv4() => SockRef::from(socket).set_tos_v4(byte.into()),
        IpQos::Marked(byte) => SockRef::from(socket).set_tclass_v6(byte.into()),
    }
}

/// The kernel gives unacknowledged bytes up later than the keepalive does a silent peer: a socket that the kernel has
/// ended can no longer tell the peer, when its path heals, that the session is over.
const AFTER_THE_KEEPALIVE: Duration = Duration::from_secs(15);

/// Most that the kernel takes: TCP_USER_TIMEOUT (tcp(7)) counts milliseconds in an `int`, and refuses more with EINVAL.
const LONGEST_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// How long bytes may stay unacknowledged.
fn user_timeout(timing: &TimingSpec) -> Option<Duration> {
    let rounds = timing.server_alive_count_max.saturating_add(1);
    let silent = timing.server_alive_interval.saturating_mul(rounds);
    (!silent.is_zero()).then(|| silent.saturating_add(AFTER_THE_KEEPALIVE).min(LONGEST_USER_TIMEOUT))
}

fn bind_error(dial: &DialSpec, source: SocketAddr, error: &io::Error) -> io::Error {
    let (key, value) = match (&dial.bind_address, &dial.bind_interface) {
        (None, Some(interface)) => ("bind_interface", interface.clone()),
        (Some(name), _) if name.parse::<std::net::IpAddr>().is_err() => ("bind_address", name.clone()),
        (Some(_), _) | (None, None) => {
            return io::Error::new(
                error.kind(),
                format!("{} `{}`: {}", words::own("bind_address"), source.ip(), text(error)),
            );
        }
    };
    io::Error::new(error.kind(), format!("{} `{value}` ({}): {}", words::own(key), source.ip(), text(error)))
}

/// One failure for all addresses: its kind is that of the one that came closest to the server.
fn failure(name: &str, tried: Tried) -> Failure {
    let kind = tried.iter().map(|(_, outcome)| kind(outcome.as_ref())).max_by_key(|kind| closeness(*kind));
    let each: Vec<String> =
        tried.iter().map(|(address, outcome)| format!("{address} {}", say(outcome.as_ref()))).collect();
    let message = format!("connecting to `{name}` failed: {}", each.join(", "));
    let failure = Failure::new(kind.unwrap_or(FailureKind::ConnectTimeout), message).not_reached();
    let failure = match tried.iter().find_map(|(address, outcome)| scope_missing(address, outcome.as_ref()?)) {
        Some(hint) => failure.with_told_hint(hint),
        None => failure,
    };
    // An address that was not tried for a shortage here may be the one that answers.
    let mut errors: Vec<io::Error> = tried.into_iter().filter_map(|(_, outcome)| outcome).collect();
    let short = errors.iter().position(|error| shortage::hint(error).is_some()).unwrap_or(0);
    if errors.is_empty() { failure } else { failure.caused_by(errors.swap_remove(short)) }
}

/// The hint for an address that is one on every link of this machine.
pub(crate) fn scope_missing(address: &SocketAddr, error: &io::Error) -> Option<String> {
    let SocketAddr::V6(address) = address else { return None };
    let ip = address.ip();
    let refused = error.kind() == io::ErrorKind::InvalidInput;
    (refused && ip.is_unicast_link_local() && address.scope_id() == 0).then(|| {
        let ip = ip.to_string();
        words::about(
            "`{}` is a link-local address, which needs its interface: write `{}%eth0`, or bind_interface",
            [&ip, &ip],
        )
    })
}

fn kind(outcome: Option<&io::Error>) -> FailureKind {
    match outcome.map(io::Error::kind) {
        None | Some(io::ErrorKind::TimedOut) => FailureKind::ConnectTimeout,
        Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset) => FailureKind::ConnectRefused,
        Some(_) => FailureKind::Unreachable,
    }
}

fn closeness(kind: FailureKind) -> usize {
    let from_near_to_far = [FailureKind::Unreachable, FailureKind::ConnectTimeout, FailureKind::ConnectRefused];
    from_near_to_far.iter().position(|known| *known == kind).unwrap_or_default()
}

pub(super) fn say(outcome: Option<&io::Error>) -> String {
    match outcome.map(|error| (error.kind(), error)) {
        None => "did not answer".to_owned(),
        Some((io::ErrorKind::ConnectionRefused, _)) => "refused the connection".to_owned(),
        Some((_, error)) => format!("({})", lower(&text(error))),
    }
}

/// Without Rust's `(os error 111)`.
pub(super) fn text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

pub(super) fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::Ipv4Addr;

    use crate::clock;
    use crate::dial::tests::spec;
    use crate::spec::AddressFamily;

    async fn dial(spec: &SessionSpec, deadline: Instant) -> Result<Link, Failure> {
        TcpDialer::default().dial(spec, deadline).await
    }

    #[test]
    fn user_timeout_follows_the_keepalive() {
        let mut timing = spec("h").timing;
        assert_eq!(user_timeout(&timing), Some(Duration::from_secs(75)));
        timing.server_alive_interval = Duration::ZERO;
        assert_eq!(user_timeout(&timing), None);
    }

    #[tokio::test]
    async fn keepalive_longer_than_the_kernel_counts_still_connects() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let mut spec = spec(&address.to_string());
        (spec.timing.server_alive_interval, spec.timing.server_alive_count_max) = (Duration::from_secs(604_800), 3);
        let stream = connect(address, None, &spec).await.unwrap();
        assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), Some(LONGEST_USER_TIMEOUT));
    }

    #[test]
    fn link_local_address_without_a_scope_gets_its_own_hint() {
        let refused = || io::Error::from_raw_os_error(nix::libc::EINVAL);
        let hint = |address: &str| scope_missing(&address.parse().unwrap(), &refused());
        assert!(hint("[fe80::1]:22").is_some_and(|hint| hint.contains("`fe80::1%eth0`")));
        assert_eq!((hint("[fe80::1%2]:22"), hint("[2001:db8::1]:22"), hint("10.0.0.1:22")), (None, None, None));
        let failure = failure("h", vec![("[fe80::1]:22".parse().unwrap(), Some(refused()))]);
        assert!(failure.hint().contains("link-local"), "{}", failure.hint());
    }

    #[test]
    fn closest_address_names_the_failure() {
        let address = |last| SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), 22));
        let tried = vec![
            (address(1), Some(io::ErrorKind::HostUnreachable.into())),
            (address(2), Some(io::Error::from_raw_os_error(nix::libc::ECONNREFUSED))),
            (address(3), None),
        ];
        let failure = failure("h:22", tried);
        assert_eq!(failure.kind(), FailureKind::ConnectRefused);
        assert_eq!(
            failure.message(),
            "connecting to `h:22` failed: 10.0.0.1:22 (host unreachable), 10.0.0.2:22 refused the connection, \
             10.0.0.3:22 did not answer"
        );
    }

    #[tokio::test]
    async fn a_link_has_the_options_of_a_tunnel() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut spec = spec(&format!("127.0.0.1:{}", server.local_addr().unwrap().port()));
        let (address, source) = (server.local_addr().unwrap(), Some((Ipv4Addr::LOCALHOST, 0).into()));
        let stream = connect(address, source, &spec).await.unwrap();
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tos_v4().unwrap(), 0, "unmarked by default");
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(75)));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_BYTES);

        spec.dial.ip_qos = IpQos::Marked(0x48);
        let stream = connect(address, None, &spec).await.unwrap();
        assert_eq!(SockRef::from(&stream).tos_v4().unwrap(), 0x48);
        let server = tokio::net::TcpListener::bind("[::1]:0").await.unwrap();
        let stream = connect(server.local_addr().unwrap(), None, &spec).await.unwrap();
        assert_eq!(SockRef::from(&stream).tclass_v6().unwrap(), 0x48);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn acknowledgement_is_not_held_back_after_a_write() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let stream = connect(address, None, &spec(&address.to_string())).await.unwrap();
        // As a write leaves it that follows an answer.
        SockRef::from(&stream).set_tcp_quickack(false).unwrap();
        crate::link::LinkIo::acknowledge(&stream);
        assert!(SockRef::from(&stream).tcp_quickack().unwrap());
    }

    #[tokio::test]
    async fn what_cannot_be_reached_says_why() {
        let in_time = clock::now() + Duration::from_secs(20);
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = closed.local_addr().unwrap().port();
        let refused = dial(&spec(&format!("127.0.0.1:{port}")), in_time).await.err().unwrap();
        assert_eq!(refused.kind(), FailureKind::ConnectRefused);
        assert!(refused.message().ends_with(&format!("127.0.0.1:{port} refused the connection")), "{refused}");

        let mut foreign = spec(&format!("127.0.0.1:{port}"));
        foreign.dial.bind_address = Some("192.0.2.1".to_owned());
        let foreign = dial(&foreign, in_time).await.err().unwrap();
        assert_eq!(foreign.kind(), FailureKind::Unreachable);
        assert!(foreign.message().contains("bind_address `192.0.2.1`"), "{foreign}");

        let mut family = spec("127.0.0.1:22");
        family.dial.address_family = AddressFamily::Inet6;
        let family = dial(&family, in_time).await.err().unwrap();
        assert_eq!((family.kind(), family.message()), (FailureKind::Dns, "`127.0.0.1` has no IPv6 address"));
    }

    #[tokio::test]
    async fn silent_resolver_is_passed_over_for_the_last_address() {
        static SILENT: Resolver = Resolver::new(|_| {
            loop {
                std::thread::park();
            }
        });
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let dialer = TcpDialer { resolver: &SILENT, ..TcpDialer::default() };
        let mut spec = spec(&format!("name.example:{}", address.port()));
        spec.host_key.strict = crate::spec::StrictHostKeyChecking::Yes;
        let soon = || clock::now() + Duration::from_millis(50);
        let failure = dialer.probe(&spec, soon()).await.err().unwrap();
        assert_eq!(failure.message(), "the name `name.example` was not resolved in time");
        dialer.logged_in(&spec, address);
        let link = dialer.dial(&spec, clock::now() + Duration::from_secs(20)).await.unwrap();
        assert_eq!(link.peer, Some(address));
        spec.host_key.strict = crate::spec::StrictHostKeyChecking::No;
        let failure = dialer.dial(&spec, soon()).await.err().unwrap();
        assert_eq!(failure.kind(), FailureKind::Dns, "no host key would prove the server");
    }

    #[tokio::test]
    async fn a_name_that_nobody_knows_is_a_dns_failure() {
        let in_time = clock::now() + Duration::from_secs(30);
        let failure = dial(&spec("no-such-host.invalid"), in_time).await.err().unwrap();
        assert_eq!(failure.kind(), FailureKind::Dns);
        assert!(failure.message().starts_with("the name `no-such-host.invalid` "), "{failure}");
    }
}
