//! The table of the module doc is read, and every cell of it tried.

use tunnel_engine::failure::FailureKind;

use super::bench::{Bench, POLICY, secs};
use crate::lifecycle::{Input, Phase};

const DOC: &str = include_str!("../../lifecycle.rs");

#[test]
fn documented_table_is_what_the_machine_does() {
    let mut rows = DOC.lines().filter_map(|line| line.strip_prefix("//! |")).map(cells);
    let columns: Vec<Phase> = rows.next().expect("a header").iter().skip(1).map(|name| phase(name)).collect();
    assert_eq!(columns.len(), Phase::ALL.len(), "one column a phase");
    let mut tried = 0;
    for row in rows.skip(1) {
        for (from, cell) in columns.iter().zip(&row[1..]) {
            let expected = if cell == "." { *from } else { phase(cell) };
            let mut bench = in_phase(*from);
            let starts = bench.machine.starts();
            give(&mut bench, &row[0]);
            assert_eq!(bench.phase(), expected, "{} in {from:?}", row[0]);
            let anew = ["next host", "Restart"].contains(&row[0].as_str());
            let starts_again = expected == Phase::Connecting && (*from != Phase::Connecting || anew);
            assert!(
                row[0] == "ResetFailed" || (bench.machine.starts() > starts) == starts_again,
                "{} {from:?}",
                row[0]
            );
            tried += 1;
        }
    }
    assert_eq!(tried, 13 * Phase::ALL.len());
}

#[test]
fn each_phase_is_in_the_drawing() {
    let drawing = include_str!("../state.rs").split("use ").next().unwrap_or_default();
    for phase in Phase::ALL {
        assert!(drawing.contains(&format!("{phase:?}")), "{phase:?}");
    }
}

fn cells(line: &str) -> Vec<String> {
    line.trim_end_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

fn phase(name: &str) -> Phase {
    *Phase::ALL.iter().find(|phase| format!("{phase:?}") == name).unwrap_or_else(|| panic!("no phase `{name}`"))
}

fn in_phase(phase: Phase) -> Bench {
    let bench = match phase {
        Phase::Stopped => Bench::new(POLICY),
        Phase::Connecting => Bench::started(POLICY),
        Phase::Up => Bench::up(POLICY),
        Phase::Backoff => after_end(Bench::started(POLICY), FailureKind::ConnectRefused),
        Phase::Blocked => after_end(Bench::started(POLICY), FailureKind::AuthRejected),
        Phase::Failed => after_end(
            Bench::started(crate::lifecycle::Policy { gate_time: secs(30), ..POLICY }),
            FailureKind::ConnectRefused,
        ),
        Phase::Stopping => {
            let mut bench = Bench::up(POLICY);
            bench.give(Input::Stop);
            bench
        }
    };
    assert_eq!(bench.phase(), phase);
    bench
}

fn after_end(mut bench: Bench, kind: FailureKind) -> Bench {
    bench.ends(kind);
    bench
}

fn give(bench: &mut Bench, row: &str) {
    let session = bench.machine.session();
    let input = match row {
        "Start" => Input::Start,
        "Stop" => Input::Stop,
        "Restart" => Input::Restart,
        "RetryNow" => Input::RetryNow,
        "PathBack" => Input::PathBack,
        "ResetFailed" => Input::ResetFailed,
        "FilesChanged" => Input::FilesChanged,
        "up" => Input::SessionUp { session },
        "proven" => Input::SessionProven { session },
        "next host" => Input::NextHost { session, kind: FailureKind::ConnectionLost },
        "ended -" => Input::SessionEnded { session, kind: FailureKind::ConnectionLost, unreached: None, asked: None },
        "ended !" => Input::SessionEnded { session, kind: FailureKind::HostKeyChanged, unreached: None, asked: None },
        "time" => {
            bench.passes(secs(3600));
            return;
        }
        _ => panic!("no input `{row}`"),
    };
    bench.give(input);
}
