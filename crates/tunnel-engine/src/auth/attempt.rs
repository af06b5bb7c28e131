//! One attempt to log in: asks the server, offers what there is, hears the answers.

use std::collections::VecDeque;

use russh::client::{Handle, Handler};
use russh::{MethodKind, MethodSet};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::agent::Agent;
use super::candidate::{Candidate, Holdings, Plan, Skipped, plan};
use super::exchange::Answer;
use super::identity::Trouble;
use super::report::Record;
use super::{load, secret};
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::spec::{AuthSpec, SecretSource};

/// sshd allows far fewer methods in a row; a server that is never content must not keep us.
const MAX_PARTIAL_SUCCESSES: usize = 8;

pub(super) struct Attempt<'a, H: Handler> {
    pub(super) handle: &'a mut Handle<H>,
    pub(super) spec: &'a AuthSpec,
    pub(super) user: &'a str,
    pub(super) ended: &'a watch::Receiver<Option<Failure>>,
    pub(super) record: Record,
    /// `None` until the server asks for a key: nothing is read before.
    keys: Option<VecDeque<Candidate>>,
    pub(super) agent: Option<Agent>,
    /// What the server is being shown.
    pub(super) offering: Option<String>,
    /// It said that it would take that, and got the signature.
    pub(super) signed: bool,
    /// What the password has been tried with since the last success.
    interactive_tried: bool,
    password_tried: bool,
}

/// What to try next.
pub(super) enum Step {
    Key(Box<Candidate>),
    Interactive(Zeroizing<String>),
    Password(Zeroizing<String>),
}

impl<'a, H: Handler> Attempt<'a, H> {
    pub(super) fn new(
        handle: &'a mut Handle<H>,
        spec: &'a AuthSpec,
        user: &'a str,
        ended: &'a watch::Receiver<Option<Failure>>,
    ) -> Self {
        Self {
            handle,
            spec,
            user,
            ended,
            record: Record::default(),
            keys: None,
            agent: None,
            offering: None,
            signed: false,
            interactive_tried: false,
            password_tried: false,
        }
    }

    pub(super) async fn run(mut self) -> Result<String, Failure> {
        // RFC 4252 section 5.2: `none` is how a client learns what the server would take.
        let first = self.handle.authenticate_none(self.user).await.ok();
        let mut methods = match self.heard(first).await? {
            Answer::Success => return Ok("none".to_owned()),
            Answer::Refused { methods, .. } => methods,
            Answer::Unsigned { .. } => MethodSet::empty(),
        };
        self.record.learn(&methods);
        while let Some(step) = self.next(&methods).await? {
            let (what, how) = step.describe();
            // From here on russh must not be asked again once it has said yes: it would never answer.
            self.offering = Some(what.clone());
            self.signed = false;
            match self.take(step).await? {
                Answer::Success => {
                    self.record.partial.push(how);
                    return Ok(self.record.partial.join(" + "));
                }
                Answer::Refused { methods: rest, partial } => {
                    if partial {
                        self.record.partial.push(how);
                        (self.interactive_tried, self.password_tried) = (false, false);
                    } else {
                        self.record.rejected.push(what);
                    }
                    methods = rest;
                    self.record.learn(&methods);
                }
                Answer::Unsigned { trouble, wanted } => {
                    self.record.skipped.push(Skipped { source: what, trouble, wanted });
                }
            }
            if self.record.partial.len() > MAX_PARTIAL_SUCCESSES {
                break;
            }
        }
        Err(self.record.failure(self.user, None))
    }

    /// ssh's order: keys, keyboard-interactive, password; each only while the server takes it.
    async fn next(&mut self, methods: &MethodSet) -> Result<Option<Step>, Failure> {
        if methods.contains(&MethodKind::PublicKey) {
            if self.keys.is_none() {
                self.gather().await;
            }
            if let Some(candidate) = self.keys.as_mut().and_then(VecDeque::pop_front) {
                return Ok(Some(Step::Key(Box::new(candidate))));
            }
        }
        let interactive = methods.contains(&MethodKind::KeyboardInteractive) && !self.interactive_tried;
        let password = methods.contains(&MethodKind::Password) && !self.password_tried;
        if !interactive && !password {
            return Ok(None);
        }
        let Some(secret) = self.password().await else {
            return Ok(None);
        };
        if interactive {
            self.interactive_tried = true;
            return Ok(Some(Step::Interactive(secret)));
        }
        self.password_tried = true;
        Ok(Some(Step::Password(secret)))
    }

    /// Reads key files and asks the agent, now that a key would help.
    async fn gather(&mut self) {
        let (identities, certificates) = load::files(self.spec).await;
        match load::agent(self.spec, self.handle.agent_session_binding()).await {
            Ok(agent) => self.agent = agent,
            Err(trouble) => self.record.agent = Some(trouble.why),
        }
        let held = self.agent.as_ref().map(|agent| agent.identities.as_slice()).unwrap_or_default();
        let holdings = Holdings {
            identities: &identities,
            certificates: &certificates,
            agent: held,
            identities_only: self.spec.identities_only,
        };
        let Plan { candidates, skipped, cut } = plan(&holdings, clock::wall());
        self.record.no_keys = candidates.is_empty() && skipped.is_empty();
        self.record.skipped.extend(skipped);
        self.record.cut = cut;
        self.keys = Some(candidates.into());
    }

    async fn password(&mut self) -> Option<Zeroizing<String>> {
        let Some(source) = self.spec.password.clone() else {
            self.record.no_password = Some(Trouble::new(FailureKind::AuthRejected, "no password_file is set"));
            return None;
        };
        let SecretSource::File(path) = &source;
        let path = path.display().to_string();
        match tokio::task::spawn_blocking(move || secret::read(&source)).await {
            Ok(Ok(secret)) => Some(secret),
            Ok(Err(error)) => {
                let why = format!("password_file `{path}` cannot be read: {error}");
                self.record.no_password = Some(
                    Trouble::new(FailureKind::IdentityUnreadable, why)
                        .with_hint("check that password_file exists and is readable by the user that runs tunneld"),
                );
                None
            }
            Err(_) => None,
        }
    }
}

impl Step {
    /// For the list of what was tried, and for status.
    fn describe(&self) -> (String, String) {
        match self {
            Self::Key(candidate) => (candidate.describe(), candidate.how()),
            Self::Interactive(_) => {
                ("the password (keyboard-interactive)".to_owned(), "keyboard-interactive".to_owned())
            }
            Self::Password(_) => ("the password".to_owned(), "password".to_owned()),
        }
    }
}
