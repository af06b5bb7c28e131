//! A second machine, as simple as can be: it knows no effects, no numbers and no jitter, keeps time in whole
//! milliseconds, and is written from the rules, not from the first one. Both live the same random lives.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tunnel_engine::failure::{FailureKind, Unreached};

use super::bench::{POLICY, secs};
use crate::lifecycle::{Input, Machine, Phase, Policy};
use crate::spec::BackoffSpec;

const MIN: u64 = 250;
const MAX: u64 = 8_000;
const RESET_AFTER: u64 = 30_000;
const RECHECK: u64 = 300_000;

/// Rules as a person would tell them.
#[derive(Debug)]
struct Model {
    phase: Phase,
    wanted: bool,
    now: u64,
    up_at: u64,
    due: u64,
    /// The delays that the next failed start, the next early death and the next absence will wait.
    next_wait: u64,
    /// Waits after proven sessions, less the redials at once since.
    young: u32,
    next_absent: u64,
    redialled: bool,
    proven: bool,
    /// When proven sessions were redialled at once.
    quick: Vec<u64>,
    /// No start has been made since Start.
    fresh: bool,
    /// The start under way, or up, is the one that gate_time is about.
    gated: bool,
    starts_left: u32,
    life_ends: u64,
    again: Option<Input>,
    /// PathBack came during this attempt.
    path_back: bool,
    max_start: u32,
    gate: u64,
    lifetime: u64,
}

impl Model {
    fn new(max_start: u32, gate: u64, lifetime: u64) -> Self {
        Self {
            phase: Phase::Stopped,
            wanted: false,
            now: 0,
            up_at: 0,
            due: 0,
            next_wait: MIN,
            young: 0,
            next_absent: MIN,
            redialled: false,
            proven: false,
            quick: Vec::new(),
            fresh: true,
            gated: false,
            starts_left: max_start,
            life_ends: lifetime,
            again: None,
            path_back: false,
            max_start,
            gate,
            lifetime,
        }
    }

    fn anew(&mut self) {
        self.clear();
        self.quick.clear();
        self.fresh = true;
        self.starts_left = self.max_start;
        self.life_ends = self.now + self.lifetime;
    }

    fn clear(&mut self) {
        (self.next_wait, self.young, self.next_absent) = (MIN, 0, MIN);
        self.redialled = false;
    }

    fn start(&mut self) {
        self.again = None;
        self.path_back = false;
        if self.now >= self.life_ends || self.starts_left == 0 {
            self.phase = Phase::Failed;
        } else {
            self.starts_left -= 1;
            self.gated = std::mem::replace(&mut self.fresh, false) && self.gate > 0;
            self.phase = Phase::Connecting;
        }
    }

    fn say(&mut self, input: Input) {
        let open = matches!(self.phase, Phase::Connecting | Phase::Up);
        let waiting = matches!(self.phase, Phase::Backoff | Phase::Blocked);
        let given_up_or_stopped = matches!(self.phase, Phase::Stopped | Phase::Failed);
        if input == Input::Restart || input == Input::ResetFailed {
            self.starts_left = self.max_start;
        }
        if input == Input::ResetFailed {
            self.clear();
            self.quick.clear();
        }
        if input == Input::Stop {
            self.wanted = false;
            if open {
                self.phase = Phase::Stopping;
            } else if self.phase != Phase::Stopping {
                self.phase = Phase::Stopped;
            }
        } else if input == Input::Start || input == Input::Restart {
            self.wanted = true;
            if given_up_or_stopped || self.phase == Phase::Stopping {
                self.anew();
                self.start();
            } else if waiting || input == Input::Restart {
                self.start();
            }
        } else if input == Input::PathBack {
            self.path_back |= self.phase == Phase::Connecting;
            if self.phase == Phase::Backoff {
                self.start();
            }
        } else if self.phase == Phase::Connecting && (input == Input::RetryNow || input == Input::FilesChanged) {
            if self.again != Some(Input::RetryNow) {
                self.again = Some(input);
            }
        } else if (input == Input::RetryNow && waiting)
            || (input == Input::FilesChanged && self.phase == Phase::Blocked)
            || (input == Input::ResetFailed && self.phase == Phase::Blocked)
        {
            self.start();
        } else if input == Input::ResetFailed && self.phase == Phase::Failed {
            self.anew();
            self.start();
        }
    }

    fn up(&mut self) {
        if self.phase == Phase::Connecting {
            self.phase = Phase::Up;
            self.again = None;
            self.path_back = false;
            self.up_at = self.now;
            self.proven = false;
        }
    }

    fn next_host(&mut self) {
        if self.phase == Phase::Connecting {
            let kept = (self.again, self.path_back, self.gated);
            self.start();
            if self.phase == Phase::Connecting {
                (self.again, self.path_back, self.gated) = kept;
            }
        }
    }

    fn ended(&mut self, kind: FailureKind, unreached: Option<Unreached>) {
        let was_up = self.phase == Phase::Up;
        if self.phase == Phase::Stopping {
            if self.wanted {
                self.start();
            } else {
                self.phase = Phase::Stopped;
            }
            return;
        }
        if !was_up && self.phase != Phase::Connecting {
            return;
        }
        let lived = if was_up { self.now - self.up_at } else { 0 };
        let planned = kind == FailureKind::SessionLifetime;
        let away = unreached.is_some();
        if was_up && lived >= RESET_AFTER {
            self.clear();
        } else if was_up && self.proven {
            self.next_wait = MIN;
            self.redialled = false;
        }
        if !planned && !away {
            self.next_absent = MIN;
        }
        let too_short = !was_up || lived < self.gate;
        if (self.gated && !planned && too_short) || self.starts_left == 0 {
            self.phase = Phase::Failed;
        } else if planned {
            self.start();
        } else if kind.is_permanent() {
            if self.again.is_some() { self.start() } else { self.wait(Phase::Blocked, RECHECK) }
        } else if unreached == Some(Unreached::BehindJump) {
            self.wait_unless_asked(MAX);
        } else if away {
            let wait = self.next_absent;
            self.next_absent = MAX.min(wait * 2);
            self.wait_unless_asked(wait);
        } else if was_up && self.proven && kind != FailureKind::RemotePortBusy {
            let now = self.now;
            self.quick.retain(|at| now - at < 60_000);
            if self.quick.len() < 5 {
                self.quick.push(now);
                self.young = self.young.saturating_sub(1);
                self.start();
            } else {
                let wait = MAX.min(MIN << self.young.min(32));
                self.young += 1;
                self.wait_unless_asked(wait);
            }
        } else if was_up && !self.redialled && kind != FailureKind::RemotePortBusy {
            self.redialled = true;
            self.start();
        } else {
            let wait = self.next_wait;
            self.next_wait = MAX.min(wait * 2);
            self.wait_unless_asked(wait);
        }
    }

    fn wait_unless_asked(&mut self, wait: u64) {
        let at_once = self.again == Some(Input::RetryNow) || self.path_back;
        if at_once { self.start() } else { self.wait(Phase::Backoff, wait) }
    }

    fn wait(&mut self, phase: Phase, wait: u64) {
        self.phase = phase;
        self.due = self.now + wait;
    }

    fn pass(&mut self, millis: u64) {
        self.now += millis;
        let open = matches!(self.phase, Phase::Connecting | Phase::Up);
        let waiting = matches!(self.phase, Phase::Backoff | Phase::Blocked);
        if self.now >= self.life_ends && open {
            self.phase = Phase::Stopping;
        } else if self.now >= self.life_ends && waiting {
            self.phase = Phase::Failed;
        } else if waiting && self.now >= self.due {
            self.start();
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum ModelStep {
    Say(Input),
    Up,
    Proven,
    NextHost(FailureKind),
    Ended(FailureKind, Option<Unreached>),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<ModelStep>> {
    let input = proptest::sample::select(vec![
        Input::Start,
        Input::Start,
        Input::Stop,
        Input::Restart,
        Input::RetryNow,
        Input::PathBack,
        Input::ResetFailed,
        Input::FilesChanged,
    ]);
    let kind = proptest::sample::select(vec![
        FailureKind::ConnectRefused,
        FailureKind::ConnectionLost,
        FailureKind::RemotePortBusy,
        FailureKind::AuthRejected,
        FailureKind::SessionLifetime,
    ]);
    let step = prop_oneof![
        2 => input.prop_map(ModelStep::Say),
        3 => Just(ModelStep::Up),
        1 => kind.clone().prop_map(ModelStep::NextHost),
        1 => Just(ModelStep::Proven),
        4 => kind.prop_map(|kind| ModelStep::Ended(kind, None)),
        1 => proptest::sample::select(vec![Unreached::Directly, Unreached::BehindJump])
            .prop_map(|at| ModelStep::Ended(FailureKind::ConnectRefused, Some(at))),
        3 => prop_oneof![Just(MIN), 0..MAX, 0..2 * RESET_AFTER, Just(RECHECK)].prop_map(ModelStep::Pass),
    ];
    proptest::collection::vec(step, 1..120)
}

/// 1000 starts and a lifetime of some years are no limit within one random life.
fn limits() -> impl Strategy<Value = (u32, u64, u64)> {
    (
        prop_oneof![2 => Just(1000u32), 1 => 0u32..8],
        prop_oneof![2 => Just(0u64), 1 => 1u64..60_000],
        prop_oneof![2 => Just(100_000_000_000u64), 1 => 0u64..600_000],
    )
}

fn apply(machine: &mut Machine, step: ModelStep, now: Instant) {
    let session = machine.session();
    match step {
        ModelStep::Say(input) => machine.handle(input, now),
        ModelStep::Up => machine.handle(Input::SessionUp { session }, now),
        ModelStep::NextHost(kind) => machine.handle(Input::NextHost { session, kind }, now),
        ModelStep::Proven => machine.handle(Input::SessionProven { session }, now),
        ModelStep::Ended(kind, unreached) => {
            machine.handle(Input::SessionEnded { session, kind, unreached, asked: None }, now)
        }
        ModelStep::Pass(_) => machine.handle_timeout(now),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn the_machine_does_what_the_simple_model_does((max_start, gate, lifetime) in limits(), steps in steps()) {
        let policy = Policy {
            gate_time: Duration::from_millis(gate),
            max_start: Some(max_start),
            max_lifetime: Some(Duration::from_millis(lifetime)),
            backoff: BackoffSpec {
                max: Duration::from_millis(MAX),
                reset_after: Duration::from_millis(RESET_AFTER),
                ..POLICY.backoff
            },
            poll: secs(600),
        };
        let begin = tunnel_engine::clock::now();
        let mut machine = Machine::new(policy, 1, begin);
        let mut model = Model::new(max_start, gate, lifetime);
        for step in steps {
            match step {
                ModelStep::Say(input) => model.say(input),
                ModelStep::Up => model.up(),
                ModelStep::NextHost(_) => model.next_host(),
                ModelStep::Proven => model.proven |= model.phase == Phase::Up,
                ModelStep::Ended(kind, unreached) => model.ended(kind, unreached),
                ModelStep::Pass(millis) => model.pass(millis),
            }
            apply(&mut machine, step, begin + Duration::from_millis(model.now));
            prop_assert_eq!(machine.phase(), model.phase, "{:?} {:?}", step, model);
            if matches!(model.phase, Phase::Backoff | Phase::Blocked) {
                prop_assert_eq!(machine.next_start(), Some(begin + Duration::from_millis(model.due)), "{:?}", model);
            }
        }
    }
}
