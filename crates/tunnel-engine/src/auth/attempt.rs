//! One attempt to log in: asks the server, offers what there is, hears the answers.

use russh::client::{Handle, Handler};
use russh::keys::PublicKey;
use russh::{MethodKind, MethodSet};
use zeroize::Zeroizing;

use super::accepted::Accepted;
use super::agent::Agent;
use super::candidate::{AuthMaterial, Candidate, MAX_OFFERED_KEYS, OfferPlan, OfferedKey, Skipped, plan};
use super::exchange::MethodReply;
use super::identity::KeyProblem;
use super::offers::Offers;
use super::password::LinkTraffic;
use super::report::{AuthRecord, RejectedAuth};
use super::zeroized::wiping;
use super::{load, secret};
use crate::failure::{Failure, FailureKind};
use crate::login_record::{AuthAnswer as Said, LoginStep as Note};
use crate::spec::{AuthSpec, PromptKind, PrompterHandle, SecretSource};
use crate::{clock, task, words};

/// sshd allows far fewer methods in a row; a server that is never content must not keep us.
const MAX_PARTIAL_SUCCESSES: usize = 8;

pub(super) struct Authentication<'a, H: Handler> {
    pub(super) handle: &'a mut Handle<H>,
    pub(super) spec: &'a AuthSpec,
    pub(super) user: &'a str,
    /// As the user named the server.
    pub(super) host: &'a str,
    pub(super) traffic: &'a dyn LinkTraffic,
    pub(super) record: AuthRecord,
    pub(super) accepted: Accepted,
    /// `None` until the server asks for a key: nothing is read before.
    keys: Option<Offers<Candidate>>,
    pub(super) agent: Option<Agent>,
    /// The first RSA key that was refused with SHA-2 and was not to be tried with SHA-1.
    refused_rsa: Option<PublicKey>,
    /// What the server is being shown.
    pub(super) offering: Option<String>,
    /// It said that it would take that, and got the signature.
    pub(super) signed: bool,
    /// How often each has been tried since the last success.
    pub(super) interactive_tries: u32,
    password_tries: u32,
}

pub(super) enum AuthStep {
    Key(Box<Candidate>),
    Interactive(Answerer),
    Password(Zeroizing<String>),
}

/// Who answers the server's questions.
pub(super) enum Answerer {
    Password(Zeroizing<String>),
    Person(PrompterHandle),
}

impl<'a, H: Handler> Authentication<'a, H> {
    pub(super) fn new(
        handle: &'a mut Handle<H>,
        spec: &'a AuthSpec,
        (user, host): (&'a str, &'a str),
        traffic: &'a dyn LinkTraffic,
    ) -> Self {
        Self {
            handle,
            spec,
            user,
            host,
            traffic,
            record: AuthRecord::default(),
            accepted: Accepted::default(),
            keys: None,
            agent: None,
            refused_rsa: None,
            offering: None,
            signed: false,
            interactive_tries: 0,
            password_tries: 0,
        }
    }

    pub(super) async fn run(mut self) -> Result<String, Failure> {
        self.accepted = Accepted::of(self.spec).map_err(|error| {
            Failure::new(FailureKind::NoCommonAlgorithm, format!("pubkey_accepted_algorithms: {error}"))
        })?;
        // RFC 4252 section 5.2: `none` is how a client learns what the server would take.
        let first = self.handle.authenticate_none(self.user).await.ok();
        let mut methods = match self.reply_to(first).await? {
            MethodReply::Success => return Ok("none".to_owned()),
            MethodReply::Refused { methods, .. } => methods,
            MethodReply::Unsigned { .. } => MethodSet::empty(),
        };
        self.learn(&methods);
        while let Some(step) = self.next(&methods).await? {
            let (what, how) = step.describe();
            let candidate = match &step {
                AuthStep::Key(candidate) => Some((**candidate).clone()),
                AuthStep::Interactive(_) | AuthStep::Password(_) => None,
            };
            let kind = step.kind(self.spec);
            // From here on russh must not be asked again once it has said yes: it would never answer.
            self.offering = Some(what.clone());
            self.signed = false;
            let taken = self.take(step).await;
            self.note(&what, &taken);
            match taken? {
                MethodReply::Success => {
                    self.record.partial.push(how);
                    return Ok(self.record.partial.join(" + "));
                }
                MethodReply::Refused { methods: rest, partial } => {
                    if partial {
                        self.record.partial.push(how);
                        (self.interactive_tries, self.password_tries) = (0, 0);
                        self.keys.iter_mut().for_each(Offers::wants_more);
                    } else {
                        self.rsa_refused(candidate.as_ref());
                        let candidate = candidate.filter(|candidate| !candidate.sha1);
                        if let (Some(keys), Some(candidate)) = (&mut self.keys, candidate) {
                            keys.turned_down(candidate);
                        }
                        self.record.refused(kind, what);
                    }
                    methods = rest;
                    self.learn(&methods);
                }
                MethodReply::Unsigned { trouble, wanted } => {
                    self.record.skipped.push(Skipped { source: what, trouble, wanted });
                }
            }
            if self.record.partial.len() > MAX_PARTIAL_SUCCESSES {
                break;
            }
        }
        if methods.contains(&MethodKind::PublicKey)
            && self.record.rejected.len() < MAX_OFFERED_KEYS
            && let Some(key) = self.refused_rsa.take()
            && self.takes_sha1(key).await
        {
            self.record.no_common_signature(Some(None));
        }
        Err(self.record.failure(self.user, None))
    }

    fn learn(&mut self, methods: &MethodSet) {
        self.record.learn(methods);
        self.traffic.note(Note::Methods(self.record.methods.iter().map(ToString::to_string).collect()));
    }

    /// For the record of the login: what was shown, and what came of it.
    fn note(&self, what: &str, taken: &Result<MethodReply, Failure>) {
        let answer = match taken {
            Ok(MethodReply::Success) => Said::Taken,
            Ok(MethodReply::Refused { partial: true, .. }) => Said::TakenInPart,
            Ok(MethodReply::Refused { partial: false, .. }) => Said::Refused,
            Ok(MethodReply::Unsigned { trouble, wanted }) => Said::Unsigned {
                wanted: *wanted,
                kind: trouble.kind,
                why: trouble.why.clone(),
                hint: trouble.hint.clone(),
            },
            Err(failure) => Said::Ended(failure.message().to_owned()),
        };
        self.traffic.note(Note::Shown { what: what.to_owned(), answer });
    }

    fn note_plan(&self, skipped: &[Skipped], cut: usize) {
        for Skipped { source, trouble, .. } in skipped {
            let (source, why, hint) = (source.clone(), trouble.why.clone(), trouble.hint.clone());
            self.traffic.note(Note::NotShown { source, kind: trouble.kind, why, hint });
        }
        if cut > 0 {
            self.traffic.note(Note::TooManyKeys(cut));
        }
        if self.record.no_keys {
            self.traffic.note(Note::NoKeys);
        }
    }

    /// Where SHA-1 is wished for, it is the next thing to try; otherwise the key is remembered, to find out why.
    fn rsa_refused(&mut self, candidate: Option<&Candidate>) {
        let rsa = |candidate: &&Candidate| candidate.key().algorithm().is_rsa() && !candidate.sha1;
        let Some(candidate) = candidate.filter(rsa) else { return };
        let certificate = matches!(candidate.proof, OfferedKey::Certificate(_));
        if self.accepted.rsa_hashes(certificate).contains(&None) {
            let mut again = candidate.clone();
            again.sha1 = true;
            if let Some(keys) = &mut self.keys {
                keys.show_next(again);
            }
        } else if let OfferedKey::Key(key) = &candidate.proof {
            self.refused_rsa.get_or_insert_with(|| key.clone());
        }
    }

    /// ssh's order: keys, keyboard-interactive, password; each only while the server takes it.
    async fn next(&mut self, methods: &MethodSet) -> Result<Option<AuthStep>, Failure> {
        if methods.contains(&MethodKind::PublicKey) {
            if self.keys.is_none() {
                self.gather().await;
            }
            if let Some(candidate) = self.keys.as_mut().and_then(Offers::next) {
                return Ok(Some(AuthStep::Key(Box::new(candidate))));
            }
        }
        let limit = match &self.spec.password {
            Some(SecretSource::Ask(asker)) => asker.prompts(),
            Some(SecretSource::File(_)) | None => 1,
        };
        let interactive = methods.contains(&MethodKind::KeyboardInteractive)
            && self.spec.interactive
            && self.interactive_tries < limit;
        let password =
            methods.contains(&MethodKind::Password) && !self.spec.without_password && self.password_tries < limit;
        if !interactive && !password {
            return Ok(None);
        }
        if let Some(SecretSource::Ask(asker)) = self.spec.password.clone() {
            return Ok(self.ask(asker, interactive).await);
        }
        let Some(secret) = self.password().await else {
            return Ok(None);
        };
        if interactive {
            self.interactive_tries += 1;
            return Ok(Some(AuthStep::Interactive(Answerer::Password(secret))));
        }
        self.password_tries += 1;
        Ok(Some(AuthStep::Password(secret)))
    }

    /// A user is at the terminal: the server's own questions first, as ssh does it, then the password.
    async fn ask(&mut self, asker: PrompterHandle, interactive: bool) -> Option<AuthStep> {
        if interactive {
            self.interactive_tries += 1;
            return Some(AuthStep::Interactive(Answerer::Person(asker)));
        }
        let question = PromptKind::Password { user: self.user.to_owned(), host: self.host.to_owned() };
        let again = self.password_tries;
        self.password_tries += 1;
        let answer = tokio::task::spawn_blocking(move || asker.ask(&question, again)).await.ok().flatten();
        if answer.is_none() {
            self.record.no_password = Some(KeyProblem::new(FailureKind::AuthRejected, "no password was given"));
        }
        answer.map(AuthStep::Password)
    }

    /// Reads key files and asks the agent, now that a key would help.
    async fn gather(&mut self) {
        let (identities, certificates) = load::files(self.spec).await;
        match load::agent(self.spec, Some(self.traffic.session())).await {
            Ok(agent) => {
                self.record.empty_agent = agent.as_ref().is_some_and(|agent| agent.identities.is_empty());
                self.agent = agent;
            }
            Err(trouble) => {
                self.traffic.note(Note::NoAgent(trouble.why.clone()));
                match trouble.shortage {
                    // It may have the key that is wanted.
                    Some(hint) => {
                        let trouble = KeyProblem::new(FailureKind::ResourceShortage, trouble.why).with_told_hint(hint);
                        self.record.skipped.push(Skipped { source: "agent".to_owned(), trouble, wanted: false });
                    }
                    None => self.record.agent = Some(trouble.why),
                }
            }
        }
        let held = self.agent.as_ref().map(|agent| agent.identities.as_slice()).unwrap_or_default();
        let holdings = AuthMaterial {
            identities: &identities,
            certificates: &certificates,
            agent: held,
            identities_only: self.spec.identities_only,
            accepted: &self.accepted,
        };
        let OfferPlan { candidates, skipped, cut } = plan(&holdings, clock::wall());
        self.record.no_keys = candidates.is_empty() && skipped.is_empty();
        self.note_plan(&skipped, cut);
        self.record.skipped.extend(skipped);
        self.record.cut = cut;
        self.keys = Some(Offers::new(candidates));
    }

    async fn password(&mut self) -> Option<Zeroizing<String>> {
        let Some(SecretSource::File(file)) = self.spec.password.clone() else {
            self.record.no_password =
                Some(KeyProblem::new(FailureKind::AuthRejected, words::own("no password_file is set")));
            return None;
        };
        let path = file.display().to_string();
        match task::blocking(move || wiping(|| secret::read(&file))).await {
            Ok(Ok(secret)) => Some(secret),
            Ok(Err(error)) => {
                let why = format!("password_file `{path}` cannot be read: {error}");
                self.record.no_password = Some(
                    KeyProblem::new(FailureKind::IdentityUnreadable, why)
                        .with_hint("check that password_file exists and is readable by the user that runs tunneld")
                        .caused_by(&error),
                );
                None
            }
            Err(_) => None,
        }
    }
}

impl AuthStep {
    /// For the hint, should the server refuse it.
    fn kind(&self, spec: &AuthSpec) -> RejectedAuth {
        match self {
            Self::Key(candidate) => match &candidate.proof {
                OfferedKey::Key(key) if key.algorithm().is_rsa() => RejectedAuth::RsaKey,
                OfferedKey::Key(_) => RejectedAuth::Key,
                OfferedKey::Certificate(certificate) => RejectedAuth::Certificate {
                    file: candidate.source.clone(),
                    principals: certificate.valid_principals().to_vec(),
                },
            },
            Self::Interactive(_) | Self::Password(_) => RejectedAuth::Password(match &spec.password {
                Some(SecretSource::File(file)) => format!("the password in `{}`", file.display()),
                Some(SecretSource::Ask(_)) | None => "the password".to_owned(),
            }),
        }
    }

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
