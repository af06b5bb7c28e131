//! What the page shows, made at most once a second however many look, and the stream of its changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, BoxStream, StreamExt as _};
use hyper::body::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tunnel_engine::clock;

use super::super::connections::Busy;
use super::super::daemon::{DaemonClient, NoAnswer};
use super::row::PageRow;
use crate::history::TunnelHistory;
use crate::protocol::status::Status;

/// Changes are sent at most this often.
const EVERY: Duration = Duration::from_secs(1);

/// So old may be what is shown: a little less than [`EVERY`], so that streams that look in turn share a look.
const FRESH: Duration = Duration::from_millis(900);

/// A stream without changes sends a comment, that neither a proxy nor the browser takes it for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The history is asked for again after this long; it has a sample each five minutes.
const HISTORY_EVERY: Duration = Duration::from_secs(60);

/// Tunnels whose history is asked for at once: the supervisor has other things to do in between.
const HISTORIES_AT_ONCE: usize = 16;

/// Pages that follow at once.
const MAX_STREAMS: usize = 16;

/// The way to what the page shows.
pub(in crate::http) struct LivePage {
    daemon: Arc<DaemonClient>,
    shown: Mutex<ShownState>,
    streams: Arc<Semaphore>,
}

#[derive(Default)]
struct ShownState {
    last: Option<(Instant, Arc<PageModel>)>,
    histories: HashMap<String, TunnelHistory>,
    histories_of: Option<Instant>,
}

impl LivePage {
    pub(in crate::http) fn new(daemon: Arc<DaemonClient>) -> Arc<Self> {
        let streams = Arc::new(Semaphore::new(MAX_STREAMS));
        Arc::new(Self { daemon, shown: Mutex::default(), streams })
    }

    pub(in crate::http) async fn model(&self) -> Result<Arc<PageModel>, NoAnswer> {
        let mut shown = self.shown.lock().await;
        let now = clock::now();
        if let Some((made, model)) = &shown.last
            && now.saturating_duration_since(*made) < FRESH
        {
            return Ok(model.clone());
        }
        let status = self.daemon.status().await?;
        let old = shown.histories_of.is_none_or(|made| now.saturating_duration_since(made) >= HISTORY_EVERY);
        if old || !status.tunnels.iter().all(|tunnel| shown.histories.contains_key(&tunnel.name)) {
            shown.histories = self.histories(&status).await;
            shown.histories_of = Some(now);
        }
        let histories = std::mem::take(&mut shown.histories);
        let made = tokio::task::spawn_blocking(move || (PageModel::of(&status, &histories), histories)).await;
        let (model, histories) = made.map_err(|error| NoAnswer::broken(&error))?;
        let model = Arc::new(model);
        shown.histories = histories;
        shown.last = Some((now, model.clone()));
        Ok(model)
    }

    async fn histories(&self, status: &Status) -> HashMap<String, TunnelHistory> {
        let names: Vec<String> = status.tunnels.iter().map(|tunnel| tunnel.name.clone()).collect();
        let mut histories = HashMap::new();
        for names in names.chunks(HISTORIES_AT_ONCE) {
            // A tunnel that went meanwhile takes its neighbours' charts with it until the next look.
            let answer = self.daemon.histories(names.to_vec()).await.unwrap_or_default();
            histories.extend(answer.into_iter().map(|history| (history.name.clone(), history)));
        }
        histories
    }
}

/// The stream of changes, as server-sent events; `None` where too many follow already.
pub(in crate::http) fn events(live: &Arc<LivePage>, busy: Busy) -> Option<BoxStream<'static, Bytes>> {
    let permit = live.streams.clone().try_acquire_owned().ok()?;
    let follower = Follower { live: live.clone(), sent: None, last_sent: clock::now(), _permit: permit, _busy: busy };
    Some(stream::unfold(follower, Follower::next).boxed())
}

struct Follower {
    live: Arc<LivePage>,
    sent: Option<Arc<PageModel>>,
    last_sent: Instant,
    _permit: OwnedSemaphorePermit,
    _busy: Busy,
}

impl Follower {
    /// Waits for something to send. Ends where the daemon gives no answer: the browser comes again.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            let now = clock::now();
            if self.sent.is_some() {
                tokio::time::sleep_until((now + EVERY).into()).await;
            }
            let model = self.live.model().await.ok()?;
            let text = match &self.sent {
                Some(sent) => model.since(sent),
                None => Some(model.whole()),
            };
            self.sent = Some(model);
            let now = clock::now();
            let text = match text {
                Some(text) => text,
                None if now.saturating_duration_since(self.last_sent) >= HEARTBEAT => ": still here\n\n".to_owned(),
                None => continue,
            };
            self.last_sent = now;
            return Some((text.into(), self));
        }
    }
}

/// What the page shows, what needs a person first.
pub(in crate::http) struct PageModel {
    version: String,
    summary: String,
    rows: Vec<(PageRow, Box<RawValue>)>,
}

/// The data of an event.
#[derive(Serialize)]
struct RowsEvent<'a> {
    summary: &'a str,
    /// New or changed.
    rows: Vec<&'a RawValue>,
    /// The names in their order, where that is another one than before.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Vec<&'a str>>,
}

impl PageModel {
    fn of(status: &Status, histories: &HashMap<String, TunnelHistory>) -> Self {
        let now = clock::wall();
        let row = |tunnel| PageRow::of(tunnel, histories.get(&tunnel.name), now);
        let mut rows: Vec<_> = status
            .tunnels
            .iter()
            .map(row)
            .filter_map(|row| serde_json::value::to_raw_value(&row).ok().map(|json| (row, json)))
            .collect();
        // Stable: among equals the config's order holds.
        rows.sort_by_key(|(row, _)| row.mood);
        let counted = status.tunnels.iter().filter(|tunnel| tunnel.counts());
        let (ready, all) = (counted.clone().filter(|tunnel| tunnel.ready).count(), counted.count());
        let off = match rows.len() - all {
            0 => String::new(),
            off => format!(", {off} not wanted"),
        };
        Self { version: status.version.clone(), summary: format!("{ready} of {all} ready{off}"), rows }
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn summary(&self) -> &str {
        &self.summary
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &PageRow> {
        self.rows.iter().map(|(row, _)| row)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.rows().map(|row| row.name.as_str())
    }

    /// The event with every row.
    fn whole(&self) -> String {
        let rows = self.rows.iter().map(|(_, json)| &**json).collect();
        event(&RowsEvent { summary: &self.summary, rows, order: Some(self.names().collect()) })
    }

    /// The event with what is not as it was `before`; `None` where all is.
    fn since(&self, before: &Self) -> Option<String> {
        let known: HashMap<&str, &PageRow> = before.rows().map(|row| (row.name.as_str(), row)).collect();
        let changed = self.rows.iter().filter(|(row, _)| known.get(row.name.as_str()) != Some(&row));
        let rows: Vec<_> = changed.map(|(_, json)| &**json).collect();
        let order = (!self.names().eq(before.names())).then(|| self.names().collect());
        if rows.is_empty() && order.is_none() && self.summary == before.summary {
            return None;
        }
        Some(event(&RowsEvent { summary: &self.summary, rows, order }))
    }
}

/// JSON has no line breaks, so that one `data` line holds it.
fn event(rows: &RowsEvent<'_>) -> String {
    let data = serde_json::to_string(rows).unwrap_or_default();
    format!("event: tunnels\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::status::{TunnelStatus, example};

    fn model(tunnels: Vec<TunnelStatus>) -> PageModel {
        let status = example::status(tunnels);
        PageModel::of(&status, &HashMap::new())
    }

    fn data(event: &str) -> serde_json::Value {
        let data = event.strip_prefix("event: tunnels\ndata: ").and_then(|rest| rest.strip_suffix("\n\n"));
        serde_json::from_str(data.expect("an event")).unwrap()
    }

    #[test]
    fn only_what_changed_is_told() {
        let (a, b) = (example::tunnel("a", "up", true), example::tunnel("b", "up", true));
        let before = model(vec![a.clone(), b.clone()]);
        assert!(model(vec![a.clone(), b.clone()]).since(&before).is_none());
        let lost = model(vec![a.clone(), example::tunnel("b", "backoff", false)]);
        let event = data(&lost.since(&before).unwrap());
        assert_eq!(event["rows"].as_array().unwrap().len(), 1);
        assert_eq!((&event["rows"][0]["name"], &event["rows"][0]["mood"]), (&"b".into(), &"waiting".into()));
        assert_eq!(event["order"], serde_json::json!(["b", "a"]), "what is not ready comes first");
        assert_eq!(event["summary"], "1 of 2 ready");
        let event = data(&model(vec![a]).since(&before).unwrap());
        assert_eq!((&event["rows"], &event["order"]), (&serde_json::json!([]), &serde_json::json!(["a"])));
    }

    #[test]
    fn event_is_one_line_of_data_whatever_a_server_says() {
        let mut tunnel = example::tunnel("a", "backoff", false);
        tunnel.last_failure = Some(example::failure("protocol", "it said\n\ndata: x\r\n"));
        let event = model(vec![tunnel]).whole();
        assert_eq!(event.lines().count(), 3, "{event}");
        assert_eq!(data(&event)["rows"][0]["cause"], "it said\n\ndata: x\r\n");
    }
}
