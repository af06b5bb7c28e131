//! The tunnel device of a tunnel: opened once, like a listener, and kept through sessions.

use tunnel_engine::failure::Failure;
use tunnel_engine::forward::DeviceState;
use tunnel_engine::spec::{Connect, DeviceUnit, Forward, Listen};

use super::core::{Core, ForwardEffect, OpenDevice};
use super::forward_id::ForwardId;
use super::locals::{ListenSummary, should_listen};
use super::state::ForwardState;
use super::view::ForwardView;
use crate::lifecycle::Phase;

/// While there is a session, and the server has not said yes or no.
const ASKED: &str = "the server has yet to open its device";

/// All of them, in the config's order. ssh has one a session, and so has the config.
#[derive(Debug, Default)]
pub(super) struct Devices {
    entries: Vec<DeviceEntry>,
}

#[derive(Debug)]
struct DeviceEntry {
    id: ForwardId,
    forward: Forward,
    /// As it said last; `None`: it is closed.
    state: Option<DeviceState>,
    /// What was told of it last.
    told: Option<Failure>,
}

impl Devices {
    pub(super) fn add(&mut self, id: ForwardId, forward: Forward) {
        self.entries.push(DeviceEntry { id, forward, state: None, told: None });
    }

    pub(super) fn sort_by_key(&mut self, place: impl Fn(&Forward) -> Option<usize>) {
        self.entries.sort_by_key(|device| place(&device.forward));
    }

    pub(super) fn listening(&self) -> ListenSummary {
        let mut all = ListenSummary::All;
        for device in &self.entries {
            match &device.state {
                Some(DeviceState::Failed(failure)) => return ListenSummary::Failed(failure.clone()),
                None | Some(DeviceState::Opening) => all = ListenSummary::Pending,
                Some(DeviceState::Waiting { .. } | DeviceState::Refused { .. } | DeviceState::Up { .. }) => {}
            }
        }
        all
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
        let name = self.state.as_ref().and_then(|state| state.name().map(str::to_owned));
        let state = match &self.state {
            Some(DeviceState::Up { .. }) => ForwardState::Up,
            Some(state) => state.failure().cloned().map_or(ForwardState::Pending, ForwardState::Down),
            None => ForwardState::Pending,
        };
        let asked = phase == Phase::Up && matches!(self.state, Some(DeviceState::Waiting { .. }));
        ForwardView {
            id: self.id,
            key: self.forward.key(),
            kind: self.forward.kind,
            listen: name.unwrap_or_else(|| self.forward.listen.to_string()),
            connect: self.forward.connect.clone(),
            message: state.message().or_else(|| asked.then(|| ASKED.to_owned())),
            state,
        }
    }
}

impl Core {
    /// Opens or closes devices as the phase and the wish have it.
    pub(super) fn reconcile_devices(&mut self) {
        let open = should_listen(self.machine.want(), self.machine.phase());
        let mut effects = Vec::new();
        for device in &mut self.devices.entries {
            if !open {
                effects.extend(device.state.take().map(|_| ForwardEffect::CloseDevice(device.id)));
                continue;
            }
            let Listen::Device { mode, unit: local } = device.forward.listen else { continue };
            if device.state.is_none() {
                device.state = Some(DeviceState::Opening);
                let (forward, remote) = (device.id, device.remote());
                effects.push(ForwardEffect::OpenDevice(Box::new(OpenDevice { forward, mode, local, remote })));
            }
        }
        effects.into_iter().for_each(|effect| self.effect(effect));
    }

    pub(super) fn retry_devices(&mut self) {
        let open = self.devices.entries.iter().filter(|device| device.state.is_some());
        let looks: Vec<ForwardEffect> = open.map(|device| ForwardEffect::LookAtDevice(device.id)).collect();
        looks.into_iter().for_each(|look| self.effect(look));
    }

    /// With its addresses, unless it was there before.
    pub(super) fn remove_device(&mut self, forward: &Forward) {
        let Some(at) = self.devices.entries.iter().position(|device| device.forward == *forward) else { return };
        let device = self.devices.entries.remove(at);
        self.effect(ForwardEffect::RemoveForward(device.id));
    }

    /// The server is asked for another device; the one here stays.
    pub(super) fn retarget_device(&mut self, from: &Forward, to: Forward) {
        let mut entries = self.devices.entries.iter_mut();
        let Some(device) = entries.find(|device| device.forward == *from) else { return };
        device.forward = to;
        let (id, remote) = (device.id, device.remote());
        if device.state.is_some() {
            self.effect(ForwardEffect::RetargetDevice(id, remote));
        }
    }

    /// Tells why a device does not carry packets, and that it does again.
    pub(super) fn device_changed(&mut self, id: ForwardId, now: DeviceState) {
        self.note_device(id, now);
        self.log_in_when_listening();
    }

    fn note_device(&mut self, id: ForwardId, now: DeviceState) {
        let mut entries = self.devices.entries.iter_mut();
        let Some(device) = entries.find(|device| device.id == id && device.state.is_some()) else { return };
        device.state = Some(now.clone());
        let failure = now.failure().cloned();
        let event = match &now {
            DeviceState::Opening | DeviceState::Waiting { .. } => false,
            DeviceState::Failed(_) | DeviceState::Refused { .. } => device.told != failure,
            DeviceState::Up { .. } => true,
        };
        if !event {
            return;
        }
        device.told.clone_from(&failure);
        let forward = format!("{} {}", device.forward.kind.option(), device.forward);
        let strict = self.spec.exit_on_forward_failure;
        match failure {
            Some(failure) if strict && self.sessions.main.is_some() => self.give_up_session(failure, Some(&forward)),
            // The start that waits for it tells.
            Some(_) if strict && matches!(now, DeviceState::Failed(_)) => {}
            Some(failure) => self.note_failure(failure, Some(&forward)),
            None => {
                if self.report.changes_logged.admit(("device", id), self.now.awake).is_none() {
                    return;
                }
                let (tunnel, device) = (self.spec.name.as_str(), now.name());
                tracing::info!(tunnel, forward, device, "{tunnel}: {forward}: packets are carried");
            }
        }
    }
}
