//! The daemon as the HTTP server sees it: questions to the supervisor, one at a time, an answer shared by all who asked
//! before it was made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinError;
use tunnel_engine::clock;

use crate::history::TunnelHistory;
use crate::protocol::status::Status;
use crate::protocol::{Command, Request, Response};

/// How long the supervisor may take: it answers within milliseconds unless it is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct DaemonClient {
    commands: mpsc::Sender<Command>,
    /// The last answer, and when it was asked for.
    last: Mutex<Option<(Instant, Arc<Status>)>>,
}

/// Why there is no answer, for the reader of the response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoAnswer(String);

impl NoAnswer {
    /// What was to make it did not come back.
    pub(super) fn broken(error: &JoinError) -> Self {
        tracing::error!(%error, "an answer over HTTP could not be made");
        Self("the answer could not be made: see the log".to_owned())
    }

    /// Another answer than was asked for.
    fn instead(answer: Response) -> Self {
        let Response::Error { message, .. } = answer else {
            return Self("the daemon gave another answer than was asked for".to_owned());
        };
        Self(message)
    }
}

impl DaemonClient {
    pub(super) fn new(commands: mpsc::Sender<Command>) -> Arc<Self> {
        Arc::new(Self { commands, last: Mutex::new(None) })
    }

    /// How all tunnels are, now: an answer that was asked for before this call counts as old.
    pub(super) async fn status(&self) -> Result<Arc<Status>, NoAnswer> {
        let arrived = clock::now();
        let mut last = self.last.lock().await;
        if let Some((asked, status)) = last.as_ref()
            && *asked >= arrived
        {
            return Ok(status.clone());
        }
        *last = None;
        let asked = clock::now();
        let answer = self.ask(Request::Status { names: Vec::new() }).await?;
        let Response::Status { status } = answer else { return Err(NoAnswer::instead(answer)) };
        let status = Arc::new(status);
        *last = Some((asked, status.clone()));
        Ok(status)
    }

    /// The last 24 hours of these tunnels.
    pub(super) async fn histories(&self, names: Vec<String>) -> Result<Vec<TunnelHistory>, NoAnswer> {
        let answer = self.ask(Request::History { names }).await?;
        let Response::History { tunnels } = answer else { return Err(NoAnswer::instead(answer)) };
        Ok(tunnels)
    }

    /// Why there is no tunnel of this name, with the nearest one.
    pub(super) async fn unknown(&self, name: &str) -> String {
        // Not beside others: a flood of names is not to fill the supervisor's queue.
        let _turn = self.last.lock().await;
        match self.ask(Request::Status { names: vec![name.to_owned()] }).await {
            Ok(Response::Error { message, .. }) => message,
            Ok(_) => "no such tunnel".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    async fn ask(&self, request: Request) -> Result<Response, NoAnswer> {
        let stopping = || NoAnswer("tunneld is stopping".to_owned());
        let answer = async {
            let (reply, answer) = oneshot::channel();
            self.commands.send(Command { request, reply }).await.map_err(|_| stopping())?;
            answer.await.map_err(|_| stopping())
        };
        tokio::time::timeout(ANSWER_TIMEOUT, answer)
            .await
            .unwrap_or_else(|_| Err(NoAnswer("the daemon did not answer in time".to_owned())))
    }
}
