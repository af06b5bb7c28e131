//! Lists made by hand and by `ssh-keygen -k`, and lists that mean harm.

use std::process::Command;

use proptest::prelude::*;
use russh::keys::{Certificate, PublicKey};

use super::*;

const AUTHORITY: &[u8] = b"\0\0\0\x02ca-the authority's key";
const KEY: &[u8] = b"\0\0\0\x02k1-the server's key";

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn list(sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let head = [MAGIC, &1_u32.to_be_bytes(), &[0; 24], &string(b""), &string(b"a comment")].concat();
    sections.iter().fold(head, |list, (kind, data)| [list, vec![*kind], string(data)].concat())
}

/// Of the authority, or of every one.
fn of(authority: &[u8], parts: &[(u8, Vec<u8>)]) -> (u8, Vec<u8>) {
    let head = [string(authority), string(b"")].concat();
    (CERTIFICATES, parts.iter().fold(head, |all, (kind, data)| [all, vec![*kind], string(data)].concat()))
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn certified(serial: u64, id: &str) -> RevocationQuery<'_> {
    RevocationQuery { key: KEY, certificate: Some(CertificateFields { authority: AUTHORITY, serial, id }) }
}

#[test]
fn serials_ranges_bitmaps_and_names_revoke_certificates_of_their_authority() {
    // Serial numbers 100, 103 and 110: bits 0, 3 and 10.
    let bitmap = [numbers(&[100]), string(&[0b100, 0b1001])].concat();
    let parts = [
        (SERIAL_LIST, numbers(&[1, 7])),
        (SERIAL_RANGE, numbers(&[20, 29])),
        (SERIAL_BITMAP, bitmap),
        (KEY_ID, [string(b"web"), string(b"db")].concat()),
    ];
    for (authority, strangers) in [(AUTHORITY, true), (&b""[..], false)] {
        let list = list(&[of(authority, &parts)]);
        for (serial, id, want) in [
            (1, "x", true),
            (7, "x", true),
            (2, "x", false),
            (20, "x", true),
            (29, "x", true),
            (30, "x", false),
            (100, "x", true),
            (101, "x", false),
            (103, "x", true),
            (110, "x", true),
            (111, "x", false),
            (99, "x", false),
            (u64::MAX, "x", false),
            (5, "db", true),
            (0, "db", true),
            (0, "x", false),
            (5, "DB", false),
        ] {
            assert_eq!(revokes(&list, &certified(serial, id)), Ok(want), "{serial} {id}");
        }
        let other = CertificateFields { authority: b"\0\0\0\x02xx", serial: 1, id: "web" };
        let stranger = RevocationQuery { key: KEY, certificate: Some(other) };
        assert_eq!(revokes(&list, &stranger), Ok(!strangers));
        assert_eq!(revokes(&list, &RevocationQuery { key: KEY, certificate: None }), Ok(false));
    }
}

#[test]
fn keys_and_fingerprints_are_found_in_both_roles() {
    let sha1 = |key| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key).as_ref().to_vec();
    let sha256 = |key| digest::digest(&digest::SHA256, key).as_ref().to_vec();
    for key in [KEY, AUTHORITY] {
        for (kind, blob) in
            [(EXPLICIT_KEY, key.to_vec()), (FINGERPRINT_SHA1, sha1(key)), (FINGERPRINT_SHA256, sha256(key))]
        {
            let list = list(&[(kind, string(&blob))]);
            assert_eq!(revokes(&list, &certified(1, "x")), Ok(true), "{kind}");
            assert_eq!(revokes(&list, &RevocationQuery { key: KEY, certificate: None }), Ok(key == KEY), "{kind}");
        }
    }
}

#[test]
fn signatures_and_extensions_are_passed_over() {
    let extension = |critical| [string(b"name@example"), vec![critical], string(b"contents")].concat();
    let mut signed = list(&[(EXTENSION, extension(0)), (SIGNATURE, b"the key".to_vec())]);
    signed.extend(string(b"the signature"));
    signed.extend([vec![EXPLICIT_KEY], string(&string(KEY))].concat());
    assert_eq!(revokes(&signed, &certified(1, "x")), Ok(true));
    let critical = KrlError::Critical("name@example".to_owned());
    assert_eq!(revokes(&list(&[(EXTENSION, extension(1))]), &certified(1, "x")), Err(critical.clone()));
    let part = of(AUTHORITY, &[(CERTIFICATE_EXTENSION, extension(1))]);
    assert_eq!(revokes(&list(&[part]), &certified(1, "x")), Err(critical));
}

#[test]
fn a_list_that_is_damaged_answers_nothing() {
    let of_serials = |kind, data| of(b"", &[(kind, data)]);
    for (sections, want) in [
        (vec![(9, Vec::new())], KrlError::Section(9)),
        (vec![of_serials(9, Vec::new())], KrlError::Section(9)),
        (vec![(FINGERPRINT_SHA1, string(b"short"))], KrlError::Fingerprint),
        (vec![(EXPLICIT_KEY, vec![0, 0, 0, 9])], KrlError::Truncated),
        (vec![of_serials(SERIAL_LIST, numbers(&[0]))], KrlError::Serials),
        (vec![of_serials(SERIAL_RANGE, numbers(&[2, 1]))], KrlError::Serials),
        (vec![of_serials(SERIAL_RANGE, numbers(&[1, 2, 3]))], KrlError::Trailing),
        (vec![of_serials(SERIAL_BITMAP, [numbers(&[1]), string(&[0x80])].concat())], KrlError::Serials),
        (vec![of_serials(SERIAL_BITMAP, [numbers(&[0]), string(&[1])].concat())], KrlError::Serials),
        (vec![of_serials(SERIAL_BITMAP, [numbers(&[u64::MAX]), string(&[2])].concat())], KrlError::Serials),
        (vec![of_serials(SERIAL_BITMAP, [numbers(&[1]), string(&[1; 3000])].concat())], KrlError::Serials),
        (vec![of_serials(KEY_ID, string(b"a\0b"))], KrlError::Text),
    ] {
        assert_eq!(revokes(&list(&sections), &certified(1, "x")), Err(want), "{sections:?}");
    }
    let mut later = list(&[]);
    later[11] = 2;
    assert_eq!(revokes(&later, &certified(1, "x")), Err(KrlError::Version(2)));
    let whole = list(&[(EXPLICIT_KEY, string(KEY))]);
    for end in 0..whole.len() {
        let cut = revokes(&whole[..end], &certified(1, "x"));
        assert!(cut == Err(KrlError::Truncated) || cut == Ok(false), "{end}: {cut:?}");
    }
}

#[test]
fn lists_of_ssh_keygen_say_what_ssh_keygen_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let keygen =
        |arguments: &[&str]| Command::new("ssh-keygen").current_dir(dir.path()).args(arguments).output().unwrap();
    for name in ["ca", "other", "one", "two"] {
        assert!(keygen(&["-q", "-t", "ed25519", "-N", "", "-f", name]).status.success());
    }
    for (ca, serial, id, key) in [("ca", "7", "web", "one"), ("ca", "40", "db", "two")] {
        assert!(keygen(&["-q", "-s", ca, "-h", "-I", id, "-n", "h", "-z", serial, key]).status.success());
    }
    let specs = [
        "serial: 7\n",
        "serial: 1-20\nserial: 60\n",
        "serial: 1\nserial: 3\nserial: 7\nserial: 9\nserial: 12\nserial: 14\nserial: 40\n",
        "serial: 8-39\n",
        "id: web\n",
        "id: nobody\n",
        "",
    ];
    let mut asked = 0;
    let texts: Vec<Vec<String>> = specs
        .iter()
        .flat_map(|spec| {
            std::fs::write(path("spec"), spec).unwrap();
            let name = format!("krl{}", spec.len());
            let same = ["-s", "ca.pub", "spec"].map(str::to_owned).to_vec();
            let other = ["-s", "other.pub", "spec"].map(str::to_owned).to_vec();
            std::fs::copy(path("spec"), path(&name)).unwrap();
            [[same, vec![name.clone()]].concat(), [other, vec![name]].concat()]
        })
        .chain([vec!["one.pub".to_owned()], vec!["ca.pub".to_owned()], vec!["two-cert.pub".to_owned()]])
        .chain(["sha1", "sha256"].map(|hash| vec![format!("{hash}.spec")]))
        .collect();
    for hash in ["sha1", "sha256"] {
        let line = std::fs::read_to_string(path("one.pub")).unwrap();
        std::fs::write(path(&format!("{hash}.spec")), format!("{hash}: {line}")).unwrap();
    }
    for mut words in texts {
        // `-s ca spec`: the specification is the last of the files.
        if words.len() == 4 {
            let content = words.pop().unwrap();
            std::fs::copy(path(&content), path("spec")).unwrap();
        }
        let mut arguments = vec!["-q", "-k", "-f", "krl"];
        arguments.extend(words.iter().map(String::as_str));
        let made = keygen(&arguments);
        assert!(made.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
        let krl = std::fs::read(path("krl")).unwrap();
        assert!(is_krl(&krl));
        for name in ["one.pub", "two.pub", "one-cert.pub", "two-cert.pub"] {
            let theirs = !keygen(&["-Q", "-f", "krl", name]).status.success();
            let text = std::fs::read_to_string(path(name)).unwrap();
            let ours = match Certificate::from_openssh(&text) {
                Ok(certificate) => {
                    let blob =
                        |key: &russh::keys::ssh_key::public::KeyData| PublicKey::from(key.clone()).to_bytes().unwrap();
                    let (key, authority) = (blob(certificate.public_key()), blob(certificate.signature_key()));
                    let (serial, id) = (certificate.serial(), certificate.key_id());
                    let certificate = Some(CertificateFields { authority: &authority, serial, id });
                    revokes(&krl, &RevocationQuery { key: &key, certificate })
                }
                Err(_) => {
                    let key = text.parse::<PublicKey>().unwrap().to_bytes().unwrap();
                    revokes(&krl, &RevocationQuery { key: &key, certificate: None })
                }
            };
            assert_eq!(ours, Ok(theirs), "{name} in {words:?}");
            asked += 1;
        }
    }
    assert_eq!(asked, (specs.len() * 2 + 5) * 4);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = revokes(&bytes, &certified(5, "x"));
        let _ = revokes(&[&list(&[]), &bytes[..]].concat(), &certified(5, "x"));
        let _ = revokes(&list(&[(CERTIFICATES, bytes.clone())]), &certified(5, "x"));
        for kind in [SERIAL_LIST, SERIAL_RANGE, SERIAL_BITMAP, KEY_ID, CERTIFICATE_EXTENSION] {
            let _ = revokes(&list(&[of(b"", &[(kind, bytes.clone())])]), &certified(5, "x"));
        }
    }

    #[test]
    fn one_changed_byte_never_makes_it_panic(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let bitmap = [numbers(&[100]), string(&[0b100, 0b1001])].concat();
        let mut list = list(&[
            of(AUTHORITY, &[(SERIAL_RANGE, numbers(&[20, 29])), (SERIAL_BITMAP, bitmap), (KEY_ID, string(b"web"))]),
            (FINGERPRINT_SHA1, string(&[7; 20])),
            (EXPLICIT_KEY, string(KEY)),
        ]);
        let at = at.index(list.len());
        list[at] = byte;
        let _ = revokes(&list, &certified(100, "web"));
    }

    #[test]
    fn a_bitmap_is_the_set_of_its_bits(offset in 1_u64..1000, bits in proptest::collection::btree_set(0_u64..200, 1..20)) {
        let mut bitmap = vec![0_u8; 26];
        for bit in &bits {
            bitmap[25 - usize::try_from(bit / 8).unwrap()] |= 1 << (bit % 8);
        }
        let list = list(&[of(b"", &[(SERIAL_BITMAP, [numbers(&[offset]), string(&bitmap)].concat())])]);
        for serial in offset..offset + 210 {
            let want = bits.contains(&(serial - offset));
            prop_assert_eq!(revokes(&list, &certified(serial, "x")), Ok(want));
        }
    }
}
