//! A command on the server: its input and output as a channel. For the few things that only the server itself knows.

use std::sync::Arc;
use std::time::Duration;

use russh::ChannelMsg;

use super::channel::{Channel, OpenError};
use super::requests::{Requests, finish};

/// sshd starts a shell by itself.
const EXEC_TIMEOUT: Duration = Duration::from_secs(20);

/// The kind of a channel that a command runs on.
const SESSION: &str = "session";

impl Requests {
    /// Like an open, it is finished even when the asker has gone, and closed then.
    pub(super) async fn exec(self: &Arc<Self>, command: &str) -> Result<Channel, OpenError> {
        let (line, command) = (self.clone(), command.to_owned());
        let start = async move { line.start(command).await };
        finish(EXEC_TIMEOUT, start, |_| async {}).await.unwrap_or(Err(OpenError::Timeout))
    }

    /// Has the server open a channel that leads nowhere, and closes it: whatever the server says, it still opens some.
    /// Returns with its answer; never, when the session is over.
    pub(super) async fn prove_opens(self: &Arc<Self>) {
        let opened = self.handle.read().await.channel_open_session().await;
        match opened {
            // Dropped, and so closed.
            Ok(channel) => drop(self.channel(channel)),
            Err(russh::Error::ChannelOpenFailure(_)) => drop(self.refused(SESSION, &[])),
            Err(_) => std::future::pending().await,
        }
    }

    async fn start(&self, command: String) -> Result<Channel, OpenError> {
        let opened = self.handle.read().await.channel_open_session().await;
        match opened {
            Ok(mut channel) => {
                channel.exec(true, command).await.map_err(|_| OpenError::SessionEnded)?;
                // What is written goes another way than the request, and must not be there before it.
                let taken = loop {
                    match channel.wait().await {
                        Some(ChannelMsg::Success) => break true,
                        Some(ChannelMsg::Failure | ChannelMsg::Close) | None => break false,
                        Some(_) => {}
                    }
                };
                // Dropped, and so closed, where the command does not run.
                let channel = self.channel(channel);
                if taken { Ok(channel) } else { Err(OpenError::Prohibited("it does not run the command".to_owned())) }
            }
            Err(russh::Error::ChannelOpenFailure(_)) => Err(self.refused(SESSION, &[])),
            Err(_) => Err(OpenError::SessionEnded),
        }
    }
}
