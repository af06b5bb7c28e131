//! A command on the server: its input and output as a channel. For the few things that only the server itself knows.

use std::sync::Arc;
use std::time::Duration;

use super::channel::{Channel, OpenError};
use super::requests::{Line, finish, open_error};

/// sshd starts a shell by itself.
const EXEC_TIMEOUT: Duration = Duration::from_secs(20);

impl Line {
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
            Ok(channel) => drop(Channel::new(channel, self.shared.ending.gone(), self.shared.backlog.clone())),
            Err(russh::Error::ChannelOpenFailure(reason)) => drop(self.shared.refusals.text(&reason).await),
            Err(_) => std::future::pending().await,
        }
    }

    async fn start(&self, command: String) -> Result<Channel, OpenError> {
        let opened = self.handle.read().await.channel_open_session().await;
        match opened {
            Ok(channel) => {
                channel.exec(true, command).await.map_err(|_| OpenError::SessionEnded)?;
                Ok(Channel::new(channel, self.shared.ending.gone(), self.shared.backlog.clone()))
            }
            Err(russh::Error::ChannelOpenFailure(reason)) => {
                let text = self.shared.refusals.text(&reason).await;
                Err(open_error(&reason, text))
            }
            Err(_) => Err(OpenError::SessionEnded),
        }
    }
}
