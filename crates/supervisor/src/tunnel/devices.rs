//! The tunnel device of a tunnel: opened once, like a listener, and kept through sessions.

use std::sync::Arc;

use tokio::sync::watch;
use tunnel_engine::clock;
use tunnel_engine::failure::Failure;
use tunnel_engine::forward::{DeviceChanges, DeviceForward, DeviceRequest, DeviceState, ForwardStats};
use tunnel_engine::spec::{Connect, DeviceUnit, Forward, ForwardKind, Listen};

use super::actor::{Actor, TunnelEvent};
use super::locals::{ListenSummary, should_listen};
use super::sessions::Pool;
use super::state::ForwardState;
use super::view::ForwardView;
use crate::config::TunnelSpec;
use crate::lifecycle::Phase;

/// While there is a session, and the server has not said yes or no.
const ASKED: &str = "the server has yet to open its device";

/// All of them, in the config's order. ssh has one a session, and so has the config.
pub(super) struct Devices {
    entries: Vec<DeviceEntry>,
    next: u64,
    sessions: watch::Receiver<Option<Pool>>,
}

struct DeviceEntry {
    id: u64,
    forward: Forward,
    stats: Arc<ForwardStats>,
    /// `None`: closed.
    running: Option<DeviceForward>,
    /// What was told of it last.
    told: Option<Failure>,
}

impl Devices {
    pub(super) fn new(spec: &TunnelSpec, sessions: watch::Receiver<Option<Pool>>) -> Self {
        let mut devices = Self { entries: Vec::new(), next: 0, sessions };
        for forward in spec.forwards.iter().filter(|forward| forward.kind == ForwardKind::TunnelDevice) {
            devices.add(forward.clone());
        }
        devices
    }

    pub(super) fn add(&mut self, forward: Forward) {
        self.next += 1;
        let stats = Arc::<ForwardStats>::default();
        self.entries.push(DeviceEntry { id: self.next, forward, stats, running: None, told: None });
    }

    /// With its addresses, unless it was there before.
    pub(super) fn remove(&mut self, forward: &Forward) {
        self.entries.retain(|device| device.forward != *forward);
    }

    /// The server is asked for another device; the one here stays.
    pub(super) fn retarget(&mut self, from: &Forward, to: Forward) {
        let Some(device) = self.entries.iter_mut().find(|device| device.forward == *from) else { return };
        device.forward = to;
        if let Some(running) = &device.running {
            running.retarget(device.remote());
        }
    }

    pub(super) fn sort_by_key(&mut self, place: impl Fn(&Forward) -> Option<usize>) {
        self.entries.sort_by_key(|device| place(&device.forward));
    }

    pub(super) fn listening(&self) -> ListenSummary {
        let mut all = ListenSummary::All;
        for device in &self.entries {
            match device.running.as_ref().map(|running| running.state().clone()) {
                Some(DeviceState::Failed(failure)) => return ListenSummary::Failed(failure),
                None | Some(DeviceState::Opening) => all = ListenSummary::Pending,
                Some(DeviceState::Waiting { .. } | DeviceState::Refused { .. } | DeviceState::Up { .. }) => {}
            }
        }
        all
    }

    pub(super) fn retry_now(&self) {
        self.entries.iter().filter_map(|device| device.running.as_ref()).for_each(DeviceForward::look);
    }

    pub(super) fn views(&self, phase: Phase) -> impl Iterator<Item = ForwardView> {
        self.entries.iter().map(move |device| device.view(phase))
    }
}

impl DeviceEntry {
    fn remote(&self) -> DeviceUnit {
        match self.forward.connect {
            Connect::Device(unit) => unit,
            Connect::Tcp { .. } | Connect::Unix(_) | Connect::Socks => DeviceUnit::Any,
        }
    }

    fn view(&self, phase: Phase) -> ForwardView {
        let running = self.running.as_ref().map(DeviceForward::state);
        let name = running.as_ref().and_then(|state| state.name().map(str::to_owned));
        let state = match running.as_deref() {
            Some(DeviceState::Up { .. }) => ForwardState::Up,
            Some(state) => state.failure().cloned().map_or(ForwardState::Pending, ForwardState::Down),
            None => ForwardState::Pending,
        };
        let asked = phase == Phase::Up && matches!(running.as_deref(), Some(DeviceState::Waiting { .. }));
        ForwardView {
            key: self.forward.key(),
            kind: self.forward.kind,
            listen: name.unwrap_or_else(|| self.forward.listen.to_string()),
            connect: self.forward.connect.clone(),
            message: state.message().or_else(|| asked.then(|| ASKED.to_owned())),
            state,
            stats: self.stats.clone(),
        }
    }
}

impl Actor {
    /// Opens or closes devices as the phase and the wish have it.
    pub(super) fn reconcile_devices(&mut self) {
        if !should_listen(self.machine.want(), self.machine.phase()) {
            self.devices.entries.iter_mut().for_each(|device| device.running = None);
            return;
        }
        for device in self.devices.entries.iter_mut().filter(|device| device.running.is_none()) {
            let Listen::Device { mode, unit } = device.forward.listen else { continue };
            let request = DeviceRequest { tunnel: self.spec.name.clone(), mode, local: unit, remote: device.remote() };
            let (sessions, store) = (self.devices.sessions.clone(), self.context.listeners.clone());
            let running = DeviceForward::spawn(request, sessions, store, device.stats.clone());
            let (id, changes) = (device.id, running.changes());
            device.running = Some(running);
            self.jobs.spawn(changed(id, changes));
        }
    }

    pub(super) fn device_changed(&mut self, id: u64, changes: DeviceChanges) {
        self.jobs.spawn(changed(id, changes));
        self.log_device(id);
        self.dial_when_listening();
    }

    /// Tells why a device does not carry packets, and that it does again.
    fn log_device(&mut self, id: u64) {
        let Some(device) = self.devices.entries.iter_mut().find(|device| device.id == id) else { return };
        let Some(state) = device.running.as_ref().map(|running| running.state().clone()) else { return };
        let failure = state.failure().cloned();
        let event = match &state {
            DeviceState::Opening | DeviceState::Waiting { .. } => false,
            DeviceState::Failed(_) | DeviceState::Refused { .. } => device.told != failure,
            DeviceState::Up { .. } => true,
        };
        if !event {
            return;
        }
        device.told.clone_from(&failure);
        let forward = format!("{} {}", device.forward.kind.option(), device.forward);
        match failure {
            Some(failure) if self.spec.exit_on_forward_failure && self.live.is_some() => {
                self.give_up_session(failure, Some(&forward));
            }
            // The start that waits for it tells.
            Some(_) if self.spec.exit_on_forward_failure && matches!(state, DeviceState::Failed(_)) => {}
            Some(failure) => self.log_failure(failure, Some(&forward)),
            None => {
                if self.changes_logged.admit(("device", id), clock::now()).is_none() {
                    return;
                }
                let (tunnel, device) = (self.spec.name.as_str(), state.name());
                tracing::info!(tunnel, forward, device, "{tunnel}: {forward}: packets are carried");
            }
        }
    }
}

async fn changed(id: u64, changes: DeviceChanges) -> TunnelEvent {
    changes.next().await.map_or(TunnelEvent::Done, |changes| TunnelEvent::DeviceChanged { id, changes })
}
