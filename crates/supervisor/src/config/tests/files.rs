//! Configs in files: include, and files that cannot be read.

use std::fs;
use std::time::Duration;

use tunnel_engine::clock;

use super::*;
use crate::config::{SocketReason, control_socket_of, emptied, load};
use crate::spec::MAX_ERRORS;

const A: &str = "[[tunnel]]\nname = 'a'\nhost = 'h'\ndynamic_forward = '1'\nidentity_file = 'key'\n";
const B: &str = "[[tunnel]]\nname = 'b'\nhost = 'h'\ndynamic_forward = '2'\n";

/// A folder with `tunneld.toml`, which includes `d/*.toml`, and these files in `d`.
fn folder(main: &str, included: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("d")).unwrap();
    fs::write(folder.path().join("tunneld.toml"), format!("include = 'd/*.toml'\n{main}")).unwrap();
    for (name, text) in included {
        fs::write(folder.path().join("d").join(name), text).unwrap();
    }
    folder
}

fn load_folder(folder: &tempfile::TempDir) -> Result<Desired, ConfigErrors> {
    load_in(&folder.path().join("tunneld.toml"), &Overrides::default(), &environment())
}

#[test]
fn included_files_add_tunnels_by_file_name() {
    let folder = folder("[defaults]\nport = 7", &[("20.toml", B), ("10.toml", A), ("x.bak", "?")]);
    let desired = load_folder(&folder).unwrap();
    let names: Vec<_> = desired.tunnels.iter().map(|tunnel| tunnel.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let session = &desired.tunnels[0].session;
    assert_eq!(session.destination.port, 7, "the defaults are those of the main file");
    assert_eq!(session.auth.identities[0].path, folder.path().join("d/key"), "from the folder of the file it is in");
}

#[test]
fn a_name_in_two_files_names_both_places() {
    let folder = folder(A, &[("10.toml", &A.replace("'1'", "'2'"))]);
    let errors = load_folder(&folder).unwrap_err();
    let (main, other) = (folder.path().join("tunneld.toml"), folder.path().join("d/10.toml"));
    let first_line = errors.to_string().lines().next().map(str::to_owned);
    let want =
        format!("{}:2:8: error: two tunnels are named `a`; the first is at {}:3:8", other.display(), main.display());
    assert_eq!(first_line, Some(want));
}

#[test]
fn an_included_file_holds_tunnels_and_nothing_else() {
    let folder = folder("", &[("10.toml", "include = 'x'\n[log]\nlevel = 'debug'\n")]);
    let errors = load_folder(&folder).unwrap_err();
    let whats: Vec<_> = errors.iter().map(|error| error.what().to_owned()).collect();
    assert_eq!(whats, ["`include` cannot be in an included file", "`log` cannot be in an included file"]);
}

#[test]
fn no_file_is_read_twice() {
    let folder = folder("", &[("10.toml", A)]);
    let main = folder.path().join("tunneld.toml");
    fs::write(&main, "include = ['*.toml', 'd/10.toml', 'd/*.toml']").unwrap();
    let errors = load_folder(&folder).unwrap_err();
    assert_eq!(errors.iter().map(ConfigError::what).collect::<Vec<_>>(), ["the file includes itself"]);
    fs::write(&main, "include = ['d/10.toml', 'd/*.toml', 'nothing/*']").unwrap();
    assert_eq!(load_folder(&folder).unwrap().tunnels.len(), 1);
}

#[test]
fn hidden_files_are_included_only_by_a_pattern_with_a_dot() {
    let folder = folder("", &[("10.toml", A), (".hidden.toml", "?"), (".ansible_tmp1_10.toml", A)]);
    std::os::unix::fs::symlink("gone", folder.path().join("d/.#10.toml")).unwrap();
    assert_eq!(load_folder(&folder).unwrap().tunnels.len(), 1);
    fs::write(folder.path().join("tunneld.toml"), "include = ['d/.h*.toml', 'd/*.toml']").unwrap();
    assert!(load_folder(&folder).unwrap_err().to_string().contains("d/.hidden.toml:1:1"));
}

#[test]
fn config_that_is_empty_or_has_lost_its_folder_replaces_no_other() {
    let folder = folder(B, &[("10.toml", A)]);
    let applied = load_folder(&folder).unwrap();
    let main = folder.path().join("tunneld.toml");
    let refused = |text: &str| {
        fs::write(&main, text).unwrap();
        let refused = emptied(&applied, &load_folder(&folder).unwrap()).err();
        refused.map(|errors| errors.iter().map(|error| error.what().to_owned()).collect::<Vec<_>>().join("; "))
    };
    assert_eq!(refused("include = 'd/*.toml'"), None, "one tunnel is left");
    assert_eq!(refused("tunnel = []"), None);
    assert_eq!(refused("[log]\nlevel = 'info'"), None, "what has a key is meant");
    for blank in ["", "\n", "# nothing\n"] {
        let what = refused(blank).unwrap();
        assert!(what.ends_with("all 2 tunnels that are applied would stop"), "{what}");
    }
    fs::rename(folder.path().join("d/10.toml"), folder.path().join("d/10.bak")).unwrap();
    let includes = format!("include = 'd/*.toml'\n{B}");
    assert_eq!(refused(&includes), None, "its file was removed, and another tunnel is left");
    assert_eq!(refused("include = 'd/*.toml'"), None, "and so was the last one");
    fs::remove_dir_all(folder.path().join("d")).unwrap();
    assert!(refused(&includes).unwrap().contains("which had files when the config was last applied, is gone"));
    assert_eq!(refused(B), None);
    let started = load_folder(&folder).unwrap();
    fs::write(&main, &includes).unwrap();
    assert!(emptied(&started, &load_folder(&folder).unwrap()).is_ok(), "the folder was not there before");
}

#[test]
fn broken_header_is_the_only_error_of_its_table() {
    let text = "[[tunnel]\nname = 'x'\nhost = 'h'\ndynamic_forward = '9'\n";
    for (before, more) in [("", ""), (A, ""), ("", "name = 'again'\nprot = 5\n")] {
        let folder = folder(&format!("{before}{text}{more}"), &[]);
        let errors = load_folder(&folder).unwrap_err();
        assert_eq!(errors.iter().count(), 1, "{errors}");
        assert!(errors.to_string().contains("[[tunnel]\n"), "{errors}");
    }
    let folder = folder(&format!("{text}[lgo]\n"), &[]);
    let errors = load_folder(&folder).unwrap_err();
    assert_eq!(errors.iter().count(), 2, "what stands below the next header is looked at: {errors}");
}

#[test]
fn missing_included_file_is_an_error() {
    let folder = folder("", &[]);
    let main = folder.path().join("tunneld.toml");
    fs::write(&main, "include = ['gone.toml']").unwrap();
    let said = load_folder(&folder).unwrap_err().to_string();
    assert!(said.starts_with(&format!("{}:1:12: error: `", main.display())), "{said}");
    let said = load(&folder.path().join("gone"), &Overrides::default()).unwrap_err().to_string();
    assert!(said.contains("gone: error: the config cannot be read: "), "{said}");
}

#[test]
fn a_file_that_is_not_utf8_says_where() {
    let folder = folder("", &[]);
    let main = folder.path().join("tunneld.toml");
    fs::write(&main, b"# \xc3\xa4\n# x\xff\n").unwrap();
    let said = load_folder(&folder).unwrap_err().to_string();
    assert!(said.starts_with(&format!("{}:2:4: error: the file is not UTF-8\n", main.display())), "{said}");
}

#[test]
fn client_finds_the_socket_despite_other_errors() {
    let folder = folder("control_socket = 's'\nnonsense = ", &[]);
    let main = folder.path().join("tunneld.toml");
    let socket = control_socket_of(&main).unwrap();
    assert_eq!((socket.path, socket.because), (folder.path().join("s"), SocketReason::Key));
    fs::write(&main, "control_socket = 5").unwrap();
    assert_eq!(control_socket_of(&main).unwrap_err().iter().count(), 1);
    fs::write(&main, "").unwrap();
    assert_eq!(control_socket_of(&main).unwrap().because, SocketReason::NoKey);
    let gone = control_socket_of(&folder.path().join("gone")).unwrap();
    assert_eq!(gone.because, SocketReason::Unreadable("No such file or directory (os error 2)".to_owned()));
}

#[test]
fn syntax_error_in_one_file_hides_nothing_in_another() {
    let folder = folder("", &[("10.toml", "x y"), ("20.toml", "[[tunnel]]\nname = 'c'\nhost = 'h'")]);
    let errors = load_folder(&folder).unwrap_err();
    let whats: Vec<_> = errors.iter().map(ConfigError::what).collect();
    assert_eq!(whats, ["key with no value, expected `=`", "the tunnel has no forwards"]);
    fs::write(folder.path().join("tunneld.toml"), "include = 'd/2*.toml'\nx y").unwrap();
    let errors = load_folder(&folder).unwrap_err();
    assert_eq!(errors.iter().count(), 1, "the defaults may be what was lost: {errors}");
}

#[test]
fn file_that_is_no_toml_is_left_after_its_first_errors() {
    let folder = folder("", &[]);
    let main = folder.path().join("tunneld.toml");
    for (line, times) in [("not toml at all \"\n", 100), ("not toml at all \"\n", 900_000), ("a = 1\n", 1 << 20)] {
        fs::write(&main, line.repeat(times)).unwrap();
        let started = clock::now();
        let errors = load_folder(&folder).unwrap_err();
        let taken = clock::now() - started;
        assert!(taken < Duration::from_secs(30), "{taken:?}");
        assert_eq!(errors.iter().count(), MAX_ERRORS + 1);
        let last = errors.iter().last().unwrap().what().to_owned();
        assert!(last.starts_with("and ") && last.ends_with(" more"), "{last}");
        assert!(errors.to_string().len() < 50_000);
    }
}

#[test]
fn binary_file_has_one_error() {
    let folder = folder("", &[("10.toml", A)]);
    let main = folder.path().join("tunneld.toml");
    let noise: Vec<u8> = (0..1_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(&main, noise).unwrap();
    let said = load_folder(&folder).unwrap_err();
    assert_eq!(said.iter().map(ConfigError::what).collect::<Vec<_>>(), ["the file is not UTF-8"]);
    assert!(said.to_string().len() < 2000);
    fs::write(&main, b"\xff\xfea\0=\x001\0").unwrap();
    let said = load_folder(&folder).unwrap_err();
    assert_eq!(said.iter().map(ConfigError::what).collect::<Vec<_>>(), ["the file is UTF-16, not UTF-8"]);
}

#[test]
fn private_key_in_the_place_of_a_config_is_not_shown() {
    let folder = folder("", &[]);
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXkt\n-----END OPENSSH PRIVATE KEY-----\n";
    for (file, text) in [("d/10.toml", key), ("tunneld.toml", key)] {
        fs::write(folder.path().join(file), text).unwrap();
        let said = load_folder(&folder).unwrap_err();
        assert_eq!(said.iter().map(ConfigError::what).collect::<Vec<_>>(), ["the file is a private key, not a config"]);
        assert!(!said.to_string().contains("b3Blb"), "{said}");
    }
    for text in [format!("key = '{key}"), "password = 'b3Blb'\n".to_owned(), "passwd = b3Blb".to_owned()] {
        fs::write(folder.path().join("tunneld.toml"), text).unwrap();
        let said = load_folder(&folder).unwrap_err().to_string();
        assert!(!said.contains("b3Blb"), "{said}");
    }
}
