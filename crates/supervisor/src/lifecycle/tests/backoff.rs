//! The formulas, held against numbers measured on the originals.

use std::time::Duration;

use tunnel_engine::backoff::{Backoff, PENALTY};

use super::bench::{POLICY, secs};
use crate::lifecycle::backoff::{autossh, autossh_min_up, exponential, polite};

#[test]
fn autosshs_delays_are_those_measured_on_autossh() {
    let golden: [(u64, [u64; 23]); 5] = [
        (600, [0, 0, 0, 0, 0, 2, 8, 18, 32, 50, 72, 98, 128, 162, 200, 241, 288, 338, 392, 450, 512, 578, 600]),
        (300, [0, 0, 0, 0, 0, 1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 120, 144, 169, 196, 225, 256, 289, 300]),
        (60, [0, 0, 0, 0, 0, 0, 0, 1, 3, 5, 7, 9, 12, 16, 20, 24, 28, 33, 39, 45, 51, 57, 60]),
        (30, [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 19, 22, 25, 28, 30]),
        (10, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10]),
    ];
    for (poll, delays) in golden {
        for (tries, delay) in (1u32..).zip(delays) {
            assert_eq!(autossh(secs(poll), tries), secs(delay), "poll {poll}, tries {tries}");
        }
        assert_eq!(autossh(secs(poll), 0), Duration::ZERO);
        assert_eq!(autossh(secs(poll), u32::MAX), secs(poll));
    }
}

#[test]
fn autosshs_short_life_is_a_tenth_of_poll() {
    for (poll, min_up) in [(600, 60), (300, 30), (109, 10), (60, 10), (10, 10), (0, 10)] {
        assert_eq!(autossh_min_up(secs(poll)), secs(min_up), "poll {poll}");
    }
}

#[test]
fn the_delay_grows_by_the_factor_up_to_the_longest() {
    let delays: Vec<u128> = (0..10).map(|waits| exponential(&POLICY.backoff, waits, 0.9).as_millis()).collect();
    assert_eq!(delays, [250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    assert_eq!(exponential(&POLICY.backoff, u32::MAX, 0.0), secs(60));
}

#[test]
fn jitter_takes_at_most_its_share_away() {
    let spec = crate::spec::BackoffSpec { jitter: 0.2, ..POLICY.backoff };
    assert_eq!(exponential(&spec, 2, 0.0), Duration::from_millis(1000));
    assert_eq!(exponential(&spec, 2, 0.5), Duration::from_millis(900));
    assert!(exponential(&spec, 2, 0.999_999) >= Duration::from_millis(800));
}

#[test]
fn no_config_makes_a_busy_loop_or_a_panic() {
    for (min, max, factor, jitter) in [
        (Duration::ZERO, Duration::ZERO, 1.0, 1.0),
        (Duration::MAX, Duration::MAX, f64::INFINITY, 1.0),
        (secs(1), secs(60), f64::NAN, f64::NAN),
        (secs(1), secs(60), -3.0, -3.0),
        (secs(60), secs(1), 2.0, 0.0),
    ] {
        let spec = crate::spec::BackoffSpec { min, max, factor, jitter, ..POLICY.backoff };
        for waits in [0, 1, 40, u32::MAX] {
            let delay = exponential(&spec, waits, 0.999);
            assert!(delay >= Duration::from_millis(10), "{spec:?} {waits}");
            assert!(delay <= max.max(Duration::from_millis(10)), "{spec:?} {waits}");
        }
    }
}

#[test]
fn requested_wait_doubles_up_to_its_cap() {
    let waits: Vec<u64> = (0..7).map(|refusals| polite(PENALTY.wait(refusals), 0.2, 0.0).as_secs()).collect();
    assert_eq!(waits, [20, 40, 80, 160, 320, 600, 600]);
    assert_eq!(polite(PENALTY.wait(u32::MAX), 0.2, 0.0), secs(600));
    assert!(polite(PENALTY.first, 0.0, 0.999) > secs(24), "spread even where the config has no jitter");
}

#[test]
fn a_schedule_never_exceeds_its_longest_wait() {
    let backoff = Backoff::doubling(secs(5), secs(60));
    let waits: Vec<u64> = [0, 1, 2, 3, 4, u32::MAX].map(|before| backoff.wait(before).as_secs()).to_vec();
    assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
    assert_eq!(Backoff { first: Duration::MAX, factor: f64::INFINITY, ..Backoff::every(secs(1)) }.wait(3), secs(1));
}
