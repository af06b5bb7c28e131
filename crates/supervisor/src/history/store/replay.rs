//! Makes the records that the lines tell of, up to now. Pure.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::super::cause::{Cause, CauseKind};
use super::super::moment::Moment;
use super::super::record::{Availability, TunnelRecord};
use super::line::{SampleLine, StateLine, StoreLine};

pub(super) struct Replayed {
    pub(super) records: Vec<(String, TunnelRecord)>,
    /// What is to be added to the lines: outages in which nothing wrote them.
    pub(super) added: Vec<StoreLine>,
}

/// The records of all tunnels. From the end of an orderly stop until now no time counts; after any other end, a tunnel
/// that was wanted had an outage.
pub(super) fn replay(lines: Vec<StoreLine>, now: Moment) -> Replayed {
    let Some(first) = lines.iter().find_map(StoreLine::at) else {
        return Replayed { records: Vec::new(), added: Vec::new() };
    };
    let moment = |at: u64| {
        let wall = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(at)).unwrap_or(now.wall);
        Moment { awake: now.awake + Duration::from_millis(at.saturating_sub(first)), wall }
    };
    let mut records: HashMap<String, TunnelRecord> = HashMap::new();
    let (mut last, mut stopped) = (first, false);
    for line in lines {
        last = line.at().unwrap_or(last);
        match line {
            StoreLine::History { .. } => {}
            StoreLine::Started { .. } | StoreLine::Alive { .. } => stopped = false,
            StoreLine::Stopped { at } => {
                stopped = true;
                for record in records.values_mut() {
                    record.change(Availability::NotWanted, None, moment(at));
                }
            }
            StoreLine::State(line) => {
                stopped = false;
                let StateLine { at, state, length, .. } = line;
                let cause = line.cause();
                let record = records.entry(line.tunnel).or_insert_with(|| TunnelRecord::new(moment(at)));
                if record.change(state, cause.as_ref(), moment(at)).ended.is_some() {
                    record.outages.measured(length);
                }
            }
            StoreLine::Sample(SampleLine { tunnel, at, sample }) => {
                records.entry(tunnel).or_insert_with(|| TunnelRecord::new(moment(at))).samples.replace(at, sample);
            }
        }
    }
    let mut added = Vec::new();
    let cause = Cause {
        kind: Some(CauseKind::NotRunning.into()),
        message: "tunneld was not running: it ended without being stopped".to_owned(),
    };
    for (name, record) in &mut records {
        if !stopped && record.lost(&cause, moment(last)) {
            added.push(StoreLine::State(StateLine::new(name, last, Availability::NotReady, Some(&cause))));
        }
        record.resume(now);
    }
    Replayed { records: records.into_iter().collect(), added }
}
