//! A status for tests to start from.

use std::collections::BTreeMap;

use tunnel_engine::spec::ForwardKind;

use crate::lifecycle::Want;
use crate::protocol::status::{FailureStatus, ForwardStatus, OpenFilesStatus, Status, TunnelStatus};
use crate::word::Word;

pub(crate) const THEN: &str = "2026-01-01T00:00:00Z";

pub(crate) fn status(tunnels: Vec<TunnelStatus>) -> Status {
    Status {
        version: "0.1.0".into(),
        pid: 4000,
        config: "/etc/tunneld.toml".into(),
        generation: 7,
        started_at: THEN.into(),
        open_files: Some(OpenFilesStatus { limit: 1024, short: false }),
        tunnels,
    }
}

/// One that is wanted, without forwards.
pub(crate) fn tunnel(name: &str, phase: &str, ready: bool) -> TunnelStatus {
    TunnelStatus {
        name: name.into(),
        enabled: true,
        want: Want::Up.into(),
        phase: Word::read(phase),
        ready,
        since: THEN.into(),
        ready_since: None,
        starts: 3,
        starts_total: 3,
        attempts: 0,
        server: "evgeniy@ssh-server:2222".into(),
        session: None,
        last_failure: None,
        failures: BTreeMap::new(),
        next_start_ms: None,
        waits_for: None,
        rate_in: None,
        rate_out: None,
        forwards: vec![],
    }
}

/// One to 127.0.0.1:3306 that carries two connections.
pub(crate) fn forward(name: &str, state: &str) -> ForwardStatus {
    ForwardStatus {
        name: name.into(),
        kind: ForwardKind::Local.into(),
        listen: "127.0.0.1:3307".into(),
        connect: Some("127.0.0.1:3306".into()),
        state: Word::read(state),
        active: 2,
        opened: 17,
        failed: 0,
        held: 0,
        bytes_in: 10,
        bytes_out: 20,
        message: None,
        failure_kind: None,
        last_refused: Vec::new(),
    }
}

pub(crate) fn failure(kind: &str, message: &str) -> FailureStatus {
    FailureStatus {
        kind: Word::read(kind),
        permanent: false,
        message: message.into(),
        hint: String::new(),
        at: "2026-01-01T00:59:30Z".into(),
    }
}
