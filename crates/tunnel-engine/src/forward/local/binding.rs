//! The listening sockets of a local forward, kept bound on every address that its listen spec names: what is taken,
//! lost or shut down by another program is bound again as soon as that is possible.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::warn;

use super::{ListenState, Orders, accept};
use crate::clock;
use crate::failure::Failure;
use crate::forward::bind::{BindOptions, Bound, HOLDER_KNOWN, Listener, PathWatcher, SocketStore, next_try};
use crate::forward::stream::Stream;
use crate::log_limit::{LogLimiter, PEER_INTERVAL};
use crate::spec::{Listen, forward_text};

/// A socket that is lost again within this time is bound again only after it.
const REBIND_PAUSE: Duration = Duration::from_secs(1);

/// How often a unix socket's path is looked at where the kernel does not tell of changes.
const PATH_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Binding {
    bound: Option<Bound>,
    listen: Listen,
    /// For the log, which names the forward by both of its ends.
    orders: watch::Receiver<Orders>,
    options: BindOptions,
    store: Arc<dyn SocketStore>,
    watcher: Option<PathWatcher>,
    /// Rung when a watched path may lead elsewhere.
    paths: Option<watch::Receiver<u64>>,
    /// When to look at the path where nothing rings.
    look_at: Option<Instant>,
    retry_at: Option<Instant>,
    /// How the last bind failed, and when its holder was looked for.
    failed: Option<(Failure, Instant)>,
    lost_at: Option<Instant>,
    log: LogLimiter,
}

impl Binding {
    pub(super) fn new(bound: Bound, orders: watch::Receiver<Orders>, now: Instant) -> Self {
        let watcher = bound.watcher.clone().filter(|_| matches!(bound.listen, Listen::Unix(_)));
        let mut binding = Self {
            listen: bound.listen.clone(),
            orders,
            options: bound.options,
            store: bound.store.clone(),
            paths: watcher.as_ref().map(PathWatcher::changes),
            watcher,
            bound: None,
            look_at: None,
            retry_at: None,
            failed: None,
            lost_at: None,
            log: LogLimiter::new(PEER_INTERVAL),
        };
        binding.accept_bound(bound, now);
        binding
    }

    /// As the log names it.
    pub(super) fn forward(&self) -> String {
        forward_text(&self.listen, &self.orders.borrow().connect)
    }

    /// To accept from. Empty while nothing is bound.
    pub(super) fn sockets(&self) -> &[Listener] {
        self.bound.as_ref().map_or(&[], |bound| &bound.sockets)
    }

    /// Stops listening.
    pub(super) fn close(&mut self) {
        self.bound = None;
        self.retry_at = None;
        self.look_at = None;
        self.failed = None;
    }

    pub(super) fn state(&self) -> ListenState {
        match (&self.bound, &self.failed) {
            (Some(bound), _) => ListenState::listening(bound),
            (None, Some((failure, _))) => ListenState::Failed(failure.clone()),
            (None, None) => ListenState::Refusing,
        }
    }

    /// When [`Binding::keep`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.retry_at, self.look_at].into_iter().flatten().min()
    }

    /// The next connection, if `accepts`; `None` when a watched path may lead elsewhere, which is for
    /// [`Binding::keep`]. `turn`: see [`accept::any`]. Cancel-safe.
    pub(super) async fn next(&mut self, turn: &mut usize, accepts: bool) -> Option<io::Result<Stream>> {
        let sockets = self.bound.as_ref().map_or(&[][..], |bound| &bound.sockets);
        let paths = &mut self.paths;
        tokio::select! {
            accepted = accept::any(sockets, turn), if accepts => Some(accepted),
            () = changed(paths) => {
                self.look_at = Some(clock::now());
                None
            }
        }
    }

    /// Binds what is not bound, as far as it is time for it, and finds out whether the path still leads here.
    pub(super) async fn keep(&mut self, now: Instant) {
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at_path(now).await;
        }
        let due = self.retry_at.is_none_or(|at| at <= now);
        match &mut self.bound {
            None if due => self.bind(now).await,
            Some(bound) if due && bound.missing().is_some() => {
                bound.complete(now).await;
                self.retry_at = bound.missing().map(|_| next_try(now));
            }
            None | Some(_) => {}
        }
    }

    /// Addresses of this machine may have come or gone, or the operator wants all to be looked at.
    pub(super) async fn look(&mut self, now: Instant) {
        self.retry_at = self.retry_at.map(|_| now);
        if let Some(bound) = &mut self.bound {
            bound.look_at_addresses(now).await;
            self.retry_at = bound.missing().map(|_| now);
        }
        self.look_at_path(now).await;
    }

    /// This socket can no longer be accepted from.
    pub(super) async fn shut_down(&mut self, index: usize, error: io::Error, now: Instant) {
        let forward = self.forward();
        let Some(bound) = &mut self.bound else { return };
        if let Some(suppressed) = self.log.admit("shut down", now) {
            warn!(forward, %error, suppressed, "{forward}: another program that has a duplicate of the listening socket shut it down: another one is bound");
        }
        if !bound.give_up(index, error, now).await {
            self.bound = None;
        }
        self.retry_at = Some(self.after_loss(now));
    }

    async fn look_at_path(&mut self, now: Instant) {
        let Some(bound) = &self.bound else {
            self.look_at = None;
            return;
        };
        match bound.lost_file() {
            None => self.watch_path(now),
            Some(failure) => {
                if let Some(suppressed) = self.log.admit(failure.message(), now) {
                    let forward = self.forward();
                    warn!(forward, kind = %failure.kind(), hint = failure.hint(), suppressed, "{forward}: {failure}");
                }
                self.bound = None;
                self.look_at = None;
                self.failed = Some((failure, now));
                self.retry_at = Some(self.after_loss(now));
            }
        }
    }

    /// The first is bound again at once; when another one follows, it waits.
    fn after_loss(&mut self, now: Instant) -> Instant {
        match self.lost_at.replace(now) {
            Some(before) if now < before + REBIND_PAUSE => now + REBIND_PAUSE,
            Some(_) | None => now,
        }
    }

    async fn bind(&mut self, now: Instant) {
        let known = self.failed.as_ref().filter(|(_, asked)| now < *asked + HOLDER_KNOWN).map(|(failure, _)| failure);
        match Bound::take_or_bind(&self.listen, self.options, self.store.clone(), known).await {
            Ok(bound) => self.accept_bound(bound, now),
            Err(failure) => {
                let asked = self.failed.as_ref().filter(|(known, _)| *known == failure).map(|(_, asked)| *asked);
                let asked = asked.filter(|asked| now < *asked + HOLDER_KNOWN).unwrap_or(now);
                self.failed = Some((failure, asked));
                self.retry_at = Some(next_try(now));
            }
        }
    }

    fn accept_bound(&mut self, bound: Bound, now: Instant) {
        self.retry_at = bound.missing().map(|_| next_try(now));
        self.failed = None;
        self.bound = Some(bound);
        self.watch_path(now);
        // What happened before the kernel began to tell.
        if self.bound.as_ref().is_some_and(|bound| bound.lost_file().is_some()) {
            self.look_at = Some(now);
        }
    }

    fn watch_path(&mut self, now: Instant) {
        self.look_at = None;
        let (Some(watcher), Listen::Unix(path)) = (&self.watcher, &self.listen) else { return };
        if let Err(error) = watcher.watch(path) {
            tracing::debug!(forward = self.forward(), %error, "the kernel does not tell of changes of this path: it is looked at each second");
            self.look_at = Some(now + PATH_INTERVAL);
        }
    }
}

async fn changed(paths: &mut Option<watch::Receiver<u64>>) {
    let is_watched = match paths {
        Some(paths) => paths.changed().await.is_ok(),
        None => false,
    };
    if !is_watched {
        std::future::pending().await
    }
}
