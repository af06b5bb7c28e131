//! What forwards are called in status and metrics: the same from one session, and from one reload, to the next.

use std::collections::HashMap;

use tunnel_engine::spec::Listen;

use super::view::ForwardView;

/// The option and the listen address, as the config writes them; of a port that the server chooses, which may be another
/// one each time, the connect address too. Several of one name are numbered.
pub(super) fn names(forwards: &[ForwardView]) -> Vec<String> {
    let mut known: HashMap<String, usize> = HashMap::new();
    let name = |forward: &ForwardView| {
        let name = name_of(forward);
        let count = known.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name} #{count}") }
    };
    forwards.iter().map(name).collect()
}

fn name_of(forward: &ForwardView) -> String {
    let option = forward.kind.option();
    let listen = &forward.key.listen;
    match listen {
        Listen::Tcp { port: 0, .. } => format!("{option} {listen}:{}", forward.connect),
        Listen::Device { .. } => format!("{option} {listen}:{}", forward.connect),
        Listen::Tcp { .. } | Listen::Unix(_) => format!("{option} {listen}"),
    }
}

#[cfg(test)]
mod tests {
    use tunnel_engine::spec::{Forward, ForwardKind};

    use super::*;
    use crate::tunnel::ForwardState;
    use crate::tunnel::forwards::ForwardId;

    fn view(kind: ForwardKind, text: &str) -> ForwardView {
        let forward = Forward::parse(kind, text).unwrap();
        ForwardView {
            id: ForwardId::default(),
            key: forward.key(),
            kind,
            listen: "real".to_owned(),
            connect: forward.connect,
            state: ForwardState::Up,
            message: None,
        }
    }

    #[test]
    fn names_are_those_of_the_config_and_unique() {
        let (local, remote) = (ForwardKind::Local, ForwardKind::Remote);
        let forwards = [
            view(local, "3307:127.0.0.1:3306"),
            view(remote, "0:localhost:22"),
            view(remote, "0:localhost:22"),
            view(remote, "0:localhost:80"),
            view(ForwardKind::Dynamic, "127.0.0.1:1080"),
            view(local, "/run/a.sock:/run/b.sock"),
        ];
        let expected = [
            "-L 3307",
            "-R 0:localhost:22",
            "-R 0:localhost:22 #2",
            "-R 0:localhost:80",
            "-D 127.0.0.1:1080",
            "-L /run/a.sock",
        ];
        assert_eq!(names(&forwards), expected);
    }
}
