//! What is offered and in which order, what a person is told in the end, and signatures. The logins themselves are
//! tested against real servers.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use russh::client::Prompt;
use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Verifier;
use russh::keys::ssh_encoding::Decode;
use russh::keys::ssh_key::Signature;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};
use russh::{MethodKind, MethodSet};

use super::accepted::Accepted;
use super::candidate::{AuthMaterial, MAX_NAMED_KEYS, MAX_OFFERED_KEYS, OfferPlan, Skipped, plan};
use super::identity::{Identity, KeyProblem, Private, load, unlock};
use super::password::{LinkTraffic, answer_or_change};
use super::prompts;
use super::report::{self, AuthRecord};
use super::sign::{KeySigner, PrivateKeyHolder, SignError};
use crate::failure::{Failure, FailureKind};
use crate::spec::{AlgorithmList, AuthSpec, IdentitySpec, SecretSource};

#[test]
fn keys_are_offered_in_the_order_of_ssh() {
    // Files 1 and 2; the agent has 3, and 2.
    let identities = [file(1), file(2)];
    let agent = [held(3), held(2)];
    let order = |identities_only| sources(&choose(&identities, &agent, identities_only));
    assert_eq!(order(false), ["agent key `2`", "agent key `3`", "file 1"]);
    assert_eq!(order(true), ["agent key `2`", "file 1"]);
}

#[test]
fn unreadable_key_that_the_agent_has_is_not_reported() {
    let unusable = Identity {
        private: Private::Unusable(KeyProblem::new(FailureKind::IdentityUnreadable, "it is a public key")),
        ..file(1)
    };
    let with_agent = choose(std::slice::from_ref(&unusable), &[held(1)], true);
    assert_eq!((sources(&with_agent), with_agent.skipped.len()), (vec!["agent key `1`".to_owned()], 0));
    let alone = choose(&[unusable], &[], true);
    assert_eq!((alone.candidates.len(), alone.skipped[0].source.as_str()), (0, "file 1"));
}

proptest! {
    #[test]
    fn offered_keys_are_bounded_and_named_ones_stay(
        files in proptest::collection::vec(0_u8..20, 0..12),
        agent in proptest::collection::vec(0_u8..20, 0..20),
        identities_only in any::<bool>(),
    ) {
        let identities: Vec<_> = files.iter().map(|n| file(*n)).collect();
        let held: Vec<_> = agent.iter().map(|n| held(*n)).collect();
        let plan = choose(&identities, &held, identities_only);
        let mut named: Vec<_> = files.clone();
        named.sort_unstable();
        named.dedup();
        let bound = named.len().max(MAX_OFFERED_KEYS);
        prop_assert!(plan.candidates.len() <= bound);
        prop_assert!(plan.cut == 0 || plan.candidates.len() == bound);
        for identity in &identities {
            let offered = plan.candidates.iter().any(|one| Some(one.key()) == identity.public.as_ref().map(PublicKey::key_data));
            prop_assert!(offered, "{:?} of {:?}", identity.path, sources(&plan));
        }
        let mut keys: Vec<_> = plan.candidates.iter().map(|one| one.key().clone()).collect();
        keys.sort();
        keys.dedup();
        prop_assert_eq!(keys.len(), plan.candidates.len());
        if identities_only {
            prop_assert!(keys.iter().all(|key| identities.iter().any(|one| one.public.as_ref().unwrap().key_data() == key)));
        }
    }
}

#[test]
fn the_most_useful_thing_to_mend_is_the_failure() {
    use FailureKind::{
        AgentUnavailable, AuthRejected, CertificateExpired, IdentityPermissions, IdentityUnreadable, PassphraseNeeded,
        ResourceShortage,
    };
    let record = |skipped: &[(FailureKind, bool)]| AuthRecord {
        skipped: skipped
            .iter()
            .map(|(kind, wanted)| Skipped {
                source: "k".into(),
                trouble: KeyProblem::new(*kind, "why"),
                wanted: *wanted,
            })
            .collect(),
        publickey_allowed: true,
        ..AuthRecord::default()
    };
    let rejected = || vec!["ssh-ed25519 SHA256:x (k)".to_owned()];
    let agent = || Some("agent `s`: gone".to_owned());
    let cases = [
        (record(&[]), AuthRejected),
        (AuthRecord { rejected: rejected(), ..record(&[]) }, AuthRejected),
        (AuthRecord { rejected: rejected(), ..record(&[(IdentityPermissions, false)]) }, IdentityPermissions),
        (record(&[(PassphraseNeeded, false), (CertificateExpired, false)]), CertificateExpired),
        (record(&[(IdentityPermissions, false), (PassphraseNeeded, true)]), PassphraseNeeded),
        (record(&[(AgentUnavailable, true), (IdentityPermissions, false)]), AgentUnavailable),
        (AuthRecord { agent: agent(), ..record(&[]) }, AgentUnavailable),
        (AuthRecord { agent: agent(), ..record(&[(IdentityUnreadable, false)]) }, AgentUnavailable),
        (AuthRecord { agent: agent(), rejected: rejected(), ..record(&[]) }, AuthRejected),
        // A file that could not be opened now may be the one.
        (
            AuthRecord {
                rejected: rejected(),
                ..record(&[(IdentityPermissions, true), (IdentityUnreadable, false), (ResourceShortage, false)])
            },
            ResourceShortage,
        ),
        // A server that takes no keys does not care about them.
        (
            AuthRecord { publickey_allowed: false, agent: agent(), ..record(&[(IdentityPermissions, false)]) },
            AuthRejected,
        ),
    ];
    for (record, want) in cases {
        assert_eq!(record.failure("me", None).kind(), want, "{record:?}");
    }
}

#[test]
fn keys_left_out_by_a_rule_are_named() {
    let spec = AuthSpec { accepted: AlgorithmList::parse("rsa-sha2-512").unwrap(), ..AuthSpec::default() };
    let accepted = Accepted::of(&spec).unwrap();
    let (identities, agent) = ([file(1)], [held(2)]);
    let holdings = AuthMaterial {
        identities: &identities,
        certificates: &[],
        agent: &agent,
        identities_only: false,
        accepted: &accepted,
    };
    let plan = plan(&holdings, now());
    assert!(plan.candidates.is_empty());
    let record = AuthRecord { skipped: plan.skipped, publickey_allowed: true, ..AuthRecord::default() };
    let failure = record.failure("me", None);
    assert_eq!(failure.kind(), FailureKind::AuthRejected);
    for source in ["`agent key `2``", "`file 1`"] {
        let said = format!("{source}: not offered: pubkey_accepted_algorithms leaves out ssh-ed25519 keys");
        assert!(failure.message().contains(&said), "{failure}");
    }
    assert!(failure.hint().contains("pubkey_accepted_algorithms"), "{}", failure.hint());
}

#[test]
fn the_message_tells_everything_that_was_tried() {
    let mut record = AuthRecord {
        partial: vec!["publickey a SHA256:x".into()],
        rejected: vec!["ssh-rsa SHA256:y (b)".into()],
        skipped: vec![Skipped {
            source: "c".into(),
            trouble: KeyProblem::new(FailureKind::IdentityPermissions, "others can read it")
                .with_hint("run `chmod 600 c`"),
            wanted: false,
        }],
        cut: 2,
        ..AuthRecord::default()
    };
    record.learn(&MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password][..]));
    let failure = record.failure("me", None);
    assert_eq!(
        failure.message(),
        "the server did not let user `me` in; it took publickey a SHA256:x, and wants more; it rejected ssh-rsa \
         SHA256:y (b); `c`: not offered: others can read it; 2 more keys of the agent were not offered: most servers listen to 6 tries; \
         it takes publickey, password"
    );
    assert_eq!(failure.hint(), "run `chmod 600 c`");
    let word = Failure::new(FailureKind::AuthRejected, "too many").with_hint("fewer");
    let ended = AuthRecord::default().failure("me", Some(&word));
    assert!(ended.message().ends_with("; too many"), "{ended}");
}

#[test]
fn more_named_keys_than_any_list_has_are_cut() {
    let identities: Vec<_> = (0..=MAX_NAMED_KEYS as u8).map(file).collect();
    let plan = choose(&identities, &[held(200)], false);
    assert_eq!((plan.candidates.len(), plan.cut), (MAX_NAMED_KEYS, 2));
}

#[test]
fn partial_success_is_told_with_what_is_still_wanted() {
    use MethodKind::{HostBased, KeyboardInteractive, Password, PublicKey};
    let hint = |methods: &[MethodKind], refused_password: Option<&str>| {
        let trouble = KeyProblem::new(FailureKind::IdentityPermissions, "others can read it").with_hint("chmod");
        let mut record = AuthRecord {
            partial: vec!["publickey a SHA256:x".into()],
            skipped: vec![Skipped { source: "c".into(), trouble, wanted: false }],
            publickey_allowed: true,
            refused_password: refused_password.map(str::to_owned),
            ..AuthRecord::default()
        };
        record.learn(&MethodSet::from(methods));
        let told = record.failure("me", None).hint().to_owned();
        record.skipped.clear();
        (told, record.failure("me", None).hint().to_owned())
    };
    let (_, password) = hint(&[Password, KeyboardInteractive], None);
    assert!(
        password.starts_with("the server took publickey a SHA256:x and wants password or keyboard-interactive"),
        "{password}"
    );
    assert!(password.ends_with("set password_file"), "{password}");
    assert_eq!(hint(&[Password, KeyboardInteractive], None).0, password, "a key is not what is missing");
    let (unreadable, key) = hint(&[PublicKey], None);
    assert_eq!(unreadable, "chmod", "another key is");
    assert!(key.contains("name another key in identity_file"), "{key}");
    assert!(hint(&[HostBased], None).1.contains("AuthenticationMethods"));
    assert!(hint(&[Password], Some("the password in `p`")).1.contains("refused the password in `p`"));
}

#[test]
fn server_without_any_method_is_told_so() {
    let word = Failure::new(FailureKind::AuthRejected, "it offers no way to authenticate that we know");
    let failure = AuthRecord::default().failure("me", Some(&word));
    assert!(failure.hint().contains("`me` log in by no method at all"), "{}", failure.hint());
}

#[tokio::test]
async fn short_rsa_key_signs_and_shorter_one_is_named() {
    let sign = |bits: &'static str| async move {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        let key = std::process::Command::new("openssl")
            .args(["genrsa", "-traditional", "-out"])
            .arg(&path)
            .arg(bits)
            .output()
            .unwrap();
        assert!(key.status.success(), "{key:?}");
        let key = russh::keys::decode_secret_key(&std::fs::read_to_string(&path).unwrap(), None).unwrap();
        let public = key.public_key().clone();
        let holder = PrivateKeyHolder::File {
            public: Box::new(public.clone()),
            private: Private::Ready(Arc::new(key)),
            name: "f".into(),
            passphrase: None,
        };
        let mut signer = KeySigner { holder, session_id: b"", signed: false };
        russh::Signer::auth_sign(&mut signer, &public.into(), Some(HashAlg::Sha512), vec![0; 4]).await
    };
    assert!(sign("1024").await.is_ok());
    let Err(SignError::Trouble(problem)) = sign("768").await else { panic!("too short") };
    assert!(problem.why.contains("768 bits") && problem.hint.unwrap().contains("ssh-keygen -t ed25519"));
}

#[test]
fn passphrase_file_that_cannot_be_read_is_what_to_mend() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k");
    let made =
        std::process::Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "pw", "-f"]).arg(&path).status();
    assert!(made.unwrap().success());
    let text = std::fs::read_to_string(&path).unwrap();
    let passphrase = SecretSource::File(dir.path().join("missing"));
    let problem = unlock("k", &text, Some(&passphrase)).unwrap_err();
    assert_eq!(problem.kind, FailureKind::PassphraseNeeded);
    assert!(problem.hint.unwrap().starts_with("check that passphrase_file exists and is readable"));
    assert_eq!(unlock("k", &text, None).unwrap_err().hint, None, "none is set");
}

#[test]
fn the_password_goes_only_to_prompts_that_are_not_echoed() {
    let prompt = |echo| Prompt { prompt: "?".into(), echo };
    assert_eq!(prompts::answers(&[prompt(false)], "pw"), ["pw"]);
    assert_eq!(prompts::answers(&[prompt(true), prompt(false)], "pw"), ["", "pw"]);
    assert!(prompts::answers(&[], "pw").is_empty());
}

#[tokio::test]
async fn signature_of_every_key_type_verifies() {
    let mut random = russh::keys::key::safe_rng();
    let rsa = |hash| Algorithm::Rsa { hash };
    for (algorithm, hash) in
        [(Algorithm::Ed25519, None), (rsa(None), Some(HashAlg::Sha256)), (rsa(None), Some(HashAlg::Sha512))]
    {
        let key = PrivateKey::random(&mut random, algorithm.clone()).unwrap();
        let public = key.public_key().clone();
        let holder = PrivateKeyHolder::File {
            public: Box::new(public.clone()),
            private: Private::Ready(Arc::new(key)),
            name: "f".into(),
            passphrase: None,
        };
        let mut signer = KeySigner { holder, session_id: b"session", signed: false };
        // russh's session identifier is empty.
        let data = [&[0; 4][..], b"to be signed"].concat();
        let signed = russh::Signer::auth_sign(&mut signer, &public.clone().into(), hash, data.clone()).await.unwrap();
        let mut appended = signed.strip_prefix(data.as_slice()).unwrap();
        let blob = Vec::<u8>::decode(&mut appended).unwrap();
        let signature = Signature::decode(&mut blob.as_slice()).unwrap();
        if algorithm == rsa(None) {
            assert_eq!(signature.algorithm(), rsa(hash));
        }
        let signed = [&[0, 0, 0, 7][..], b"session", b"to be signed"].concat();
        Verifier::verify(&public, &signed, &signature).unwrap();
        assert!(appended.is_empty() && signer.signed);
    }
}

fn choose(identities: &[Identity], agent: &[AgentIdentity], identities_only: bool) -> OfferPlan {
    let accepted = Accepted::default();
    plan(&AuthMaterial { identities, certificates: &[], agent, identities_only, accepted: &accepted }, now())
}

fn sources(plan: &OfferPlan) -> Vec<String> {
    plan.candidates.iter().map(|candidate| candidate.source.clone()).collect()
}

fn file(number: u8) -> Identity {
    let locked = Private::Locked(Arc::new(zeroize::Zeroizing::new(String::new())));
    Identity { path: format!("file {number}").into(), public: Some(public(number)), private: locked }
}

fn held(number: u8) -> AgentIdentity {
    AgentIdentity::PublicKey { key: public(number), comment: number.to_string() }
}

fn public(number: u8) -> PublicKey {
    let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    blob.extend([number; 32]);
    PublicKey::from_bytes(&blob).unwrap()
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

#[test]
fn an_expired_account_is_no_lost_connection() {
    const SAID: &str = "Your account has expired; please contact your system administrator.";
    let closed = || Failure::new(FailureKind::ClosedByServer, "closed");
    let told = report::with_words(closed(), SAID);
    assert_eq!((told.kind(), told.message()), (FailureKind::AuthRejected, &*format!("closed; it said `{SAID}`")));
    assert!(told.hint().contains("chage -E"), "{}", told.hint());
    assert_eq!(report::with_words(told.clone(), SAID), told, "once");
    let nologin = report::with_words(closed(), "System is going down.");
    assert_eq!((nologin.kind(), nologin.hint()), (FailureKind::ClosedByServer, closed().hint()), "it may come back");
    let record = AuthRecord { said: Some(SAID.to_owned()), ..AuthRecord::default() };
    let refused = record.failure("me", None);
    assert!(refused.message().contains(SAID) && refused.hint().contains("chage -E"), "{refused}");
}

#[test]
fn questions_for_a_new_password_are_recognised() {
    let prompt = |text: &str| Prompt { prompt: text.into(), echo: false };
    for text in
        ["New password: ", "(current) UNIX password:\nNew UNIX password:", "Your password has expired.\nPassword:"]
    {
        assert!(prompts::want_new_password("", &[prompt(text)], true), "{text}");
    }
    assert!(prompts::want_new_password("You must change your password now", &[prompt("Password:")], false));
    for text in ["Password: ", "Verification code: ", "Your password will expire in 3 days.\nPassword: "] {
        assert!(!prompts::want_new_password("", &[prompt(text)], true), "{text}");
    }
    let twice = || [prompt("Neues Passwort: "), prompt("Neues Passwort wiederholen: ")];
    assert!(prompts::want_new_password("", &twice(), true), "in any language");
    assert!(!prompts::want_new_password("", &twice(), false), "a password and a code, perhaps");
}

#[tokio::test(start_paused = true)]
async fn unanswered_bytes_are_a_password_change_request() {
    use std::sync::atomic::{AtomicU64, Ordering};

    struct FakeLink(AtomicU64, u32);
    impl LinkTraffic for FakeLink {
        fn ended(&self) -> tokio::sync::watch::Receiver<Option<Failure>> {
            tokio::sync::watch::channel(None).1
        }
        fn received(&self) -> (u64, u32) {
            (self.0.load(Ordering::Relaxed), self.1)
        }
        fn session(&self) -> &crate::transport::SessionProof {
            panic!("no signature is made")
        }
    }
    let link = FakeLink(AtomicU64::new(100), 0);
    let later = |wait: u64| async move {
        let _ = tokio::time::timeout(Duration::from_secs(wait), std::future::pending::<()>()).await;
    };
    // A server that thinks for long, as PAM does after a wrong password, is waited for.
    assert_eq!(answer_or_change(later(60), &link).await, Some(()));
    let receive = async {
        later(5).await;
        link.0.fetch_add(64, Ordering::Relaxed);
    };
    let (change, ()) = tokio::join!(answer_or_change(std::future::pending::<()>(), &link), receive);
    assert_eq!(change, None);
}

#[test]
fn mode_of_a_file_counts_only_where_it_may_be_a_key() {
    use std::os::unix::fs::PermissionsExt;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let spec = IdentitySpec { path: file.path().to_owned(), explicit: true };
    for (text, kind) in [
        ("relay.example\n", FailureKind::IdentityUnreadable),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", FailureKind::IdentityPermissions),
    ] {
        std::fs::write(file.path(), text).unwrap();
        let Some(Identity { private: Private::Unusable(trouble), .. }) = load(&spec, None) else { panic!("{text}") };
        assert_eq!(trouble.kind, kind, "{text}");
    }
}
