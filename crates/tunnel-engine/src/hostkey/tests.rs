//! Tables over the verdict, and the life of a known_hosts file.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use russh::keys::{Algorithm, HashAlg, PublicKeyOrCertificate};
use tokio_util::sync::CancellationToken;

use super::entry::{EntryFilter, KeySource, parse};
use super::name::{HostNames, ServerName};
use super::store::{self, Written};
use super::{HostKey, HostKeyOffer, HostKeyVerdict, HostKeys, MatchedBy, Until};
use crate::failure::FailureKind;
use crate::spec::{AlgorithmList, Destination, HostKeySpec, StrictHostKeyChecking};

const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKu+ToaAxXqaf+OEG1rrtibRGVE3fgkDHehC2fyafmLh";
const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK2pr+Bfus1hvPof4Wb/plZCzSbqadHH0u+/f4ODtKnE";
const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDRJ65Ih+p+Iwu6l3wtagMv6YNY57XNfAQp64MeIMHXYdzFWhBupVrYEv1s0j/4G+Jfr0ieRGhMF4R3xe9gFwZefAlWHCKFgngrEXPUzZocGYtjYIJpBPG1rvWsLULJeR0NiIr44XMCWAHj2t6L6cna5MwOOx6lCDFiM9Eb99AqMw==";
/// By `ssh-keygen -H` from `[Host.example]:2222`.
const HASHED: &str = "|1|SpHXo4McciTSqzkpkYAaMg4fasI=|znXwCA9CVPrkkIUIMLBzj1D8oaU=";

#[test]
fn the_lines_for_a_name_decide() {
    let cases: &[(&str, &str, &str)] = &[
        // (what the file says with A, B, R for keys, destination, verdict on key A)
        ("", "h", "unknown"),
        ("h A", "h", "match"),
        ("H.Example A", "h.eXample", "match"),
        ("h\tA  comment with blanks", "h", "match"),
        ("  h A", "h", "match"),
        ("# h A", "h", "unknown"),
        ("g,h A", "h", "match"),
        ("*.example A", "a.example", "match"),
        ("*.example A", "example", "unknown"),
        ("a? A", "ab", "match"),
        ("*.example,!b.example A", "b.example", "unknown"),
        ("*.example,!b.example A", "c.example", "match"),
        ("!b.example A", "c.example", "unknown"),
        ("h B", "h", "changed f:1"),
        ("h R", "h", "changed f:1"),
        ("h B\n\n# x\nh R", "h", "changed f:1 f:4"),
        ("h B\nh A", "h", "match"),
        ("* B\nh A", "h", "match"),
        // the port form, and its fallback
        ("[h]:2222 A", "h:2222", "match"),
        ("h A", "h:2222", "match"),
        ("h B", "h:2222", "unknown"),
        ("[h]:2222 B\nh A", "h:2222", "changed f:1"),
        ("[h]:2222 A", "h", "unknown"),
        ("[*]:2222 A", "h:2222", "match"),
        ("[::1]:2222 A", "[::1]:2222", "match"),
        ("::1 A", "::1", "match"),
        // an address has one spelling
        ("[127.0.0.1]:2222 B", "127.1:2222", "changed f:1"),
        ("::1 A", "0:0:0:0:0:0:0:1", "match"),
        ("@revoked 2001:db8::5 A", "2001:DB8:0:0::5", "revoked f:1"),
        ("0:0:0:0:0:0:0:1 A", "::1", "unknown"),
        // markers
        ("@revoked h A", "h", "revoked f:1"),
        ("h A\n@revoked * A", "h", "revoked f:2"),
        ("@revoked h B\nh A", "h", "match"),
        ("@revoked g A\nh A", "h", "match"),
        ("@revoked h A", "h:2222", "revoked f:1"),
        ("@cert-authority h A", "h", "unknown"),
        ("@cert-authority h B\nh A", "h", "match"),
        ("@unheard-of h A", "h", "unknown"),
        ("@revoked @revoked h A", "h", "unknown"),
        // bad lines are skipped, the others count
        ("h ssh-ed25519\nh A", "h", "match"),
        ("h ssh-ed25519 !!!!\nh A", "h", "match"),
        ("h ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIKu+ToaAxXqaf+OEG1rrtibRGVE3fgkDHehC2fyafmLh\nh A", "h", "match"),
        ("h 1024 35 1234567890\nh A", "h", "match"),
        ("|1|x|y A\nh A", "h", "match"),
        ("|2|x|y A\nh A", "h", "match"),
        // hashed
        ("HASHED A", "host.example:2222", "match"),
        ("HASHED A", "HOST.example:2222", "match"),
        ("HASHED B", "host.example:2222", "changed f:1"),
        ("HASHED A", "host.example", "unknown"),
        // a type of a later ssh is known all the same
        ("h ssh-future AAAACnNzaC1mdXR1cmUAAAAA", "h", "changed f:1"),
    ];
    for (file, destination, want) in cases {
        let got = describe(&host_keys(file, destination, None).verdict(&presented(A), now()));
        assert_eq!(&got, want, "{file:?} for {destination}");
    }
}

#[test]
fn an_alias_stands_for_itself_without_a_port() {
    for (file, want) in [("Web A", "match"), ("web B", "changed f:1"), ("[web]:2222 A", "unknown"), ("h A", "unknown")]
    {
        let got = describe(&host_keys(file, "h:2222", Some("WEB")).verdict(&presented(A), now()));
        assert_eq!(got, want, "{file}");
    }
}

#[test]
fn a_fingerprint_reads_as_ssh_keygen_prints_it() {
    assert_eq!(key(A).fingerprint(), "SHA256:siD5gf4TryKv5/d5XWY5L5G/y4pJM235F0y9ppFeRIE");
    assert_eq!(key(RSA).fingerprint(), "SHA256:phuLhFfrR14fbd04YtWoAbMTCqi+YGpBXLG3ZRxZ3Rs");
}

#[test]
fn types_known_for_the_name_are_asked_for_first() {
    let rsa = |hash| Algorithm::Rsa { hash: Some(hash) };
    let rsa = [rsa(HashAlg::Sha512), rsa(HashAlg::Sha256)].to_vec();
    let ed = vec![Algorithm::Ed25519];
    let ours = [ed.clone(), rsa.clone()].concat();
    let rsa_first = [rsa.clone(), ed.clone()].concat();
    for (file, plain, certificates) in [
        ("h R", &rsa_first, &rsa),
        ("[h]:2222 R\nh A", &rsa_first, &rsa),
        ("h A", &ours, &ed),
        ("g R", &ours, &vec![]),
        ("@revoked h R", &ours, &vec![]),
        ("h R\n@cert-authority *,!g A", &rsa_first, &ours),
        ("@cert-authority g A", &ours, &vec![]),
    ] {
        let offer = HostKeyOffer { plain: ours.clone(), certificates: ours.clone(), leading: 3, ordered: false };
        let offer = host_keys(file, "h:2222", None).prefer(offer);
        assert_eq!((&offer.plain, &offer.certificates), (plain, certificates), "{file}");
    }
}

#[test]
fn users_order_and_its_first_certificates_are_kept() {
    let (ed, rsa) = (Algorithm::Ed25519, Algorithm::Rsa { hash: Some(HashAlg::Sha512) });
    let both = vec![ed.clone(), rsa.clone()];
    for (file, leading, certificates) in [
        ("h R", 2, &both),
        ("h R", 1, &both),
        ("h R", 0, &vec![rsa.clone()]),
        ("g R", 1, &vec![ed.clone()]),
        ("@cert-authority h R", 0, &both),
    ] {
        let offer = HostKeyOffer { plain: both.clone(), certificates: both.clone(), leading, ordered: true };
        let offer = host_keys(file, "h:2222", None).prefer(offer);
        assert_eq!((&offer.plain, &offer.certificates), (&both, certificates), "{file} {leading}");
    }
}

#[tokio::test]
async fn only_the_lines_of_the_server_stay_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    let others: String = (0..1000).map(|number| format!("h{number}.example {B}\n")).collect();
    fs::write(&file, format!("{others}[h]:2222 {A}\nh {A}\n@cert-authority *.example {B}\n")).unwrap();
    let spec = spec(StrictHostKeyChecking::Yes, &file);
    let keys = HostKeys::load(&spec, &Destination::parse("h:2222", "me").unwrap(), until()).await.unwrap();
    let lines: Vec<usize> = keys.entries.iter().map(|entry| entry.at.line).collect();
    assert_eq!(lines, [1001, 1002]);
}

#[tokio::test]
async fn strict_checking_refuses_unknown_key_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("my hosts");
    let failure = check(StrictHostKeyChecking::Yes, &file, "h:2222", A).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::HostKeyUnknown);
    for part in ["`[h]:2222`", "ssh-ed25519 SHA256:siD5gf4TryKv5", "my hosts"] {
        assert!(failure.message().contains(part), "{part} in {}", failure.message());
    }
    let command = format!("`tunneld trust h:2222 --file '{}'`", file.display());
    assert!(failure.hint().contains(&command), "{}", failure.hint());
    assert!(failure.hint().contains("compare SHA256:siD5gf4TryKv5"), "{}", failure.hint());
    assert!(!file.exists());
}

#[tokio::test]
async fn a_changed_key_is_refused_whatever_the_policy() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    fs::write(&file, format!("# mine\n[h]:2222 {B}\n")).unwrap();
    for strict in [StrictHostKeyChecking::Yes, StrictHostKeyChecking::AcceptNew, StrictHostKeyChecking::No] {
        let failure = check(strict, &file, "h:2222", A).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::HostKeyChanged);
        for part in [&format!("{}:2", file.display()), &key(A).fingerprint(), &key(B).fingerprint()] {
            assert!(failure.message().contains(part.as_str()), "{part} in {}", failure.message());
        }
        let command = format!("`ssh-keygen -f {} -R '[h]:2222'`", file.display());
        assert!(failure.hint().contains(&command), "{}", failure.hint());
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_whatever_the_policy() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    fs::write(&file, format!("h {A}\n@revoked * {A}\n")).unwrap();
    for strict in [StrictHostKeyChecking::Yes, StrictHostKeyChecking::AcceptNew, StrictHostKeyChecking::No] {
        let failure = check(strict, &file, "h", A).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::HostKeyRevoked);
        assert!(failure.message().contains(&format!("{}:2", file.display())), "{}", failure.message());
    }
}

#[tokio::test]
async fn accept_new_writes_the_key_down_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(".ssh").join("known_hosts");
    for _ in 0..2 {
        assert_eq!(check(StrictHostKeyChecking::AcceptNew, &file, "H:2222", A).await, Ok(()));
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("[h]:2222 {A}\n"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let failure = check(StrictHostKeyChecking::AcceptNew, &file, "h:2222", RSA).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::HostKeyChanged);
}

#[tokio::test]
async fn address_is_written_down_as_ssh_looks_it_up() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    for address in ["[2001:DB8:0:0::5]:2222", "127.1"] {
        assert_eq!(check(StrictHostKeyChecking::AcceptNew, &file, address, A).await, Ok(()));
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("[2001:db8::5]:2222 {A}\n127.0.0.1 {A}\n"));
}

#[test]
fn what_root_writes_for_an_account_is_its_own() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "files of other accounts need root");
        return;
    }
    let account = 65534;
    let dir = tempfile::tempdir().unwrap();
    let (home, secret) = (dir.path().join("home"), dir.path().join("secret"));
    fs::create_dir(&home).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(&home, Some(account), Some(account)).unwrap();
    let file = home.join(".ssh").join("known_hosts");
    let append = |file: &Path| store::append(file, "h", &[key(A)], false, |_| true);
    assert_eq!(append(&file).unwrap(), Written::Known);
    for path in [&file, file.parent().unwrap()] {
        let made = fs::metadata(path).unwrap();
        assert_eq!((made.uid(), made.gid()), (account, account), "{}", path.display());
    }
    // A link of that account leads to nothing that it may not write itself.
    for target in [&secret, &dir.path().join("new")] {
        fs::write(&secret, "root's").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(target, &file).unwrap();
        assert_eq!(append(&file).unwrap_err().kind(), std::io::ErrorKind::PermissionDenied, "{}", target.display());
        assert_eq!(fs::read_to_string(&secret).unwrap(), "root's");
    }
    assert!(!dir.path().join("new").exists());
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("elsewhere", &file).unwrap();
    assert_eq!(append(&file).unwrap(), Written::Known, "its own link counts");
    // A file that root has put there stays root's, and so does this thread.
    let of_root = home.join("of_root");
    fs::write(&of_root, "").unwrap();
    assert_eq!(append(&of_root).unwrap(), Written::Known);
    assert_eq!(fs::metadata(&of_root).unwrap().uid(), 0);
}

#[tokio::test]
async fn new_line_is_hashed_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    let spec = HostKeySpec { hash_names: true, ..spec(StrictHostKeyChecking::AcceptNew, &file) };
    let destination = Destination::parse("H.example:2222", "me").unwrap();
    for _ in 0..2 {
        let keys = HostKeys::load(&spec, &destination, until()).await.unwrap();
        keys.check(&presented(A), now()).await.unwrap();
    }
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("|1|") && !text.contains("example") && text.lines().count() == 1, "{text}");
    assert_eq!(check(StrictHostKeyChecking::Yes, &file, "h.example:2222", A).await, Ok(()));
}

#[tokio::test]
async fn a_match_by_the_plain_name_is_not_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    fs::write(&file, format!("h {A}")).unwrap();
    assert_eq!(check(StrictHostKeyChecking::AcceptNew, &file, "h:2222", A).await, Ok(()));
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("h {A}"));
}

#[tokio::test]
async fn key_that_cannot_be_stored_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("no").join("such").join("folder").join("known_hosts");
    assert_eq!(check(StrictHostKeyChecking::AcceptNew, &file, "h", A).await, Ok(()));
    assert_eq!(check(StrictHostKeyChecking::No, &file, "h", A).await, Ok(()));
}

#[tokio::test]
async fn unreadable_file_is_no_empty_one_under_strict_checking() {
    let dir = tempfile::tempdir().unwrap();
    for strict in [StrictHostKeyChecking::AcceptNew, StrictHostKeyChecking::No] {
        assert_eq!(check(strict, dir.path(), "h", A).await, Ok(()));
    }
    let failure = check(StrictHostKeyChecking::Yes, dir.path(), "h", A).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::HostKeyUnknown);
    assert!(failure.message().starts_with("cannot read known_hosts file"), "{}", failure.message());
}

#[tokio::test]
async fn all_files_count_and_a_missing_one_is_fine() {
    let dir = tempfile::tempdir().unwrap();
    let global = dir.path().join("global");
    fs::write(&global, format!("@revoked * {B}\nh {A}\n")).unwrap();
    let spec = HostKeySpec {
        strict: StrictHostKeyChecking::Yes,
        user_known_hosts: vec![dir.path().join("missing")],
        global_known_hosts: vec![dir.path().join("missing too"), global],
        ..HostKeySpec::default()
    };
    let keys = HostKeys::load(&spec, &Destination::parse("h", "me").unwrap(), until()).await.unwrap();
    assert_eq!(keys.check(&presented(A), now()).await, Ok(MatchedBy::Other));
    assert_eq!(keys.check(&presented(B), now()).await.unwrap_err().kind(), FailureKind::HostKeyRevoked);
}

#[test]
fn two_tunnels_that_meet_one_new_server_write_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(store::append(&file, "h", &[key(A)], false, |_| true).unwrap(), Written::Known));
        }
    });
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("h {A}\n"));
    assert!(
        matches!(store::append(&file, "h", &[key(B)], false, |_| true).unwrap(), Written::Conflict(lines) if lines[0].1 == key(A))
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("h {A}\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_line_that_was_written_is_found_again(
        host in "[a-zA-Z0-9:._%|!@#,*?~ -]{1,20}",
        port in 1_u16..,
        before in proptest::collection::vec("[ -~]{0,40}", 0..4),
        newline in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        let mut content = before.join("\n");
        if newline { content.push('\n'); }
        fs::write(&file, &content).unwrap();
        let destination = Destination { user: "me".into(), host, port };
        let server = ServerName::new(&destination, None);
        // A name that could read back as something else is refused, and then nothing is written.
        match store::append(&file, &server.lookup, &[key(A)], false, |_| true) {
            Ok(written) => {
                prop_assert_eq!(written, Written::Known);
                let entries = parse(&file, KeySource::User, &fs::read(&file).unwrap(), EntryFilter::all());
                let terms = super::verdict::CertificateTerms { now: now(), signatures: &AlgorithmList::Default };
                let verdict = super::verdict::verdict(&entries, &server, &presented(A), &terms);
                prop_assert_eq!(verdict, HostKeyVerdict::Match(MatchedBy::OwnLine));
                prop_assert!(fs::read_to_string(&file).unwrap().starts_with(&content));
            }
            Err(_) => {
                prop_assert!(server.lookup.contains([',', '*', '?', ' ']) || server.lookup.starts_with(['|', '!', '@', '#']));
                prop_assert_eq!(fs::read_to_string(&file).unwrap(), content);
            }
        }
    }

    #[test]
    fn reading_any_file_gives_lines_within_it(content in proptest::collection::vec(any::<u8>(), 0..400)) {
        let lines = content.split(|byte| *byte == b'\n').count();
        for entry in parse(Path::new("f"), KeySource::User, &content, EntryFilter::all()) {
            prop_assert!((1..=lines).contains(&entry.at.line));
        }
    }

    #[test]
    fn a_negated_name_never_matches(name in "[a-z.]{1,10}", other in "[a-z*?.]{1,10}") {
        let names = HostNames::parse(&format!("{other},!{name},*")).unwrap();
        prop_assert!(!names.matches(&name));
    }
}

fn key(text: &str) -> HostKey {
    let (kind, base64) = text.split_once(' ').unwrap();
    HostKey::parse(kind, base64).unwrap()
}

fn presented(text: &str) -> PublicKeyOrCertificate {
    russh::keys::parse_public_key_base64(text.split_once(' ').unwrap().1).unwrap().into()
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn host_keys(file: &str, destination: &str, alias: Option<&str>) -> HostKeys {
    let text: Vec<String> = file
        .split('\n')
        .map(|line| {
            let words = line.split(' ').map(|word| match word {
                "A" => A,
                "B" => B,
                "R" => RSA,
                "HASHED" => HASHED,
                other => other,
            });
            words.collect::<Vec<_>>().join(" ").replace("\tA ", &format!("\t{A} "))
        })
        .collect();
    let destination = Destination::parse(destination, "me").unwrap();
    HostKeys {
        writes: true,
        spec: spec(StrictHostKeyChecking::Yes, Path::new("f")),
        server: ServerName::new(&destination, alias),
        destination,
        ordered: Vec::new(),
        until: until(),
        is_loopback: false,
        entries: parse(Path::new("f"), KeySource::User, text.join("\n").as_bytes(), EntryFilter::all()),
    }
}

fn spec(strict: StrictHostKeyChecking, file: &Path) -> HostKeySpec {
    HostKeySpec { strict, user_known_hosts: vec![PathBuf::from(file)], ..HostKeySpec::default() }
}

async fn check(
    strict: StrictHostKeyChecking,
    file: &Path,
    destination: &str,
    key: &str,
) -> Result<(), crate::failure::Failure> {
    let destination = Destination::parse(destination, "me").unwrap();
    HostKeys::load(&spec(strict, file), &destination, until()).await?.check(&presented(key), now()).await.map(drop)
}

fn until() -> Until {
    Until { deadline: crate::clock::Deadline::after(Duration::from_secs(60)), given_up: CancellationToken::new() }
}

fn describe(verdict: &HostKeyVerdict) -> String {
    match verdict {
        HostKeyVerdict::Match(_) => "match".to_owned(),
        HostKeyVerdict::Unknown { certificate } => {
            certificate.as_ref().map_or_else(|| "unknown".to_owned(), |why| format!("unknown: {why}"))
        }
        HostKeyVerdict::Changed { conflicts } => {
            conflicts.iter().fold("changed".to_owned(), |text, (at, _)| format!("{text} {at}"))
        }
        HostKeyVerdict::Revoked { at, .. } => format!("revoked {at}"),
    }
}
