//! One key exchange, from our KEXINIT to the keys, as steps without a connection: what the client sends and expects is
//! decided here, packets are made elsewhere.

use super::TransportError;
use super::cipher::{KeyMaterial, Opener, Sealer};
use super::kex::{ExchangeHash, KeyDeriver, KeyExchange};
use super::message::{MSG_KEX_INIT, MSG_KEX_REPLY};
use super::negotiate::{Agreement, KexInit, Offer, Protection};
use super::proof;
use super::wire::{Reader, put_string};

/// Where an exchange is.
pub(super) enum Exchange {
    /// Our KEXINIT is out, the server's has not come.
    Offered(Offered),
    /// Both have agreed, and our public value is out.
    Agreed(Agreed),
    /// The server's key has signed; whether it is to be believed is being asked.
    Proven(Keys),
    /// Our NEWKEYS is out, the server's has not come.
    Taken(Receiving),
}

/// What both sides said at the beginning of the connection.
pub(super) struct Idents<'a> {
    pub(super) client: &'a [u8],
    pub(super) server: &'a [u8],
}

pub(super) struct Offered {
    /// The payload of our KEXINIT.
    ours: Vec<u8>,
    is_first: bool,
}

pub(super) struct Agreed {
    agreement: Agreement,
    exchange: KeyExchange,
    client_init: Vec<u8>,
    server_init: Vec<u8>,
    /// One packet is to be passed over.
    skip_guess: bool,
}

/// The result: keys of both directions, none in use yet.
pub(super) struct Keys {
    pub(super) agreement: Agreement,
    pub(super) session_id: Vec<u8>,
    pub(super) host_key: Vec<u8>,
    /// The exchange hash and the host key's signature over it, which an agent is shown.
    pub(super) signature: Vec<u8>,
    pub(super) sealer: Sealer,
    opener: Opener,
}

/// The keys of the direction towards us.
pub(super) struct Receiving {
    pub(super) agreement: Agreement,
    pub(super) opener: Opener,
}

impl Offered {
    pub(super) const fn new(ours: Vec<u8>, is_first: bool) -> Self {
        Self { ours, is_first }
    }

    /// The server's KEXINIT. Gives the message that follows from us.
    pub(super) fn agree(self, offer: &Offer, theirs: &[u8]) -> Result<(Agreed, Vec<u8>), TransportError> {
        let agreement = offer.agree(&KexInit::decode(theirs)?, self.is_first)?;
        let exchange = KeyExchange::begin(agreement.kex)?;
        let mut message = vec![MSG_KEX_INIT];
        put_string(&mut message, exchange.public());
        let skip_guess = agreement.skip_guess;
        let agreed = Agreed { agreement, exchange, client_init: self.ours, server_init: theirs.to_vec(), skip_guess };
        Ok((agreed, message))
    }
}

impl Agreed {
    pub(super) const fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// The server's answer; `None`: it was its wrong guess. `session_id`: of the first exchange, in later ones.
    pub(super) fn answered(
        &mut self,
        idents: &Idents<'_>,
        session_id: Option<&[u8]>,
        payload: &[u8],
    ) -> Result<Option<Keys>, TransportError> {
        if std::mem::take(&mut self.skip_guess) {
            return Ok(None);
        }
        let mut reader = Reader::new("key exchange reply", payload);
        let message = reader.u8()?;
        if message != MSG_KEX_REPLY {
            return Err(TransportError::Unexpected(message));
        }
        let (host_key, public, signature) = (reader.string()?, reader.string()?, reader.string()?);
        reader.end()?;
        let secret = self.exchange.finish(public)?;
        let said = ExchangeHash {
            client_ident: idents.client,
            server_ident: idents.server,
            client_init: &self.client_init,
            server_init: &self.server_init,
            host_key,
            client_public: self.exchange.public(),
            server_public: public,
            secret: &secret,
        };
        let hash = said.compute(self.agreement.kex);
        proof::verify(&self.agreement.host_key, host_key, signature, &hash)?;
        let session_id = session_id.unwrap_or(&hash);
        let deriver = KeyDeriver { name: self.agreement.kex, secret: &secret, exchange_hash: &hash, session_id };
        let sealer = with_keys(&deriver, self.agreement.sending, *b"ACE", Sealer::new)?;
        let opener = with_keys(&deriver, self.agreement.receiving, *b"BDF", Opener::new)?;
        Ok(Some(Keys {
            agreement: self.agreement.clone(),
            session_id: session_id.to_vec(),
            host_key: host_key.to_vec(),
            signature: signature.to_vec(),
            sealer,
            opener,
        }))
    }
}

impl Keys {
    /// Splits off what the server's NEWKEYS brings into use.
    pub(super) fn take(self) -> (Sealer, Receiving) {
        (self.sealer, Receiving { agreement: self.agreement, opener: self.opener })
    }
}

/// `letters`: of the IV, the key and the MAC's key (RFC 4253 section 7.2).
fn with_keys<T>(
    deriver: &KeyDeriver<'_>,
    protection: Protection,
    letters: [u8; 3],
    make: impl FnOnce(super::cipher::CipherName, Option<super::mac::MacName>, &KeyMaterial<'_>) -> Result<T, TransportError>,
) -> Result<T, TransportError> {
    let Protection { cipher, mac } = protection;
    let [iv, key, mac_key] = letters;
    let iv = deriver.derive(iv, cipher.iv_len());
    let key = deriver.derive(key, cipher.key_len());
    let mac_key = deriver.derive(mac_key, mac.map_or(0, super::mac::MacName::len));
    make(cipher, mac, &KeyMaterial { key: &key, iv: &iv, mac_key: &mac_key })
}
