//! Another cipher, another MAC and other compression in one direction than in the other. The lists of sshd are for both; a
//! server of asyncssh is made to have two.

use serde_json::{Value, json};
use support::PythonServer;

use super::{Cell, all_carry};

/// One cipher of each kind, a MAC in each order, and compression, to the server and from it.
const TO_AND_FROM: [([&str; 2], [&str; 2], [&str; 2]); 4] = [
    (["aes128-ctr", "aes256-cbc"], ["hmac-sha2-256", "hmac-sha2-512-etm@openssh.com"], ["zlib@openssh.com", "none"]),
    (["aes192-cbc", "aes128-ctr"], ["hmac-sha1-etm@openssh.com", "hmac-sha2-512"], ["none", "zlib@openssh.com"]),
    (["chacha20-poly1305@openssh.com", "aes256-ctr"], ["hmac-sha1", "hmac-sha1"], ["none", "none"]),
    (["aes256-ctr", "aes128-gcm@openssh.com"], ["hmac-sha2-512", "hmac-sha1"], ["zlib@openssh.com", "none"]),
];

#[test]
fn algorithms_that_differ_by_direction_carry_bytes() {
    for (ciphers, macs, compression) in TO_AND_FROM {
        let lists = |names: [&str; 2]| json!(names.map(|name| [name]));
        let directions =
            json!({ "encryption": lists(ciphers), "MAC": lists(macs), "compression": lists(compression) }).to_string();
        let server = PythonServer::asyncssh_by_direction(&directions);
        let [to, from] = ciphers;
        let cell = Cell {
            lines: format!(
                "ciphers = \"{to},{from}\"\nmacs = \"{},{}\"\ncompression = {}",
                macs[0],
                macs[1],
                compression != ["none"; 2]
            ),
            agreed: vec![("cipher", from.to_owned())],
            post_quantum: None,
        };
        all_carry("asyncssh", &server, &[cell]);
        let output = server.output();
        let exchanges: Vec<Value> =
            output.lines().map(|line| serde_json::from_str(line).expect("a line a exchange")).collect();
        assert!(exchanges.len() >= 3);
        for agreed in exchanges {
            assert_eq!((&agreed["encryption"], &agreed["compression"]), (&json!(ciphers), &json!(compression)));
            for (at, cipher) in ciphers.iter().enumerate().filter(|(_, cipher)| !cipher.contains('@')) {
                assert_eq!(agreed["MAC"][at], macs[at], "{cipher}");
            }
        }
    }
}
