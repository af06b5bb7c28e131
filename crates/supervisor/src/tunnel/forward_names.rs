//! What forwards are called in status and metrics: the same from one session, and from one reload, to the next.

use std::collections::HashMap;

use tunnel_engine::spec::{Connect, Forward, ForwardKind, Listen};

use super::view::ForwardView;

/// The option and the listen address, as the config writes them; of a port that the server chooses, which may be another
/// one each time, the connect address too. Several of one name are numbered.
pub(super) fn names(forwards: &[ForwardView]) -> Vec<String> {
    numbered(forwards.iter().map(|forward| name_of(forward.kind, &forward.key.listen, &forward.connect)).collect())
}

/// The same, of a config's forwards in their order.
pub(crate) fn names_in_config(forwards: &[Forward]) -> Vec<String> {
    numbered(forwards.iter().map(|forward| name_of(forward.kind, &forward.listen, &forward.connect)).collect())
}

fn numbered(names: Vec<String>) -> Vec<String> {
    let mut known: HashMap<String, usize> = HashMap::new();
    let number = |name: String| {
        let count = known.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name} #{count}") }
    };
    names.into_iter().map(number).collect()
}

fn name_of(kind: ForwardKind, listen: &Listen, connect: &Connect) -> String {
    let option = kind.option();
    match listen {
        Listen::Tcp { port: 0, .. } | Listen::Device { .. } => format!("{option} {listen}:{connect}"),
        Listen::Tcp { .. } | Listen::Unix(_) => format!("{option} {listen}"),
    }
}

#[cfg(test)]
mod tests {
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
            next_look: None,
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
