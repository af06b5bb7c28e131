//! What a server permits, as OpenSSH writes it: the options of a line of authorized_keys (sshd(8)), and a Match block of
//! sshd_config(5). Pure.

use tunnel_engine::spec::DeviceUnit;

use super::needs::{Needs, PermittedOpens};

/// Stands in a list that has to have an entry and permits nothing: no name below `.invalid` resolves (RFC 6761), and in
/// authorized_keys, unlike in sshd_config, `none` is refused.
const NOTHING: &str = "none.invalid:1";
/// For who asks for a shell or a command. Every system has it in its PATH.
const NO_COMMAND: &str = "false";
/// How soon a server notices that we are gone, and gives our ports free: after 15 s times three.
const ALIVE_INTERVAL: u32 = 15;
const ALIVE_COUNT_MAX: u32 = 3;

/// The options before the key. `from`: patterns of addresses that it may be used from; none: any.
pub(super) fn options(needs: &Needs, from: &[String]) -> String {
    let mut options = vec!["restrict".to_owned(), "port-forwarding".to_owned()];
    if !from.is_empty() {
        options.push(format!("from={}", quoted(&from.join(","))));
    }
    if !needs.commands {
        options.push(format!("command={}", quoted(NO_COMMAND)));
    }
    match &needs.opens {
        PermittedOpens::Any => {}
        PermittedOpens::These(targets) => options.extend(list("permitopen", targets)),
    }
    options.extend(list("permitlisten", &needs.listens));
    if let [(_, DeviceUnit::Number(number))] = needs.devices[..] {
        options.push(format!("tunnel=\"{number}\""));
    }
    options.join(",")
}

fn list(option: &str, entries: &[(String, u16)]) -> Vec<String> {
    let entries: Vec<String> = if entries.is_empty() { vec![NOTHING.to_owned()] } else { addresses(entries) };
    entries.iter().map(|entry| format!("{option}={}", quoted(entry))).collect()
}

/// An option's value: sshd takes a quote in it after a backslash.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}

/// The block for a login.
pub(super) fn block(user: &str, needs: &Needs) -> String {
    let yes = |here: bool, there: bool| match (here, there) {
        (true, true) => "yes",
        (true, false) => "local",
        (false, true) => "remote",
        (false, false) => "no",
    };
    let opens = needs.opens != PermittedOpens::default();
    // OpenSSH makes no unix socket for a login that may not listen on ports at all; PermitListen says on which.
    let listens = !needs.listens.is_empty() || needs.listens_on_sockets;
    let mut lines = vec![
        format!("AllowTcpForwarding {}", yes(opens, listens)),
        format!(
            "PermitOpen {}",
            match &needs.opens {
                PermittedOpens::Any => "any".to_owned(),
                PermittedOpens::These(targets) => words(targets),
            }
        ),
        format!("PermitListen {}", words(&needs.listens)),
        format!("GatewayPorts {}", if needs.gateway { "clientspecified" } else { "no" }),
        format!("AllowStreamLocalForwarding {}", yes(needs.opens_sockets, needs.listens_on_sockets)),
    ];
    if needs.listens_on_sockets {
        // Else the file that a session leaves behind is in the way of the next one.
        lines.push("StreamLocalBindUnlink yes".to_owned());
    }
    if !needs.commands {
        lines.extend([format!("ForceCommand {NO_COMMAND}"), "MaxSessions 0".to_owned()]);
    }
    for off in ["PermitTTY", "X11Forwarding", "AllowAgentForwarding", "PermitUserRC"] {
        lines.push(format!("{off} no"));
    }
    lines.push(format!("PermitTunnel {}", devices(needs)));
    lines.push(format!("ClientAliveInterval {ALIVE_INTERVAL}"));
    lines.push(format!("ClientAliveCountMax {ALIVE_COUNT_MAX}"));
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!("Match User {user}\n{lines}")
}

fn devices(needs: &Needs) -> &'static str {
    match &needs.devices[..] {
        [] => "no",
        [(first, _), rest @ ..] if rest.iter().all(|(mode, _)| mode == first) => first.as_str(),
        // Of both kinds.
        [..] => "yes",
    }
}

fn words(entries: &[(String, u16)]) -> String {
    if entries.is_empty() { "none".to_owned() } else { addresses(entries).join(" ") }
}

fn addresses(entries: &[(String, u16)]) -> Vec<String> {
    entries
        .iter()
        .map(|(host, port)| {
            // A path is compared as a host is: OpenSSH's lists are for both, though its manuals do not say so.
            let host = if host.contains([':', '/']) { format!("[{host}]") } else { host.clone() };
            if *port == 0 { format!("{host}:*") } else { format!("{host}:{port}") }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tunnel_engine::spec::DeviceMode;

    use super::*;

    fn these(list: &[(&str, u16)]) -> Vec<(String, u16)> {
        list.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect()
    }

    #[test]
    fn lists_hold_what_is_needed_or_nothing() {
        let opens = PermittedOpens::These(these(&[("db", 3306), ("::1", 80), ("/run/s", 0)]));
        let needs = Needs { opens, ..Needs::default() };
        assert_eq!(
            options(&needs, &["10.0.0.0/8".to_owned(), "*.example.com".to_owned()]),
            "restrict,port-forwarding,from=\"10.0.0.0/8,*.example.com\",command=\"false\",permitopen=\"db:3306\",\
             permitopen=\"[::1]:80\",permitopen=\"[/run/s]:*\",permitlisten=\"none.invalid:1\""
        );
        let block = block("tunnel", &needs);
        for line in [
            "Match User tunnel\n",
            "AllowTcpForwarding local\n",
            "PermitOpen db:3306 [::1]:80 [/run/s]:*\n",
            "PermitListen none\n",
        ] {
            assert!(block.contains(line), "{line} {block}");
        }
        assert!(block.contains("MaxSessions 0\n") && block.contains("AllowStreamLocalForwarding no\n"), "{block}");
    }

    #[test]
    fn tunnel_device_is_permitted_by_its_kind_and_number() {
        let device = |unit| Needs { devices: vec![(DeviceMode::Ethernet, unit)], ..Needs::default() };
        let numbered = device(DeviceUnit::Number(3));
        assert!(options(&numbered, &[]).ends_with(",tunnel=\"3\""));
        assert!(block("tunnel", &numbered).contains("PermitTunnel ethernet\n"));
        assert!(!options(&device(DeviceUnit::Any), &[]).contains("tunnel="));
        assert!(block("tunnel", &Needs::default()).contains("PermitTunnel no\n"));
        let both = [(DeviceMode::Ethernet, DeviceUnit::Number(3)), (DeviceMode::PointToPoint, DeviceUnit::Number(4))];
        let both = Needs { devices: both.to_vec(), ..Needs::default() };
        assert!(!options(&both, &[]).contains("tunnel="), "the option names one device for all");
        assert!(block("tunnel", &both).contains("PermitTunnel yes\n"));
    }

    #[test]
    fn open_ends_and_commands_are_left_out_of_the_lists() {
        let needs = Needs {
            opens: PermittedOpens::Any,
            listens: these(&[("*", 8080), ("localhost", 0)]),
            gateway: true,
            commands: true,
            listens_on_sockets: true,
            ..Needs::default()
        };
        let options = options(&needs, &[]);
        assert_eq!(options, "restrict,port-forwarding,permitlisten=\"*:8080\",permitlisten=\"localhost:*\"");
        let block = block("root", &needs);
        for line in [
            "AllowTcpForwarding yes\n",
            "PermitOpen any\n",
            "GatewayPorts clientspecified\n",
            "AllowStreamLocalForwarding remote\n",
            "StreamLocalBindUnlink yes\n",
        ] {
            assert!(block.contains(line), "{line} {block}");
        }
        assert!(!block.contains("ForceCommand") && !block.contains("MaxSessions"), "{block}");
    }
}
