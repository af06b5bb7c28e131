//! One exchange with the server: a method shown, and what the answer means.

use std::time::Duration;

use russh::MethodSet;
use russh::client::{AuthResult, Handler, KeyboardInteractiveAuthResponse, Prompt};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PublicKey};
use tokio::time::timeout;

use super::attempt::{Answerer, AuthStep, Authentication};
use super::candidate::{Candidate, OfferedKey, PrivateHalf};
use super::identity::KeyProblem;
use super::sign::{KeySigner, PrivateKeyHolder, SignError};
use super::{password, prompts, report};
use crate::failure::{Failure, FailureKind};
use crate::spec::PrompterHandle;

/// russh answers for a session that has ended before the session can say why; it says so within this.
const LAST_WORD_TIMEOUT: Duration = Duration::from_secs(1);

/// The server's answer to one method.
pub(super) enum MethodReply {
    Success,
    Refused {
        methods: MethodSet,
        partial: bool,
    },
    /// There is no signature. `wanted`: the server would have taken the key.
    Unsigned {
        trouble: KeyProblem,
        wanted: bool,
    },
}

impl<H: Handler> Authentication<'_, H> {
    pub(super) async fn take(&mut self, step: AuthStep) -> Result<MethodReply, Failure> {
        match step {
            AuthStep::Key(candidate) => self.offer(*candidate).await,
            AuthStep::Interactive(answerer) => self.interact(&answerer).await,
            AuthStep::Password(password) => {
                // russh wipes its copy once it is sent, but not the packet with it (SECURITY.md).
                let answer = self.handle.authenticate_password(self.user, password.as_str());
                match password::answer_or_change(answer, self.traffic).await {
                    Some(answer) => self.reply_to(answer.ok()).await,
                    None => Err(password::change_required(self.user, self.host, "")),
                }
            }
        }
    }

    async fn offer(&mut self, candidate: Candidate) -> Result<MethodReply, Failure> {
        let mut hash = None;
        if matches!(candidate.key(), KeyData::Rsa(_)) && !candidate.sha1 {
            let accepted = self.accepted.rsa_hashes(matches!(candidate.proof, OfferedKey::Certificate(_)));
            match self.rsa_hash(&accepted).await? {
                Ok(chosen) => hash = chosen,
                Err(trouble) => return Ok(MethodReply::Unsigned { trouble, wanted: false }),
            }
        }
        let holder = match &candidate.signs {
            PrivateHalf::File(private) => PrivateKeyHolder::File {
                public: Box::new(candidate.key().clone().into()),
                private: private.clone(),
                name: candidate.source.clone(),
                passphrase: self.spec.passphrase.clone(),
            },
            PrivateHalf::Agent(identity) => {
                PrivateKeyHolder::Agent { agent: &mut self.agent, identity: identity.clone() }
            }
        };
        let session = self.traffic.session();
        let mut signer = KeySigner { holder, session_id: &session.session_id, signed: false };
        let answer = match candidate.proof {
            OfferedKey::Key(key) => self.handle.authenticate_publickey_with(self.user, key, hash, &mut signer).await,
            // With our own signer, because russh's call for certificates offers RSA ones under a SHA-1 name.
            OfferedKey::Certificate(certificate) => {
                self.handle.authenticate_certificate_with(self.user, *certificate, hash, &mut signer).await
            }
        };
        self.signed = signer.signed;
        match answer {
            Err(SignError::Trouble(trouble)) => Ok(MethodReply::Unsigned { trouble, wanted: true }),
            Err(SignError::SessionEnded(_)) => self.reply_to(None).await,
            Ok(answer) => self.reply_to(Some(answer)).await,
        }
    }

    /// The hash to sign with by an RSA key, one of `accepted` (`None`: SHA-1), or why there is none. A server that does
    /// not say what it takes (RFC 8308) is older than SHA-2 in ssh or says nothing about it: as ssh, it gets a
    /// signature with SHA-1 where those are wished for, else the one that RFC 8332 recommends.
    async fn rsa_hash(&mut self, accepted: &[Option<HashAlg>]) -> Result<Result<Option<HashAlg>, KeyProblem>, Failure> {
        const SHA1: Option<HashAlg> = None;
        let first = accepted.first().copied();
        let if_accepted = |hash| Some(hash).filter(|hash| accepted.contains(hash));
        let announced = match self.handle.best_supported_rsa_hash().await {
            Ok(announced) => announced,
            Err(_) => return Err(self.lost().await),
        };
        self.record.silent_about_rsa = announced.is_none();
        let chosen = match announced {
            // A server that takes the longer hash takes the shorter one.
            Some(Some(HashAlg::Sha512)) => first,
            Some(Some(hash)) => if_accepted(Some(hash)).or_else(|| if_accepted(SHA1)),
            Some(None) => if_accepted(SHA1),
            None => if_accepted(SHA1).or_else(|| if_accepted(Some(HashAlg::Sha256))).or(first),
        };
        Ok(chosen.ok_or_else(|| self.record.no_common_signature(announced)))
    }

    /// Would the server take a signature with SHA-1 of an RSA key that it refused with SHA-2? Asked without making one
    /// (RFC 4252 section 7): sshd announces SHA-2 also where its PubkeyAcceptedAlgorithms leaves it out.
    pub(super) async fn takes_sha1(&mut self, key: PublicKey) -> bool {
        let mut signer = KeySigner { holder: PrivateKeyHolder::Asking, session_id: &[], signed: false };
        let answer = self.handle.authenticate_publickey_with(self.user, key, None, &mut signer).await;
        matches!(answer, Err(SignError::Trouble(_)))
    }

    async fn interact(&mut self, answerer: &Answerer) -> Result<MethodReply, Failure> {
        let mut answer = self.handle.authenticate_keyboard_interactive_start(self.user, None).await;
        let mut password_given = false;
        for round in 0.. {
            let prompts = match answer {
                Ok(KeyboardInteractiveAuthResponse::InfoRequest { prompts, instructions, .. }) => {
                    let unattended = matches!(answerer, Answerer::Password(_));
                    if unattended && prompts::want_new_password(&instructions, &prompts, password_given) {
                        let said = prompts::quoted(&prompts).map(|text| format!("; it asks `{text}`"));
                        return Err(password::change_required(self.user, self.host, &said.unwrap_or_default()));
                    }
                    // PAM's words on an account that may not log in come with no question.
                    self.record.said = prompts::quoted_text(&instructions).or(self.record.said.take());
                    self.record.asked = prompts::quoted(&prompts).or(self.record.asked.take());
                    prompts
                }
                Ok(KeyboardInteractiveAuthResponse::Success) => return Ok(MethodReply::Success),
                Ok(KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success }) => {
                    return self.reply_to(Some(AuthResult::Failure { remaining_methods, partial_success })).await;
                }
                Err(_) => return self.reply_to(None).await,
            };
            if round >= prompts::MAX_ROUNDS {
                break;
            }
            password_given |= prompts::secrets(&prompts) > 0;
            let answers = match answerer {
                Answerer::Password(password) => prompts::answers(&prompts, password),
                Answerer::Person(asker) => self.asked(prompts, asker.clone()).await,
            };
            answer = self.handle.authenticate_keyboard_interactive_respond(answers).await;
        }
        // russh waits for answers and hears nothing else, so this session cannot go on.
        let message = format!("the server went on asking after {} rounds of questions", prompts::MAX_ROUNDS);
        Err(Failure::new(FailureKind::AuthRejected, message))
    }

    /// The server's questions, put to a person. What is not answered is answered with nothing.
    async fn asked(&self, prompts: Vec<Prompt>, asker: PrompterHandle) -> Vec<String> {
        let (user, host) = (self.user.to_owned(), self.host.to_owned());
        let again = self.interactive_tries.saturating_sub(1);
        let ask = move || prompts.iter().map(|prompt| prompts::put(prompt, &user, &host, &asker, again)).collect();
        tokio::task::spawn_blocking(ask).await.unwrap_or_default()
    }

    /// Tells a rejection from a lost connection: russh calls both a failure, the latter with no methods left
    /// (or with an error, here `None`), and ends the session itself when a server leaves none.
    pub(super) async fn reply_to(&mut self, answer: Option<AuthResult>) -> Result<MethodReply, Failure> {
        match answer {
            Some(AuthResult::Success) => Ok(MethodReply::Success),
            Some(AuthResult::Failure { remaining_methods, partial_success }) if !remaining_methods.is_empty() => {
                Ok(MethodReply::Refused { methods: remaining_methods, partial: partial_success })
            }
            Some(AuthResult::Failure { .. }) | None => Err(self.lost().await),
        }
    }

    /// Why the session ended. When the server ended it because of what we offered, the whole story.
    async fn lost(&mut self) -> Failure {
        let mut ended = self.traffic.ended();
        let word = timeout(LAST_WORD_TIMEOUT, ended.wait_for(Option::is_some)).await;
        let word = word.ok().and_then(Result::ok).and_then(|word| word.clone());
        let lost = match word {
            Some(word) if word.kind() == FailureKind::AuthRejected => {
                self.record.rejected.extend(self.offering.take());
                return self.record.failure(self.user, Some(&word));
            }
            Some(word) => word,
            None => Failure::new(FailureKind::ConnectionLost, "the connection was lost"),
        };
        let lost = match &self.offering {
            Some(what) => lost.in_context(&format!("while offering {what}")),
            None => lost.in_context("during authentication"),
        };
        if let Some(said) = &self.record.said {
            return report::with_words(lost, said);
        }
        if self.signed {
            // sshd closes without a word when the account phase (PAM, expiry, nologin) fails after a good key.
            return lost.with_hint(
                "the server closed right after it took the key: look at the account there, and into its log",
            );
        }
        lost
    }
}
