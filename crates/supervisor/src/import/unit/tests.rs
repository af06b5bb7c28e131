//! Units as people have them: each setting is translated, or in a remark.

use std::path::Path;

use super::*;
use crate::config;
use crate::import::command_line::Invocation;
use crate::import::line::tests::split;
use crate::sshconfig::HostFacts;

const UNIT: &str = r#"
[Unit]
Description=AutoSSH tunnel
After=network-online.target

[Service]
# one of many
User=tunnel
Environment="AUTOSSH_GATETIME=0" AUTOSSH_PORT=0
EnvironmentFile=-/etc/default/tunnel
ExecStart=/usr/bin/autossh -N -F none -o "ServerAliveInterval 60" \
    -p ${PORT} $FORWARDS \
    tunnel@example.com
Restart=always

[Install]
WantedBy=multi-user.target
"#;

impl UnitFile {
    /// A system unit of this text.
    pub(crate) fn of_text(name: &str, text: &str) -> Self {
        let path = Path::new("/etc/systemd/system").join(name);
        Self { name: name.to_owned(), path, text: text.to_owned(), of_user: false }
    }
}

/// The commands of a unit, with their environments.
pub(crate) fn invocations(file: &UnitFile, read: ReadFile<'_>, facts: &System) -> Vec<Invocation> {
    let specifiers = Specifiers::of(file, facts);
    let settings = UnitSettings::read(&file.text, &specifiers);
    let environment = settings.environment(read);
    let commands = settings.starts.iter().flat_map(|start| ExecCommand::of(start, &specifiers));
    commands
        .filter(ExecCommand::runs_ssh)
        .map(|command| {
            let account = settings.account(&command, file, &environment, facts);
            let mut invocation = command.invocation(&account.facts, &mut Vec::new());
            invocation.environment.splice(0..0, environment.variables.clone());
            invocation
        })
        .collect()
}

fn import(name: &str, text: &str, read: ReadFile<'_>) -> Result<String, ImportError> {
    unit(&UnitFile::of_text(name, text), read, &config::facts())
}

/// Of a service whose [Service] has these lines.
fn service(lines: &str) -> String {
    let text = format!("[Service]\n{lines}\n");
    import("tunnel.service", &text, &|_| None).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

#[track_caller]
fn says(text: &str, wanted: &[&str]) {
    let (keys, comments) = split(text);
    for want in wanted {
        let found =
            if want.starts_with('#') { comments.contains(&want[2..]) } else { keys.lines().any(|key| key == *want) };
        assert!(found, "{want} is not in\n{text}");
    }
}

#[test]
fn a_unit_is_read_with_its_environment() {
    let file = |path: &Path| {
        assert_eq!(path, Path::new("/etc/default/tunnel"));
        Some("# the server\nPORT=2222\nFORWARDS='-L 1:h:2 -R 3:h:4'\n".to_owned())
    };
    says(
        &import("autossh.service", UNIT, &file).unwrap(),
        &[
            "name = \"autossh\"",
            "port = 2222",
            "server_alive_interval = 60",
            "local_forward = [\"1:h:2\"]",
            "remote_forward = [\"3:h:4\"]",
            "# runs as tunnel today",
            "# Restart=always: tunneld starts a tunnel again by itself",
        ],
    );
    let text = UNIT.replace("-p ${PORT} $FORWARDS", "-L 1:h:2");
    says(
        &import("autossh.service", &text, &|_| None).unwrap(),
        &["# EnvironmentFile=-/etc/default/tunnel: cannot be read"],
    );
}

#[test]
fn several_environments_are_one_and_files_win() {
    let text = "[Service]\nEnvironment=A=old 'B=two words' \"C=x\"\nEnvironmentFile=/f\nEnvironment=A=new D=$B\n\
                UnsetEnvironment=C\nExecStart=ssh -N -F none -l \"${A}\" -o ProxyCommand=${B} -i /k$A -i /c${C} -i $$A -o HostKeyAlias=h${D} -D 1 h\n";
    let file = |_: &Path| Some("A=file\n".to_owned());
    says(
        &import("a.service", text, &file).unwrap(),
        &[
            "user = \"file\"",
            "proxy_command = \"two words\"",
            "identity_file = [\"/k$A\", \"/c\", \"/$A\"]",
            "host_key_alias = \"h$b\"",
        ],
    );
}

#[test]
fn specifiers_and_the_instance_are_filled_in() {
    let text = "[Unit]\nDescription=%i\n[Service]\nEnvironment=PORT=22%%i\nUser=u-%i\nExecStart=ssh -N -F none -p 2%i -i %h/%p-%I -D 1 %i.example\n";
    says(
        &import("tun@4-5.service", &text.replace("2%i", "24"), &|_| None).unwrap(),
        &["user = \"u-4-5\"", "identity_file = \"/root/tun-4/5\"", "host = \"4-5.example\"", "port = 24"],
    );
    let error = import("tun@.service", text, &|_| None).unwrap_err().to_string();
    assert!(error.contains("import unit /etc/systemd/system/tun@NAME.service"), "{error}");
    let named = format!("{}[Install]\nDefaultInstance=9\n", text.replace("%I", "x"));
    says(&import("tun@.service", &named, &|_| None).unwrap(), &["port = 29", "host = \"9.example\""]);
    says(&service("ExecStart=ssh -N -F none -D 1 h-%m-%b"), &["# %b %m: systemd's, and not filled in here"]);
}

#[test]
fn prefixes_and_shells_of_a_command_are_understood() {
    for command in [
        "-/usr/bin/ssh -N -F none -D 1 u@h",
        "@/usr/bin/ssh tunnel-to-h -N -F none -D 1 u@h",
        "+-/usr/bin/ssh -N -F none -D 1 u@h",
        "/bin/sh -c 'exec /usr/bin/ssh -N -F none -D 1 u@h'",
        "/bin/bash -c \"sleep 1; ssh -N -F none -D $PORT u@h\"",
        "/usr/bin/env A=b ssh -N -F none -D 1 u@h",
    ] {
        says(
            &service(&format!("Environment=PORT=1\nExecStart={command}")),
            &["dynamic_forward = [\"1\"]", "user = \"u\"", "host = \"h\""],
        );
    }
    says(
        &service("Environment=U=x\nExecStart=:ssh -N -F none -D 1 -o GlobalKnownHostsFile=/${U} u@h"),
        &["global_known_hosts_file = \"/$${U}\""],
    );
}

#[test]
fn each_account_has_a_home_and_a_folder() {
    let home = config::facts().home_of("nobody").expect("every machine has nobody").display().to_string();
    let line = "ExecStart=ssh -N -F none -i key -o UserKnownHostsFile=~/hosts -D 1 h";
    says(
        &service(&format!("User=nobody\nWorkingDirectory=/srv\n{line}")),
        &["user = \"nobody\"", "identity_file = \"/srv/key\"", &format!("user_known_hosts_file = \"{home}/hosts\"")],
    );
    says(&service(line), &["user = \"root\"", "identity_file = \"/key\"", "user_known_hosts_file = \"/root/hosts\""]);
    let privileged = line.replace("=ssh", "=+ssh");
    says(&service(&format!("User=nobody\n{privileged}")), &["user = \"root\""]);
}

#[test]
fn several_commands_are_several_tunnels() {
    let text = service(
        "Type=oneshot\nExecStart=ssh -fN -F none -L 1:h:2 a ; ssh -fN -F none -L 2:h:2 a\nExecStart=/bin/echo done\n\
         ExecStart=ssh -fN -F none -L 3:h:2 b",
    );
    let names: Vec<_> = text.lines().filter(|line| line.starts_with("name ")).collect();
    assert_eq!(names.len(), 3, "{text}");
    says(
        &text,
        &[
            "name = \"tunnel\"",
            "name = \"tunnel-2\"",
            "name = \"tunnel-3\"",
            "# ExecStart=/bin/echo done: runs neither",
        ],
    );
    // A drop-in that replaces the command.
    let replaced = service("ExecStart=ssh -N -F none -L 1:h:2 a\nExecStart=\nExecStart=ssh -N -F none -L 9:h:2 c");
    assert!(
        replaced.lines().any(|line| line.starts_with("host ") && line.ends_with("\"c\""))
            && !replaced.contains("\"a\""),
        "{replaced}"
    );
}

#[test]
fn every_other_setting_is_told() {
    let text = "[Unit]\nAfter=network-online.target\nBindsTo=vpn.service\nStartLimitBurst=3\n[Service]\nType=forking\n\
                PIDFile=/run/a.pid\nRestart=on-failure\nRestartSec=9\nExecStartPre=/bin/sleep 30\nExecStop=/bin/kill $MAINPID\n\
                LimitNOFILE=5\nExecStart=autossh -M 0 -f -N -F none -D 1 h\n[Install]\nWantedBy=multi-user.target\n";
    says(
        &import("a.service", text, &|_| None).unwrap(),
        &[
            "# ExecStartPre=/bin/sleep 30: has no equivalent",
            "# ExecStop=/bin/kill $MAINPID: has no equivalent",
            "# StartLimitBurst=3 Restart=on-failure RestartSec=9: tunneld starts a tunnel again",
            "# of the unit, and no longer in force: BindsTo=vpn.service;",
            "# of the service, and no longer in force: Type=forking PIDFile=/run/a.pid LimitNOFILE=5;",
            "# -f: ",
        ],
    );
}

#[test]
fn a_unit_without_a_tunnel_says_what_it_runs() {
    let error = import("a.service", "[Service]\nExecStart=/bin/true\n", &|_| None).unwrap_err().to_string();
    assert!(error.contains("no ExecStart") && error.contains("ExecStart=/bin/true: runs neither"), "{error}");
}

#[test]
fn what_is_not_set_is_named_where_the_line_cannot_be_read_for_it() {
    let text = "[Service]\nEnvironmentFile=/none\nExecStart=ssh -N -F none -L 1:h:${PORT_THERE} u@%i\n";
    let error = import("a.service", text, &|_| None).unwrap_err().to_string();
    for told in ["EnvironmentFile=/none: cannot be read", "$PORT_THERE is not set in the unit", "%i is empty"] {
        assert!(error.contains(told), "{error}");
    }
    let text = "[Service]\nExecStart=ssh -N -F none $MORE -D 1 h\n";
    let imported = import("a.service", text, &|_| None).unwrap();
    assert!(imported.contains("# $MORE is not set in the unit"), "{imported}");
}

#[test]
fn drop_ins_and_templates_are_found_beside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("tun@.service", "[Service]\nUser=nobody\nExecStart=ssh -N -F none -D 1 %i\n");
    write("tun@.service.d/20.conf", "[Service]\nExecStart=\nExecStart=ssh -N -F none -D 2 %i\n");
    write("tun@x.service.d/30.conf", "[Service]\nUser=bin\n");
    write("tun@x.service.d/40.conf.off", "[Service]\nUser=off\n");
    let facts = config::facts();
    let file = UnitFile::open(&folder.path().join("tun@x.service"), &facts).unwrap();
    says(&unit(&file, &|_| None, &facts).unwrap(), &["host = \"x\"", "dynamic_forward = [\"2\"]", "user = \"bin\""]);
    let error = UnitFile::open(&folder.path().join("none.service"), &facts).unwrap_err().to_string();
    assert!(error.contains("none.service"), "{error}");
}
