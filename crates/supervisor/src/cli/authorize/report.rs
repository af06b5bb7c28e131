//! What `authorize` prints for one server: the line, the block, and what is to be known about them. Pure.

use std::fmt::Write;

use tunnel_engine::auth::{CertificateInfo, Credential, Credentials};
use tunnel_engine::spec::Route;

use super::needs::LoginServer;
use super::sshd_config;

/// What the texts need beside the login.
pub(super) struct ServerReport<'a> {
    pub(super) tunnel: &'a str,
    pub(super) login: &'a LoginServer,
    pub(super) credentials: &'a Credentials,
    pub(super) from: &'a [String],
}

impl ServerReport<'_> {
    /// The lines of authorized_keys: one for each key that the tunnel names, else for the first that it would show.
    pub(super) fn lines(&self) -> Vec<String> {
        self.keyed_lines().into_iter().map(|(_, line)| line).collect()
    }

    /// The same, each with the key in base64, by which other lines about it are found.
    pub(super) fn keyed_lines(&self) -> Vec<(String, String)> {
        let plain = || self.credentials.shown.iter().filter(|one| one.certified.is_none());
        let named: Vec<_> = plain().filter(|one| one.named).collect();
        let chosen = if named.is_empty() { plain().take(1).collect() } else { named };
        let keyed = |key: &str| (key.split(' ').nth(1).unwrap_or(key).to_owned(), self.line(key, ""));
        chosen.into_iter().map(|credential| keyed(&credential.key)).collect()
    }

    fn line(&self, key: &str, first: &str) -> String {
        format!("{first}{} {key} tunneld-{}", sshd_config::options(&self.login.needs, self.from), self.tunnel)
    }

    pub(super) fn text(&self) -> String {
        let destination = &self.login.session.destination;
        let (user, host, at) = (&destination.user, &destination.host, destination.host_port());
        let what = if self.login.is_jump_host { "jump host" } else { "server" };
        let mut text = format!("# Tunnel `{}`, {what} {at}, login `{user}`.\n#\n", self.tunnel);
        let lines = self.lines();
        if lines.is_empty() {
            let _ = writeln!(text, "# There is no key to authorize.{}", self.without_key());
        } else {
            let _ = writeln!(text, "# In ~{user}/.ssh/authorized_keys on {host}:");
            lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
        }
        self.credentials.skipped.iter().for_each(|why| text.push_str(&format!("# not shown to the server: {why}\n")));
        for credential in &self.credentials.shown {
            if let Some(certified) = &credential.certified {
                text.push_str(&self.certificate(credential, certified));
            }
        }
        let _ = writeln!(
            text,
            "#\n# And at the end of /etc/ssh/sshd_config there, which limits `{user}` whatever its key is; without it the line\n\
             # above limits this key, but where the server's own settings forbid a forward, it does not work:"
        );
        text.push_str(&sshd_config::block(user, &self.login.needs));
        for note in &self.login.needs.notes {
            let _ = writeln!(text, "# note: {note}");
        }
        if let Route::Command(command) = &self.login.session.dial.via {
            let _ = writeln!(text, "# note: the way there is `{command}`: what that needs is not listed here");
        }
        text
    }

    fn without_key(&self) -> &'static str {
        match self.login.session.auth.password {
            Some(_) => " It logs in with a password, which only the Match block limits.",
            None => " Make one with `ssh-keygen -t ed25519 -N ''`, and name it as `identity_file`.",
        }
    }

    fn certificate(&self, credential: &Credential, certified: &CertificateInfo) -> String {
        let principals = if certified.principals.is_empty() { String::new() } else { certified.principals.join(",") };
        let names = if principals.is_empty() { "any login".to_owned() } else { format!("`{principals}`") };
        let mut text = format!(
            "#\n# It shows the certificate {} first, for {names}. A server that believes its authority (TrustedUserCAKeys)\n\
             # needs no line; its limits are then the certificate's own and those of the Match block. Where authorized_keys is\n\
             # to name the authority, this line takes every certificate of it:\n",
            credential.source
        );
        let first = match principals.is_empty() {
            true => "cert-authority,".to_owned(),
            false => format!("cert-authority,principals=\"{principals}\","),
        };
        let _ = writeln!(text, "# {}", self.line(&certified.authority, &first));
        if !certified.forwards {
            text.push_str("# note: this certificate lacks permit-port-forwarding: no forward works with it\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::authorize::needs::logins;
    use crate::config::{Overrides, load_text};

    fn credential(key: &str, named: bool, certified: Option<CertificateInfo>) -> Credential {
        Credential { source: format!("/{key}"), named, key: key.to_owned(), certified }
    }

    fn with(shown: Vec<Credential>, check: impl Fn(&ServerReport<'_>)) {
        let config = "[[tunnel]]\nname = \"t\"\nhost = \"u@h\"\nlocal_forward = [\"1:db:1\"]\n";
        let desired = load_text(Path::new("/c.toml"), config, &Overrides::default()).unwrap();
        let credentials = Credentials { shown, skipped: Vec::new() };
        check(&ServerReport {
            tunnel: "t",
            login: &logins(&desired.tunnels[0])[0],
            credentials: &credentials,
            from: &[],
        });
    }

    #[test]
    fn named_keys_have_a_line_each() {
        with(vec![credential("A", false, None), credential("B", true, None), credential("C", true, None)], |report| {
            let lines = report.lines();
            assert_eq!(lines.len(), 2);
            assert!(lines[0].ends_with(" B tunneld-t") && lines[1].ends_with(" C tunneld-t"), "{lines:?}");
        });
        with(vec![credential("A", false, None), credential("B", false, None)], |report| {
            assert_eq!(report.lines().len(), 1);
        });
    }

    #[test]
    fn all_but_lines_and_block_is_comment() {
        let certified = CertificateInfo { authority: "CA".into(), principals: vec!["u".into()], forwards: false };
        with(vec![credential("A", true, Some(certified)), credential("A", true, None)], |report| {
            let text = report.text();
            assert!(text.contains("# cert-authority,principals=\"u\",restrict,"), "{text}");
            assert!(text.contains("permit-port-forwarding: no forward"), "{text}");
            let bare: Vec<_> = text.lines().filter(|line| !line.starts_with(['#', ' '])).collect();
            assert_eq!(bare.len(), 2, "{text}");
            assert!(bare[0].starts_with("restrict,") && bare[1] == "Match User u", "{text}");
        });
        with(Vec::new(), |report| assert!(report.text().contains("no key to authorize"), "{}", report.text()));
    }
}
