//! What known_hosts becomes when a server announces its keys.

use super::*;
use crate::hostkey::entry::parse;

const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKu+ToaAxXqaf+OEG1rrtibRGVE3fgkDHehC2fyafmLh";
const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK2pr+Bfus1hvPof4Wb/plZCzSbqadHH0u+/f4ODtKnE";
const F: &str = "ssh-future AAAACnNzaC1mdXR1cmUAAAAA";

fn key(text: &str) -> HostKey {
    let (kind, base64) = text.split_once(' ').unwrap();
    HostKey::parse(kind, base64).unwrap()
}

fn letters(text: &str) -> String {
    let word = |word| match word {
        "A" => A,
        "B" => B,
        "F" => F,
        other => other,
    };
    let lines = text.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

fn planned(file: &str, announced: &[&str]) -> Result<Option<KnownHostsChange>, String> {
    let announced: Vec<HostKey> = announced.iter().map(|key| self::key(key)).collect();
    let entries = parse(Path::new("f"), KeySource::User, letters(file).as_bytes(), EntryFilter::all());
    plan(&entries, "[h]:2222", &["ssh-ed25519".to_owned()], &announced)
}

#[test]
fn new_keys_are_learned_and_old_ones_removed() {
    for (file, announced, learned, gone) in [
        ("[h]:2222 A", &[A, B][..], &[B][..], &[][..]),
        ("[h]:2222 A\n[h]:2222 B", &[B], &[], &[A]),
        ("[h]:2222 A", &[B], &[B], &[A]),
        ("[h]:2222,1.2.3.4 A\ng F", &[A, B], &[B], &[]),
    ] {
        let change = planned(file, announced).unwrap().unwrap();
        let keys = |texts: &[&str]| texts.iter().map(|text| key(text)).collect::<Vec<_>>();
        assert_eq!((change.learned, change.gone), (keys(learned), keys(gone)), "{file}");
    }
}

#[test]
fn known_or_foreign_announcements_change_nothing() {
    assert_eq!(planned("[h]:2222 A", &[A]), Ok(None));
    assert_eq!(planned("[h]:2222 A", &[]), Ok(None));
    assert_eq!(planned("[h]:2222 A", &[F]), Ok(None));
    // A type that is left out is neither learned nor removed.
    assert_eq!(planned("[h]:2222 A\n[h]:2222 F", &[A]), Ok(None));
}

#[test]
fn handwritten_lines_are_left_alone() {
    for (file, announced, want) in [
        ("[h]:2222,[*]:2222 A", &[A, B][..], "f:1"),
        ("[h]:2222,a,b A", &[A, B], "f:1"),
        ("[h]:2222 A\n@cert-authority * A", &[A, B], "f:2"),
        ("[h]:2222 A\n@revoked * F", &[A, B], "f:2"),
        ("[h]:2222 A\ng B", &[A, B], "f:2"),
        ("[h]:2222 A\nh A", &[A, B], "f:2"),
        ("[h]:2222 A\ng A", &[B], "f:2"),
        ("[h]:2222 A", &[A, B, B], "twice"),
        ("g F", &[A], "no line"),
    ] {
        let why = planned(file, announced).unwrap_err();
        assert!(why.contains(want), "{file}: {why}");
    }
}

#[test]
fn file_of_hashed_names_gets_hashed_lines() {
    let file = format!("{} {A}\n", HostNames::hashed("[h]:2222").unwrap());
    let change = planned(&file, &[A, B]).unwrap().unwrap();
    let entries = parse(Path::new("f"), KeySource::User, file.as_bytes(), EntryFilter::all());
    let edit = change.edit(&entries, "[h]:2222", Path::new("f"));
    assert!(edit.gone.is_empty());
    let [(line, _)] = &edit.new[..] else { panic!("{edit:?}") };
    assert!(line.starts_with("|1|"), "{line}");
    let read = parse(Path::new("f"), KeySource::User, line.as_bytes(), EntryFilter::all());
    assert!(read[0].names.matches("[h]:2222") && read[0].key == key(B));
    // In another file of the user, nothing is added; and here, nothing twice.
    assert!(change.edit(&entries, "[h]:2222", Path::new("g")).new.is_empty());
    assert!(change.edit(&read, "[h]:2222", Path::new("f")).new.is_empty());
}

#[tokio::test]
async fn known_hosts_is_read_again_when_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    let name = "h".to_owned();
    let updates = Updates {
        files: vec![file.clone()],
        name,
        accepted: vec!["ssh-ed25519".to_owned()],
        ask: None,
        hash_names: false,
    };
    std::fs::write(&file, format!("# mine\nh {A}\n")).unwrap();
    let announced: Vec<PublicKey> = [B].iter().map(|key| key.parse().unwrap()).collect();
    let (change, unproven) = updates.review(&announced).await.unwrap().unwrap();
    assert_eq!(unproven, announced);
    std::fs::write(&file, format!("g {A}\n# mine\nh {A}\nk {B}")).unwrap();
    updates.apply(change).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("g {A}\n# mine\nk {B}\nh {B}\n"));
}

#[tokio::test]
async fn new_lines_are_hashed_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    let updates = Updates {
        files: vec![file.clone()],
        name: "h".to_owned(),
        accepted: vec!["ssh-ed25519".to_owned()],
        ask: None,
        hash_names: true,
    };
    std::fs::write(&file, format!("h {A}\n")).unwrap();
    let announced: Vec<PublicKey> = [A, B].iter().map(|key| key.parse().unwrap()).collect();
    let (change, _) = updates.review(&announced).await.unwrap().unwrap();
    updates.apply(change).await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(&format!("h {A}\n|1|")) && text.lines().count() == 2, "{text}");
}
