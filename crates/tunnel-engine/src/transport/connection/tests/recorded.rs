//! Sessions that were recorded with a real sshd, and for ML-KEM, which Debian 12's has not, with russh's server: what it said
//! then is said again, and each byte of ours has to be the same, and each message that it sealed. Our random bytes come of a
//! seed, and our ML-KEM key is a published one.
//!
//! To record them anew, with the sshd of this machine:
//! `cargo test -p tunnel-engine --lib recorded::record -- --ignored`

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::*;
use crate::demo_server::Server;
use crate::transport::mac::MacName;
use crate::transport::random::seeded;
use crate::transport::wire::{put_string, put_u32};

/// A key exchange of each kind, a cipher of each kind with a MAC in each order, each type of host key and of certificate.
struct Case {
    name: &'static str,
    kex: KexName,
    host_key: &'static str,
    cipher: CipherName,
    mac: MacName,
    compression: bool,
}

const CASES: [Case; 14] = [
    case("mlkem", KexName::MlKem768X25519, "ssh-ed25519", CipherName::Aes256Gcm, MacName::Sha256, false),
    case(
        "sntrup",
        KexName::Sntrup761X25519Openssh,
        "ssh-ed25519",
        CipherName::ChaCha20Poly1305,
        MacName::Sha256,
        false,
    ),
    case("curve25519", KexName::Curve25519, "ssh-ed25519", CipherName::Aes128Gcm, MacName::Sha256, true),
    case("nistp256", KexName::EcdhP256, "ecdsa-sha2-nistp256", CipherName::Aes256Gcm, MacName::Sha256, false),
    case("nistp384", KexName::EcdhP384, "ecdsa-sha2-nistp384", CipherName::Aes128Ctr, MacName::Sha256Etm, false),
    case("nistp521", KexName::EcdhP521, "ecdsa-sha2-nistp521", CipherName::Aes192Ctr, MacName::Sha512, true),
    case("group14", KexName::Group14Sha256, "rsa-sha2-256", CipherName::Aes256Ctr, MacName::Sha512Etm, false),
    case("group16", KexName::Group16Sha512, "rsa-sha2-512", CipherName::Aes128Cbc, MacName::Sha256, false),
    case("group-exchange", KexName::GroupExchangeSha256, "ssh-ed25519", CipherName::Aes256Cbc, MacName::Sha1Etm, true),
    case("group14-sha1", KexName::Group14Sha1, "ssh-rsa", CipherName::Aes192Cbc, MacName::Sha1, false),
    case(
        "group-exchange-sha1",
        KexName::GroupExchangeSha1,
        "ssh-ed25519",
        CipherName::Aes128Ctr,
        MacName::Sha256,
        false,
    ),
    case(
        "certificate-ed25519",
        KexName::Curve25519Libssh,
        "ssh-ed25519-cert-v01@openssh.com",
        CipherName::Aes256Gcm,
        MacName::Sha256,
        false,
    ),
    case(
        "certificate-ecdsa",
        KexName::EcdhP256,
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        CipherName::Aes128Gcm,
        MacName::Sha256,
        false,
    ),
    case(
        "certificate-rsa",
        KexName::Curve25519,
        "rsa-sha2-512-cert-v01@openssh.com",
        CipherName::ChaCha20Poly1305,
        MacName::Sha256,
        false,
    ),
];

const fn case(
    name: &'static str,
    kex: KexName,
    host_key: &'static str,
    cipher: CipherName,
    mac: MacName,
    compression: bool,
) -> Case {
    Case { name, kex, host_key, cipher, mac, compression }
}

const SEED: u64 = 12;
const OUR_IDENT: &str = "SSH-2.0-recorded";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/transport/connection/tests/recorded")
}

/// What a session is played with: an sshd, or a record.
trait RecordedServer {
    fn user(&self) -> String;
    fn ident(&mut self) -> Vec<u8>;
    fn take(&mut self, ours: &[u8]);
    fn give(&mut self) -> Vec<u8>;
    /// A message has been decrypted.
    fn tell(&mut self, message: &[u8]);
}

/// Keys, a login, an answer, a channel that is refused, keys once more, an answer.
fn play(case: &Case, server: &mut dyn RecordedServer) {
    seeded::begin(Some(SEED));
    let user = server.user();
    let config = Config {
        client_ident: OUR_IDENT.to_owned(),
        server_ident: server.ident(),
        offer: LocalOffer {
            kex: vec![case.kex],
            host_keys: vec![case.host_key.to_owned()],
            ciphers: vec![case.cipher],
            macs: vec![case.mac],
            compression: case.compression,
        },
        limits: Limits::default(),
    };
    let mut player = RecordedPlayer { client: Connection::new(config).unwrap(), input: BytesMut::new(), server };
    player.until(|event| matches!(event, ConnectionEvent::NewKeys(_)));
    player.send(&message(MSG_SERVICE_REQUEST, &[b"ssh-userauth"]));
    player.until_message(MSG_SERVICE_ACCEPT);
    let session_id = player.client.proof().unwrap().session_id.clone();
    player.send(&login(&user, &session_id));
    player.until_message(MSG_USERAUTH_SUCCESS);
    player.send(&[&message(80, &[b"keepalive@openssh.com"])[..], &[1]].concat());
    player.until_message(82);
    player.send(&refused_channel());
    player.until_message(92);
    player.client.renew_keys().unwrap();
    player.until(|event| matches!(event, ConnectionEvent::NewKeys(_)));
    player.send(&[&message(80, &[b"keepalive@openssh.com"])[..], &[1]].concat());
    player.until_message(82);
    player.client.goodbye(11, "");
    player.flush();
    seeded::begin(None);
}

const MSG_SERVICE_REQUEST: u8 = 5;

fn message(number: u8, strings: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![number];
    strings.iter().for_each(|string| put_string(&mut out, string));
    out
}

fn user_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn user_blob() -> Vec<u8> {
    let mut blob = Vec::new();
    put_string(&mut blob, b"ssh-ed25519");
    put_string(&mut blob, user_key().public_key().as_ref());
    blob
}

/// RFC 4252 section 7.
fn login(user: &str, session_id: &[u8]) -> Vec<u8> {
    let mut request = message(50, &[user.as_bytes(), b"ssh-connection", b"publickey"]);
    request.push(1);
    put_string(&mut request, b"ssh-ed25519");
    put_string(&mut request, &user_blob());
    let mut signed = Vec::new();
    put_string(&mut signed, session_id);
    signed.extend_from_slice(&request);
    let mut signature = Vec::new();
    put_string(&mut signature, b"ssh-ed25519");
    put_string(&mut signature, user_key().sign(&signed).as_ref());
    put_string(&mut request, &signature);
    request
}

/// No program listens on port 1.
fn refused_channel() -> Vec<u8> {
    let mut out = message(90, &[b"direct-tcpip"]);
    for number in [0, 1 << 21, 1 << 15] {
        put_u32(&mut out, number);
    }
    for (host, port) in [("127.0.0.1", 1), ("127.0.0.1", 2)] {
        put_string(&mut out, host.as_bytes());
        put_u32(&mut out, port);
    }
    out
}

struct RecordedPlayer<'a> {
    client: Connection,
    input: BytesMut,
    server: &'a mut dyn RecordedServer,
}

impl RecordedPlayer<'_> {
    fn flush(&mut self) {
        if let Some(output) = self.client.poll_transmit() {
            self.server.take(&output);
        }
    }

    fn send(&mut self, payload: &[u8]) {
        self.client.send(payload, clock::now()).unwrap();
    }

    fn until_message(&mut self, number: u8) {
        self.until(|event| matches!(event, ConnectionEvent::Message(payload, _) if payload.first() == Some(&number)));
    }

    fn until(&mut self, wanted: impl Fn(&ConnectionEvent) -> bool) {
        loop {
            while let Some(event) = self.client.poll_event() {
                match &event {
                    ConnectionEvent::HostKey { .. } => self.client.believe_host_key(clock::now()).unwrap(),
                    ConnectionEvent::Message(payload, _) => self.server.tell(payload),
                    ConnectionEvent::NewKeys(_) | ConnectionEvent::Debug(_) => {}
                }
                if wanted(&event) {
                    return;
                }
            }
            if let Some(work) = self.client.poll_work() {
                self.client.handle_work(work.run(), clock::now()).unwrap();
                continue;
            }
            self.flush();
            let before = self.input.len();
            self.client.handle_input(&mut self.input, clock::now()).unwrap();
            // Something was taken that had waited for the host key.
            if self.input.len() == before && !self.client.is_computing() {
                self.input.extend_from_slice(&self.server.give());
                self.client.handle_input(&mut self.input, clock::now()).unwrap();
            }
        }
    }
}

/// A record: lines of a sign and base64. `I`: the server's identification, `U`: the user, `>`: ours, `<`: the server's, `=`: a
/// message as it was decrypted.
struct Record {
    lines: Vec<(char, Vec<u8>)>,
    next: usize,
}

impl Record {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(folder().join(name).with_extension("txt")).unwrap();
        let lines = text.lines().map(|line| (line.chars().next().unwrap(), BASE64.decode(&line[2..]).unwrap()));
        Self { lines: lines.collect(), next: 0 }
    }

    #[track_caller]
    fn line(&mut self, sign: char) -> Vec<u8> {
        let (found, content) = self.lines.get(self.next).cloned().expect("more than was recorded");
        self.next += 1;
        assert_eq!(found, sign, "line {}", self.next);
        content
    }
}

impl RecordedServer for Record {
    fn user(&self) -> String {
        String::from_utf8(self.lines[0].1.clone()).unwrap()
    }

    fn ident(&mut self) -> Vec<u8> {
        self.line('U');
        self.line('I')
    }

    fn take(&mut self, ours: &[u8]) {
        assert_eq!(self.line('>'), ours, "line {}", self.next);
    }

    fn give(&mut self) -> Vec<u8> {
        self.line('<')
    }

    fn tell(&mut self, message: &[u8]) {
        assert_eq!(self.line('='), message, "line {}", self.next);
    }
}

#[test]
fn recorded_sessions_of_openssh_are_repeated_byte_for_byte() {
    for case in CASES {
        let mut record = Record::read(case.name);
        play(&case, &mut record);
        assert_eq!(record.next, record.lines.len(), "{}: less than was recorded", case.name);
    }
}

/// A server that serves one connection, whose bytes are written down.
struct Recorder {
    input: Box<dyn Write>,
    output: Box<dyn Read>,
    user: String,
    record: String,
}

impl Recorder {
    fn new(user: &str, input: impl Write + 'static, output: impl Read + 'static) -> Self {
        let mut recorder =
            Self { input: Box::new(input), output: Box::new(output), user: user.to_owned(), record: String::new() };
        recorder.note('U', user.as_bytes());
        recorder
    }

    fn note(&mut self, sign: char, bytes: &[u8]) {
        self.record.push_str(&format!("{sign} {}\n", BASE64.encode(bytes)));
    }
}

impl RecordedServer for Recorder {
    fn user(&self) -> String {
        self.user.clone()
    }

    fn ident(&mut self) -> Vec<u8> {
        self.input.write_all(format!("{OUR_IDENT}\r\n").as_bytes()).unwrap();
        let (mut ident, mut byte) = (Vec::new(), [0]);
        while byte != *b"\n" {
            self.output.read_exact(&mut byte).unwrap();
            ident.extend_from_slice(&byte);
        }
        let ident = ident.trim_ascii_end().to_vec();
        self.note('I', &ident);
        ident
    }

    fn take(&mut self, ours: &[u8]) {
        self.note('>', ours);
        self.input.write_all(ours).unwrap();
    }

    fn give(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 16];
        let read = self.output.read(&mut bytes).unwrap();
        assert!(read > 0, "the server has ended");
        bytes.truncate(read);
        self.note('<', &bytes);
        bytes
    }

    fn tell(&mut self, message: &[u8]) {
        self.note('=', message);
    }
}

/// What an sshd is given: host keys of each type, of three a certificate, the user's key, and the old algorithms.
fn sshd_config(dir: &Path) -> PathBuf {
    let mut config = format!(
        "AuthorizedKeysFile {0}/authorized_keys\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
         KexAlgorithms +diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1\nHostKeyAlgorithms +ssh-rsa\n\
         Ciphers +aes128-cbc,aes192-cbc,aes256-cbc\nMACs +hmac-sha1,hmac-sha1-etm@openssh.com\n",
        dir.display()
    );
    let generate = |kind: &str, bits: &str, path: &Path| {
        let mut command = Command::new("ssh-keygen");
        assert!(command.args(["-q", "-N", "", "-t", kind, "-b", bits, "-f"]).arg(path).status().unwrap().success());
    };
    let authority = dir.join("authority");
    generate("ed25519", "256", &authority);
    for (kind, bits) in [("ed25519", "256"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("rsa", "2048")] {
        let path = dir.join(format!("{kind}{bits}"));
        generate(kind, bits, &path);
        config.push_str(&format!("HostKey {}\n", path.display()));
        if matches!(bits, "384" | "521") {
            continue;
        }
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-q", "-h", "-I", "recorded", "-n", "recorded", "-s"])
            .arg(&authority)
            .arg(path.with_extension("pub"));
        assert!(sign.status().unwrap().success());
        config.push_str(&format!("HostCertificate {}-cert.pub\n", path.display()));
    }
    fs::write(dir.join("authorized_keys"), format!("ssh-ed25519 {}\n", BASE64.encode(user_blob()))).unwrap();
    let path = dir.join("config");
    fs::write(&path, config).unwrap();
    path
}

/// Serves one connection on its pipes.
fn sshd(config: &Path) -> (Child, Recorder) {
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-i", "-f"]).arg(config).arg("-E").arg(config.with_extension("log"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
    (child, Recorder::new(&user, input, output))
}

fn record_sshd(case: &Case, config: &Path) -> String {
    let (mut child, mut server) = sshd(config);
    play(case, &mut server);
    drop((server.input, server.output));
    child.wait().unwrap();
    server.record
}

fn record_russh(case: &Case) -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let key = format!("ssh-ed25519 {}", BASE64.encode(user_blob()));
    let start = Server::builder().accept_key("user", &key).unwrap().start_tcp();
    let server = runtime.block_on(start).unwrap();
    let stream = TcpStream::connect(server.address().unwrap()).unwrap();
    let mut recorder = Recorder::new("user", stream.try_clone().unwrap(), stream);
    play(case, &mut recorder);
    recorder.record
}

#[test]
#[ignore = "writes the records anew, with this machine's sshd"]
fn record() {
    let dir = tempfile::tempdir().unwrap();
    let config = sshd_config(dir.path());
    for case in CASES {
        let with_russh = case.kex == KexName::MlKem768X25519;
        let record = if with_russh { record_russh(&case) } else { record_sshd(&case, &config) };
        fs::write(folder().join(case.name).with_extension("txt"), record).unwrap();
    }
}
