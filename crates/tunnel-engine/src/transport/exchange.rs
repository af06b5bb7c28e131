//! One key exchange, from our KEXINIT to the keys, as steps without a connection: what the client sends, computes and
//! expects is decided here, packets are made elsewhere.

use super::TransportError;
use super::cipher::{CipherName, KeyMaterial, Opener, Sealer};
use super::kex::{self, ExchangeHash, Group, GroupSizes, KeyDeriver, KeyPair, Method, Work, WorkResult};
use super::mac::MacName;
use super::message::{
    MSG_GROUP, MSG_GROUP_INIT, MSG_GROUP_REPLY, MSG_GROUP_REQUEST, MSG_KEX_INIT, MSG_KEX_REPLY, MSG_KEXINIT,
};
use super::negotiate::{Agreement, KexInit, LocalOffer, Protection};
use super::proof;
use super::wire::{MessageReader, put_mpint, put_string, put_u32};

pub(super) enum Exchange {
    /// Our KEXINIT is out, the server's has not come.
    Offered(Offered),
    /// Both have agreed on a method, and it is under way.
    Agreed(Box<AgreedExchange>),
    /// The server's key has signed; whether it is to be believed is being asked.
    Proven(Box<NewKeys>),
    /// Our NEWKEYS is out, the server's has not come.
    Taken(Box<Receiving>),
}

pub(super) enum ExchangeStep {
    /// The server's next message, without one of ours.
    Wait,
    Send(Vec<u8>),
    /// [`AgreedExchange::computed`] waits for the result, and takes no message before it.
    Compute(Work),
    Keys(Box<NewKeys>),
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

pub(super) struct AgreedExchange {
    agreement: Agreement,
    client_init: Vec<u8>,
    server_init: Vec<u8>,
    /// One packet is to be passed over.
    skip_guess: bool,
    stage: ExchangeStage,
    /// What is hashed of a group exchange: the sizes and the group.
    group: Vec<u8>,
}

/// What an agreed method waits for.
enum ExchangeStage {
    /// Our keys, or the result of the last step was an error.
    Keys,
    /// The server's group.
    Group(GroupSizes),
    /// The server's answer to our public value.
    Reply(KeyPair),
    /// The secret, with which this answer is judged.
    Secret(Reply),
}

/// Of the server, in its answer.
struct Reply {
    host_key: Vec<u8>,
    signature: Vec<u8>,
}

/// The result: keys of both directions, none in use yet.
pub(super) struct NewKeys {
    pub(super) agreement: Agreement,
    pub(super) session_id: Vec<u8>,
    pub(super) host_key: Vec<u8>,
    /// The host key's signature over the exchange hash, which an agent is shown.
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

    /// The server's KEXINIT.
    pub(super) fn agree(
        self,
        offer: &LocalOffer,
        theirs: &[u8],
    ) -> Result<(AgreedExchange, ExchangeStep), TransportError> {
        let agreement = offer.agree(&KexInit::decode(theirs)?, self.is_first)?;
        let skip_guess = agreement.skip_guess;
        let mut group = Vec::new();
        let (stage, next) = match Method::of(agreement.kex) {
            Method::Keys(work) => (ExchangeStage::Keys, ExchangeStep::Compute(work)),
            Method::GroupExchange => {
                let sizes = GroupSizes::for_offer(&offer.kex);
                for size in [sizes.smallest, sizes.preferred, sizes.largest] {
                    put_u32(&mut group, size);
                }
                (ExchangeStage::Group(sizes), ExchangeStep::Send([&[MSG_GROUP_REQUEST][..], &group].concat()))
            }
        };
        let (client_init, server_init) = (self.ours, theirs.to_vec());
        Ok((AgreedExchange { agreement, client_init, server_init, skip_guess, stage, group }, next))
    }
}

impl AgreedExchange {
    pub(super) const fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// A message of the method, from the server.
    pub(super) fn handle(&mut self, payload: &[u8]) -> Result<ExchangeStep, TransportError> {
        if std::mem::take(&mut self.skip_guess) {
            return Ok(ExchangeStep::Wait);
        }
        let mut reader = MessageReader::new("key exchange reply", payload);
        let message = reader.u8()?;
        match std::mem::replace(&mut self.stage, ExchangeStage::Keys) {
            ExchangeStage::Group(sizes) if message == MSG_GROUP => {
                let (prime, generator) = (reader.unsigned()?, reader.unsigned()?);
                reader.end()?;
                put_mpint(&mut self.group, prime);
                put_mpint(&mut self.group, generator);
                let group = Group::chosen(prime, generator, sizes)?;
                Ok(ExchangeStep::Compute(Work::in_group(self.agreement.kex, group)))
            }
            ExchangeStage::Reply(keys)
                if message == if self.group.is_empty() { MSG_KEX_REPLY } else { MSG_GROUP_REPLY } =>
            {
                let host_key = reader.string()?.to_vec();
                let theirs = keys.read(&mut reader)?;
                let signature = reader.string()?.to_vec();
                reader.end()?;
                self.stage = ExchangeStage::Secret(Reply { host_key, signature });
                Ok(ExchangeStep::Compute(Work::agree(keys, theirs)))
            }
            ExchangeStage::Keys | ExchangeStage::Group(_) | ExchangeStage::Reply(_) | ExchangeStage::Secret(_) => {
                Err(TransportError::Unexpected(message))
            }
        }
    }

    /// The result of [`ExchangeStep::Compute`]. `session_id`: of the first exchange, in later ones.
    pub(super) fn computed(
        &mut self,
        done: WorkResult,
        idents: &Idents<'_>,
        session_id: Option<&[u8]>,
    ) -> Result<ExchangeStep, TransportError> {
        match (std::mem::replace(&mut self.stage, ExchangeStage::Keys), done) {
            (ExchangeStage::Keys, WorkResult::Keys(keys)) => {
                let keys = keys?;
                let mut message = vec![if self.group.is_empty() { MSG_KEX_INIT } else { MSG_GROUP_INIT }];
                put_string(&mut message, keys.public());
                self.stage = ExchangeStage::Reply(keys);
                Ok(ExchangeStep::Send(message))
            }
            (ExchangeStage::Secret(reply), WorkResult::Secret(agreed)) => {
                self.keys(reply, &agreed?, idents, session_id).map(|keys| ExchangeStep::Keys(Box::new(keys)))
            }
            (ExchangeStage::Keys | ExchangeStage::Group(_) | ExchangeStage::Reply(_) | ExchangeStage::Secret(_), _) => {
                Err(TransportError::Unexpected(MSG_KEXINIT))
            }
        }
    }

    fn keys(
        &self,
        reply: Reply,
        agreed: &kex::KexOutput,
        idents: &Idents<'_>,
        session_id: Option<&[u8]>,
    ) -> Result<NewKeys, TransportError> {
        let (name, secret) = (self.agreement.kex, agreed.secret.as_slice());
        let said = ExchangeHash {
            client_ident: idents.client,
            server_ident: idents.server,
            client_init: &self.client_init,
            server_init: &self.server_init,
            host_key: &reply.host_key,
            group: &self.group,
            client_public: &agreed.public,
            server_public: &agreed.theirs,
            secret,
        };
        let exchange_hash = said.compute(name);
        proof::verify(&self.agreement.host_key, &reply.host_key, &reply.signature, &exchange_hash)?;
        let session_id = session_id.unwrap_or(&exchange_hash);
        let deriver = KeyDeriver { name, secret, exchange_hash: &exchange_hash, session_id };
        let sealer = with_keys(&deriver, self.agreement.sending, *b"ACE", Sealer::new)?;
        let opener = with_keys(&deriver, self.agreement.receiving, *b"BDF", Opener::new)?;
        Ok(NewKeys {
            agreement: self.agreement.clone(),
            session_id: session_id.to_vec(),
            host_key: reply.host_key,
            signature: reply.signature,
            sealer,
            opener,
        })
    }
}

impl NewKeys {
    /// Splits off what the server's NEWKEYS brings into use.
    pub(super) fn take(self) -> (Sealer, Receiving) {
        (self.sealer, Receiving { agreement: self.agreement, opener: self.opener })
    }
}

/// `letters`: of the IV, the key and the MAC's key (RFC 4253 section 7.2).
pub(super) fn with_keys<T>(
    deriver: &KeyDeriver<'_>,
    protection: Protection,
    letters: [u8; 3],
    make: impl FnOnce(CipherName, Option<MacName>, &KeyMaterial<'_>) -> Result<T, TransportError>,
) -> Result<T, TransportError> {
    let Protection { cipher, mac, .. } = protection;
    let [iv, key, mac_key] = letters;
    let iv = deriver.derive(iv, cipher.iv_len());
    let key = deriver.derive(key, cipher.key_len());
    let mac_key = deriver.derive(mac_key, mac.map_or(0, MacName::len));
    make(cipher, mac, &KeyMaterial { key: &key, iv: &iv, mac_key: &mac_key })
}
