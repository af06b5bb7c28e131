//! dropbear: small windows, packets of 32,759 bytes, no unix sockets.

use support::net::{Service, Target, echoes, free_port};
use support::socks::{Version, request};
use support::traffic::{count_after_half_close, echo_intact};
use support::{Daemon, Dropbear, tunnel_toml};

#[test]
fn every_kind_of_forward_works_and_keeps_half_close() {
    let (server, echo, count) = (Dropbear::start(), Target::start(Service::Echo), Target::start(Service::Count));
    let [local, remote, counted, proxy] = [(); 4].map(|()| free_port());
    let lines = format!(
        "local_forward = [\"{local}:127.0.0.1:{0}\", \"{counted}:127.0.0.1:{1}\"]\n\
         remote_forward = [\"{remote}:127.0.0.1:{0}\"]\ndynamic_forward = [\"{proxy}\"]",
        echo.port, count.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &server, &lines));
    let tunnel = daemon.wait_ready("t");
    assert!(tunnel["session"]["software"].as_str().is_some_and(|name| name.starts_with("dropbear")), "{tunnel}");
    assert!(echoes(local) && echoes(remote));
    assert_eq!(count_after_half_close(counted, 1 << 20), (1 << 20).to_string());
    assert_eq!(request(proxy, Version::V5, echo.port).expect("the proxy answers").1, 0);
    echo_intact(local, 4, 8 << 20);
    echo_intact(remote, 4, 8 << 20);
}
