//! How far a login is, and which of the server's messages have a meaning then. One that has none is answered with
//! SSH_MSG_UNIMPLEMENTED (RFC 4253 section 11.4) or passed over, as by OpenSSH; russh would end the session.

use bytes::Bytes;

use super::TransportError;
use super::message::{
    MSG_CHANNEL_FAILURE, MSG_CHANNEL_OPEN, MSG_DISCONNECT, MSG_EXT_INFO, MSG_GLOBAL_REQUEST, MSG_PING, MSG_PONG,
    MSG_REQUEST_FAILURE, MSG_SERVICE_ACCEPT, MSG_USERAUTH_BANNER, MSG_USERAUTH_FAILURE, MSG_USERAUTH_INFO_REQUEST,
    MSG_USERAUTH_SUCCESS,
};
use super::wire::{MessageReader, known_names, put_string, put_u32};

/// How often a server may name its extensions (RFC 8308 section 2.4). What comes later says nothing new.
const MAX_EXTENSIONS: u8 = 2;
/// The extension that matters: which signatures of RSA keys the server takes.
const SIGNATURES: &[u8] = b"server-sig-algs";

/// Of one connection, from its first keys on.
#[derive(Debug, Default)]
pub(super) struct Stage {
    layer: Layer,
    /// How often the server has named its extensions.
    extensions: u8,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Layer {
    /// The service of the login is asked for.
    #[default]
    Service,
    Login,
    Connection,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is for the layers above, perhaps without what would only be in their way.
    Known(Bytes),
    /// It means nothing now, and is to be answered as unimplemented.
    Unimplemented,
    /// It asks for this answer.
    Ping(Vec<u8>),
    /// Nothing.
    PassedOver,
}

impl Stage {
    /// A message of the server's.
    ///
    /// # Errors
    /// It is malformed.
    pub(super) fn take(&mut self, payload: Bytes) -> Result<Meaning, TransportError> {
        match (self.layer, payload.first().copied().unwrap_or_default()) {
            (Layer::Service, MSG_SERVICE_ACCEPT) => self.layer = Layer::Login,
            (Layer::Login, MSG_USERAUTH_SUCCESS) => self.layer = Layer::Connection,
            (Layer::Login, MSG_USERAUTH_FAILURE | MSG_USERAUTH_BANNER | MSG_USERAUTH_INFO_REQUEST)
            | (Layer::Connection, MSG_GLOBAL_REQUEST..=MSG_REQUEST_FAILURE | MSG_CHANNEL_OPEN..=MSG_CHANNEL_FAILURE)
            | (_, MSG_DISCONNECT) => {}
            (Layer::Connection, MSG_PING) => return Ok(Meaning::Ping(pong(&payload)?)),
            (Layer::Service | Layer::Login, MSG_EXT_INFO) if self.extensions < MAX_EXTENSIONS => {
                self.extensions += 1;
                return extensions(&payload).map(Meaning::Known);
            }
            // As OpenSSH, which answers no ping before the login.
            (_, MSG_EXT_INFO | MSG_PING) => return Ok(Meaning::PassedOver),
            _ => return Ok(Meaning::Unimplemented),
        }
        Ok(Meaning::Known(payload))
    }
}

fn pong(ping: &[u8]) -> Result<Vec<u8>, TransportError> {
    let mut reader = MessageReader::new("PING", ping);
    reader.u8()?;
    let mut pong = vec![MSG_PONG];
    put_string(&mut pong, reader.string()?);
    Ok(pong)
}

/// EXT_INFO with nothing but what matters, and of that what can be the name of an algorithm.
fn extensions(payload: &[u8]) -> Result<Bytes, TransportError> {
    let mut reader = MessageReader::new("EXT_INFO", payload);
    reader.u8()?;
    let mut signatures = None;
    for _ in 0..reader.u32()? {
        let (name, value) = (reader.string()?, reader.string()?);
        if name == SIGNATURES {
            signatures = Some(known_names(value));
        }
    }
    let mut out = vec![MSG_EXT_INFO];
    put_u32(&mut out, u32::from(signatures.is_some()));
    if let Some(names) = signatures {
        put_string(&mut out, SIGNATURES);
        put_string(&mut out, names.as_bytes());
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(layer: Layer) -> Stage {
        Stage { layer, ..Stage::default() }
    }

    fn told(pairs: &[(&[u8], &[u8])]) -> Bytes {
        let mut out = vec![MSG_EXT_INFO];
        put_u32(&mut out, u32::try_from(pairs.len()).unwrap());
        for (name, value) in pairs {
            put_string(&mut out, name);
            put_string(&mut out, value);
        }
        out.into()
    }

    #[test]
    fn each_layer_knows_its_messages_and_no_others() {
        let known = |layer: Layer| -> Vec<u8> {
            let taken =
                |number| matches!(at(layer).take(Bytes::copy_from_slice(&[number, 0, 0, 0, 0])), Ok(Meaning::Known(_)));
            (0..=u8::MAX).filter(|number| taken(*number)).collect()
        };
        assert_eq!(known(Layer::Service), [1, 6, 7]);
        assert_eq!(known(Layer::Login), [1, 7, 51, 52, 53, 60]);
        let connection: Vec<u8> = [1].into_iter().chain(80..=82).chain(90..=100).collect();
        assert_eq!(known(Layer::Connection), connection);
        for number in [54, 61, 83, 101, 150, 191, 200, 255] {
            assert_eq!(at(Layer::Connection).take(Bytes::copy_from_slice(&[number])), Ok(Meaning::Unimplemented));
        }
    }

    #[test]
    fn login_goes_from_service_to_connection() {
        let mut stage = Stage::default();
        let success = Bytes::from_static(&[MSG_USERAUTH_SUCCESS]);
        assert_eq!(stage.take(success.clone()), Ok(Meaning::Unimplemented), "no login is asked for");
        for number in [MSG_SERVICE_ACCEPT, MSG_USERAUTH_BANNER, MSG_USERAUTH_SUCCESS, MSG_GLOBAL_REQUEST] {
            let message = Bytes::copy_from_slice(&[number]);
            assert_eq!(stage.take(message.clone()), Ok(Meaning::Known(message)));
        }
        assert_eq!(stage.take(success), Ok(Meaning::Unimplemented), "a second time");
    }

    #[test]
    fn pings_are_answered_after_the_login() {
        let ping = Bytes::from_static(b"\xc0\0\0\0\x02ab");
        let answered = at(Layer::Connection).take(ping.clone());
        assert_eq!(answered, Ok(Meaning::Ping(b"\xc1\0\0\0\x02ab".to_vec())));
        assert_eq!(at(Layer::Login).take(ping.clone()), Ok(Meaning::PassedOver));
        assert!(at(Layer::Connection).take(ping.slice(..6)).is_err());
    }

    #[test]
    fn extensions_are_named_twice_and_any_later_ones_passed_over() {
        let mut stage = at(Layer::Login);
        let first = told(&[(SIGNATURES, b"ssh-ed25519")]);
        for _ in 0..MAX_EXTENSIONS {
            assert_eq!(stage.take(first.clone()), Ok(Meaning::Known(first.clone())));
        }
        assert_eq!(stage.take(first.clone()), Ok(Meaning::PassedOver));
        assert_eq!(at(Layer::Connection).take(first), Ok(Meaning::PassedOver));
    }

    #[test]
    fn of_extensions_only_names_of_algorithms_are_passed_on() {
        let odd = told(&[(b"\xff", b"\xfe"), (SIGNATURES, b",,rsa-sha2-256,\xe9,,ssh-ed25519,"), (b"x", b"")]);
        let taken = at(Layer::Service).take(odd.clone());
        assert_eq!(taken, Ok(Meaning::Known(told(&[(SIGNATURES, b"rsa-sha2-256,ssh-ed25519")]))));
        assert_eq!(at(Layer::Service).take(told(&[(b"x", b"y")])), Ok(Meaning::Known(told(&[]))));
        assert!((1..odd.len()).all(|end| at(Layer::Service).take(odd.slice(..end)).is_err()));
    }
}
