//! Which remote forward a connection from the server belongs to. Pure: the payload is whatever stands for it.

use super::incoming::RemoteListen;

/// Connections that wait for the answer to a request. More at once than this, before a server has even said yes,
/// is none that means well.
const MAX_HELD: usize = 64;

/// The listeners we asked for, and the connections that came before the server's answer did.
pub(super) struct Router<T> {
    asked: Vec<PendingListen>,
    held: Vec<(RemoteListen, T)>,
    next: u64,
}

/// Names one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestId(u64);

struct PendingListen {
    request: RequestId,
    /// As asked for; a port of 0 is replaced when the server has named one.
    listen: RemoteListen,
    answered: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ArrivalRoute<T> {
    /// To this listener of ours.
    To(RemoteListen, T),
    /// Nowhere: we asked for no such listener.
    Refuse(T),
    /// Too many are waiting.
    Full(T),
}

impl<T> Router<T> {
    pub(super) fn new() -> Self {
        Self { asked: Vec::new(), held: Vec::new(), next: 0 }
    }

    /// A request is about to be sent: connections may arrive before its answer.
    pub(super) fn ask(&mut self, listen: RemoteListen) -> RequestId {
        let request = RequestId(self.next);
        self.next += 1;
        self.asked.push(PendingListen { request, listen, answered: false });
        request
    }

    /// The server said yes, and which port.
    pub(super) fn granted(&mut self, request: RequestId, port: Option<u16>) -> Vec<ArrivalRoute<T>> {
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.request == request) {
            asked.answered = true;
            if let (RemoteListen::Tcp { port: known, .. }, Some(port)) = (&mut asked.listen, port) {
                *known = port;
            }
        }
        self.release()
    }

    /// The server said no.
    pub(super) fn denied(&mut self, request: RequestId) -> Vec<ArrivalRoute<T>> {
        self.asked.retain(|asked| asked.request != request);
        self.release()
    }

    /// The listener was taken back.
    pub(super) fn forget(&mut self, listen: &RemoteListen) {
        self.asked.retain(|asked| asked.listen != *listen);
    }

    /// A connection came in. `None`: it is held until an answer tells where it belongs.
    pub(super) fn place(&mut self, announced: RemoteListen, payload: T) -> Option<ArrivalRoute<T>> {
        match self.find(&announced) {
            ListenerMatch::Listener(listen) => Some(ArrivalRoute::To(listen, payload)),
            ListenerMatch::Perhaps if self.held.len() >= MAX_HELD => Some(ArrivalRoute::Full(payload)),
            ListenerMatch::Perhaps => {
                self.held.push((announced, payload));
                None
            }
            ListenerMatch::None => Some(ArrivalRoute::Refuse(payload)),
        }
    }

    fn release(&mut self) -> Vec<ArrivalRoute<T>> {
        let held = std::mem::take(&mut self.held);
        held.into_iter().filter_map(|(announced, payload)| self.place(announced, payload)).collect()
    }

    /// By address and port; then by port, for servers that announce another address than the one asked for; then,
    /// for servers that announce no port, the only forward there is.
    fn find(&self, announced: &RemoteListen) -> ListenerMatch {
        let exact = self.asked.iter().find(|asked| asked.listen == *announced);
        let by_port =
            || self.asked.iter().find(|asked| port(&asked.listen).is_some_and(|p| Some(p) == port(announced)));
        let only = || match self.asked.as_slice() {
            [asked] if same_kind(&asked.listen, announced) => Some(asked),
            _ => None,
        };
        let unknown_port = |asked: &PendingListen| !asked.answered && port(&asked.listen) == Some(0);
        match exact.or_else(by_port) {
            Some(asked) if asked.answered => ListenerMatch::Listener(asked.listen.clone()),
            Some(_) => ListenerMatch::Perhaps,
            None if self.asked.iter().any(unknown_port) && port(announced).is_some() => ListenerMatch::Perhaps,
            None => match only() {
                Some(asked) if asked.answered => ListenerMatch::Listener(asked.listen.clone()),
                Some(_) => ListenerMatch::Perhaps,
                None => ListenerMatch::None,
            },
        }
    }
}

enum ListenerMatch {
    Listener(RemoteListen),
    /// An answer that is still to come may make it ours.
    Perhaps,
    None,
}

fn port(listen: &RemoteListen) -> Option<u16> {
    match listen {
        RemoteListen::Tcp { port, .. } => Some(*port),
        RemoteListen::Unix(_) => None,
    }
}

fn same_kind(one: &RemoteListen, other: &RemoteListen) -> bool {
    port(one).is_some() == port(other).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(address: &str, port: u16) -> RemoteListen {
        RemoteListen::Tcp { address: address.to_owned(), port }
    }

    fn granted(listens: &[RemoteListen]) -> Router<u8> {
        let mut router = Router::new();
        for listen in listens {
            let request = router.ask(listen.clone());
            assert_eq!(router.granted(request, None), []);
        }
        router
    }

    #[test]
    fn connection_is_matched_by_address_then_port() {
        let mut router = granted(&[tcp("localhost", 80), tcp("", 80), tcp("localhost", 81)]);
        assert_eq!(router.place(tcp("", 80), 1), Some(ArrivalRoute::To(tcp("", 80), 1)));
        assert_eq!(router.place(tcp("127.0.0.1", 81), 2), Some(ArrivalRoute::To(tcp("localhost", 81), 2)));
        assert_eq!(router.place(tcp("localhost", 82), 3), Some(ArrivalRoute::Refuse(3)));
    }

    #[test]
    fn the_only_forward_takes_a_connection_that_names_no_port() {
        let mut router = granted(&[tcp("localhost", 80)]);
        assert_eq!(router.place(tcp("localhost", 0), 1), Some(ArrivalRoute::To(tcp("localhost", 80), 1)));
        assert_eq!(router.place(RemoteListen::Unix("/s".into()), 2), Some(ArrivalRoute::Refuse(2)));
    }

    #[test]
    fn connection_on_unnamed_port_is_held() {
        let mut router = granted(&[tcp("localhost", 80)]);
        let request = router.ask(tcp("localhost", 0));
        assert_eq!(router.place(tcp("localhost", 4000), 1), None);
        assert_eq!(router.granted(request, Some(4000)), [ArrivalRoute::To(tcp("localhost", 4000), 1)]);
    }

    #[test]
    fn connection_before_the_answer_is_held() {
        let mut router = Router::new();
        let request = router.ask(tcp("", 80));
        assert_eq!(router.place(tcp("", 80), 1), None);
        assert_eq!(router.granted(request, None), [ArrivalRoute::To(tcp("", 80), 1)]);
    }

    #[test]
    fn what_was_held_for_nothing_is_refused() {
        let mut router = Router::new();
        let request = router.ask(tcp("localhost", 0));
        assert_eq!(router.place(tcp("localhost", 4000), 1), None);
        assert_eq!(router.denied(request), [ArrivalRoute::Refuse(1)]);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut router = Router::new();
        router.ask(tcp("localhost", 0));
        for _ in 0..MAX_HELD {
            assert_eq!(router.place(tcp("localhost", 4000), 1), None);
        }
        assert_eq!(router.place(tcp("localhost", 4000), 2), Some(ArrivalRoute::Full(2)));
    }

    #[test]
    fn a_listener_that_was_taken_back_gets_nothing() {
        let mut router = granted(&[tcp("localhost", 80)]);
        router.forget(&tcp("localhost", 80));
        assert_eq!(router.place(tcp("localhost", 80), 1), Some(ArrivalRoute::Refuse(1)));
    }

    #[test]
    fn unix_sockets_are_matched_by_path() {
        let unix = |path: &str| RemoteListen::Unix(path.to_owned());
        let mut router = granted(&[unix("/a"), unix("/b")]);
        assert_eq!(router.place(unix("/b"), 1), Some(ArrivalRoute::To(unix("/b"), 1)));
        assert_eq!(router.place(unix("/c"), 2), Some(ArrivalRoute::Refuse(2)));
    }
}
