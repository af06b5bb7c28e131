//! Ports, small servers to forward to, and questions to ask through a tunnel.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::patience::PATIENCE;

/// Below the range from which the kernel takes ports for outgoing connections.
const FIRST_PORT: u16 = 10_000;
const PORTS: u16 = 20_000;

/// One claims a block at a time: more than most test runs need, and enough blocks for all who share a machine.
const BLOCK: u16 = 500;

/// Less than [`PATIENCE`], so that `eventually` can ask more than once; enough for a machine that is busy compiling.
const ECHO_PATIENCE: Duration = Duration::from_secs(10);

/// A port of 127.0.0.1 and ::1 without a listener, never given out twice, and to no other test run of this machine:
/// a server that is down for a while must find its port again.
pub fn free_port() -> u16 {
    static OURS: Mutex<Vec<PortBlock>> = Mutex::new(Vec::new());
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(port) = ours.last_mut().and_then(|block| block.ports.find(|port| is_free(*port))) {
            return port;
        }
        ours.push(PortBlock::claim());
    }
}

/// Some ports in a row that are this process's until it ends.
struct PortBlock {
    ports: Range<u16>,
    /// On the port before them: who listens there owns the block.
    _claim: TcpListener,
}

impl PortBlock {
    fn claim() -> Self {
        let claimed = (FIRST_PORT..FIRST_PORT + PORTS).step_by(BLOCK.into()).find_map(|first| {
            let claim = TcpListener::bind(("127.0.0.1", first)).ok()?;
            Some(Self { ports: first + 1..first + BLOCK, _claim: claim })
        });
        claimed.expect("some ports that no other test run has claimed")
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("::1", port)).is_ok()
}

/// What a [`Target`] does with a connection.
#[derive(Debug, Clone, Copy)]
pub enum Service {
    /// Says back what it hears.
    Echo,
    /// Reads to the end, then says how many bytes it heard: needs half-close.
    Count,
    /// Sends this many bytes of [`pattern`], then closes.
    Source(usize),
    /// Resets the connection at once.
    Reset,
}

/// A small TCP server on loopback, in threads.
pub struct Target {
    /// Its port.
    pub port: u16,
    accepted: Arc<AtomicUsize>,
}

impl Target {
    /// Starts it on a port of the kernel's choice.
    pub fn start(service: Service) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || serve(service, stream));
            }
        });
        Self { port, accepted }
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

/// The bytes of [`Service::Source`], and of tests that send: no two neighbouring blocks are alike.
pub fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}

/// A connection to 127.0.0.1 with timeouts.
pub fn connect(port: u16) -> std::io::Result<TcpStream> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends `words` to a port and reads as many bytes back.
pub fn ask(port: u16, words: &[u8]) -> std::io::Result<Vec<u8>> {
    ask_within(port, words, PATIENCE)
}

/// As [`ask`], with an own patience.
pub fn ask_within(port: u16, words: &[u8], patience: Duration) -> std::io::Result<Vec<u8>> {
    let mut stream = connect(port)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(words)?;
    let mut answer = vec![0; words.len()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// True when the port echoes.
pub fn echoes(port: u16) -> bool {
    ask_within(port, b"ping", ECHO_PATIENCE).is_ok_and(|answer| answer == b"ping")
}

/// How a connection on which nothing more may come has ended: `Ok` is a clean end, an error a reset. Silence is no end.
#[track_caller]
pub fn end_of(stream: &mut TcpStream) -> std::io::Result<()> {
    match stream.read(&mut [0; 1]) {
        Ok(0) => Ok(()),
        Ok(_) => panic!("bytes instead of an end"),
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no end in {PATIENCE:?}"),
        Err(error) => Err(error),
    }
}

fn serve(service: Service, mut stream: TcpStream) {
    // A peer that goes away is no failure of the test's target.
    let _ = match service {
        Service::Echo => echo(&mut stream),
        Service::Count => count(&mut stream),
        Service::Source(len) => source(&mut stream, len),
        Service::Reset => reset(&stream),
    };
}

fn echo(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}

fn count(stream: &mut TcpStream) -> std::io::Result<()> {
    let heard = std::io::copy(stream, &mut std::io::sink())?;
    stream.write_all(heard.to_string().as_bytes())
}

fn source(stream: &mut TcpStream, len: usize) -> std::io::Result<()> {
    const BLOCK: usize = 1 << 20;
    for from in (0..len).step_by(BLOCK) {
        stream.write_all(&pattern(from, BLOCK.min(len - from)))?;
    }
    Ok(())
}

fn reset(stream: &TcpStream) -> std::io::Result<()> {
    let socket = stream.try_clone()?;
    nix::sys::socket::setsockopt(
        &socket,
        nix::sys::socket::sockopt::Linger,
        &nix::libc::linger { l_onoff: 1, l_linger: 0 },
    )?;
    Ok(())
}
