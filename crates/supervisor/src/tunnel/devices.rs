//! The tunnel device of a tunnel: opened once, like a listener, and kept through sessions.

use tunnel_engine::failure::Failure;
use tunnel_engine::forward::DeviceState;
use tunnel_engine::spec::{Connect, DeviceUnit, Forward, Listen};

use super::core::{Effects, ForwardEffect, OpenDeviceRequest};
use super::forwards::ForwardId;
use super::locals::{ForwardFailed, ListenSummary};
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
            next_look: None,
            state,
        }
    }
}

impl Devices {
    pub(super) fn reconcile(&mut self, open: bool, effects: &mut Effects) {
        for device in &mut self.entries {
            if !open {
                if device.state.take().is_some() {
                    effects.push(ForwardEffect::CloseDevice(device.id));
                }
                continue;
            }
            let Listen::Device { mode, unit: local } = device.forward.listen else { continue };
            if device.state.is_none() {
                device.state = Some(DeviceState::Opening);
                let (forward, remote) = (device.id, device.remote());
                effects.push(ForwardEffect::OpenDevice(Box::new(OpenDeviceRequest { forward, mode, local, remote })));
            }
        }
    }

    pub(super) fn retry_now(&self, effects: &mut Effects) {
        for device in self.entries.iter().filter(|device| device.state.is_some()) {
            effects.push(ForwardEffect::CheckDevice(device.id));
        }
    }

    /// With its addresses, unless it was there before.
    pub(super) fn remove(&mut self, forward: &Forward, effects: &mut Effects) {
        if let Some(at) = self.entries.iter().position(|device| device.forward == *forward) {
            effects.push(ForwardEffect::RemoveForward(self.entries.remove(at).id));
        }
    }

    /// The server is asked for another device; the one here stays.
    pub(super) fn retarget(&mut self, from: &Forward, to: Forward, effects: &mut Effects) {
        let Some(device) = self.entries.iter_mut().find(|device| device.forward == *from) else { return };
        device.forward = to;
        if device.state.is_some() {
            effects.push(ForwardEffect::RetargetDevice(device.id, device.remote()));
        }
    }

    /// A device is open, or why it does not carry packets: `Some`, when that is new.
    pub(super) fn changed(&mut self, id: ForwardId, now: DeviceState) -> Option<Result<String, ForwardFailed>> {
        let device = self.entries.iter_mut().find(|device| device.id == id && device.state.is_some())?;
        let now = device.state.insert(now);
        let failure = now.failure().cloned();
        let (news, fatal) = match now {
            DeviceState::Opening | DeviceState::Waiting { .. } => (false, false),
            DeviceState::Failed(_) | DeviceState::Refused { .. } => (device.told != failure, true),
            DeviceState::Up { .. } => (true, false),
        };
        if !news {
            return None;
        }
        device.told.clone_from(&failure);
        let forward = format!("{} {}", device.forward.kind.option(), device.forward);
        Some(match failure {
            Some(failure) => Err(ForwardFailed { failure, forward, fatal }),
            None => Ok(forward),
        })
    }

    /// Whether it could not be opened here: the start that waits for it tells that.
    pub(super) fn has_failed(&self, id: ForwardId) -> bool {
        let device = self.entries.iter().find(|device| device.id == id);
        device.is_some_and(|device| matches!(device.state, Some(DeviceState::Failed(_))))
    }

    pub(super) fn name(&self, id: ForwardId) -> Option<&str> {
        self.entries.iter().find(|device| device.id == id)?.state.as_ref()?.name()
    }
}
