//! Command lines of autossh and ssh, with their environment.

use std::path::Path;

use supervisor::autossh::argv::{self, Dialect, ParsedArgv};
use supervisor::autossh::environment::AutosshEnvironment;
use supervisor::config::{Overrides, load_text_for};
use supervisor::import;
use tunnel_engine::spec::Forward;

use super::{machine, text};

/// NUL bytes cut the input into words; a first word of `NAME=value` is a variable. Both readings agree on what is wrong,
/// forwards print as what is read as the same, and what `import` prints of the line is a config, or says that nothing is
/// carried.
pub fn autossh_argv(data: &[u8]) {
    let words: Vec<String> = text(data).split('\0').map(str::to_owned).collect();
    let variable = |name: &str| {
        words
            .iter()
            .find_map(|word| word.split_once('=').filter(|(key, _)| *key == name))
            .map(|(_, value)| value.to_owned())
    };
    let _ = AutosshEnvironment::read(&variable);
    for dialect in [Dialect::Autossh, Dialect::Ssh] {
        let (asked, errors) = argv::read(&words, dialect, &variable);
        match argv::parse(&words, dialect, &variable) {
            Ok(same) => assert!(errors.is_empty() && same == asked),
            Err(told) => assert_eq!(told, errors),
        }
        if let ParsedArgv::Tunnel(line) = asked {
            for forward in &line.forwards {
                assert_eq!(Forward::parse(forward.kind, &forward.to_string()).as_ref(), Ok(forward));
            }
        }
    }
    // A file that is named would be read from this machine's disk.
    if words.iter().any(|word| word.contains('F') || word.to_lowercase().contains("include")) {
        return;
    }
    if let Ok(printed) = import::line(&words, &machine::account())
        && !["# there is no LocalForward", "# not carried: "].iter().any(|told| printed.contains(told))
    {
        let read = load_text_for(Path::new("/nowhere/t.toml"), &printed, &Overrides::default(), &machine::account());
        let errors: Vec<String> =
            read.err().iter().flat_map(|errors| errors.iter()).map(|error| error.what().to_owned()).collect();
        // A line may ask for one port twice; ssh says so when it listens, a config when it is read.
        assert!(errors.iter().all(|error| error.contains("is already claimed by")), "{printed}\n{errors:?}");
    }
}
