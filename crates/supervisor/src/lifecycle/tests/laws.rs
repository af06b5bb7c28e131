//! Laws over random lives: inputs in any order at any time, with a world that answers as the driver does, and that also
//! says late and repeated words.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tunnel_engine::backoff::BLOCKED;
use tunnel_engine::failure::{FailureKind, Unreached};

use super::bench::{POLICY, secs};
use crate::lifecycle::{Effect, Input, Machine, Phase, Policy, SessionId, Want};
use crate::spec::{BackoffKind, BackoffSpec};

/// One thing that happens. `Up`, `Proven` and `Ended` are about the open session, and `Closed` about one that was told to
/// close; they are left out when there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
enum LawStep {
    Say(Input),
    Up,
    Proven,
    Ended(FailureKind),
    /// The start, or the session, ended because no server was found.
    NoServer(Unreached),
    Closed,
    Pass(Duration),
    /// To the deadline, or just before it.
    Deadline {
        early: bool,
    },
}

/// What could be seen before or after a step.
#[derive(Debug, Clone, Copy, PartialEq)]
struct MachineView {
    phase: Phase,
    want: Want,
    next_start: Option<Instant>,
    timeout: Option<Instant>,
    starts: u64,
    attempts: u32,
    session: SessionId,
    since: Instant,
    /// The session or attempt that the world has open.
    open: Option<SessionId>,
    /// The last one that was told to close, and has not ended.
    closing: Option<SessionId>,
}

#[derive(Debug, Clone, PartialEq)]
struct SeenSteps {
    step: LawStep,
    now: Instant,
    before: MachineView,
    after: MachineView,
    effects: Vec<Effect>,
}

impl SeenSteps {
    fn opened(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Open { .. }))
    }
}

fn live(policy: Policy, seed: u64, begin: Instant, steps: &[LawStep]) -> Vec<SeenSteps> {
    let mut now = begin;
    let mut machine = Machine::new(policy, seed, now);
    let (mut open, mut closing) = (None, Vec::new());
    let mut seen = Vec::new();
    for step in steps {
        let before = view(&machine, open, &closing);
        match (*step, open) {
            (LawStep::Say(input), _) => machine.handle(input, now),
            (LawStep::Up, Some(session)) => machine.handle(Input::SessionUp { session }, now),
            (LawStep::Proven, Some(session)) => machine.handle(Input::SessionProven { session }, now),
            (LawStep::Ended(kind), Some(session)) => {
                open = None;
                machine.handle(Input::SessionEnded { session, kind, unreached: None, asked: None }, now);
            }
            (LawStep::NoServer(at), Some(session)) => {
                open = None;
                let (kind, unreached) = (FailureKind::ConnectTimeout, Some(at));
                machine.handle(Input::SessionEnded { session, kind, unreached, asked: None }, now);
            }
            (LawStep::Up | LawStep::Proven | LawStep::Ended(_) | LawStep::NoServer(_), None) => continue,
            (LawStep::Closed, _) => {
                let Some(session) = closing.pop() else { continue };
                machine.handle(
                    Input::SessionEnded { session, kind: FailureKind::ConnectionLost, unreached: None, asked: None },
                    now,
                );
            }
            (LawStep::Pass(time), _) => {
                now += time;
                machine.handle_timeout(now);
            }
            (LawStep::Deadline { early }, _) => {
                let Some(at) = machine.poll_timeout() else { continue };
                let at = if early { at.checked_sub(Duration::from_nanos(1)).unwrap_or(at) } else { at };
                now = now.max(at);
                machine.handle_timeout(now);
            }
        }
        let effects: Vec<Effect> = std::iter::from_fn(|| machine.poll_effect()).collect();
        for effect in &effects {
            match *effect {
                Effect::Open { session } => {
                    assert_eq!(open, None, "opened beside one that was not told to close: {step:?} {before:?}");
                    open = Some(session);
                }
                Effect::Close { session } => {
                    assert_eq!(open.take(), Some(session), "closed what is not open: {step:?}");
                    closing.push(session);
                }
            }
        }
        seen.push(SeenSteps { step: *step, now, before, after: view(&machine, open, &closing), effects });
    }
    seen
}

fn view(machine: &Machine, open: Option<SessionId>, closing: &[SessionId]) -> MachineView {
    MachineView {
        phase: machine.phase(),
        want: machine.want(),
        next_start: machine.next_start(),
        timeout: machine.poll_timeout(),
        starts: machine.starts(),
        attempts: machine.attempts(),
        session: machine.session(),
        since: machine.since(),
        open,
        closing: closing.last().copied(),
    }
}

fn kinds() -> impl Strategy<Value = FailureKind> {
    // Every second one is an ordinary loss: lives that end in Blocked at once teach little.
    prop_oneof![Just(FailureKind::ConnectionLost), proptest::sample::select(FailureKind::ALL)]
}

fn steps() -> impl Strategy<Value = Vec<LawStep>> {
    let words = prop_oneof![
        3 => Just(Input::Start),
        1 => Just(Input::Stop),
        1 => Just(Input::Restart),
        1 => Just(Input::RetryNow),
        1 => Just(Input::PathBack),
        1 => Just(Input::ResetFailed),
        1 => Just(Input::FilesChanged),
        1 => (0u64..8).prop_map(|late| Input::SessionUp { session: SessionId::from(late + 1_000_000) }),
        1 => kinds().prop_map(|kind| Input::SessionEnded { session: SessionId::from(0), kind, unreached: None, asked: None }),
        1 => kinds().prop_map(|kind| Input::NextHost { session: SessionId::from(0), kind }),
    ];
    let step = prop_oneof![
        2 => words.prop_map(LawStep::Say),
        3 => Just(LawStep::Up),
        2 => Just(LawStep::Proven),
        4 => kinds().prop_map(LawStep::Ended),
        1 => proptest::sample::select(vec![Unreached::Directly, Unreached::BehindJump]).prop_map(LawStep::NoServer),
        2 => Just(LawStep::Closed),
        2 => (0u64..120_000).prop_map(|millis| LawStep::Pass(Duration::from_millis(millis))),
        4 => any::<bool>().prop_map(|early| LawStep::Deadline { early }),
    ];
    proptest::collection::vec(step, 1..80)
}

fn policies() -> impl Strategy<Value = Policy> {
    let backoff = (any::<bool>(), 0u64..5000, 0u64..90, 1.0f64..4.0, 0.0f64..=1.0, 0u64..90).prop_map(
        |(autossh, min, max, factor, jitter, reset_after)| BackoffSpec {
            kind: if autossh { BackoffKind::Autossh } else { BackoffKind::Exponential },
            min: Duration::from_millis(min),
            max: secs(max),
            factor,
            jitter,
            reset_after: secs(reset_after),
        },
    );
    let lifetime = proptest::option::weighted(0.3, (0u64..900).prop_map(secs));
    (backoff, prop_oneof![3 => Just(0u64), 1 => 1u64..60], proptest::option::of(0u32..6), lifetime, 1u64..900).prop_map(
        |(backoff, gate_time, max_start, max_lifetime, poll)| Policy {
            gate_time: secs(gate_time),
            max_start,
            max_lifetime,
            backoff,
            poll: secs(poll),
        },
    )
}

fn begin() -> Instant {
    tunnel_engine::clock::now()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn machine_knows_the_one_open_session(policy in policies(), seed: u64, steps in steps()) {
        for seen in live(policy, seed, begin(), &steps) {
            let has_one = matches!(seen.after.phase, Phase::Connecting | Phase::Up);
            prop_assert_eq!(seen.after.open, has_one.then_some(seen.after.session), "{:?}", seen);
            if seen.after.phase == Phase::Stopping {
                prop_assert_eq!(seen.after.closing, Some(seen.after.session), "{:?}", seen);
            }
        }
    }

    #[test]
    fn nothing_is_opened_before_its_deadline_unless_ordered(policy in policies(), seed: u64, steps in steps()) {
        // RetryNow, PathBack and FilesChanged during an attempt are kept in mind until it ends.
        let mut asked = false;
        for seen in live(policy, seed, begin(), &steps) {
            asked |= matches!(seen.step, LawStep::Say(
                Input::Start | Input::Restart | Input::RetryNow | Input::PathBack | Input::FilesChanged
                    | Input::ResetFailed));
            if seen.opened() {
                let due = seen.before.next_start.is_some_and(|at| at <= seen.now);
                let ended = matches!(seen.step, LawStep::Ended(_) | LawStep::NoServer(_) | LawStep::Closed);
                prop_assert!(due || asked || ended, "{:?}", seen);
            }
            if matches!(seen.after.phase, Phase::Backoff | Phase::Blocked | Phase::Up | Phase::Stopped) || seen.opened() {
                asked = false;
            }
        }
    }

    #[test]
    fn path_back_starts_only_what_waits_for_it(policy in policies(), seed: u64, steps in steps()) {
        for seen in live(policy, seed, begin(), &steps) {
            if seen.step == LawStep::Say(Input::PathBack) && seen.before.phase != Phase::Backoff {
                prop_assert!(seen.effects.is_empty() && seen.before.phase == seen.after.phase, "{:?}", seen);
            }
        }
    }

    #[test]
    fn time_before_the_deadline_changes_nothing(policy in policies(), seed: u64, steps in steps()) {
        for seen in live(policy, seed, begin(), &steps) {
            let time = matches!(seen.step, LawStep::Pass(_) | LawStep::Deadline { .. });
            if time && seen.before.timeout.is_none_or(|at| seen.now < at) {
                prop_assert_eq!(&seen.before, &seen.after);
                prop_assert!(seen.effects.is_empty());
            }
        }
    }

    #[test]
    fn a_deadline_that_has_come_is_acted_on(policy in policies(), seed: u64, steps in steps()) {
        for seen in live(policy, seed, begin(), &steps) {
            if seen.step == (LawStep::Deadline { early: false }) {
                prop_assert!(seen.before.phase != seen.after.phase, "{:?}", seen);
            }
        }
    }

    #[test]
    fn starts_never_exceed_max_start(policy in policies(), seed: u64, steps in steps()) {
        let Some(max) = policy.max_start else { return Ok(()) };
        let mut starts = 0;
        for seen in live(policy, seed, begin(), &steps) {
            let renewed = match seen.step {
                LawStep::Say(Input::Restart | Input::ResetFailed) => true,
                LawStep::Say(Input::Start) => {
                    matches!(seen.before.phase, Phase::Stopped | Phase::Failed | Phase::Stopping)
                }
                LawStep::Say(_)
                | LawStep::Up
                | LawStep::Proven
                | LawStep::Ended(_)
                | LawStep::NoServer(_)
                | LawStep::Closed
                | LawStep::Pass(_)
                | LawStep::Deadline { .. } => false,
            };
            if renewed {
                starts = 0;
            }
            starts += u32::from(seen.opened());
            prop_assert!(starts <= max, "{:?}", seen);
        }
    }

    #[test]
    fn a_permanent_failure_is_never_retried_on_the_backoff_schedule(policy in policies(), seed: u64, steps in steps()) {
        for seen in live(policy, seed, begin(), &steps) {
            let LawStep::Ended(kind) = seen.step else { continue };
            if !kind.is_permanent() || seen.before.phase == Phase::Stopping {
                continue;
            }
            prop_assert!(seen.after.phase != Phase::Backoff, "{:?}", seen);
            if seen.after.phase == Phase::Blocked {
                prop_assert_eq!(seen.after.next_start, Some(seen.now + BLOCKED.first));
            }
        }
    }

    #[test]
    fn the_count_clears_only_after_reset_after_of_life(policy in policies(), seed: u64, steps in steps()) {
        for seen in live(policy, seed, begin(), &steps) {
            if seen.after.attempts >= seen.before.attempts {
                continue;
            }
            match seen.step {
                LawStep::Ended(_) | LawStep::NoServer(_) => {
                    prop_assert_eq!(seen.before.phase, Phase::Up);
                    prop_assert!(seen.now - seen.before.since >= policy.backoff.reset_after, "{:?}", seen);
                }
                LawStep::Say(Input::ResetFailed) => {}
                LawStep::Say(Input::Start | Input::Restart) => prop_assert!(
                    matches!(seen.before.phase, Phase::Stopped | Phase::Failed | Phase::Stopping), "{:?}", seen),
                LawStep::Say(_) | LawStep::Up | LawStep::Proven | LawStep::Closed | LawStep::Pass(_) | LawStep::Deadline { .. } => {
                    prop_assert!(false, "{:?}", seen)
                }
            }
        }
    }

    #[test]
    fn the_same_seed_and_inputs_give_the_same_life(policy in policies(), seed: u64, steps in steps()) {
        let begin = begin();
        prop_assert_eq!(live(policy, seed, begin, &steps), live(policy, seed, begin, &steps));
    }

    #[test]
    fn every_phase_has_a_way_forward(policy in policies(), seed: u64, steps in steps()) {
        for seen in live(policy, seed, begin(), &steps) {
            let after = seen.after;
            let waits_for_the_world = after.open.is_some() || after.phase == Phase::Stopping;
            let at_rest = (after.phase == Phase::Stopped && after.want == Want::Down) || after.phase == Phase::Failed;
            prop_assert!(waits_for_the_world || at_rest || after.timeout.is_some(), "{:?}", seen);
        }
    }

    #[test]
    fn a_stop_ends_in_stopped_whatever_went_before(policy in policies(), seed: u64, mut steps in steps()) {
        steps.extend([LawStep::Say(Input::Stop), LawStep::Say(Input::RetryNow), LawStep::Pass(secs(10_000)), LawStep::Closed]);
        let seen = live(policy, seed, begin(), &steps);
        let last = seen.last().map(|seen| seen.after);
        prop_assert!(last.is_some_and(|last| last.phase == Phase::Stopped && last.open.is_none()
            && last.want == Want::Down && last.timeout.is_none()), "{:?}", last);
    }

    #[test]
    fn a_restart_leads_to_a_start_at_once(seed: u64, mut steps in steps()) {
        steps.push(LawStep::Say(Input::Restart));
        let seen = live(POLICY, seed, begin(), &steps);
        prop_assert!(seen.last().is_some_and(SeenSteps::opened), "{:?}", seen.last());
    }

    #[test]
    fn a_start_while_stopping_begins_at_once(seed: u64, mut steps in steps()) {
        steps.extend([LawStep::Say(Input::Stop), LawStep::Say(Input::Start)]);
        let seen = live(POLICY, seed, begin(), &steps);
        prop_assert!(seen.last().is_some_and(SeenSteps::opened), "{:?}", seen.last());
    }
}
