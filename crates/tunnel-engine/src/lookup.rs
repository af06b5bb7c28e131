//! Names into addresses, by the resolver of this machine (getaddrinfo).
//!
//! A lookup blocks, nothing stops it, and a resolver that does not answer holds it for a quarter of a minute or more. So
//! lookups have few threads of their own, which end when no name is left, and a name is looked up once at a time: a later
//! caller waits for the lookup that runs. Nothing else that blocks ever waits behind a silent resolver.

mod waiting;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::clock;
use waiting::{Answer, Asked, Names};

/// The names that a config has: of servers, and of addresses to listen on and to dial from.
pub(crate) static CONFIGURED: Resolver = Resolver::new(system);

/// The names of targets. Peers on a server can choose them (a remote SOCKS forward), so they get in the way of their own
/// kind only.
pub(crate) static TARGETS: Resolver = Resolver::new(system);

/// Looks names up, many askers at once.
pub(crate) struct Resolver {
    names: Mutex<Names>,
    look_up: fn(&str) -> io::Result<Vec<SocketAddr>>,
}

/// A lookup that was asked for. Dropping it leaves it to other askers, and to the next one.
pub(crate) struct Lookup {
    asked: Instant,
    port: u16,
    result: Pending,
}

enum Pending {
    /// There was nothing to look up, or it could not be begun.
    Known(io::Result<SocketAddr>),
    Running(watch::Receiver<Option<Answer>>),
}

impl Resolver {
    pub(crate) const fn new(look_up: fn(&str) -> io::Result<Vec<SocketAddr>>) -> Self {
        Self { names: Mutex::new(Names::new()), look_up }
    }

    /// Asks for the addresses of `host`, a name or an address, at once.
    pub(crate) fn ask(&'static self, host: &str, port: u16) -> Lookup {
        let now = clock::now();
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Lookup { asked: now, port, result: Pending::Known(Ok(SocketAddr::new(ip, port))) };
        }
        let asked = self.names().ask(host, now);
        let Some(Asked { since, answer, starts_thread }) = asked else {
            let full = io::Error::new(io::ErrorKind::QuotaExceeded, "too many names wait for the resolver");
            return Lookup { asked: now, port, result: Pending::Known(Err(full)) };
        };
        if starts_thread && let Err(error) = self.start_thread() {
            self.names().thread_failed(host, &error);
        }
        Lookup { asked: since, port, result: Pending::Running(answer) }
    }

    /// The addresses of `host`, in the resolver's order.
    ///
    /// # Errors
    /// The resolver's, or too many names wait for it.
    pub(crate) async fn addresses(&'static self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.ask(host, port).addresses().await
    }

    fn start_thread(&'static self) -> io::Result<()> {
        std::thread::Builder::new().name("lookup".into()).spawn(|| self.work()).map(drop)
    }

    /// One name after the other, until none is left.
    fn work(&self) {
        loop {
            let Some(name) = self.names().next(clock::now()) else { return };
            let answer: Answer = Arc::new((self.look_up)(&name));
            self.names().answered(&name, answer, clock::now());
        }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookup {
    /// Since when an answer is waited for: an earlier caller may have asked first.
    pub(crate) const fn asked(&self) -> Instant {
        self.asked
    }

    /// The addresses, each with the port that was asked for.
    ///
    /// # Errors
    /// The resolver's, or too many names wait for it.
    pub(crate) async fn addresses(self) -> io::Result<Vec<SocketAddr>> {
        let mut answer = match self.result {
            Pending::Known(result) => return result.map(|address| vec![address]),
            Pending::Running(answer) => answer,
        };
        let answer = answer.wait_for(Option::is_some).await.map(|answer| answer.clone());
        match answer.ok().flatten().as_deref() {
            Some(Ok(addresses)) => {
                let with_port = |address: &SocketAddr| {
                    let mut address = *address;
                    address.set_port(self.port);
                    address
                };
                Ok(addresses.iter().map(with_port).collect())
            }
            Some(Err(error)) => Err(match error.raw_os_error() {
                Some(number) => io::Error::from_raw_os_error(number),
                None => io::Error::new(error.kind(), error.to_string()),
            }),
            None => Err(io::Error::other("the lookup broke off")),
        }
    }
}

fn system(name: &str) -> io::Result<Vec<SocketAddr>> {
    use std::net::ToSocketAddrs as _;
    (name, 0).to_socket_addrs().map(Iterator::collect).map_err(|error| {
        // Without a descriptor for its files, glibc's says that there is no such name.
        io::stderr().as_fd().try_clone_to_owned().err().unwrap_or(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Condvar;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static SILENT: (Mutex<bool>, Condvar) = (Mutex::new(true), Condvar::new());
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

    /// Answers nothing until it is told to.
    fn silent(_: &str) -> io::Result<Vec<SocketAddr>> {
        MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        LOOKUPS.fetch_add(1, Ordering::SeqCst);
        drop(SILENT.1.wait_while(SILENT.0.lock().unwrap(), |silent| *silent).unwrap());
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        Ok(vec!["192.0.2.1:0".parse().unwrap()])
    }

    #[tokio::test]
    async fn silent_resolver_holds_few_threads_and_one_lookup_a_name() {
        static RESOLVER: Resolver = Resolver::new(silent);
        let names: Vec<String> = (0..250).map(|number| format!("host{number}.example")).collect();
        // Five starts of each, the first four given up.
        let mut asked: Vec<Lookup> = Vec::new();
        for _ in 0..5 {
            asked = names.iter().map(|name| RESOLVER.ask(name, 22)).collect();
        }
        assert_eq!(RESOLVER.addresses("10.0.0.1", 22).await.unwrap(), ["10.0.0.1:22".parse().unwrap()]);
        *SILENT.0.lock().unwrap() = false;
        SILENT.1.notify_all();
        for lookup in asked {
            assert_eq!(lookup.addresses().await.unwrap(), ["192.0.2.1:22".parse().unwrap()]);
        }
        assert_eq!(LOOKUPS.load(Ordering::SeqCst), 250, "one for each name");
        assert!(MOST.load(Ordering::SeqCst) <= waiting::MAX_THREADS);
    }

    #[tokio::test]
    async fn unknown_name_keeps_the_resolvers_words() {
        let error = CONFIGURED.addresses("no-such-host.invalid", 22).await.unwrap_err();
        assert!(error.to_string().starts_with("failed to lookup address information: "), "{error}");
    }
}
