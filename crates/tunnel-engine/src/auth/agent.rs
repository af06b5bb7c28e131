//! The ssh-agent: every call has a deadline, because an agent that is forwarded over a dead link, or that waits
//! for a click, would hold up the login.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Error, HashAlg};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::clock;
use crate::shortage;
use crate::transport::{SessionProof, put_string};

/// SSH_AGENTC_EXTENSION.
const AGENT_EXTENSION: u8 = 27;
/// What is read of the answer to it: one byte is expected.
const MAX_ANSWER: usize = 1024;

/// An agent answers in milliseconds. One that does not has to leave time for the key files within connect_timeout.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// A connected agent and its keys.
pub(super) struct Agent {
    client: AgentClient<UnixStream>,
    /// What it held when asked, in its order.
    pub(super) identities: Vec<AgentIdentity>,
}

/// Why the agent gave no answer, or no signature.
#[derive(Debug)]
pub(super) struct AgentProblem {
    pub(super) why: String,
    /// It cannot be asked again: an answer to the old question might come.
    pub(super) connection_lost: bool,
    /// What helps, where it is a shortage of this machine's.
    pub(super) shortage: Option<String>,
}

/// What an agent that answers but does not sign may want.
pub(super) const REFUSED_HINT: &str = "see what the agent wants: it may be locked (`ssh-add -X`), ask for a \
     confirmation or a touch, or hold the key for other hosts only (`ssh-add -h`)";

impl Agent {
    /// Connects, tells the agent which session this is (it may hold keys for certain destinations only), and lists.
    pub(super) async fn open(socket: &Path, session: Option<&SessionProof>) -> Result<Self, AgentProblem> {
        let named = |mut trouble: AgentProblem| {
            trouble.why = format!("agent `{}`: {}", socket.display(), trouble.why);
            trouble
        };
        let connect = async { Ok(UnixStream::connect(socket).await?) };
        let mut stream = answer(connect).await.map_err(named)?;
        if let Some(session) = session {
            answer(bind(&mut stream, session)).await.map_err(named)?;
        }
        let mut client = AgentClient::connect(stream);
        let identities = answer(client.request_identities()).await.map_err(named)?;
        Ok(Self { client, identities })
    }

    /// Gives `data` with the signature over it appended as one string.
    pub(super) async fn sign(
        &mut self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, AgentProblem> {
        answer(self.client.sign_request(identity, hash, data)).await
    }
}

/// Tells the agent which session this connection is for (OpenSSH PROTOCOL.agent, session-bind@openssh.com). russh,
/// which knows no session identifier here, cannot. An agent that does not know the extension says no; its keys have no
/// destinations then.
async fn bind(stream: &mut UnixStream, session: &SessionProof) -> Result<(), Error> {
    let mut message = vec![AGENT_EXTENSION];
    for part in [&b"session-bind@openssh.com"[..], &session.host_key, &session.session_id, &session.signature] {
        put_string(&mut message, part);
    }
    // Not for a connection that is forwarded.
    message.push(0);
    let mut framed = Vec::new();
    put_string(&mut framed, &message);
    stream.write_all(&framed).await?;
    let length = stream.read_u32().await?;
    // Yes or no, and nothing else.
    let mut answer = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(MAX_ANSWER)];
    stream.read_exact(&mut answer).await?;
    Ok(())
}

async fn answer<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, AgentProblem> {
    match clock::timeout(ANSWER_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Error::AgentFailure)) => {
            Err(AgentProblem { why: "the agent refused".to_owned(), connection_lost: false, shortage: None })
        }
        Ok(Err(error)) => {
            let shortage = if let Error::IO(error) = &error { shortage::hint(error) } else { None };
            Err(AgentProblem { why: error.to_string(), connection_lost: true, shortage })
        }
        Err(_) => {
            let why = format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
            Err(AgentProblem { why, connection_lost: true, shortage: None })
        }
    }
}
