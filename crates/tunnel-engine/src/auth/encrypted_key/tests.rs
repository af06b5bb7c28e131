//! Files that no tool writes by itself: hostile and damaged ones. Those of ssh-keygen and openssl are in tests/engine.

use proptest::prelude::*;

use super::*;

const OPENSSH: &str = include_str!("../small_scalar/locked");

fn refusal(text: &str) -> Option<DecryptError> {
    EncryptedKey::read(text).err()
}

fn unusable(text: &str) -> bool {
    matches!(refusal(text), Some(DecryptError::Unusable(_)))
}

#[test]
fn a_derivation_that_would_run_for_hours_is_refused() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    let body: String = OPENSSH.lines().filter(|line| !line.starts_with("-----")).collect();
    let mut bytes = STANDARD.decode(body).unwrap();
    // "bcrypt", then the length of its options, and in them: the salt with its length, the rounds.
    let kdf = bytes.windows(6).position(|part| part == b"bcrypt").unwrap() + 6;
    let rounds = kdf + 4 + 4 + 16;
    bytes[rounds..rounds + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    let hostile =
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n", STANDARD.encode(bytes));
    assert!(matches!(refusal(&hostile), Some(DecryptError::TooCostly(what)) if what.contains("4294967295 rounds")));

    let putty = |memory: &str| {
        format!(
            "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: aes256-cbc\nArgon2-Memory: {memory}\nArgon2-Passes: 13\n"
        )
    };
    assert!(matches!(refusal(&putty("4194304")), Some(DecryptError::TooCostly(_))));
    assert!(refusal(&putty("8192")).is_none() && unusable(&putty("many")));
}

#[test]
fn damaged_headers_are_no_wrong_passphrase() {
    let traditional =
        |headers: &str| format!("-----BEGIN RSA PRIVATE KEY-----\n{headers}\n\nAAAA\n-----END RSA PRIVATE KEY-----\n");
    let with = |info: &str| traditional(&format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: {info}"));
    assert!(unusable(&traditional("Proc-Type: 4,ENCRYPTED")));
    for info in ["AES-128-CBC", "AES-128-CBC,", "AES-128-CBC,00", "AES-128-CBC,xx", "DES-EDE3-CBC,00112233445566778"] {
        assert!(unusable(&with(info)), "{info}");
    }
    assert_eq!(refusal(&with("IDEA-CBC,0011223344556677")), Some(DecryptError::Unsupported("IDEA-CBC".to_owned())));
    assert!(refusal(&with("AES-128-CBC,00112233445566778899aabbccddeeff")).is_none());
    let dsa = with("DES-EDE3-CBC,0011223344556677").replace("RSA", "DSA");
    assert!(matches!(refusal(&dsa), Some(DecryptError::Unusable(why)) if why.contains("DSA")));
    assert!(unusable("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"));
}

#[test]
fn pkcs8_derivations_have_bounds_of_time_and_memory() {
    // PBKDF2 with 20,000,000 iterations; scrypt with N = 2^20, r = 8, which is a gigabyte. Both with aes256-cbc.
    let iterations = "MG0wWQYJKoZIhvcNAQUNMEwwKwYJKoZIhvcNAQUMMB4ECAAAAAAAAAAAAgQBMS0AMAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEqBBAAAAAAAAAAAAAAAAAAAAAABBAAAAAAAAAAAAAAAAAAAAAA";
    let memory = "MGQwUAYJKoZIhvcNAQUNMEMwIgYJKwYBBAHaRwQLMBUECAAAAAAAAAAAAgMQAAACAQgCAQEwHQYJYIZIAWUDBAEqBBAAAAAAAAAAAAAAAAAAAAAABBAAAAAAAAAAAAAAAAAAAAAA";
    for (der, told) in [(iterations, "20000000 iterations"), (memory, "scrypt over 1 times 1024 MiB")] {
        let text = format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{der}\n-----END ENCRYPTED PRIVATE KEY-----\n");
        let refusal = refusal(&text);
        assert!(matches!(&refusal, Some(DecryptError::TooCostly(what)) if what.contains(told)), "{refusal:?}");
    }
}

/// pkcs5 takes the first eight bytes of it unseen.
#[test]
fn a_short_vector_of_triple_des_is_refused() {
    // PBES2: PBKDF2 (salt of 8, 1 iteration), des-ede3-cbc with a vector of 4 bytes; then 8 bytes.
    let der = "MEcwOwYJKoZIhvcNAQUNMC4wGgYJKoZIhvcNAQUMMA0ECAABAgMEBQYHAgEBMBAGCCqGSIb3DQMHBAQBAgMEBAgAAAAAAAAAAA==";
    let text = format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{der}\n-----END ENCRYPTED PRIVATE KEY-----\n");
    assert!(unusable(&text), "{:?}", refusal(&text));
}

#[test]
fn what_is_not_encrypted_is_left_alone() {
    for text in ["", "ssh-ed25519 AAAA", include_str!("../small_scalar/plain"), "-----BEGIN EC PRIVATE KEY-----\nMAA="]
    {
        assert!(matches!(EncryptedKey::read(text), Ok(None)), "{text}");
    }
}

proptest! {
    #[test]
    fn nothing_in_a_file_panics(
        label in "(OPENSSH|ENCRYPTED|RSA|EC) PRIVATE KEY",
        header in "(Proc-Type: 4,ENCRYPTED\nDEK-Info: (AES-128-CBC|DES-EDE3-CBC),[0-9A-F]{0,34}\n\n)?",
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        use base64::Engine;
        let body = base64::engine::general_purpose::STANDARD.encode(body);
        let text = format!("-----BEGIN {label}-----\n{header}{body}\n-----END {label}-----\n");
        if let Ok(Some(key)) = EncryptedKey::read(&text) {
            prop_assert!(key.open("x").is_err());
        }
    }
}
