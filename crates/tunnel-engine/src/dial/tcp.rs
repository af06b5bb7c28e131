//! TCP to the server: resolve, race, set the options of a tunnel's one connection.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use super::addresses::order;
use super::race::{Rounds, Tried, attempt};
use super::source::Sources;
use super::{Dialer, Dialing, Link};
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::link::limit_retransmit_wait;
use crate::login_record::{LoginRecorder, LoginStep};
use crate::spec::{AddressFamily, DialSpec, IpQos, SessionSpec, TimingSpec};

/// Bytes that the kernel may hold unsent. Beyond it writers wait here, so that a keepalive or a small packet does not
/// queue behind megabytes; what is in flight is not limited by it.
const UNSENT_BYTES: u32 = 256 * 1024;

/// Bytes that are lost are sent again at least this often, so that a session goes on about a second after its path
/// has healed. Longer than a round trip over a geostationary satellite, or they would be sent again for nothing.
const LONGEST_RETRANSMIT_WAIT: Duration = Duration::from_millis(1200);

/// Dials over this machine's network.
#[derive(Default)]
pub(super) struct TcpDialer {
    /// Takes notes of the addresses.
    pub(super) recorder: LoginRecorder,
}

impl Dialer for TcpDialer {
    fn dial<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        Box::pin(dial(spec, deadline, Rounds::Many, &self.recorder))
    }

    fn probe<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        Box::pin(dial(spec, deadline, Rounds::One, &self.recorder))
    }
}

async fn dial(
    spec: &SessionSpec,
    deadline: Instant,
    rounds: Rounds,
    recorder: &LoginRecorder,
) -> Result<Link, Failure> {
    let name = spec.destination.host_port();
    let resolving = clock::timeout(left(deadline), resolve(spec));
    let (addresses, sources) = resolving.await.map_err(|_| {
        let message = format!("the name `{}` was not resolved in time", spec.destination.host);
        Failure::new(FailureKind::Dns, message).not_reached()
    })??;
    recorder.note(&name, LoginStep::Resolved(addresses.clone()));
    let mut tried = Vec::new();
    let connect = |address| connect(address, sources.towards(&address), spec);
    let attempts = if rounds == Rounds::One { 1 } else { spec.dial.connection_attempts };
    let connecting = attempt(&addresses, connect, rounds, attempts, &mut tried);
    let connected = clock::timeout(left(deadline), connecting).await;
    note(recorder, &name, &tried, connected.as_ref().ok().and_then(Option::as_ref));
    match connected {
        Ok(Some(stream)) => Ok(Link {
            peer: stream.peer_addr().ok(),
            local: stream.local_addr().ok(),
            io: Box::new(stream),
            keep: None,
        }),
        Ok(None) | Err(_) => Err(failure(&name, tried)),
    }
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

/// All addresses that may be tried, in order; never none; and where to dial them from. In getaddrinfo's own thread,
/// which nothing can stop: a lookup that is given up ends by the resolver's own timeout.
async fn resolve(spec: &SessionSpec) -> Result<(Vec<SocketAddr>, Sources), Failure> {
    let sources = Sources::of(&spec.dial).await?;
    let host = spec.destination.host.as_str();
    let resolved: Vec<SocketAddr> = match tokio::net::lookup_host((host, spec.destination.port)).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Err(unresolved(host, error)),
    };
    let addresses = order(&resolved, spec.dial.address_family, &sources);
    if addresses.is_empty() {
        return Err(no_address(host, spec.dial.address_family, &sources));
    }
    Ok((addresses, sources))
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

/// How long bytes may stay unacknowledged.
fn user_timeout(timing: &TimingSpec) -> Option<Duration> {
    let rounds = timing.server_alive_count_max.saturating_add(1);
    (!timing.server_alive_interval.is_zero())
        .then(|| timing.server_alive_interval.saturating_mul(rounds).saturating_add(AFTER_THE_KEEPALIVE))
}

fn bind_error(dial: &DialSpec, source: SocketAddr, error: &io::Error) -> io::Error {
    let (key, value) = match (&dial.bind_address, &dial.bind_interface) {
        (None, Some(interface)) => ("bind_interface", interface.clone()),
        (Some(name), _) if name.parse::<std::net::IpAddr>().is_err() => ("bind_address", name.clone()),
        (Some(_), _) | (None, None) => {
            return io::Error::new(error.kind(), format!("bind_address `{}`: {}", source.ip(), text(error)));
        }
    };
    io::Error::new(error.kind(), format!("{key} `{value}` ({}): {}", source.ip(), text(error)))
}

fn unresolved(host: &str, error: io::Error) -> Failure {
    let said = text(&error);
    let why = said.strip_prefix("failed to lookup address information: ").unwrap_or(&said);
    let message = format!("the name `{host}` could not be resolved: {}", lower(why));
    Failure::new(FailureKind::Dns, message).with_source(error).not_reached()
}

fn no_address(host: &str, family: AddressFamily, sources: &Sources) -> Failure {
    let wanted = match (family, sources) {
        (AddressFamily::Inet, _) => "IPv4",
        (AddressFamily::Inet6, _) => "IPv6",
        (AddressFamily::Any, Sources::These { v6: None, .. }) => "IPv4",
        (AddressFamily::Any, Sources::These { v4: None, .. }) => "IPv6",
        (AddressFamily::Any, Sources::These { .. } | Sources::Any) => "usable",
    };
    Failure::new(FailureKind::Dns, format!("`{host}` has no {wanted} address"))
        .with_hint("check the name, address_family, bind_address and bind_interface")
}

/// One failure for all addresses: its kind is that of the one that came closest to the server.
fn failure(name: &str, tried: Tried) -> Failure {
    let kind = tried.iter().map(|(_, outcome)| kind(outcome.as_ref())).max_by_key(|kind| closeness(*kind));
    let each: Vec<String> =
        tried.iter().map(|(address, outcome)| format!("{address} {}", say(outcome.as_ref()))).collect();
    let message = format!("connecting to `{name}` failed: {}", each.join(", "));
    let failure = Failure::new(kind.unwrap_or(FailureKind::ConnectTimeout), message).not_reached();
    let failure = match tried.iter().find_map(|(address, outcome)| scope_missing(address, outcome.as_ref()?)) {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    };
    match tried.into_iter().find_map(|(_, outcome)| outcome) {
        Some(error) => failure.with_source(error),
        None => failure,
    }
}

/// The hint for an address that is one on every link of this machine.
pub(crate) fn scope_missing(address: &SocketAddr, error: &io::Error) -> Option<String> {
    let SocketAddr::V6(address) = address else { return None };
    let ip = address.ip();
    let refused = error.kind() == io::ErrorKind::InvalidInput;
    (refused && ip.is_unicast_link_local() && address.scope_id() == 0).then(|| {
        format!("`{ip}` is a link-local address, which needs its interface: write `{ip}%eth0`, or bind_interface")
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

fn say(outcome: Option<&io::Error>) -> String {
    match outcome.map(|error| (error.kind(), error)) {
        None => "did not answer".to_owned(),
        Some((io::ErrorKind::ConnectionRefused, _)) => "refused the connection".to_owned(),
        Some((_, error)) => format!("({})", lower(&text(error))),
    }
}

/// Without Rust's `(os error 111)`.
fn text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::Ipv4Addr;

    use crate::clock;
    use crate::dial::tests::spec;

    #[test]
    fn user_timeout_follows_the_keepalive() {
        let mut timing = spec("h").timing;
        assert_eq!(user_timeout(&timing), Some(Duration::from_secs(75)));
        timing.server_alive_interval = Duration::ZERO;
        assert_eq!(user_timeout(&timing), None);
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

    #[tokio::test]
    async fn what_cannot_be_reached_says_why() {
        let in_time = clock::now() + Duration::from_secs(20);
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = closed.local_addr().unwrap().port();
        let refused = dial(&spec(&format!("127.0.0.1:{port}")), in_time, Rounds::Many, &LoginRecorder::default())
            .await
            .err()
            .unwrap();
        assert_eq!(refused.kind(), FailureKind::ConnectRefused);
        assert!(refused.message().ends_with(&format!("127.0.0.1:{port} refused the connection")), "{refused}");

        let mut foreign = spec(&format!("127.0.0.1:{port}"));
        foreign.dial.bind_address = Some("192.0.2.1".to_owned());
        let foreign = dial(&foreign, in_time, Rounds::Many, &LoginRecorder::default()).await.err().unwrap();
        assert_eq!(foreign.kind(), FailureKind::Unreachable);
        assert!(foreign.message().contains("bind_address `192.0.2.1`"), "{foreign}");

        let mut family = spec("127.0.0.1:22");
        family.dial.address_family = AddressFamily::Inet6;
        let family = dial(&family, in_time, Rounds::Many, &LoginRecorder::default()).await.err().unwrap();
        assert_eq!((family.kind(), family.message()), (FailureKind::Dns, "`127.0.0.1` has no IPv6 address"));
    }

    #[tokio::test]
    async fn a_name_that_nobody_knows_is_a_dns_failure() {
        let in_time = clock::now() + Duration::from_secs(30);
        let failure =
            dial(&spec("no-such-host.invalid"), in_time, Rounds::Many, &LoginRecorder::default()).await.err().unwrap();
        assert_eq!(failure.kind(), FailureKind::Dns);
        assert!(failure.message().starts_with("the name `no-such-host.invalid` "), "{failure}");
    }
}
