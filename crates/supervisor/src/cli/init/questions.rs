//! What `init` asks on a terminal, for what the command line leaves out.

use tunnel_engine::spec::{Destination, Forward, ForwardKind};

use super::{InitArgs, InitTunnel};
use crate::cli::problem::{Problem, print};
use crate::os::{Terminal, ask_line};

const FORWARDS: &str = "What to forward, as after `ssh`; an empty line ends the list:
  -L 3307:127.0.0.1:3306   port 3307 here leads to port 3306 of the server itself
  -L 8080:intranet:80      port 8080 here leads to a host that the server reaches
  -R 2222:localhost:22     port 2222 of the server leads to port 22 here
  -D 1080                  a SOCKS proxy here, to all that the server reaches
";

/// The tunnel of the command line, with answers for what it leaves out.
pub(super) fn complete(args: InitArgs) -> Result<InitTunnel, Problem> {
    let flags =
        [(ForwardKind::Local, args.local), (ForwardKind::Remote, args.remote), (ForwardKind::Dynamic, args.dynamic)];
    let forwards = flags.into_iter().flat_map(|(kind, specs)| specs.into_iter().map(move |spec| (kind, spec)));
    let mut wanted = InitTunnel {
        server: args.server.unwrap_or_default(),
        forwards: forwards.collect(),
        name: args.name,
        identity: args.identity,
    };
    if !wanted.server.is_empty() && !wanted.forwards.is_empty() {
        return Ok(wanted);
    }
    if Terminal::open().is_none() {
        return Err(Problem::Usage(
            "name the server and what to forward: `tunneld init --local 3307:127.0.0.1:3306 user@host`; on a terminal, \
             `tunneld init` asks"
                .to_owned(),
        ));
    }
    let asked_server = wanted.server.is_empty();
    if asked_server {
        wanted.server = answer("The server to log in to, as [user@]host[:port]: ", |text| {
            Destination::parse(text, "-").map(|_| text.to_owned()).map_err(|error| error.to_string())
        })?;
    }
    if wanted.forwards.is_empty() {
        print(FORWARDS)?;
        while let Some(forward) = next_forward(wanted.forwards.is_empty())? {
            wanted.forwards.push(forward);
        }
    }
    if asked_server && wanted.identity.is_none() {
        let file = answer("The private key to log in with, a file [those of ssh]: ", |text| Ok(text.to_owned()))?;
        wanted.identity = Some(file).filter(|file| !file.is_empty());
    }
    Ok(wanted)
}

fn next_forward(first: bool) -> Result<Option<(ForwardKind, String)>, Problem> {
    let read = |text: &str| match text {
        "" if first => Err("a tunnel needs a forward".to_owned()),
        "" => Ok(None),
        text => forward(text).map(Some),
    };
    answer("Forward: ", read)
}

/// `-L SPEC`, with or without the space.
fn forward(text: &str) -> Result<(ForwardKind, String), String> {
    let options = [("-L", ForwardKind::Local), ("-R", ForwardKind::Remote), ("-D", ForwardKind::Dynamic)];
    let found =
        options.into_iter().find_map(|(option, kind)| text.strip_prefix(option).map(|spec| (kind, spec.trim())));
    let (kind, spec) = found.ok_or_else(|| "begin with -L, -R or -D".to_owned())?;
    Forward::parse(kind, spec).map(|_| (kind, spec.to_owned())).map_err(|error| error.to_string())
}

/// Asks until the answer can be read.
fn answer<T>(question: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, Problem> {
    loop {
        let Some(line) = ask_line(question) else {
            return Err(Problem::No("nothing was written: the terminal gave no answer".to_owned()));
        };
        match read(&line) {
            Ok(answer) => return Ok(answer),
            Err(why) => print(&format!("{why}\n"))?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_is_typed_as_after_ssh() {
        assert_eq!(forward("-L 1:a:2"), Ok((ForwardKind::Local, "1:a:2".into())));
        assert_eq!(forward("-R2222:localhost:22"), Ok((ForwardKind::Remote, "2222:localhost:22".into())));
        assert_eq!(forward("-D 1080"), Ok((ForwardKind::Dynamic, "1080".into())));
        for wrong in ["", "3307:a:1", "-L", "-L 1:2", "-X 1"] {
            assert!(forward(wrong).is_err(), "{wrong}");
        }
    }
}
