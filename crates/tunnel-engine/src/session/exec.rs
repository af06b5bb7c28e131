//! A command on the server: its input and output as a channel. For the few things that only the server itself knows.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use super::channel::{Channel, OpenError};
use super::requests::{Requests, open_error};
use crate::clock;
use crate::transport::{ChannelHandle, Content, OpenRefusal, put_string};

/// sshd starts a shell by itself.
const EXEC_TIMEOUT: Duration = Duration::from_secs(20);

/// The kind of a channel that a command runs on.
const SESSION: &str = "session";

impl Requests {
    /// Has the server run a command. Without an answer in 20 s it is given up.
    pub(super) async fn exec(self: &Arc<Self>, command: &str) -> Result<Channel, OpenError> {
        clock::timeout(EXEC_TIMEOUT, self.start(command)).await.unwrap_or(Err(OpenError::Timeout))
    }

    /// Has the server open a channel that leads nowhere, and closes it: whatever the server says, it still opens some.
    /// Returns with its answer; never, when the session is over.
    pub(super) async fn prove_opens(self: &Arc<Self>) {
        if matches!(self.open_session().await, Err(None)) {
            pending().await
        }
    }

    async fn start(&self, command: &str) -> Result<Channel, OpenError> {
        let channel = match self.open_session().await {
            Ok(channel) => channel,
            Err(Some(refusal)) => return Err(open_error(&refusal)),
            Err(None) => return Err(OpenError::SessionEnded),
        };
        let mut fields = Vec::new();
        put_string(&mut fields, command.as_bytes());
        channel.ask("exec", &fields);
        // What is written follows once the command runs; else the channel is dropped, and so closed.
        match poll_fn(|cx| channel.poll_reply(cx)).await {
            Some(true) => {
                let shared = &self.shared;
                Ok(Channel::new(channel, shared.ending.gone(), shared.connections.count(), shared.link.clone()))
            }
            None if self.shared.ending.gone().is_cancelled() => Err(OpenError::SessionEnded),
            // No, or it has closed the channel instead of an answer.
            Some(false) | None => Err(OpenError::Prohibited("it does not run the command".to_owned())),
        }
    }

    /// A channel for a command. `None`: the session is over.
    async fn open_session(&self) -> Result<ChannelHandle, Option<OpenRefusal>> {
        let channel = self.shared.link.open_channel(SESSION, &[], Content::Bytes);
        poll_fn(|cx| channel.poll_opened(cx)).await.map(|()| channel)
    }
}
