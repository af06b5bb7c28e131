//! The other end: a server with one method, one key and one cipher, and with faults on demand.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use bytes::BytesMut;

use crate::transport::cipher::{CipherName, KeyMaterial, Opener, Sealer};
use crate::transport::kex::{ExchangeHash, KexName, KeyDeriver};
use crate::transport::message::{
    COOKIE_BYTES, MSG_KEX_INIT, MSG_KEX_REPLY, MSG_KEXINIT, MSG_NEWKEYS, MSG_UNIMPLEMENTED,
};
use crate::transport::packet::{Inbound, Outbound};
use crate::transport::wire::{Reader, put_mpint, put_string, put_u32};

pub(super) struct Server {
    inbound: Inbound,
    outbound: Outbound,
    host_key: Ed25519KeyPair,
    output: BytesMut,
    strict: bool,
    session_id: Vec<u8>,
    ours: Option<Vec<u8>>,
    theirs: Option<Vec<u8>>,
    opener: Option<Opener>,
    sent: usize,
    pub(super) heard: Vec<Vec<u8>>,
    pub(super) unimplemented: Vec<u32>,
    pub(super) signs_something_else: bool,
    /// Before which of its packets it sends a message with which number.
    pub(super) injects: Option<(usize, u8)>,
    /// A wrong guess follows its first KEXINIT.
    pub(super) guesses: bool,
}

fn host_key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

impl Server {
    pub(super) fn new(strict: bool) -> Self {
        Self {
            inbound: Inbound::new(),
            outbound: Outbound::new(),
            host_key: host_key(1),
            output: BytesMut::new(),
            strict,
            session_id: Vec::new(),
            ours: None,
            theirs: None,
            opener: None,
            sent: 0,
            heard: Vec::new(),
            unimplemented: Vec::new(),
            signs_something_else: false,
            injects: None,
            guesses: false,
        }
    }

    pub(super) fn change_host_key(&mut self) {
        self.host_key = host_key(2);
    }

    pub(super) fn take_output(&mut self) -> Vec<u8> {
        self.output.split().to_vec()
    }

    pub(super) fn send(&mut self, payload: &[u8]) {
        if let Some((at, number)) = self.injects
            && at == self.sent
        {
            self.outbound.seal(&[number, 0, 0, 0, 0, 0], &mut self.output).unwrap();
        }
        self.sent += 1;
        self.outbound.seal(payload, &mut self.output).unwrap();
    }

    /// Sends its KEXINIT.
    pub(super) fn begin(&mut self) {
        let follows = std::mem::take(&mut self.guesses);
        let mut kex = if follows { "other,curve25519-sha256" } else { "curve25519-sha256" }.to_owned();
        if self.strict && self.session_id.is_empty() {
            kex.push_str(",kex-strict-s-v00@openssh.com");
        }
        let mut out = [&[MSG_KEXINIT][..], &[9; COOKIE_BYTES]].concat();
        let cipher = "aes256-gcm@openssh.com";
        for list in [kex.as_str(), "ssh-ed25519", cipher, cipher, "", "", "none", "none", "", ""] {
            put_string(&mut out, list.as_bytes());
        }
        out.push(u8::from(follows));
        put_u32(&mut out, 0);
        self.send(&out);
        if follows {
            self.send(&[MSG_KEX_REPLY, 1, 2, 3]);
        }
        self.ours = Some(out);
    }

    pub(super) fn handle_input(&mut self, input: &mut BytesMut) {
        while let Some(payload) = self.inbound.next(input).unwrap() {
            match payload.first() {
                Some(&MSG_KEXINIT) => {
                    if self.ours.is_none() {
                        self.begin();
                    }
                    self.theirs = Some(payload.to_vec());
                }
                Some(&MSG_KEX_INIT) => self.answer(&payload),
                Some(&MSG_NEWKEYS) => self.inbound.rekey(self.opener.take().unwrap(), self.strict),
                Some(&MSG_UNIMPLEMENTED) => {
                    self.unimplemented.push(u32::from_be_bytes(*payload.last_chunk().unwrap()));
                }
                // Its goodbye.
                Some(1) => {}
                _ => self.heard.push(payload.to_vec()),
            }
        }
    }

    fn answer(&mut self, payload: &[u8]) {
        let mut reader = Reader::new("test", payload);
        reader.u8().unwrap();
        let theirs = reader.string().unwrap();
        let key = PrivateKey::generate(&X25519).unwrap();
        let public = key.compute_public_key().unwrap();
        let mut secret = Vec::new();
        agreement::agree(&key, UnparsedPublicKey::new(&X25519, theirs), (), |shared| {
            put_mpint(&mut secret, shared);
            Ok(())
        })
        .unwrap();
        let mut host_key = Vec::new();
        put_string(&mut host_key, b"ssh-ed25519");
        put_string(&mut host_key, self.host_key.public_key().as_ref());
        let hash = ExchangeHash {
            client_ident: b"SSH-2.0-client",
            server_ident: b"SSH-2.0-server",
            client_init: &self.theirs.take().unwrap(),
            server_init: &self.ours.take().unwrap(),
            host_key: &host_key,
            group: &[],
            client_public: theirs,
            server_public: public.as_ref(),
            secret: &secret,
        }
        .compute(KexName::Curve25519);
        if self.session_id.is_empty() {
            self.session_id.clone_from(&hash);
        }
        let signed = self.host_key.sign(if self.signs_something_else { b"else" } else { &hash });
        let mut signature = Vec::new();
        put_string(&mut signature, b"ssh-ed25519");
        put_string(&mut signature, signed.as_ref());
        let mut reply = vec![MSG_KEX_REPLY];
        for part in [&host_key[..], public.as_ref(), &signature] {
            put_string(&mut reply, part);
        }
        self.send(&reply);
        self.send(&[MSG_NEWKEYS]);
        let session_id = &self.session_id;
        let deriver = KeyDeriver { name: KexName::Curve25519, secret: &secret, exchange_hash: &hash, session_id };
        let derive = |letters: [u8; 2]| (deriver.derive(letters[0], 12), deriver.derive(letters[1], 32));
        let ((out_iv, out_key), (in_iv, in_key)) = (derive(*b"BD"), derive(*b"AC"));
        let sealing = KeyMaterial { key: &out_key, iv: &out_iv, mac_key: &[] };
        let opening = KeyMaterial { key: &in_key, iv: &in_iv, mac_key: &[] };
        self.outbound.rekey(Sealer::new(CipherName::Aes256Gcm, None, &sealing).unwrap(), self.strict);
        self.opener = Some(Opener::new(CipherName::Aes256Gcm, None, &opening).unwrap());
    }
}
