//! What runs for each forward: its listener, its device, the requests for it, and its counts.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tunnel_engine::forward::{
    Bound, DeviceChanges, DeviceForward, DeviceRequest, ForwardStats, LocalForward, RemoteTarget, StateChanges,
};
use tunnel_engine::session::{RemoteListen, Session};

use super::super::core::{
    BindRequest, ForwardEffect, ListenMode, ListenRequest, Observed, OpenDeviceRequest, Probe, RouteTarget, TunnelEvent,
};
use super::super::core::{Probed, Requested};
use super::super::forwards::ForwardId;
use super::super::jobs::OwnedJob;
use super::drain::cancel;
use super::request::{self, ListenTask};
use super::{Arrived, JobEnd, TunnelDriver};

pub(super) struct RunningForward {
    pub(super) id: ForwardId,
    pub(super) stats: Arc<ForwardStats>,
    listener: Option<LocalForward>,
    /// The listener before this one, until its sockets are closed.
    before: Option<StateChanges>,
    device: Option<DeviceForward>,
    /// Tries again to bind, or asks the server again and again.
    job: Option<OwnedJob>,
    /// Of the connections that sessions carry for a remote forward.
    cut: CancellationToken,
}

impl RunningForward {
    pub(super) fn observed(&self) -> Observed {
        let (carried, refused) = (self.stats.counts().opened, self.stats.refused());
        Observed { forward: self.id, carried, refused, refusal: self.stats.refusal() }
    }
}

impl TunnelDriver {
    fn forward(&mut self, id: ForwardId) -> Option<&mut RunningForward> {
        self.forwards.iter_mut().find(|forward| forward.id == id)
    }

    fn listener(&mut self, id: ForwardId) -> Option<&LocalForward> {
        self.forward(id)?.listener.as_ref()
    }

    fn device(&mut self, id: ForwardId) -> Option<&DeviceForward> {
        self.forward(id)?.device.as_ref()
    }

    pub(super) fn execute_for_forward(&mut self, effect: ForwardEffect) {
        match effect {
            ForwardEffect::AddForward(id) => {
                let stats = Arc::new(ForwardStats::with_notify(self.traffic.clone()));
                // Hundreds of tunnels with one forward each have no room for three more.
                self.forwards.reserve_exact(1);
                let (listener, before, device, job) = (None, None, None, None);
                let cut = CancellationToken::new();
                self.forwards.push(RunningForward { id, stats, listener, before, device, job, cut });
            }
            ForwardEffect::RemoveForward(id) => self.remove_forward(id),
            ForwardEffect::SetRefusal(id, refusal) => {
                if let Some(forward) = self.forward(id) {
                    forward.stats.set_refusal(refusal);
                }
            }
            ForwardEffect::Bind(bind) => self.bind(*bind),
            ForwardEffect::StopBinding(id) | ForwardEffect::StopAsking(id) => {
                if let Some(forward) = self.forward(id) {
                    forward.job = None;
                }
            }
            ForwardEffect::OpenListener(id, connect, options) => {
                let Some(Arrived::Listener(arrived, bound)) = self.arrived.take() else { return };
                let sessions = self.pool.subscribe();
                let Some(forward) = self.forward(id).filter(|forward| forward.id == arrived) else { return };
                let listener = LocalForward::spawn(bound, connect, sessions, options, forward.stats.clone());
                let (changes, state) = (listener.changes(), listener.state().clone());
                forward.listener = Some(listener);
                self.watch_listener(id, changes);
                self.following.push_back(TunnelEvent::ListenerChanged(id, state));
            }
            ForwardEffect::RetargetListener(id, connect) => {
                self.listener(id).into_iter().for_each(|listener| listener.retarget(connect.clone()));
            }
            ForwardEffect::RetuneListener(id, options) => {
                self.listener(id).into_iter().for_each(|listener| listener.retune(options));
            }
            ForwardEffect::CheckListener(id) => self.listener(id).into_iter().for_each(LocalForward::look),
            ForwardEffect::DrainListener(id, deadline) => {
                let Some(forward) = self.forward(id) else { return };
                let Some(listener) = forward.listener.take() else { return };
                forward.before = Some(listener.changes());
                self.jobs.spawn(async move {
                    listener.drain(deadline).await;
                    JobEnd::Quietly
                });
            }
            ForwardEffect::OpenDevice(open) => self.open_device(*open),
            ForwardEffect::CloseDevice(id) => {
                if let Some(forward) = self.forward(id) {
                    forward.device = None;
                }
            }
            ForwardEffect::RetargetDevice(id, remote) => {
                self.device(id).into_iter().for_each(|device| device.retarget(remote));
            }
            ForwardEffect::CheckDevice(id) => self.device(id).into_iter().for_each(DeviceForward::look),
            ForwardEffect::Listen(request) => self.listen(*request),
            ForwardEffect::CancelListen(session, listen) => {
                self.with_session(session, async move |session: Session, _| {
                    cancel(&session, &[listen]).await;
                    JobEnd::Quietly
                });
            }
            ForwardEffect::Route(session, target) => {
                let (listen, target) = (RemoteListen::of(&target.listen), self.remote_target(*target));
                if let (Some(target), Some(live)) = (target, self.session(session)) {
                    live.routes.routes().add(listen, target);
                }
            }
            ForwardEffect::Unroute(session, listen) => {
                if let Some(live) = self.session(session) {
                    live.routes.routes().remove(&RemoteListen::of(&listen));
                }
            }
            ForwardEffect::Probe(probe) => self.probe(*probe),
        }
    }

    /// Its connections go with it, also those of sessions that were replaced.
    fn remove_forward(&mut self, id: ForwardId) {
        let Some(at) = self.forwards.iter().position(|forward| forward.id == id) else { return };
        let forward = self.forwards.remove(at);
        forward.cut.cancel();
        if let Some(listener) = forward.listener {
            self.jobs.spawn(async move {
                listener.abort().await;
                JobEnd::Quietly
            });
        }
    }

    fn bind(&mut self, BindRequest { forward: id, listen, options, retry, failed }: BindRequest) {
        let (store, watcher) = (self.context.listeners.clone(), self.context.paths.clone());
        let Some(forward) = self.forwards.iter_mut().find(|forward| forward.id == id) else { return };
        let before = forward.before.take_if(|_| !retry);
        let bind = async move {
            if let Some(before) = before {
                // It closes them at once, whatever it still carries.
                before.closed().await;
            }
            let bound = match failed {
                Some(failed) => Bound::when_free(&listen, options, store, &failed).await,
                None => Bound::once_released(&listen, options, store).await,
            };
            match bound {
                Ok(bound) => JobEnd::Bound(id, bound.watched_by(watcher)),
                Err(failure) => JobEnd::With(TunnelEvent::Bound(id, Err(failure))),
            }
        };
        if retry {
            forward.job = Some(self.jobs.spawn_owned(bind));
        } else {
            self.jobs.spawn(bind);
        }
    }

    /// Wakes the loop when the listener's state changes.
    fn watch_listener(&mut self, id: ForwardId, changes: StateChanges) {
        self.jobs.spawn(async move {
            changes.next().await.map_or(JobEnd::Quietly, |changes| JobEnd::ListenerChanged(id, changes))
        });
    }

    pub(super) fn listener_changed(&mut self, id: ForwardId, changes: StateChanges) -> Option<TunnelEvent> {
        self.watch_listener(id, changes);
        let state = self.listener(id)?.state().clone();
        Some(TunnelEvent::ListenerChanged(id, state))
    }

    fn open_device(&mut self, OpenDeviceRequest { forward: id, mode, local, remote }: OpenDeviceRequest) {
        let request = DeviceRequest { tunnel: self.name.clone(), mode, local, remote };
        let (sessions, store) = (self.pool.subscribe(), self.context.listeners.clone());
        let Some(forward) = self.forward(id) else { return };
        let device = DeviceForward::spawn(request, sessions, store, forward.stats.clone());
        let (changes, state) = (device.changes(), device.state().clone());
        forward.device = Some(device);
        self.watch_device(id, changes);
        self.following.push_back(TunnelEvent::DeviceChanged(id, state));
    }

    fn watch_device(&mut self, id: ForwardId, changes: DeviceChanges) {
        self.jobs.spawn(async move {
            changes.next().await.map_or(JobEnd::Quietly, |changes| JobEnd::DeviceChanged(id, changes))
        });
    }

    pub(super) fn device_changed(&mut self, id: ForwardId, changes: DeviceChanges) -> Option<TunnelEvent> {
        self.watch_device(id, changes);
        let state = self.device(id)?.state().clone();
        Some(TunnelEvent::DeviceChanged(id, state))
    }

    fn remote_target(&mut self, target: RouteTarget) -> Option<RemoteTarget> {
        let forward = self.forward(target.forward)?;
        let (stats, cut) = (forward.stats.clone(), forward.cut.clone());
        let RouteTarget { name: forward, connect, family, permit, max_connections, .. } = target;
        Some(RemoteTarget { forward, connect, family, permit: Arc::new(permit), max_connections, stats, cut })
    }

    fn listen(&mut self, ListenRequest { session, target, allocated, mode }: ListenRequest) {
        let (id, listen) = (target.forward, target.listen.clone());
        let Some(target) = self.remote_target(target) else { return };
        let Some(live) = self.session(session) else { return };
        let request = ListenTask {
            session: live.session.clone(),
            routes: live.routes.routes(),
            listen: listen.clone(),
            target,
            takeovers: self.context.governor.takeovers().clone(),
            server: self.core.snapshot().server.clone(),
        };
        let answer = move |report, result| {
            JobEnd::With(TunnelEvent::Requested(Requested { session, forward: id, listen, report, result }))
        };
        match mode {
            ListenMode::Once { taken_back, release, reclaim } => {
                let release = release.map(|held| self.marks.release(&live.session, held));
                let reclaim = reclaim.map(|held| self.marks.release(&live.session, held));
                self.jobs.spawn(async move {
                    let (report, result) = request.run(allocated, taken_back, release, reclaim).await;
                    answer(report, result)
                });
            }
            ListenMode::Until { refused, busy_since, until } => {
                let job = self.jobs.spawn_owned(async move {
                    answer(None, request.request_until_granted(allocated, refused, busy_since, until).await)
                });
                if let Some(forward) = self.forward(id) {
                    forward.job = Some(job);
                }
            }
        }
    }

    fn probe(&mut self, probe: Probe) {
        let Some(live) = self.session(probe.session) else { return };
        let (session, routes) = (live.session.clone(), live.routes.routes());
        self.jobs.spawn(async move {
            let (id, forward, number, target) = (probe.session, probe.forward, probe.probe, probe.target.is_some());
            let result = request::probe(probe, &session, &routes).await;
            JobEnd::With(TunnelEvent::Probed(Probed { session: id, forward, probe: number, result, target }))
        });
    }
}
