//! Could a forward listen here now? Asked for a person, by the code that binds; nothing is kept, and no file is touched.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::{BindOptions, ListenAddress};
use super::{Bound, unix};
use crate::failure::Failure;
use crate::forward::OpenDevice;
use crate::spec::Listen;

/// Says in words where the forward would listen. TCP addresses are bound for an instant; of a unix socket only what is
/// at its path is looked at.
///
/// # Errors
/// `listen_in_use` with the holder, `listen_denied`, `dns`: what a tunnel would report, one address of several included.
pub async fn can_bind(listen: &Listen, options: BindOptions) -> Result<String, Failure> {
    match listen {
        Listen::Tcp { .. } => {
            let bound = Bound::bind(listen, options).await?;
            match bound.missing() {
                Some(missing) => Err(missing.clone()),
                None => Ok(format!("free: {}", names(&bound.addresses()))),
            }
        }
        Listen::Unix(path) => of_path(path, options.socket_unlink).await,
        Listen::Device { mode, unit } => {
            OpenDevice::open(*mode, *unit).map(|device| format!("free: the device `{}`", device.name))
        }
    }
}

fn names(addresses: &[ListenAddress]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

async fn of_path(path: &Path, unlink: bool) -> Result<String, Failure> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return in_folder(path).map(|()| "free".to_owned()),
        Err(error) => return Err(unix::denied(path, &error)),
    };
    if !found.file_type().is_socket() {
        return Err(unix::not_a_socket(path));
    }
    match unix::is_alive(path) {
        Ok(false) => {
            in_folder(path).map(|()| "a socket file that no program listens on is there; it is replaced".to_owned())
        }
        Ok(true) if unlink => {
            let holder = unix::holder_of(path).await;
            Ok(format!("{holder} listens there, and loses it: stream_local_bind_unlink is set"))
        }
        Ok(true) => Err(unix::held(path).await),
        Err(error) => Err(unix::denied(path, &error)),
    }
}

fn in_folder(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| unix::denied(path, &errno.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    async fn at(path: &Path) -> Result<String, FailureKind> {
        can_bind(&Listen::Unix(path.to_owned()), BindOptions::default()).await.map_err(|failure| failure.kind())
    }

    #[tokio::test]
    async fn a_socket_path_is_judged_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        assert_eq!(at(&path).await, Ok("free".to_owned()));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(at(&path).await, Err(FailureKind::ListenInUse));
        drop(listener);
        assert!(at(&path).await.is_ok_and(|said| said.contains("replaced")));
        assert!(path.exists(), "it is only looked at");
        assert_eq!(at(&folder.path().join("no/s")).await, Err(FailureKind::ListenDenied));
        fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(at(&folder.path().join("file")).await, Err(FailureKind::ListenInUse));
    }

    #[tokio::test]
    async fn a_tcp_port_that_is_held_names_its_holder() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let bind = crate::spec::Bind::Address("127.0.0.1".to_owned());
        let listen = Listen::Tcp { bind, port: held.local_addr().unwrap().port() };
        let failure = can_bind(&listen, BindOptions::default()).await.unwrap_err();
        assert!(failure.message().contains(&format!("pid {}", std::process::id())), "{failure}");
        drop(held);
        assert!(can_bind(&listen, BindOptions::default()).await.is_ok());
    }
}
