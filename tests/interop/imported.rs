//! What `tunneld import` prints, run by a daemon against a real sshd: the same ports are forwarded.

use std::process::Command;

use support::autossh::{carries, host, options};
use support::net::{Service, Target, free_port};
use support::{Daemon, Sshd, daemon, keys};

#[track_caller]
fn imported(command: &mut Command) -> Daemon {
    let output = command.output().expect("tunneld runs");
    assert!(output.status.success(), "{}", daemon::said(&output));
    Daemon::start(&String::from_utf8_lossy(&output.stdout))
}

/// A Host block for each alias, with a forward of its own.
fn blocks(sshd: &Sshd, forwards: &[(&str, String)]) -> String {
    let block = |(alias, forward): &(&str, String)| {
        format!(
            "Host {alias}\n HostName 127.0.0.1\n Port {}\n User {}\n IdentityFile {}\n IdentityAgent none\n \
             UserKnownHostsFile {}\n {forward}\n",
            sshd.port,
            keys::user(),
            sshd.user_key.display(),
            sshd.known_hosts.display()
        )
    };
    forwards.iter().map(block).collect()
}

#[test]
fn imported_lines_forward_the_same_ports() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let config = sshd.dir().join("config");
    for form in [
        "ssh -fnNT {options} -R {port}:localhost:{echo} {host}",
        "AUTOSSH_GATETIME=0 AUTOSSH_POLL=60 autossh -M 20000 -f -N {options} -L {port}:127.0.0.1:{echo} {host}",
        "sudo -u {user} nohup /usr/bin/autossh -M 0 {host} {options} -N -L {port}:127.0.0.1:{echo} &",
        "@reboot sleep 30 && autossh -M 0 -N {options} -o ServerAliveInterval=30 -R *:{port}:127.0.0.1:{echo} {host} >/dev/null 2>&1",
        "sh -c 'P={port}; exec ssh -N {options} -L ${PORT}:127.0.0.1:{echo} {host}'",
        "autossh -M 0 -N -F {config} -L {port}:127.0.0.1:{echo} relay",
    ] {
        let port = free_port();
        std::fs::write(&config, blocks(&sshd, &[("relay", String::new())])).expect("a config");
        let line = form
            .replace("{options}", &options(&sshd))
            .replace("{host}", &host())
            .replace("{user}", &keys::user())
            .replace("{echo}", &echo.port.to_string())
            .replace("{port}", &port.to_string())
            .replace("{config}", &config.display().to_string());
        let mut command = daemon::command();
        let _daemon = imported(command.env("PORT", port.to_string()).args(["import", "autossh", "--", &line]));
        carries(port);
    }
}

#[test]
fn an_imported_unit_with_a_drop_in_and_an_instance_forwards_the_same_ports() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let folder = sshd.dir();
    std::fs::write(folder.join("env"), format!("OPTIONS={}\n", options(&sshd))).expect("a file");
    let unit = format!(
        "[Unit]\nAfter=network-online.target\n[Service]\nUser={}\nEnvironment=\"AUTOSSH_GATETIME=0\" TARGET=nowhere:1\n\
         EnvironmentFile=-{}\nExecStartPre=/bin/sleep 5\nExecStart=/usr/bin/autossh -M 0 -N $OPTIONS \\\n  \
         -o \"ServerAliveInterval 30\" -L %i:${{TARGET}} {}\nRestart=always\n",
        keys::user(),
        folder.join("env").display(),
        host()
    );
    std::fs::write(folder.join("tunnel@.service"), unit).expect("a unit");
    std::fs::create_dir(folder.join("tunnel@.service.d")).expect("a folder");
    let drop_in = format!("[Service]\nEnvironment=TARGET=127.0.0.1:{}\n", echo.port);
    std::fs::write(folder.join("tunnel@.service.d/target.conf"), drop_in).expect("a drop-in");
    let instance = folder.join(format!("tunnel@{port}.service"));
    let _daemon = imported(daemon::command().args(["import", "unit"]).arg(instance));
    carries(port);
}

#[test]
fn imported_hosts_forward_the_same_ports() {
    let (sshd, echo, ports) = (Sshd::start(), Target::start(Service::Echo), [free_port(), free_port()]);
    let forward = |keyword: &str, port| format!("{keyword} {port} 127.0.0.1:{}", echo.port);
    let text = blocks(&sshd, &[("a", forward("LocalForward", ports[0])), ("b", forward("RemoteForward", ports[1]))]);
    let config = sshd.dir().join("config");
    std::fs::write(&config, text).expect("a config");
    let _daemon = imported(daemon::command().args(["import", "ssh-config", "a", "b", "-F"]).arg(config));
    ports.into_iter().for_each(carries);
}
