//! known_hosts files, and binary lists of revoked keys.

use tunnel_engine::fuzzing::{KnownHostsLine, is_writable, key_reads_back, known_hosts_lines, revocation_list};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKu+ToaAxXqaf+OEG1rrtibRGVE3fgkDHehC2fyafmLh";

/// The first line is the server's name, the rest the file. Each line that counts is one of the file, says the same alone, and
/// has a key that is read back. A line that is added for the name is found behind all others. The bytes are also read as a
/// revocation list, which says the same twice.
pub fn known_hosts(data: &[u8]) {
    let (name, file) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (&data[..0], data),
    };
    let name = String::from_utf8_lossy(name).to_lowercase();
    let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
    let found = known_hosts_lines(file, &name);
    for line in &found {
        let alone = known_hosts_lines(lines[line.number - 1], &name);
        assert_eq!(alone, [KnownHostsLine { number: 1, ..line.clone() }], "a line depends on others");
        assert!(key_reads_back(&line.key), "{}", line.key);
    }
    if is_writable(&name) {
        let newline = if file.is_empty() || file.ends_with(b"\n") { "" } else { "\n" };
        let longer = [file, format!("{newline}{name} {KEY}\n").as_bytes()].concat();
        let after = known_hosts_lines(&longer, &name);
        let added = KnownHostsLine { number: lines.len() + 1, plain: true, key: KEY.to_owned() };
        assert_eq!(after, [found, vec![added]].concat());
    }
    let key = data.get(8..40).unwrap_or_default();
    assert_eq!(revocation_list(data, key, 7), revocation_list(data, key, 7));
}
