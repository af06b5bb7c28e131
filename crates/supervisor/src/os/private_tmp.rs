//! systemd's PrivateTmp=: what is /tmp and /var/tmp to the service is another folder to all other programs.

use std::path::{Path, PathBuf};

use tunnel_engine::spec::{Connect, Forward, Listen, Side};

/// The unix sockets of this machine that no other program finds under these paths, as it is seen by this process.
pub fn hidden_sockets<'a>(forwards: impl Iterator<Item = &'a Forward>) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let hidden = private_folders(&mounts);
    let sockets = forwards.filter_map(socket_here);
    sockets.filter(|path| hidden.iter().any(|folder| path.starts_with(folder))).map(Path::to_owned).collect()
}

fn socket_here(forward: &Forward) -> Option<&Path> {
    match (forward.kind.side(), &forward.listen, &forward.connect) {
        (Side::Here, Listen::Unix(path), _) | (Side::Server, _, Connect::Unix(path)) => Some(path),
        _ => None,
    }
}

/// By the lines of mountinfo (proc(5)): the third field is the file system's device, the fourth the folder of it that is
/// mounted, the fifth where. `PrivateTmp=yes` mounts folders of the machine's /tmp and /var/tmp; `disconnected` (systemd 257)
/// two folders of one file system, which is mounted at `unit-private-tmp`, too.
fn private_folders(mounts: &str) -> Vec<&str> {
    let fields = mounts.lines().map(|line| line.split(' ').skip(2));
    let mounts: Vec<(&str, &str, &str)> =
        fields.filter_map(|mut fields| Some((fields.next()?, fields.next()?, fields.next()?))).collect();
    let is_of_unit =
        |asked: &str| mounts.iter().any(|(device, _, at)| *device == asked && at.ends_with("/unit-private-tmp"));
    let private = |(device, folder, at): &&(&str, &str, &str)| {
        ["/tmp", "/var/tmp"].contains(at) && (folder.contains("/systemd-private-") || is_of_unit(device))
    };
    mounts.iter().filter(private).map(|(_, _, at)| *at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use tunnel_engine::spec::ForwardKind;

    #[test]
    fn sockets_of_this_machine_are_looked_at() {
        let socket = |kind, text: &str| socket_here(&Forward::parse(kind, text).unwrap()).map(Path::to_owned);
        assert_eq!(socket(ForwardKind::Local, "/tmp/a:/tmp/b"), Some("/tmp/a".into()));
        assert_eq!(socket(ForwardKind::Remote, "/tmp/a:/tmp/b"), Some("/tmp/b".into()));
        assert_eq!(socket(ForwardKind::Local, "1:/tmp/b"), None);
    }

    #[test]
    fn only_folders_of_systemds_are_private() {
        let mounts = "342 291 254:0 /tmp/systemd-private-4f-tunneld.service-x/tmp /tmp rw - ext4 /dev/vda rw\n\
                      343 291 0:30 / /var/tmp rw - tmpfs tmpfs rw\n";
        assert_eq!(private_folders(mounts), ["/tmp"]);
        let disconnected = "401 390 0:52 / /run/systemd/unit-private-tmp rw,nodev - tmpfs tmpfs rw,mode=700\n\
                            402 390 0:52 /tmp /tmp rw,nodev - tmpfs tmpfs rw,mode=700\n\
                            403 390 0:52 /var-tmp /var/tmp rw,nodev - tmpfs tmpfs rw,mode=700\n\
                            404 390 254:0 /tmp /tmp rw - ext4 /dev/vda rw\n";
        assert_eq!(private_folders(disconnected), ["/tmp", "/var/tmp"]);
        assert!(private_folders("").is_empty());
    }
}
