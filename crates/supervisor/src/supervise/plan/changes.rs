//! The config keys that differ between two specs, for people who read a plan. Every field is named, so that a new one
//! has to be given its key.

use tunnel_engine::spec::{AlgorithmSpec, AuthSpec, Destination, DialSpec, HostKeySpec, SessionSpec, TimingSpec, Via};

use crate::lifecycle::Policy;

use super::Tuning;

/// Keys of the session that differ.
pub(super) fn session(old: &SessionSpec, new: &SessionSpec) -> Vec<&'static str> {
    let SessionSpec { destination, dial, host_key, auth, algorithms, timing, rekey_limit, compression, receive_window } =
        new;
    let Destination { user, host, port } = destination;
    let DialSpec { via, bind_address, bind_interface, address_family, tcp_keep_alive, ip_qos, connection_attempts } =
        dial;
    let HostKeySpec {
        strict,
        user_known_hosts,
        global_known_hosts,
        command,
        revoked,
        update,
        ca_signatures,
        trust_loopback,
        alias,
        hash_names,
        ask: _,
    } = host_key;
    let AuthSpec {
        identities,
        certificates,
        agent,
        identities_only,
        accepted,
        required_rsa_size,
        password,
        // Of the autossh face only.
        without_password: _,
        without_interactive: _,
        passphrase,
    } = auth;
    let AlgorithmSpec { ciphers, kex, macs, host_keys } = algorithms;
    let TimingSpec { connect_timeout, server_alive_interval, server_alive_count_max } = timing;
    differing(&[
        ("host", old.destination.host != *host),
        ("port", old.destination.port != *port),
        ("user", old.destination.user != *user),
        (way(&old.dial.via, via), old.dial.via != *via),
        ("bind_address", old.dial.bind_address != *bind_address),
        ("bind_interface", old.dial.bind_interface != *bind_interface),
        ("address_family", old.dial.address_family != *address_family),
        ("tcp_keep_alive", old.dial.tcp_keep_alive != *tcp_keep_alive),
        ("ip_qos", old.dial.ip_qos != *ip_qos),
        ("connection_attempts", old.dial.connection_attempts != *connection_attempts),
        ("strict_host_key_checking", old.host_key.strict != *strict),
        ("user_known_hosts_file", old.host_key.user_known_hosts != *user_known_hosts),
        ("global_known_hosts_file", old.host_key.global_known_hosts != *global_known_hosts),
        ("revoked_host_keys", old.host_key.revoked != *revoked),
        ("known_hosts_command", old.host_key.command != *command),
        ("update_host_keys", old.host_key.update != *update),
        ("hash_known_hosts", old.host_key.hash_names != *hash_names),
        ("no_host_authentication_for_localhost", old.host_key.trust_loopback != *trust_loopback),
        ("ca_signature_algorithms", old.host_key.ca_signatures != *ca_signatures),
        ("host_key_alias", old.host_key.alias != *alias),
        ("identity_file", old.auth.identities != *identities || old.auth.identities_only != *identities_only),
        ("certificate_file", old.auth.certificates != *certificates),
        ("pubkey_accepted_algorithms", old.auth.accepted != *accepted),
        ("required_rsa_size", old.auth.required_rsa_size != *required_rsa_size),
        ("identity_agent", old.auth.agent != *agent),
        ("password_file", old.auth.password != *password),
        ("passphrase_file", old.auth.passphrase != *passphrase),
        ("ciphers", old.algorithms.ciphers != *ciphers),
        ("kex_algorithms", old.algorithms.kex != *kex),
        ("macs", old.algorithms.macs != *macs),
        ("host_key_algorithms", old.algorithms.host_keys != *host_keys),
        ("connect_timeout", old.timing.connect_timeout != *connect_timeout),
        ("server_alive_interval", old.timing.server_alive_interval != *server_alive_interval),
        ("server_alive_count_max", old.timing.server_alive_count_max != *server_alive_count_max),
        ("rekey_limit", old.rekey_limit != *rekey_limit),
        ("compression", old.compression != *compression),
        ("receive_window", old.receive_window != *receive_window),
    ])
}

/// Keys of the tuning that differ.
pub(super) fn tuning(old: &Tuning, new: &Tuning) -> Vec<&'static str> {
    let Tuning {
        policy,
        outage,
        max_connections,
        exit_on_forward_failure,
        on_remote_port_busy,
        probe,
        first_poll,
        sessions,
        session_lifetime,
        gateway_ports,
        stream_local_bind_mask,
        stream_local_bind_unlink,
        permit_remote_open,
        on_change,
        ssh_config_files,
    } = new;
    let Policy { gate_time, max_start, max_lifetime, backoff, poll } = policy;
    differing(&[
        ("gate_time", old.policy.gate_time != *gate_time),
        ("max_start", old.policy.max_start != *max_start),
        ("max_lifetime", old.policy.max_lifetime != *max_lifetime),
        ("backoff", old.policy.backoff != *backoff),
        ("poll", old.policy.poll != *poll),
        ("probe", old.probe != *probe),
        ("first_poll", old.first_poll != *first_poll),
        ("sessions", old.sessions != *sessions),
        ("session_lifetime", old.session_lifetime != *session_lifetime),
        ("during_outage", old.outage.during_outage != outage.during_outage),
        ("hold_timeout", old.outage.hold_timeout != outage.hold_timeout),
        ("hold_max", old.outage.hold_max != outage.hold_max),
        ("max_connections", old.max_connections != *max_connections),
        ("exit_on_forward_failure", old.exit_on_forward_failure != *exit_on_forward_failure),
        ("on_remote_port_busy", old.on_remote_port_busy != *on_remote_port_busy),
        ("gateway_ports", old.gateway_ports != *gateway_ports),
        ("stream_local_bind_mask", old.stream_local_bind_mask != *stream_local_bind_mask),
        ("stream_local_bind_unlink", old.stream_local_bind_unlink != *stream_local_bind_unlink),
        ("on_change", old.on_change != *on_change),
        ("permit_remote_open", old.permit_remote_open != *permit_remote_open),
        ("ssh_config", old.ssh_config_files != *ssh_config_files),
    ])
}

fn way(old: &Via, new: &Via) -> &'static str {
    match (old, new) {
        (_, Via::Jump(_)) | (Via::Jump(_), Via::Direct) => "proxy_jump",
        (_, Via::Command(_)) | (Via::Command(_), Via::Direct) => "proxy_command",
        (Via::Direct, Via::Direct) => "host",
    }
}

fn differing(keys: &[(&'static str, bool)]) -> Vec<&'static str> {
    keys.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect()
}
