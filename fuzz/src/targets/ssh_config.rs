//! ssh_config: a user's file, an included one, and options of a command line.

use supervisor::sshconfig::{ConfigFiles, FileCache, Query, resolve};
use tunnel_engine::spec::Forward;

use super::machine::Machine;
use super::{assert_harmless, text};

/// NUL bytes cut the input into the host that is asked about, an option (`-o`), the file, and what it includes. The answer is
/// the same each time, errors are bounded and can be shown, and a host that is reached has a name.
pub fn ssh_config(data: &[u8]) {
    /// Of one error, in bytes.
    const MAX_ERROR: usize = 64 * 1024;
    let mut parts = text(data).splitn(4, '\0');
    let mut part = || parts.next().unwrap_or_default();
    let (host, option, config, included) = (part(), part(), part(), part());
    let machine = Machine { config, included };
    let ask = || {
        let library = FileCache::default();
        let mut query = Query::typed(host, ConfigFiles::Usual)?;
        if !option.is_empty() {
            query.option(option, &library).map_err(|error| vec![error])?;
        }
        resolve(&query, &library, &machine)
    };
    match (ask(), ask()) {
        (Ok(first), Ok(second)) => {
            assert_eq!((&first.host, &first.user, first.port), (&second.host, &second.user, second.port));
            assert_eq!(first.settings, second.settings);
            let forwards = |all: Vec<(Forward, _)>| all.into_iter().map(|(forward, _)| forward).collect::<Vec<_>>();
            assert_eq!(forwards(first.forwards), forwards(second.forwards));
            first.notes.iter().for_each(|note| assert_harmless(&note.to_string()));
            first.said_by_ssh.iter().for_each(|said| assert_harmless(&said.text));
        }
        (Err(errors), Err(again)) => {
            assert_eq!(errors.len(), again.len());
            assert!(!errors.is_empty(), "refused without a reason");
            for error in errors {
                let shown = error.to_string();
                assert!(shown.len() <= MAX_ERROR, "an error of {} bytes", shown.len());
                assert_harmless(&shown);
            }
        }
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => panic!("two answers to one question"),
    }
}
